# SPDX-License-Identifier: Apache-2.0
"""Training speed of PyTorch with transformers on the same model and data as `xtransplant train`: a line of JSON.

usage: train_torch.py MODEL DATA --batch N --steps N [--length N] [--threads N] [--compute f32|bf16]

MODEL is a Hugging Face directory whose weights are read (as float32). DATA is JSON lines of prompt and response (padded to the
longest of a batch, loss on responses alone) or plain text (pieces of `length` tokens, loss on all). One step before the
clock starts. With --compute bf16 the forward pass runs under autocast."""
import argparse
import json
import time

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


def read_examples(path, tokenizer, length, eos):
    examples = []
    if path.endswith(".jsonl"):
        for line in open(path, encoding="utf-8"):
            pair = json.loads(line)
            prompt = tokenizer(pair["prompt"])["input_ids"]
            response = tokenizer(pair["response"], add_special_tokens=False)["input_ids"] + [eos]
            examples.append((prompt + response, [-100] * len(prompt) + response))
        return examples
    ids = tokenizer(open(path, encoding="utf-8").read())["input_ids"]
    return [(ids[k : k + length], ids[k : k + length]) for k in range(0, len(ids) - length + 1, length)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("data")
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--compute", choices=["f32", "bf16"], default="f32")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    model = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32).train()
    eos = model.config.eos_token_id
    examples = read_examples(args.data, tokenizer, args.length, eos[0] if isinstance(eos, list) else eos)
    order = torch.randperm(len(examples)).tolist()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, weight_decay=0.0)
    tokens, at, began = 0, 0, 0.0
    for step in range(args.steps + 1):
        if step == 1:
            tokens, began = 0, time.monotonic()
        batch = [examples[order[(at + k) % len(order)]] for k in range(args.batch)]
        at += args.batch
        longest = max(len(ids) for ids, _ in batch)
        ids = torch.tensor([x + [0] * (longest - len(x)) for x, _ in batch])
        labels = torch.tensor([y + [-100] * (longest - len(y)) for _, y in batch])
        mask = torch.tensor([[1] * len(x) + [0] * (longest - len(x)) for x, _ in batch])
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=args.compute == "bf16"):
            loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        tokens += sum(len(x) for x, _ in batch)
    seconds = time.monotonic() - began
    print(json.dumps({"tokens": tokens, "seconds": seconds, "tokens_per_second": tokens / seconds, "loss": float(loss.detach())}))


if __name__ == "__main__":
    main()
