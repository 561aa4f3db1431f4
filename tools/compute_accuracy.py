#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What --compute bf16, f16 and tf32 change: an emulation of their products beside float32.

Every linear layer of a GGUF model rounds its input and its weight to the type, to nearest, ties to even,
and sums in float32; all else is float32, as it is on a GPU. Prints, of a text's next-token distributions,
what differs from float32's, and the error of single products of normal numbers.

usage: compute_accuracy.py MODEL.gguf [TEXT]
"""

import os
import sys

import torch
import transformers

TEXT = (
    "The Nile is a river in Africa. It flows north through eleven countries and ends in the "
    "Mediterranean Sea. For thousands of years people have lived along its banks, because the land "
    "beside it is fertile and the desert around it is not. Der Nil ist ein Strom in Afrika. Er "
    "fließt nach Norden und mündet in das Mittelmeer. Mto Nile ni mto mrefu barani Afrika; unapita "
    "katika nchi kumi na moja na kuishia katika Bahari ya Mediterania. "
)


def to_tf32(x: torch.Tensor) -> torch.Tensor:
    bits = x.view(torch.int32)
    return ((bits + 0xFFF + ((bits >> 13) & 1)) & ~0x1FFF).view(torch.float32)


ROUND = {
    "bf16": lambda x: x.to(torch.bfloat16).float(),
    "f16": lambda x: x.to(torch.float16).float(),
    "tf32": to_tf32,
}


def products() -> None:
    """Of rows of 4096 normal numbers: the largest and the usual error, in the result's deviation."""
    torch.manual_seed(1)
    x, w = torch.randn(256, 4096), torch.randn(256, 4096)
    exact = x.double() @ w.double().T
    for name, value in [("f32", x @ w.T)] + [(n, r(x) @ r(w).T) for n, r in ROUND.items()]:
        error = (value.double() - exact) / 64
        print(f"product {name:5} rms {error.square().mean().sqrt():.2e}  max {error.abs().max():.2e}")


def logits(model: torch.nn.Module, ids: torch.Tensor, name: str) -> torch.Tensor:
    """[tokens, vocabulary] with the products of that type."""
    kept = {}
    if name != "f32":
        turn = ROUND[name]
        for module in model.modules():
            if isinstance(module, torch.nn.Linear):
                kept[module] = module.forward
                module.forward = lambda x, m=module, t=turn: torch.nn.functional.linear(
                    t(x), t(m.weight), m.bias
                )
    with torch.no_grad():
        result = model(ids).logits[0].double()
    for module, forward in kept.items():
        module.forward = forward
    return result


def main() -> None:
    products()
    folder, file = os.path.split(os.path.abspath(sys.argv[1]))
    load = {"gguf_file": file}
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, **load, dtype=torch.float32, attn_implementation="eager"
    )
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **load)
    text = open(sys.argv[2], encoding="utf-8").read() if len(sys.argv) > 2 else TEXT
    ids = tokenizer(text, return_tensors="pt").input_ids
    exact = logits(model, ids, "f32").log_softmax(-1)
    for name in ROUND:
        other = logits(model, ids, name).log_softmax(-1)
        divergence = (exact.exp() * (exact - other)).sum(-1)
        same = (exact.argmax(-1) == other.argmax(-1)).sum()
        of_next = (exact - other)[:-1].gather(1, ids[0, 1:, None])
        print(
            f"{file} {name:5} {len(exact)} tokens: divergence mean {divergence.mean():.1e} "
            f"max {divergence.max():.1e} nats; log-probability of the text's next token differs by "
            f"{of_next.abs().mean():.1e} on average; the same most likely token {same} times"
        )


if __name__ == "__main__":
    main()
