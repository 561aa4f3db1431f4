# SPDX-License-Identifier: Apache-2.0
"""Writes the seeds of tests/fuzz/corpus: small right files of every kind that the readers know, and the known bad ones.

usage: python3 tools/make_fuzz_seeds.py    (from the repository's root; needs nothing but Python)
"""
import gzip
import json
import math
import pathlib
import struct

from tokenizer_kinds import charsmap

ROOT = pathlib.Path(__file__).parent.parent
CORPUS = ROOT / "tests/fuzz/corpus"
SEP = b"\n@@\n"


def put(target, name, *parts):
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    data = SEP.join(p if isinstance(p, bytes) else p.encode() for p in parts)
    (folder / name).write_bytes(data)


def dump(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def safetensors(header, data):
    text = dump(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def tensors():
    for version in (1, 2, 3):
        for name, text, data in (("one", "{'descr': '<f4', 'fortran_order': False, 'shape': (5,), }\n", b"\0\0\x80?" * 5),
                                 ("rows", '{"shape": (2, 4), "fortran_order": False, "descr": "<f8"}', struct.pack("<8d", *range(8))),
                                 ("half", "{'descr':'<f2','fortran_order':False,'shape':(1,1)}", b"\0<"),
                                 ("order", "{'descr': '<f4', 'fortran_order': True, 'shape': (3, 5), }\n", bytes(60)),
                                 ("large", "{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4), }\n", b"")):
            put("npy", f"{name}-{version}", b"\x93NUMPY" + struct.pack("<BBH" if version == 1 else "<BBI", version, 0, len(text)) + text.encode() + data)
    put("safetensors", "one", safetensors({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, b"\1\2\3\4"))
    put("safetensors", "several", safetensors({
        "__metadata__": {"format": "pt"}, "w": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [0, 12]},
        "b": {"dtype": "F16", "shape": [2], "data_offsets": [12, 16]}, "s": {"dtype": "I64", "shape": [], "data_offsets": [16, 24]},
        "e": {"dtype": "F32", "shape": [0, 7], "data_offsets": [24, 24]}}, bytes(24)))
    put("safetensors", "shape-of-lists", safetensors({"a": {"dtype": "F32", "shape": [[]] * 40, "data_offsets": [0, 4]}}, b"\1\2\3\4"))
    packed = {
        "gptq": [("qweight", "I32", [4, 8]), ("qzeros", "I32", [2, 1]), ("scales", "F16", [2, 8]), ("g_idx", "I32", [32])],
        "awq": [("qweight", "I32", [8, 2]), ("qzeros", "I32", [2, 2]), ("scales", "F16", [2, 16])],
        "fp8": [("weight", "F8_E4M3", [8, 6]), ("weight_scale_inv", "F32", [2, 2])],
        "int8": [("weight", "I8", [4, 6]), ("weight_scale", "BF16", [4, 1]), ("weight_zero_point", "I8", [4, 1])],
        "words": [("weight_packed", "I32", [4, 3]), ("weight_scale", "F16", [4, 1]), ("weight_shape", "I64", [2]),
                  ("weight_zero_point", "I32", [1, 1])]}
    sizes = {"I32": 4, "F16": 2, "BF16": 2, "F32": 4, "I8": 1, "F8_E4M3": 1, "I64": 8}
    for kind, parts in packed.items():
        header, data = {}, b""
        for part, dtype, shape in parts:
            count = math.prod(shape)
            value = struct.pack("<2q", 4, 30) if part == "weight_shape" else bytes(i % 2 if part == "g_idx" and i % 4 == 0 else 0 if part == "g_idx"
                                                                                    else 40 + i % 9 for i in range(count * sizes[dtype]))
            header["m." + part] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(value)]}
            data += value
        put("safetensors", "packed-" + kind, safetensors(header, data))
    # kind, bits, group, rows, columns, block's rows and columns, scales and what is beside them; nothing wrong; values
    for name, settings in {"fp8": [0, 0, 0, 71, 20, 0, 0, 18], "fp8-blocks": [0, 0, 0, 71, 20, 8, 5, 18], "gptq": [1, 8, 4, 31, 47, 0, 0, 0],
                           "gptq3": [1, 2, 3, 31, 47, 0, 0, 4], "gptq8": [1, 3, 0, 70, 31, 0, 0, 2], "awq": [2, 0, 4, 71, 31, 0, 0, 0],
                           "int8": [3, 0, 0, 70, 30, 0, 0, 1], "bytes": [3, 16, 0, 70, 30, 0, 0, 12], "tensor": [3, 16, 0, 70, 30, 0, 0, 36],
                           "words": [4, 16, 5, 70, 40, 0, 0, 0], "words3": [4, 2, 2, 70, 40, 0, 0, 1], "words-order": [4, 20, 3, 9, 40, 0, 0, 6]}.items():
        put("packed", name, bytes(settings) + bytes(4) + bytes((37 * i + 60) % 256 for i in range(67)))
    put("packed", "any-order", bytes([1, 2, 3, 31, 47, 0, 0, 4, 0, 0, 0, 2]) + bytes((37 * i + 60) % 256 for i in range(67)))
    index = {"metadata": {"total_size": 8}, "weight_map": {"a": "s1.safetensors"}}
    put("index", "one", dump(index))
    put("index", "two", dump({"weight_map": {"a": "s1.safetensors", "b": "s2.safetensors"}}))
    put("index", "outside", dump({"weight_map": {"a": "../s1.safetensors", "b": 3}}))


def gguf_text(text):
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def gguf(values, tensors, version=3):
    """`values`: key -> (type, bytes); `tensors`: name -> (sizes, innermost first; ggml's type; bytes)."""
    head, data = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(values)), b""
    for key, (kind, value) in values.items():
        head += gguf_text(key) + struct.pack("<I", kind) + value
    for name, (sizes, kind, value) in tensors.items():
        head += gguf_text(name) + struct.pack("<I", len(sizes)) + b"".join(struct.pack("<Q", n) for n in sizes) + struct.pack("<IQ", kind, len(data))
        data += value + bytes(-len(value) % 32)
    return head + bytes(-len(head) % 32) + data


def ggufs():
    u32 = lambda n: (4, struct.pack("<I", n))
    f32 = lambda x: (6, struct.pack("<f", x))
    text = lambda t: (8, gguf_text(t))
    texts = lambda *list_: (9, struct.pack("<IQ", 8, len(list_)) + b"".join(map(gguf_text, list_)))
    numbers = lambda kind, form, list_: (9, struct.pack("<IQ", kind, len(list_)) + b"".join(struct.pack(form, n) for n in list_))
    model = {"general.architecture": text("llama"), "llama.block_count": u32(1), "llama.embedding_length": u32(32), "llama.feed_forward_length": u32(32),
             "llama.attention.head_count": u32(2), "llama.attention.layer_norm_rms_epsilon": f32(1e-5), "llama.rope.freq_base": f32(1e4)}
    special = {"tokenizer.ggml.bos_token_id": u32(1), "tokenizer.ggml.eos_token_id": u32(2), "tokenizer.ggml.unknown_token_id": u32(0)}
    spm = {"tokenizer.ggml.model": text("llama"), "tokenizer.ggml.tokens": texts("<unk>", "<s>", "</s>", "<0x31>", "a", "b", "ab", "\u2581"),
           "tokenizer.ggml.scores": numbers(6, "<f", [0, 0, 0, 0, -1, -2, -3, -4]), "tokenizer.ggml.token_type": numbers(5, "<i", [2, 3, 3, 6, 1, 1, 1, 1])}
    bpe = {"tokenizer.ggml.model": text("gpt2"), "tokenizer.ggml.pre": text("llama-bpe"), "tokenizer.ggml.tokens": texts("1", "2", "12", "a"),
           "tokenizer.ggml.merges": texts("1 2"), "tokenizer.ggml.add_bos_token": (7, b"\1")}
    embed = {"token_embd.weight": ((32, 8), 0, bytes(1024)), "blk.0.attn_q.weight": ((32, 1), 8, bytes(34)), "blk.0.ffn_up.weight": ((256,), 12, bytes(144))}
    put("gguf", "spm", gguf({**model, **spm, **special}, embed))
    put("gguf", "bpe", gguf({**model, **bpe}, embed))
    put("gguf", "gemma", gguf({**{k.replace("llama", "gemma3"): v for k, v in model.items()}, "general.architecture": text("gemma3"), **spm, **special},
                              embed, version=2))
    charsmap = struct.pack("<III", 8, 0, 0) + b"x\0"
    put("gguf", "unigram", gguf({**model, **spm, "tokenizer.ggml.model": text("t5"), "tokenizer.ggml.precompiled_charsmap": numbers(0, "<B", charsmap), **special}, embed))
    put("gguf", "scaled", gguf({**model, "llama.rope.scaling.type": text("yarn"), "llama.rope.scaling.factor": f32(4.0),
                                "llama.attention.head_count_kv": numbers(5, "<i", [1]), "llama.rope.scaling.original_context_length": u32(32),
                                "general.alignment": u32(64)}, {"rope_freqs.weight": ((8,), 0, bytes(32)), **embed}))
    blocks = {2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 20: (32, 18), 10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176),
              14: (256, 210), 23: (256, 136), 1: (1, 2), 30: (1, 2)}
    put("gguf", "blocks", gguf({"general.architecture": text("llama")}, {"t%d" % kind: ((values,), kind, bytes((7 * i + kind) % 256 for i in range(size)))
                                                                       for kind, (values, size) in blocks.items()}))
    put("gguf", "phi3", gguf({**{k.replace("llama", "phi3"): v for k, v in model.items()}, "general.architecture": text("phi3"),
                              "phi3.rope.scaling.original_context_length": u32(32), "phi3.context_length": u32(128), "phi3.rope.scaling.attn_factor": f32(1.2)},
                             {**embed, "rope_factors_short.weight": ((8,), 0, struct.pack("<8f", *[1.0] * 8)),
                              "rope_factors_long.weight": ((8,), 0, struct.pack("<8f", *[2.0] * 8))}))
    put("gguf", "layers", gguf({**{k.replace("llama", "gemma3"): v for k, v in model.items()}, "general.architecture": text("gemma3"),
                                "gemma3.attention.sliding_window": u32(16), "gemma3.attention.sliding_window_pattern": numbers(7, "<B", [1]),
                                "gemma3.rope.scaling.type": text("linear"), "gemma3.rope.scaling.factor": f32(8.0)}, embed))
    put("gguf", "part", gguf({"split.no": (2, b"\0\0"), "split.count": (2, b"\2\0"), "split.tensors.count": (5, b"\2\0\0\0")}, {"a": ((1,), 0, bytes(4))}))


def pickled(*parts):
    return b"\x80\x02" + b"".join(p if isinstance(p, bytes) else p.encode() for p in parts)


def pickles():
    text = lambda t: b"X" + struct.pack("<I", len(t)) + t.encode()
    storage = lambda kind, key, n: b"((" + text("storage") + b"ctorch\n" + kind.encode() + b"\n" + text(key) + text("cpu") + b"K" + bytes([n]) + b"tQ"
    tensor = lambda kind, key, n, shape, strides: (b"ctorch._utils\n_rebuild_tensor_v2\n" + storage(kind, key, n) + b"K\0" + shape + strides +
                                                   b"\x89ccollections\nOrderedDict\n)RtR")
    put("torch_pickle", "one", pickled("}", text("w"), tensor("FloatStorage", "0", 4, b"K\2K\2\x86", b"K\2K\1\x86"), "s."))
    put("torch_pickle", "ordered", pickled("ccollections\nOrderedDict\n)Rq\0(", text("w"), "q\1", tensor("HalfStorage", "1", 32, b"K\2\x85", b"K\1\x85"),
                                           text("v"), tensor("BFloat16Storage", "1", 32, b"K\2K\3K\4\x87", b"K\x0cK\4K\1\x87"), "u}", text("_metadata"), "}sb."))
    put("torch_pickle", "parameter", pickled("}", text("w"), "ctorch._utils\n_rebuild_parameter\n(", tensor("LongStorage", "0", 2, b"K\2\x85", b"K\1\x85"),
                                             "\x88ccollections\nOrderedDict\n)RtRs.".encode("latin-1")))
    put("torch_pickle", "refused", pickled("cos\nsystem\n", text("true"), b"\x85R."))
    put("torch_pickle", "empty-tuple-first", pickled(")."))
    put("torch_pickle", "long-and-frames", b"\x80\x04\x95\x20\0\0\0\0\0\0\0}\x94\x8c\1w\x94\x8a\2\xff\x7fG?\xf0\0\0\0\0\0\0\x86\x94s.")
    put("torch_zip", "small", (ROOT / "tests/data/torch_small.bin").read_bytes())


LLAMA = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
         "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 259, "max_position_embeddings": 128, "rms_norm_eps": 1e-05,
         "rope_theta": 10000.0, "hidden_act": "silu", "tie_word_embeddings": False, "bos_token_id": 1, "eos_token_id": [2, 3], "torch_dtype": "float16"}


def configs():
    generation = {"do_sample": False, "repetition_penalty": 1.05, "eos_token_id": 2, "bos_token_id": 1, "temperature": None}
    put("config", "llama", dump(LLAMA), dump(generation))
    put("config", "llama3", dump({**LLAMA, "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                                                            "original_max_position_embeddings": 64}}))
    put("config", "yarn", dump({**LLAMA, "rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32, "beta_fast": 32,
                                                          "beta_slow": 1, "attention_factor": 0.7}}))
    put("config", "qwen2", dump({**LLAMA, "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "use_sliding_window": True, "sliding_window": 8,
                                 "max_window_layers": 1, "layer_types": ["full_attention", "sliding_attention"], "head_dim": 16}))
    put("config", "mistral", dump({**LLAMA, "architectures": ["MistralForCausalLM"], "model_type": "mistral", "sliding_window": 16, "attention_bias": True}))
    quantised = {
        "gptq": {"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": True, "checkpoint_format": "gptq", "is_marlin_format": False, "dynamic": {}},
        "awq": {"quant_method": "awq", "bits": 4, "q_group_size": 64, "version": "gemm", "zero_point": True},
        "fp8": {"quant_method": "fp8", "fmt": "e4m3", "scale_fmt": "float", "weight_block_size": [128, 128]},
        "compressed": {"quant_method": "compressed-tensors", "format": "pack-quantized", "sparsity_config": {"format": "dense"}, "config_groups": {
            "group_0": {"targets": ["Linear"], "weights": {"type": "int", "num_bits": 4, "strategy": "group", "group_size": 32, "symmetric": False}},
            "group_1": {"weights": {"type": "int", "num_bits": 4, "strategy": "group", "group_size": 32, "symmetric": False}}}},
        "compressed-block": {"quant_method": "compressed-tensors", "format": "float-quantized", "config_groups": {
            "a": {"weights": {"type": "float", "num_bits": 8, "strategy": "block", "block_structure": [2, 4]}}}}}
    for name, packing in quantised.items():
        put("config", "packed-" + name, dump({**LLAMA, "quantization_config": packing}))
    def rope(name, family, parameters, key="rope_parameters", **more):
        put("config", "rope-" + name, dump({**LLAMA, "architectures": [family], "model_type": name, key: parameters, **more}))
    rope("phi3", "Phi3ForCausalLM", {"type": "longrope", "short_factor": [1.0] * 8, "long_factor": [2.5] * 8}, "rope_scaling", original_max_position_embeddings=32)
    rope("gemma3_text", "Gemma3ForCausalLM", {"full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
                                              "sliding_attention": {"rope_type": "default", "rope_theta": 1e4}}, head_dim=16, sliding_window=16,
         layer_types=["sliding_attention", "full_attention"], query_pre_attn_scalar=16)
    rope("ministral3", "Ministral3ForCausalLM", {"rope_type": "yarn", "rope_theta": 1e6, "factor": 16.0, "original_max_position_embeddings": 16, "beta_fast": 32,
                                                 "beta_slow": 1, "mscale": 1.0, "mscale_all_dim": 1.0, "llama_4_scaling_beta": 0.1}, head_dim=16)
    rope("hunyuan_v1_dense", "HunYuanDenseV1ForCausalLM", {"type": "dynamic", "alpha": 1000.0, "factor": 1.0}, "rope_scaling", head_dim=16)
    rope("glm4", "Glm4ForCausalLM", {"rope_type": "default", "partial_rotary_factor": 0.5}, head_dim=16)
    rope("llama-both", "LlamaForCausalLM", {"rope_type": "linear", "factor": 2.0}, rope_scaling={"type": "linear", "factor": 2.0}, model_type="llama")
    put("config", "rules", dump(LLAMA), dump({
        "no_repeat_ngram_size": 3, "min_length": 2, "min_new_tokens": 1, "bad_words_ids": [[5, 6], [2], [7]], "forced_bos_token_id": 9, "forced_eos_token_id": [2, 3],
        "suppress_tokens": [11, 300, -1], "begin_suppress_tokens": [12], "num_beams": 1, "penalty_alpha": None, "sequence_bias": {}, "guidance_scale": 1}))
    put("json", "all", '{"a":[1,-2.5e-3,true,false,null,"\\u00e9\\ud83d\\ude00\\n"],"b":{"c":{}},"long":1000000000000000019884624838656}')
    put("json", "nul", '{"a\\u0000":"\\u0000"}')
    put("json", "deep", "[" * 2100)


BYTES = {"version": "1.0", "added_tokens": [{"id": 0, "content": "</s>", "special": True, "normalized": False, "lstrip": False, "rstrip": True, "single_word": False}],
         "normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Prepend", "prepend": "x"}, {"type": "Replace", "pattern": {"String": " "}, "content": "_"}]},
         "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
             {"type": "Split", "pattern": {"Regex": "(?i:'s|'t)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|\\s+(?!\\S)|\\s+"}, "behavior": "Isolated", "invert": False},
             {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}]},
         "post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "</s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                            "pair": [], "special_tokens": {"</s>": {"id": "</s>", "ids": [0], "tokens": ["</s>"]}}},
         "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
         "model": {"type": "BPE", "dropout": None, "unk_token": None, "fuse_unk": False, "byte_fallback": False,
                   "vocab": {"</s>": 0, "a": 1, "b": 2, "ab": 3, "Ġ": 4, "Ġa": 5}, "merges": ["a b", ["Ġ", "a"]]}}


def tokenizers():
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": {"content": "</s>", "lstrip": False}, "add_bos_token": True,
              "added_tokens_decoder": {"0": {"content": "</s>", "special": True}}, "additional_special_tokens": ["<x>", "</s>"], "model_max_length": 10 ** 30}
    put("tokenizer_json", "bytes", dump(BYTES), dump(config), "ab a's 123 \u72d0</s> x\n")
    put("tokenizer_json", "model-last", dump({"model": BYTES["model"]}), "", " a ab")
    pieces = dict(BYTES, normalizer={"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "\u2581"}, {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]},
                  pre_tokenizer=None, decoder={"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "}, {"type": "ByteFallback"},
                                                                               {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
                  model={"type": "BPE", "unk_token": "<unk>", "byte_fallback": True, "fuse_unk": True,
                         "vocab": {"<unk>": 0, "<0x0A>": 1, "\u2581": 2, "a": 3, "\u2581a": 4}, "merges": ["\u2581 a"]})
    meta = {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "first", "split": True}
    vocab = [["<unk>", 0.0], ["\u2581", -2.5], ["a", -1.25], ["\u2581a", -1e-3], ["fi", -3], ["<0x0A>", 0], ["ab", -7.125e1]]
    unigram = dict(BYTES, pre_tokenizer=meta, decoder=meta, normalizer={"type": "Sequence", "normalizers": [
        {"type": "Precompiled", "precompiled_charsmap": charsmap({"\u00a0": " ", "\ufb01": "fi", "e\u0301": "\u00e9", "\u2026": "..."})}, {"type": "Nmt"},
        {"type": "StripAccents"}, {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}]},
        model={"type": "Unigram", "unk_id": 0, "byte_fallback": False, "vocab": vocab})
    put("tokenizer_json", "unigram", dump(unigram), "", "\ufb01 a\u00a0ab  e\u0301\u2026 \u72d0")
    put("tokenizer_json", "unigram-bytes", dump(dict(unigram, normalizer={"type": "NFKD"}, model={"type": "Unigram", "unk_id": 0, "byte_fallback": True, "vocab": vocab})), "",
        "a\n ab")
    splits = [{"type": "Whitespace"}, {"type": "Punctuation", "behavior": "Contiguous"}, {"type": "Digits", "individual_digits": False}, {"type": "BertPreTokenizer"},
              {"type": "CharDelimiterSplit", "delimiter": "a"}, {"type": "FixedLength", "length": 3}, {"type": "WhitespaceSplit"},
              *({"type": "Split", "pattern": {"Regex": "\\p{N}+|b"}, "behavior": b, "invert": b == "Removed"}
                for b in ("Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous"))]
    put("tokenizer_json", "splits", dump(dict(BYTES, normalizer={"type": "Lowercase"}, pre_tokenizer={"type": "Sequence", "pretokenizers": splits + [
        {"type": "ByteLevel", "add_prefix_space": True, "use_regex": True}]}, added_tokens=[
            {"id": 0, "content": "</s>", "special": True, "normalized": False, "lstrip": True, "rstrip": True, "single_word": False},
            {"id": 7, "content": "ab", "special": False, "normalized": True, "lstrip": False, "rstrip": False, "single_word": True}])), "",
        "ab 12b\u3002 aabb  ab, x ab </s> y")
    put("tokenizer_json", "pieces", dump(pieces), dump({"tokenizer_class": "LlamaTokenizer", "legacy": False}), "a\na")
    piece = lambda text, score, kind: b"\x0a" + bytes([len(text.encode()) + 9]) + b"\x0a" + bytes([len(text.encode())]) + text.encode() + b"\x15" + struct.pack("<f", score) + b"\x18" + bytes([kind])
    model = (piece("<unk>", 0, 2) + piece("<s>", 0, 3) + piece("</s>", 0, 3) + piece("<0x0A>", 0, 6) + piece("\u2581", -1, 1) + piece("a", -2, 1) +
             piece("\u2581a", -3, 1) + b"\x12\x02\x18\x02" + b"\x1a\x02\x18\x01")
    put("tokenizer_model", "llama", " a\na", dump({"tokenizer_class": "LlamaTokenizer", "legacy": True}), dump({"<added>": 7}), model)
    put("tokenizer_model", "plain", "aa", "", "", model)
    put("tokenizer_model", "unigram", "\ufb01 a", "", "", model.replace(b"\x12\x02\x18\x02", b"\x12\x02\x18\x01"))
    put("vocab_merges", "gpt2", dump(BYTES["model"]["vocab"]), "#version: 0.2\na b\n\u0120 a\n", dump({"tokenizer_class": "GPT2Tokenizer"}),
        dump({"eos_token": "</s>", "additional_special_tokens": [{"content": "<m>", "normalized": True}]}), dump({"<added>": 9}), dump({"model_type": "qwen2"}), "ab a<m>")
    put("vocab_merges", "qwen2", dump(BYTES["model"]["vocab"]), "a b\n", "", "", "", dump({"model_type": "qwen2"}), "ab")
    for name, regex, text in (("qwen2", "(?i:'s|'t)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+", "it's 12\n\n x"),
                              ("backtracks", "(a+)+$", "a" * 40 + "b"), ("empty", "x*", "axxb"), ("class", "[[:alpha:]\\s&&[a]]|\\h", "a b"),
                              ("repeat", "(?:a{1000}){60}", "aaa"), ("look", "(?<=a)b(?=c)|^|$", "abc\nab"),
                              ("flags", "(?i)stra\u00dfe|(?x: \\w + # c\n)|(?m:.)|\\x{43}\\u0042(?<n>\\d)", "STRASSE CB1"),
                              ("classes", "[\\p{L}&&[^a-z]]+|[^&a-]|[]a]|[[:^alnum:][:digit:]]|[\\p{Han}\\p{^Lu}\\P{L}\\H\\D\\S\\W]|\\p{Emoji}|\\p{Extended_Pictographic}|\\R|\\N|\\b\\B\\A\\Z", "A-]\u72d01 z")):
        put("regex", name, regex, text)
    for kind in ("bin", "ftz"):
        put("langid", "tiny-" + kind, (ROOT / ("tests/data/langid/tiny." + kind)).read_bytes())


def tasks():
    put("raw_tasks", "xnli", "xnli", "de", "language\tgold_label\tsentence1\tsentence2\tpairID\nde\tneutral\ta\tb\t7\nen\tneutral\ta\tb\t7\n", "")
    put("raw_tasks", "xnli-lines", "xnli", "de", dump({"language": "de", "gold_label": "entailment", "sentence1": "a", "sentence2": "b", "pairID": "3"}) + "\n", "")
    put("raw_tasks", "xquad", "xquad", "de", dump({"version": "1.1", "data": [{"title": "t", "paragraphs": [{"context": "c d", "qas": [
        {"id": "q1", "question": "was?", "answers": [{"text": "c", "answer_start": 0}]}]}]}]}), "")
    put("raw_tasks", "opinions", "globalopinionqa", "de", "question,selections,options\n\"a, \"\"b\"\"\",\"defaultdict(<class 'list'>, {'Germany': [0.9, 0.1]})\",\"['x', 1]\"\n",
        dump({"id": "0 Germany", "question": "f", "country": "D", "options": ["x", "y"]}) + "\n")
    put("raw_tasks", "xcopa", "xcopa", "it", dump({"premise": "p", "choice1": "a", "choice2": "b", "question": "cause", "label": 0, "idx": 3, "changed": False}) + "\n", "")
    put("raw_tasks", "mkqa", "mkqa", "de", dump({"query": "q", "example_id": 7, "queries": {"de": "f", "en": "q"}, "answers": {
        "de": [{"type": "entity", "entity": "Q1", "text": "x", "aliases": ["y"]}], "en": [{"type": "long_answer", "text": None}]}}) + "\n", "")
    put("raw_tasks", "mkqa-gzip", b"mkqa", b"de", gzip.compress(dump({"example_id": 1, "queries": {"de": "f", "en": "q"}, "answers": {"de": [{"type": "date", "text": "x"}], "en": []}}).encode(), mtime=0), b"")
    put("raw_tasks", "culture", "culturalbench", "de",
        ",data_idx,question_idx,prompt_question,prompt_option_a,prompt_option_b,prompt_option_c,prompt_option_d,answer,country\n0,1,7,q?,a,b,c,d,A,Germany\n",
        dump({"id": "7", "question": "f", "options": ["a", "b", "c", "d"], "country": "D"}) + "\n")
    put("released", "xcopa", "xcopa", '"a"\n"b"\n', '"p"\n"q"\n', '"1"\n"2"\n', "")
    put("released", "xnli", "xnli", '"a"\n', '"p"\n', '"2"\n', dump({"1": "a", "2": "b", "3": "c"}))
    put("released", "opinions", "globalopinionqa", '"a"\n', dump({"input_text": "p", "label": [0.2, 0.8]}) + "\n", "", "")
    put("released", "mkqa", "mkqa", '"a"\n', '"p"\n', '"x"\n', "")
    line = {"id": 3, "lang": "de", "source_lang": "en", "source": "s", "target": "t", "gold": "1", "task": "xnli"}
    put("pairs", "two", dump(line) + "\n" + dump({"source": "s", "target": "t"}) + "\n")
    put("pairs", "gzip", gzip.compress((dump(line) + "\n").encode() * 3, mtime=0))
    put("pairs", "bomb", gzip.compress(b"[" + b"[]," * 2000000 + b"0]", 9, mtime=0))
    put("templates", "xnli", "xnli", dump({"de": "{premise} {hypothesis}\n(1) ja\n(2) nein\n(3) egal"}))
    put("templates", "xcopa", "xcopa", dump({"it": {"cause": "{premise} {choice1} {choice2}", "effect": "{premise} {choice1} {choice2}"}}))
    put("templates", "xquad", "xquad", dump({"de": "{context} {question}"}))
    put("csv", "quoted", 'a,b\n"x ""y"", z",1\n\n"l\nm",2')
    put("csv", "tabs", "a\tb\r\n1\t\"2\r\n")
    for name, text in (("dict", "defaultdict(<class 'list'>, {'Germany': [0.9, nan, -1e3], \"it's\": ('a', True, None)})"), ("list", "['x\\n\\'', 1, 2.50, [], {}]"), ("deep", "[" * 3000)):
        put("python_literal", name, text)
    put("score", "words", "xnli", "2", "(2) neutral, not (1)")
    put("score", "letters", "culturalbench", "B", "The answer is (b).")
    put("score", "contains", "xquad", "stra\u00dfe", "In der STRASSE \u0130i\u0307")
    put("train_data", "pairs", "p" + dump({"prompt": "a", "response": "b"}) + "\n" + dump({"text": "abc"}) + "\n")
    put("train_data", "lines", "la b\n\nc \u00e9")
    put("train_data", "text", "t" + "abab " * 9)


def others():
    run = {"text": "x", "lens": {"layers": [0, 1], "texts": [["a", "<b>"], ["\n", "c"]], "logprobs": [[-0.5, -1.25], [-3, 0]], "ids": [[1, 2], [3, 4]]}}
    put("lens", "one", dump({"site": "ffn", "source_layer": 0, "target_layer": 1, "source": run, "vanilla": run, "transplanted": run}))
    put("lens", "intmax", dump({"site": "ffn", "source_layer": 2147483647, "target_layer": -2147483648, "source": run, "vanilla": run, "transplanted": run}))
    greedy = {"prompt": "p", "ids": [5, 6], "margins": [0.5, 0.25], "repetition_penalty": 1.1}
    put("verify", "small", dump({"format": 1, "max_new_tokens": 2, "prompts": [], "greedy": [greedy], "transplants": [], "interventions": []}))
    put("verify", "taps", dump({"format": 1, "prompts": [{"name": "p", "ids": [1, 2, 3], "taps": "p.safetensors"}], "greedy": [greedy]}))
    put("verify", "margins", dump({"format": 1, "prompts": [], "greedy": [dict(greedy, margins=[0.5] * 300)]}))


DICTS = {
    "json": ['{', '}', '[', ']', ':', ',', '"', 'true', 'false', 'null', '\\\\u0000', '\\\\ud83d\\\\ude00', '1e308', '-0', '9223372036854775808'],
    "safetensors": ['.qweight"', '.qzeros"', '.scales"', '.g_idx"', '.weight_scale"', '.weight_scale_inv"', '.weight_packed"', '"F8_E4M3"', '"I32"', '"dtype"', '"shape"', '"data_offsets"', '"__metadata__"', '"F32"', '"BF16"', '"F16"', '"I64"', '[0,0]', '[]'],
    "torch_pickle": ['\\x80\\x02', 'ctorch._utils\\x0a_rebuild_tensor_v2\\x0a', 'ctorch._utils\\x0a_rebuild_tensor_v3\\x0a', 'ctorch._utils\\x0a_rebuild_parameter\\x0a',
                     'ccollections\\x0aOrderedDict\\x0a', 'ctorch\\x0aFloatStorage\\x0a', 'ctorch.storage\\x0aUntypedStorage\\x0a', 'ctorch\\x0afloat32\\x0a',
                     'X\\x07\\x00\\x00\\x00storage', '\\x85', '\\x86', '\\x87', '\\x89', ')R', 'tR', 'Q', '\\x8a\\x08', 'h\\x00', 'q\\x00', '\\x94', '\\x93'],
    "torch_zip": ['PK\\x03\\x04', 'PK\\x01\\x02', 'PK\\x05\\x06', 'PK\\x06\\x06', 'PK\\x06\\x07', '\\xff\\xff\\xff\\xff', 'archive/data.pkl', 'byteorder', 'little'],
    "npy": ["'descr'", "'fortran_order'", "'shape'", "'<f2'", "'<f4'", "'<f8'", "False", "True", "(5,)", "(2, 4)", "\\x93NUMPY"],
    "index": ['"weight_map"', '"s1.safetensors"', '"s2.safetensors"', '"../x"'],
    "config": ['"%s"' % k for k in list(LLAMA) + ["rope_scaling", "rope_type", "factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings", "yarn",
                                               "linear", "llama3", "sliding_window", "layer_types", "head_dim", "partial_rotary_factor", "repetition_penalty",
                                               "quantization_config", "compression_config", "quant_method", "gptq", "awq", "fp8", "compressed-tensors", "bits", "w_bit",
                                               "group_size", "q_group_size", "checkpoint_format", "gptq_v2", "zero_point", "weight_block_size", "fmt", "config_groups",
                                               "rope_parameters", "longrope", "dynamic", "short_factor", "long_factor", "mscale", "mscale_all_dim", "attention_factor", "alpha",
                                               "llama_4_scaling_beta", "full_attention", "sliding_attention", "bad_words_ids", "suppress_tokens", "forced_bos_token_id",
                                               "forced_eos_token_id", "begin_suppress_tokens", "min_length", "no_repeat_ngram_size",
                                               "weights", "num_bits", "strategy", "symmetric", "group", "block", "block_structure", "channel", "format"]],
    "tokenizer_json": ['"%s"' % k for k in ["added_tokens", "normalizer", "pre_tokenizer", "post_processor", "decoder", "model", "vocab", "merges", "type", "Sequence", "Split",
                                         "Regex", "String", "ByteLevel", "Metaspace", "Replace", "Prepend", "Strip", "Fuse", "ByteFallback", "NFKC", "TemplateProcessing",
                                         "Isolated", "Removed", "MergedWithNext", "Digits", "Lowercase", "BPE", "unk_token", "byte_fallback", "special", "content"]] + ['\\x0a@@\\x0a'],
    "tokenizer_model": ['\\x0a@@\\x0a', '\\x0a', '\\x15', '\\x18\\x06', '\\x12\\x02\\x18\\x02', '\\xe2\\x96\\x81', '<0x0A>', '<unk>'],
    "vocab_merges": ['\\x0a@@\\x0a', '#version: 0.2', '"eos_token"', '"additional_special_tokens"', '"tokenizer_class"', '"GPT2Tokenizer"'],
    "regex": ['\\x0a@@\\x0a', '(?:', '(?i:', '(?=', '(?!', '(?<=', '(?<!', '\\\\p{L}', '\\\\p{N}', '\\\\s', '\\\\S', '[^', '[:alpha:]', '{1,3}', '+?', '*+', '&&', '\\\\x{41}', '\\\\1', '(?>'],
    "raw_tasks": ['\\x0a@@\\x0a', 'xnli', 'xquad', 'xcopa', 'mkqa', 'globalopinionqa', 'culturalbench', '"answers"', '"queries"', '"paragraphs"', '"qas"', '"text"', 'defaultdict(', "<class 'list'>", '\\x1f\\x8b\\x08'],
    "released": ['\\x0a@@\\x0a', '"input_text"', '"label"', 'xnli', 'xcopa', 'mkqa'],
    "pairs": ['"source"', '"target"', '"gold"', '"task"', '"lang"', '"source_lang"', '"id"', '\\x1f\\x8b\\x08'],
    "templates": ['\\x0a@@\\x0a', '{premise}', '{hypothesis}', '(1) ', '"cause"', '"effect"', '{question}', '{options}'],
    "python_literal": ['defaultdict(', "<class 'list'>", 'nan', 'None', 'True', "\\\\x41", "\\\\u00e9", '(,)', "b''"],
    "score": ['\\x0a@@\\x0a', 'xnli', 'culturalbench', 'xquad', '(1)', '(A)', '\\xc4\\xb0', '\\xc3\\x9f'],
    "train_data": ['"prompt"', '"response"', '"text"'],
    "lens": ['"lens"', '"layers"', '"texts"', '"logprobs"', '"source"', '"vanilla"', '"transplanted"', '"site"', '2147483647'],
    "verify": ['"prompts"', '"ids"', '"margins"', '"greedy"', '"transplants"', '"interventions"', '"list"', '"repetition_penalty"', '"alpha"', '"position"', '"rule"', '"blend"'],
}


def dictionaries():
    for target, words in DICTS.items():
        lines = ['"%s"' % (w.replace('"', '\\"') if w.startswith('"') or w == '"' else w) for w in words]
        (ROOT / "tests/fuzz" / (target + ".dict")).write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    tensors()
    ggufs()
    pickles()
    configs()
    tokenizers()
    tasks()
    others()
    dictionaries()
