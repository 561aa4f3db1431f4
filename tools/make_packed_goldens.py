#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes tests/golden/packed: tiny Llamas with quantised matrices in safetensors files, packed by the code that people's files come from,
and what that code makes of them again.

    PYTHONPATH=DIR python tools/make_packed_goldens.py --auto-gptq DIR/auto_gptq --auto-awq DIR/awq

DIR holds the unpacked wheels auto_gptq 0.7.1 and compressed_tensors 0.20.1; --auto-awq the folder awq of autoawq 0.2.9's source archive.
Of each matrix the SHA-256 of its dequantised bytes is kept, and greedy tokens of a float32 model with these values.
"""

import argparse
import hashlib
import importlib.util
import json
import os
import sys
import types

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OUT = f"{ROOT}/tests/golden/packed"
PROMPT, NEW = [1, 9, 33, 17, 60, 5], 8
CONFIG = dict(architectures=["LlamaForCausalLM"], model_type="llama", hidden_act="silu", bos_token_id=1, eos_token_id=2, hidden_size=32,
              intermediate_size=64, num_hidden_layers=1, num_attention_heads=4, num_key_value_heads=4, vocab_size=64,
              max_position_embeddings=64, rms_norm_eps=1e-5, tie_word_embeddings=True)


def load_file(name, path):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def gptq(module, weight, bits, group, shuffled, v2, seed):
    """Tensors of one matrix by AutoGPTQ's own packing, and its weights as its forward pass has them."""
    rows, cols = weight.shape
    size = group if group > 0 else cols
    draw = torch.Generator().manual_seed(seed)
    order = torch.arange(cols) // size
    if shuffled:
        order = order[torch.randperm(cols, generator=draw)]
    groups, most = (cols - 1) // size + 1, 2**bits - 1
    scales = torch.zeros(rows, groups)
    zeros = torch.zeros(rows, groups)
    for g in range(groups):
        part = weight[:, order == g]
        low, high = part.amin(1).clamp(max=-1e-4), part.amax(1).clamp(min=1e-4)
        scales[:, g] = ((high - low) / most).half().float()
        zeros[:, g] = torch.round(-low / scales[:, g]).clamp(1, most)
    layer = module.QuantLinear(bits, group, cols, rows, False, kernel_switch_threshold=0, weight_dtype=torch.float16)
    linear = torch.nn.Linear(cols, rows, bias=False).half()
    linear.weight.data = weight.half()
    with torch.no_grad():
        codes = torch.round(weight / scales[:, order] + zeros[:, order]).clamp(0, most)
        linear.weight.data = ((codes - zeros[:, order]) * scales[:, order]).half()
        layer.pack(linear, scales.clone(), zeros.clone(), order.to(torch.int32))
        dense = layer(torch.eye(cols).half()).t().contiguous()
    tensors = {"qweight": layer.qweight, "scales": layer.scales, "qzeros": layer.qzeros, "g_idx": layer.g_idx}
    if v2:  # the same zeros, without 1 taken off
        more = layer.qzeros.numpy().astype("uint32") + sum(1 << (bits * k) for k in range(32 // bits))
        tensors["qzeros"] = torch.from_numpy(more.astype("uint32").view("int32"))
    return tensors, dense


def awq(module, weight, group, seed):
    rows, cols = weight.shape
    draw = torch.Generator().manual_seed(seed)
    codes = torch.randint(0, 16, (cols, rows), generator=draw)
    zeros = torch.randint(0, 16, (cols // group, rows), generator=draw)
    scales = (torch.rand(cols // group, rows, generator=draw) * 0.03 + 0.002).half()

    def pack(values):
        words = torch.zeros(values.shape[0], values.shape[1] // 8, dtype=torch.int64)
        for place, column in enumerate(module.AWQ_ORDER):
            words |= values[:, column::8].long() << (4 * place)
        return torch.where(words >= 2**31, words - 2**32, words).to(torch.int32)

    tensors = {"qweight": pack(codes), "qzeros": pack(zeros), "scales": scales}
    dense = module.dequantize_gemm(tensors["qweight"], tensors["qzeros"], scales, 4, group)
    return tensors, dense.t().contiguous()


def fp8(weight, block):
    """Codes and scales as DeepSeek and Qwen have them; block None: one scale."""
    high, wide = block or weight.shape
    parts = weight.reshape(weight.shape[0] // high, high, weight.shape[1] // wide, wide)
    scales = parts.abs().amax((1, 3)) / 448
    codes = (parts / scales[:, None, :, None]).reshape(weight.shape).to(torch.float8_e4m3fn)
    return {"weight": codes, "weight_scale_inv": scales if block else scales.reshape(1)}


def compressed(weight, scheme, dtype, order=None):
    """By compressed-tensors itself."""
    from compressed_tensors.compressors import BaseCompressor
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme

    args = QuantizationArgs(**scheme["weights"])
    rows, cols = weight.shape
    wide = cols // args.group_size if args.strategy == "group" else 1
    part = weight.reshape(rows, wide, cols // wide)
    low, high = part.amin(2).clamp(max=0), part.amax(2).clamp(min=0)
    most = 448 if args.type == "float" else 2**args.num_bits - 1
    scale = (part.abs().amax(2) / 448 if args.type == "float" else (high - low) / most if not args.symmetric
             else part.abs().amax(2) / (most / 2)).to(dtype)
    state = {"weight": weight.to(dtype), "weight_scale": scale}
    if not args.symmetric:
        state["weight_zero_point"] = torch.round(-2 ** (args.num_bits - 1) - low / scale.float()).clamp(-128, 127).to(torch.int8)
    full = QuantizationScheme(targets=["Linear"], weights=args)
    compressor = BaseCompressor.get_value_from_registry(scheme["format"])
    packed = compressor.compress(state, full)
    dense = compressor.decompress(packed, full)["weight"]
    return {k: v.contiguous() for k, v in packed.items()}, dense.contiguous()


GROUP4 = dict(num_bits=4, type="int", symmetric=False, strategy="group", group_size=16)
CHANNEL8 = dict(num_bits=8, type="int", symmetric=True, strategy="channel")
FLOAT8 = dict(num_bits=8, type="float", symmetric=True, strategy="channel")


def variants(gptq_module, awq_module):
    """name, quantization_config, and what packs a matrix: (weight, seed) -> tensors, dense (None: transformers says)"""
    def auto(bits, group, shuffled=False, v2=False):
        config = {"quant_method": "gptq", "bits": bits, "group_size": group, "desc_act": shuffled, "sym": False}
        if v2:
            config["checkpoint_format"] = "gptq_v2"
        return config, lambda w, seed: gptq(gptq_module, w, bits, group, shuffled, v2, seed)

    def tensors(scheme, format, dtype):
        config = {"quant_method": "compressed-tensors", "format": format, "config_groups": {"group_0": {"targets": ["Linear"], "weights": scheme}},
                  "ignore": ["lm_head"]}
        return config, lambda w, seed: compressed(w, {"weights": scheme, "format": format}, dtype)

    yield "gptq4-order", *auto(4, 16, shuffled=True)
    yield "gptq4-v2", *auto(4, 32, v2=True)
    yield "gptq3", *auto(3, -1)
    yield "gptq2", *auto(2, 16)
    yield "gptq8", *auto(8, 32)
    yield "awq", {"quant_method": "awq", "bits": 4, "group_size": 16, "zero_point": True, "version": "gemm"}, lambda w, seed: awq(awq_module, w, 16, seed)
    yield "fp8-blocks", {"quant_method": "fp8", "activation_scheme": "dynamic", "weight_block_size": [16, 8]}, lambda w, seed: (fp8(w, (16, 8)), None)
    yield "fp8", {"quant_method": "fp8", "activation_scheme": "static", "weight_block_size": None}, lambda w, seed: (fp8(w, None), None)
    yield "compressed-words", *tensors(GROUP4, "pack-quantized", torch.bfloat16)
    yield "compressed-int8", *tensors(CHANNEL8, "int-quantized", torch.float32)
    # Whole groups of 32, which stay packed:
    yield "awq-32", {"quant_method": "awq", "bits": 4, "group_size": 32, "zero_point": True, "version": "gemm"}, lambda w, seed: awq(awq_module, w, 32, seed)
    yield "compressed-words-32", *tensors({**GROUP4, "group_size": 32}, "pack-quantized", torch.bfloat16)
    yield "compressed-int8-bf16", *tensors(CHANNEL8, "int-quantized", torch.bfloat16)
    yield "compressed-fp8", *tensors(FLOAT8, "float-quantized", torch.bfloat16)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--auto-gptq", required=True)
    parser.add_argument("--auto-awq", required=True)
    options = parser.parse_args()
    for name in ("autogptq_cuda_64", "autogptq_cuda_256"):  # its kernels, which are not used
        sys.modules[name] = types.ModuleType(name)
    gptq_module = load_file("qlinear_cuda", f"{options.auto_gptq}/nn_modules/qlinear/qlinear_cuda.py")
    awq_module = load_file("packing_utils", f"{options.auto_awq}/utils/packing_utils.py")
    torch.manual_seed(5)
    model = LlamaForCausalLM(LlamaConfig(**CONFIG)).float()
    for name, value in model.named_parameters():
        value.data = torch.randn(value.shape) * (0.25 if value.dim() == 2 else 0.05) + (0 if value.dim() == 2 else 1)
        value.data = value.data.bfloat16().float()
    for name, quantization, pack in variants(gptq_module, awq_module):
        folder = f"{OUT}/{name}"
        os.makedirs(folder, exist_ok=True)
        state, dense = {}, {}
        for seed, (key, value) in enumerate(model.state_dict().items()):
            if not key.endswith("_proj.weight"):
                state[key] = value.bfloat16()
                continue
            tensors, dense[key] = pack(value, seed)
            state.update({key.removesuffix("weight") + part: tensor for part, tensor in tensors.items()})
        state.pop("lm_head.weight", None)
        save_file(state, f"{folder}/model.safetensors", metadata={"format": "pt"})
        with open(f"{folder}/config.json", "w", encoding="utf-8") as file:
            json.dump({**CONFIG, "torch_dtype": "bfloat16", "quantization_config": quantization}, file, indent=1)
        if any(value is None for value in dense.values()):
            run = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)  # the rest of the model comes as bfloat16
            dense = {key: run.state_dict()[key].clone() for key in dense}
            run.float()
        else:
            run = LlamaForCausalLM(LlamaConfig(**CONFIG)).float()
            run.load_state_dict({**{k: v.float() for k, v in model.state_dict().items()}, **{k: v.float() for k, v in dense.items()}})
        ids = run.generate(torch.tensor([PROMPT]), do_sample=False, max_new_tokens=NEW)[0, len(PROMPT):].tolist()
        digests = {key: hashlib.sha256(value.contiguous().view(torch.uint8).numpy().tobytes()).hexdigest() for key, value in dense.items()}
        types_ = {str(value.dtype).removeprefix("torch.") for value in dense.values()}
        with open(f"{folder}/reference.json", "w", encoding="utf-8") as file:
            json.dump({"dtype": types_.pop(), "prompt": PROMPT, "ids": ids, "sha256": digests}, file, indent=1)
        print(name, ids, os.path.getsize(f"{folder}/model.safetensors"))


if __name__ == "__main__":
    main()
