#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Hugging Face transformers on the CPU or a GPU: prefill, decoding, and transplants with forward hooks.

One JSON object a line on stdout. Prefill is timed over --prefill tokens; decoding is --new-tokens steps a row
behind a shared prompt of --prompt tokens, whose prefill is not counted; a transplant is what the published code
pays for one (i, j): a prefill of the source prompt, one of the target prompt, and single-row decoding.
"""

import argparse
import json
import os
import random
import sys
import time

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
if "--device" not in sys.argv:
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import torch
from transformers import AutoModelForCausalLM, DynamicCache


def emit(what, **fields):
    print(json.dumps({"peer": "transformers", "what": what, **fields}), flush=True)


device = "cpu"


def random_ids(vocab, count, seed=0):
    rng = random.Random(seed)
    return torch.tensor([[rng.randrange(3, vocab) for _ in range(count)]], device=device)


def now():
    """Seconds, after all that the device was asked for."""
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter()


@torch.no_grad()
def prefill(model, ids):
    begin = now()
    model(ids, use_cache=True, logits_to_keep=1)
    return now() - begin


@torch.no_grad()
def decode(model, ids, rows, count):
    """Seconds of `count` steps of `rows` rows; each row begins with its own token."""
    cache = DynamicCache(config=model.config)
    model(ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
    cache.batch_repeat_interleave(rows)
    step = torch.arange(3, 3 + rows, device=device).remainder(model.config.vocab_size)[:, None]
    begin = now()
    for _ in range(count):
        step = model(step, past_key_values=cache, use_cache=True).logits[:, -1].argmax(-1, keepdim=True)
    return now() - begin


@torch.no_grad()
def transplant(model, source, target, i, j, count):
    """Feed-forward output of the source's last token at layer i into the target's at layer j, then `count` tokens."""
    kept = []
    layers = model.model.layers

    def write(_, __, output):
        output[:, -1] = kept[0]

    begin = now()
    handle = layers[i].mlp.register_forward_hook(lambda _, __, output: kept.append(output[:, -1].clone()))
    model(source, use_cache=False, logits_to_keep=1)
    handle.remove()
    cache = DynamicCache(config=model.config)
    handle = layers[j].mlp.register_forward_hook(write)
    step = model(target, past_key_values=cache, use_cache=True, logits_to_keep=1).logits[:, -1].argmax(-1, keepdim=True)
    handle.remove()
    for _ in range(count - 1):
        step = model(step, past_key_values=cache, use_cache=True).logits[:, -1].argmax(-1, keepdim=True)
    return now() - begin


def best_of(call, count=3):
    return min(call() for _ in range(count))


@torch.no_grad()
def product_peak(dtype, size):
    """Operations a second of a large product of the library's own."""
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))

    def once():
        begin = now()
        torch.mm(a, b)
        return now() - begin

    once()
    return 2 * size**3 / best_of(once)


def main():
    global device
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-m", "--model", required=True)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--prefill", type=int, default=512)
    parser.add_argument("--prompt", type=int, default=128)
    parser.add_argument("--new-tokens", type=int, default=20)
    parser.add_argument("--rows", default="1,8,64,256")
    parser.add_argument("--transplants", type=int, default=3, help="size of the sample; 0: none")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:K")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16", "float16"])
    parser.add_argument("--product", type=int, default=0, help="measure a product of so many rows and columns; 0: none")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    device, dtype = arguments.device, getattr(torch, arguments.dtype)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    if arguments.product:
        emit("product", size=arguments.product, flops_per_second=product_peak(dtype, arguments.product))
    model = AutoModelForCausalLM.from_pretrained(arguments.model, dtype=dtype).eval().to(device)
    vocab, layers, count = model.config.vocab_size, model.config.num_hidden_layers, arguments.new_tokens
    prefill(model, random_ids(vocab, 64))  # warm up
    if arguments.prefill:
        seconds = prefill(model, random_ids(vocab, arguments.prefill))
        emit("prefill", tokens=arguments.prefill, seconds=seconds, tokens_per_second=arguments.prefill / seconds)
    prompt = random_ids(vocab, arguments.prompt)
    for rows in [int(r) for r in arguments.rows.split(",") if r]:
        seconds = decode(model, prompt, rows, count)
        emit("decode", rows=rows, prompt_tokens=arguments.prompt, seconds=seconds, tokens_per_second=rows * count / seconds)
    if arguments.transplants:
        rng = random.Random(0)
        source = random_ids(vocab, arguments.prompt, seed=1)
        transplant(model, source, prompt, 0, 0, count)  # warm up: one row a step
        seconds = sum(transplant(model, source, prompt, rng.randrange(layers), rng.randrange(layers), count)
                      for _ in range(arguments.transplants))
        emit("transplant", sample=arguments.transplants, seconds=seconds, responses_per_second=arguments.transplants / seconds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
