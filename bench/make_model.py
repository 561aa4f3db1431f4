#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A random model of TinyLlama-1.1B's shape in bf16, for when `xtransplant init-model` is not at hand."""

import argparse
import json
import os

import torch
from safetensors.torch import save_file

CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "bos_token_id": 1,
    "eos_token_id": 2, "hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 22,
    "num_attention_heads": 32, "num_key_value_heads": 4, "vocab_size": 32000, "max_position_embeddings": 2048,
    "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": False, "torch_dtype": "bfloat16",
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output")
    parser.add_argument("--layers", type=int, default=CONFIG["num_hidden_layers"])
    arguments = parser.parse_args()
    config = {**CONFIG, "num_hidden_layers": arguments.layers}
    c, f, v = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
    kv = c // config["num_attention_heads"] * config["num_key_value_heads"]
    generator = torch.Generator().manual_seed(1)
    matrix = lambda rows, columns: (0.02 * torch.randn(rows, columns, generator=generator)).bfloat16()
    ones = lambda: torch.ones(c, dtype=torch.bfloat16)
    tensors = {"model.embed_tokens.weight": matrix(v, c), "model.norm.weight": ones(), "lm_head.weight": matrix(v, c)}
    for layer in range(arguments.layers):
        prefix = f"model.layers.{layer}."
        for name, shape in {"self_attn.q_proj": (c, c), "self_attn.k_proj": (kv, c), "self_attn.v_proj": (kv, c),
                            "self_attn.o_proj": (c, c), "mlp.gate_proj": (f, c), "mlp.up_proj": (f, c),
                            "mlp.down_proj": (c, f)}.items():
            tensors[f"{prefix}{name}.weight"] = matrix(*shape)
        tensors[f"{prefix}input_layernorm.weight"] = ones()
        tensors[f"{prefix}post_attention_layernorm.weight"] = ones()
    os.makedirs(arguments.output, exist_ok=True)
    save_file(tensors, os.path.join(arguments.output, "model.safetensors"), metadata={"format": "pt"})
    with open(os.path.join(arguments.output, "config.json"), "w") as out:
        json.dump(config, out, indent=1)
    with open(os.path.join(arguments.output, "generation_config.json"), "w") as out:
        json.dump({"bos_token_id": 1, "eos_token_id": 2}, out)


if __name__ == "__main__":
    main()
