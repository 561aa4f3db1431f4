# SPDX-License-Identifier: Apache-2.0
"""Writes tests/golden/train: tiny models of each architecture with what PyTorch's autograd and optimiser make of them.

For each model: config.json, model.safetensors (float32), gradients.safetensors (of the summed loss of the first batch) and
train.json: the sequences, which tokens count, the settings and the losses of ten steps. Sequences run one at a time through
transformers, so that nothing depends on padding or masks.
"""

import argparse
import json
import math
import os

import torch
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM

import golden_models
from golden_models import GoldenModel, gemma, like, llama, mistral, qwen2

SMALL = dict(hidden_size=36, intermediate_size=52, num_hidden_layers=2, num_attention_heads=6, num_key_value_heads=2, vocab_size=83)
MODELS = [
    GoldenModel("llama2", llama(**{**SMALL, "num_key_value_heads": 6}), 1, dtype="f32"),
    GoldenModel("llama3", llama(**SMALL, head_dim=8, rope_theta=500000.0, tie_word_embeddings=True,
                                rope_scaling={"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                                              "original_max_position_embeddings": 32, "rope_type": "llama3"}), 2, dtype="f32"),
    GoldenModel("llama-bias", llama(**SMALL, attention_bias=True, mlp_bias=True), 3, dtype="f32"),
    GoldenModel("mistral-window", mistral(**SMALL, sliding_window=7, head_dim=10), 4, dtype="f32"),
    GoldenModel("qwen2", qwen2(**SMALL), 5, dtype="f32"),
    GoldenModel("qwen2-tied-window", qwen2(**SMALL, tie_word_embeddings=True, use_sliding_window=True, sliding_window=6,
                                           max_window_layers=1), 6, dtype="f32"),
    GoldenModel("qwen3", like("Qwen3ForCausalLM", **SMALL, head_dim=8, attention_bias=False), 7, dtype="f32"),
    GoldenModel("gemma3", gemma("Gemma3ForCausalLM", **{**SMALL, "num_hidden_layers": 4, "hidden_size": 24, "num_attention_heads": 2,
                                                        "num_key_value_heads": 1}, tie_word_embeddings=True, sliding_window_pattern=3,
                                rope_local_base_freq=1000.0, rope_scaling={"rope_type": "linear", "factor": 4.0}, attention_bias=False,
                                pad_token_id=None), 9, dtype="f32"),
    GoldenModel("olmo2", like("Olmo2ForCausalLM", **SMALL, attention_bias=False, pad_token_id=None), 8, dtype="f32"),
    GoldenModel("olmo3", like("Olmo3ForCausalLM", **{**SMALL, "num_hidden_layers": 4}, sliding_window=7, attention_bias=False, pad_token_id=None,
                              rope_scaling={"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}), 10, dtype="f32"),
]
# One sequence is longer than a block of attention rows (64).
LENGTHS = [13, 97, 7, 24, 1, 40]
STEPS, BATCH = 10, 3
SETTINGS = dict(lr=3e-3, warmup=2, schedule="cosine", beta1=0.9, beta2=0.95, eps=1e-8, weight_decay=0.1, clip=1.0)


def sequences(vocab, generator):
    out = []
    for length in LENGTHS:
        ids = torch.randint(0, vocab, (length,), generator=generator)
        counts = torch.rand(length, generator=generator) < 0.6
        if length > 1:
            counts[-1] = True
        out.append((ids, counts))  # counts[t]: whether predicting token t is part of the loss; the first never is
    return out


def loss_sum(model, batch):
    total, count = 0.0, 0
    for ids, counts in batch:
        logits = model(input_ids=ids[None]).logits[0, :-1]
        each = torch.nn.functional.cross_entropy(logits, ids[1:], reduction="none")
        total = total + (each * counts[1:]).sum()
        count += int(counts[1:].sum())
    return total, count


def learning_rate(step):
    """transformers' get_cosine_schedule_with_warmup."""
    warmup = SETTINGS["warmup"]
    if step < warmup:
        return SETTINGS["lr"] * step / max(1, warmup)
    progress = (step - warmup) / max(1, STEPS - warmup)
    return SETTINGS["lr"] * max(0.0, 0.5 * (1.0 + math.cos(math.pi * progress)))


def write(spec, root):
    directory = os.path.join(root, spec.name)
    golden_models.create(directory, spec, spec.seed)
    os.remove(os.path.join(directory, "generation_config.json"))
    model = golden_models.load(directory).train()
    generator = torch.Generator().manual_seed(100 + spec.seed)
    data = sequences(spec.config["vocab_size"], generator)

    total, _ = loss_sum(model, data)
    total.backward()
    gradients = {n: p.grad.clone() for n, p in model.named_parameters()}
    save_file(gradients, os.path.join(directory, "gradients.safetensors"))
    model.zero_grad()

    matrices = [p for p in model.parameters() if p.dim() == 2]
    vectors = [p for p in model.parameters() if p.dim() == 1]
    optimizer = torch.optim.AdamW([{"params": matrices, "weight_decay": SETTINGS["weight_decay"]},
                                   {"params": vectors, "weight_decay": 0.0}], lr=SETTINGS["lr"],
                                  betas=(SETTINGS["beta1"], SETTINGS["beta2"]), eps=SETTINGS["eps"])
    losses, norms = [], []
    for step in range(STEPS):
        batch = [data[(step * BATCH + k) % len(data)] for k in range(BATCH)]
        loss, count = loss_sum(model, batch)
        loss = loss / count
        loss.backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(model.parameters(), SETTINGS["clip"])))
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    record = dict(model=spec.name, torch=torch.__version__, steps=STEPS, batch=BATCH, settings=SETTINGS,
                  sequences=[dict(ids=ids.tolist(), counts=counts.int().tolist()) for ids, counts in data],
                  loss_sum=float(total.detach()), losses=losses, norms=norms)
    with open(os.path.join(directory, "train.json"), "w") as out:
        json.dump(record, out)
        out.write("\n")
    print(f"{spec.name}: loss {losses[0]:.4f} -> {losses[-1]:.4f}, norms {min(norms):.2f} to {max(norms):.2f}")


if __name__ == "__main__":
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", default=os.path.join(here, "..", "tests", "golden", "train"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for model in MODELS:
        write(model, arguments.output)
