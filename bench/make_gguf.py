#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes a Hugging Face Llama or Qwen2 directory as GGUF for llama.cpp, without a vocabulary.

llama.cpp's own converter wants a tokenizer it knows by hash; a benchmark needs none, and random-weight
models have none. Matrices go into --type, norms stay float32, as its converter does.
"""

import argparse
import glob
import json
import os

import gguf
import torch
from safetensors import safe_open

NAMES = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}
LAYER_NAMES = {
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}
FILE_TYPES = {"f32": gguf.LlamaFileType.ALL_F32, "f16": gguf.LlamaFileType.MOSTLY_F16, "bf16": gguf.LlamaFileType.MOSTLY_BF16}


def gguf_name(name):
    if name in NAMES:
        return NAMES[name]
    _, _, layer, rest = name.split(".", 3)
    module, kind = rest.rsplit(".", 1)
    return f"blk.{layer}.{LAYER_NAMES[module]}.{kind}"


def interleave(tensor, heads):
    """Of a Llama, llama.cpp rotates neighbouring rows of q and k, Hugging Face the two halves of a head."""
    rows = tensor.shape[0]
    return tensor.reshape(heads, 2, rows // heads // 2, *tensor.shape[1:]).swapaxes(1, 2).reshape(tensor.shape)


def add_tensor(writer, name, tensor, kind):
    if tensor.ndim == 1 or kind == "f32":
        writer.add_tensor(name, tensor.float().numpy())
    elif kind == "f16":
        writer.add_tensor(name, tensor.half().numpy())
    else:
        data = tensor.bfloat16().contiguous().view(torch.uint8).numpy()
        writer.add_tensor(name, data, raw_dtype=gguf.GGMLQuantizationType.BF16)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="Hugging Face directory with safetensors")
    parser.add_argument("output")
    parser.add_argument("--type", choices=FILE_TYPES, default="bf16")
    arguments = parser.parse_args()
    with open(os.path.join(arguments.model, "config.json")) as file:
        config = json.load(file)
    if config["model_type"] not in ("llama", "qwen2") or config.get("rope_scaling"):
        raise SystemExit(f"{arguments.model}: only plain Llama and Qwen2 models are written")
    llama = config["model_type"] == "llama"
    heads = config["num_attention_heads"]
    kv_heads = config.get("num_key_value_heads") or heads

    writer = gguf.GGUFWriter(arguments.output, config["model_type"])
    writer.add_name("benchmark")
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_rope_dimension_count(config.get("head_dim") or config["hidden_size"] // heads)
    writer.add_rope_freq_base(float((config.get("rope_parameters") or config).get("rope_theta", 10000.0)))
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_tokenizer_model("no_vocab")
    writer.add_file_type(FILE_TYPES[arguments.type])
    for path in sorted(glob.glob(os.path.join(arguments.model, "*.safetensors"))):
        with safe_open(path, "pt") as file:
            for name in file.keys():
                tensor = file.get_tensor(name)
                if llama and "q_proj" in name:
                    tensor = interleave(tensor, heads)
                elif llama and "k_proj" in name:
                    tensor = interleave(tensor, kv_heads)
                add_tensor(writer, gguf_name(name), tensor, arguments.type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
