#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/data/torch_small.bin and the folders of tests/data/torch, which tests/unit/test_torch_bin.c
reads. Needs torch and transformers.

usage: tools/make_torch_fixtures.py
"""
import collections
import json
import os

import torch

HERE = os.path.dirname(os.path.abspath(__file__))


def small_state():
    """Every kind of entry at its smallest; the values are repeated in test_torch_bin.c."""
    base = torch.arange(12, dtype=torch.float32).reshape(3, 4)
    state = collections.OrderedDict()
    state["embed.weight"] = torch.arange(6, dtype=torch.float16).reshape(2, 3)
    state["head.weight"] = state["embed.weight"]  # tied: one storage
    state["rows"] = base[1:]  # a view with an offset
    state["parameter"] = torch.nn.Parameter(torch.tensor([1.5, -2.0], dtype=torch.bfloat16))
    state["scalar"] = torch.tensor(7)
    state["mask"] = torch.tensor([True, False])
    state["empty"] = torch.zeros(0, 3)
    state["short"] = torch.tensor([1, 65535], dtype=torch.uint16)  # _rebuild_tensor_v3
    state._metadata = collections.OrderedDict([("", {"version": 1})])
    return state


def write_small():
    torch.save(small_state(), os.path.join(HERE, "..", "tests", "data", "torch_small.bin"))


def write_directory(root, name, shards, weight_map=None):
    folder = os.path.join(root, name)
    os.makedirs(folder, exist_ok=True)
    for file, state in shards.items():
        torch.save(state, os.path.join(folder, file))
    if weight_map is None and len(shards) > 1:
        weight_map = {key: file for file, state in shards.items() for key in state}
    if weight_map:
        with open(os.path.join(folder, "pytorch_model.bin.index.json"), "w") as f:
            json.dump({"metadata": {"total_size": 0}, "weight_map": weight_map}, f)


def write_refused(root):
    class Evil:
        def __reduce__(self):
            return os.system, ("true",)

    write_directory(root, "evil", {"pytorch_model.bin": {"a": Evil()}})
    write_directory(root, "transposed", {"pytorch_model.bin": {"a": torch.zeros(2, 3).t()}})
    write_directory(root, "trainer", {"pytorch_model.bin": {"state": {"a": torch.zeros(1)}, "epoch": 3}})
    os.makedirs(os.path.join(root, "legacy"), exist_ok=True)
    torch.save({"a": torch.zeros(1)}, os.path.join(root, "legacy", "pytorch_model.bin"),
               _use_new_zipfile_serialization=False)


def write_llama(root):
    """A tiny Llama as save_pretrained writes it in shards, where this transformers still can; the same in
    safetensors beside it, for comparison."""
    from transformers import LlamaConfig, LlamaForCausalLM
    torch.manual_seed(1)
    config = LlamaConfig(hidden_size=8, intermediate_size=12, num_hidden_layers=1, num_attention_heads=2,
                         vocab_size=16, tie_word_embeddings=True)
    model = LlamaForCausalLM(config).to(torch.float16)
    model.save_pretrained(os.path.join(root, "llama-safetensors"))
    try:
        model.save_pretrained(os.path.join(root, "llama-bin"), safe_serialization=False, max_shard_size="500")
    except Exception as error:  # transformers 5 writes safetensors only
        print("save_pretrained(safe_serialization=False):", error)
    folder = os.path.join(root, "llama-bin")
    if not any(name.endswith(".bin") for name in os.listdir(folder) if os.path.isdir(folder)):
        print("this transformers wrote no .bin; sharding the state_dict with torch.save")
        state = model.state_dict()
        keys = list(state)
        half = len(keys) // 2
        for name in os.listdir(folder):
            os.remove(os.path.join(folder, name))
        write_directory(root, "llama-bin", {
            "pytorch_model-00001-of-00002.bin": {k: state[k] for k in keys[:half]},
            "pytorch_model-00002-of-00002.bin": {k: state[k] for k in keys[half:]}})


def main():
    root = os.path.join(HERE, "..", "tests", "data", "torch")
    os.makedirs(root, exist_ok=True)
    write_small()
    write_refused(root)
    write_llama(root)


if __name__ == "__main__":
    main()
