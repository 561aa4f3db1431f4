# SPDX-License-Identifier: Apache-2.0
"""The tiny models of tests/golden/models: their configurations, weights and files.

Every model is a Hugging Face directory made from a table entry and a seed. Between them they cover
what checkpoints in the wild look like: dtypes, sharding, torch .bin files, grouped queries, tied
embeddings, biases, RoPE scalings, sliding windows, old and new config.json keys.
"""

import json
import math
import os
from dataclasses import dataclass, field

import torch
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM

DTYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
DTYPE_NAMES = {"f32": "float32", "f16": "float16", "bf16": "bfloat16"}


@dataclass
class GoldenModel:
    name: str
    config: dict  # config.json without dtype and EOS
    seed: int
    dtype: str = "bf16"
    layout: str = "safetensors"  # or safetensors-sharded, bin, bin-sharded
    full: bool = False  # every (i, j) at every site, otherwise a sample
    eos: int = 1  # how many EOS ids
    overruled_eos: bool = False  # config.json names another EOS id than generation_config.json
    generation: dict | None = field(default_factory=dict)  # more generation_config.json fields; None: no file
    mixed_norms: bool = False  # norm weights in float32 beside 16-bit matrices
    new_keys: bool = False  # transformers 5 config.json keys instead of the ones hub models ship


def llama(**changes):
    base = dict(architectures=["LlamaForCausalLM"], model_type="llama", hidden_act="silu", bos_token_id=1,
                hidden_size=48, intermediate_size=100, num_hidden_layers=4, num_attention_heads=6,
                num_key_value_heads=3, vocab_size=301, max_position_embeddings=128, rms_norm_eps=1e-5,
                rope_theta=10000.0, rope_scaling=None, tie_word_embeddings=False, attention_bias=False,
                pretraining_tp=1, use_cache=True, initializer_range=0.02)
    return {**base, **changes}


def mistral(**changes):
    base = dict(architectures=["MistralForCausalLM"], model_type="mistral", hidden_act="silu", bos_token_id=1,
                hidden_size=48, intermediate_size=100, num_hidden_layers=4, num_attention_heads=6,
                num_key_value_heads=2, vocab_size=301, max_position_embeddings=256, rms_norm_eps=1e-5,
                rope_theta=1000000.0, sliding_window=None, tie_word_embeddings=False, attention_dropout=0.0,
                use_cache=True, initializer_range=0.02)
    return {**base, **changes}


def qwen2(**changes):
    base = dict(architectures=["Qwen2ForCausalLM"], model_type="qwen2", hidden_act="silu", bos_token_id=1,
                hidden_size=48, intermediate_size=100, num_hidden_layers=4, num_attention_heads=6,
                num_key_value_heads=2, vocab_size=301, max_position_embeddings=256, rms_norm_eps=1e-6,
                rope_theta=1000000.0, use_sliding_window=False, sliding_window=7, max_window_layers=4,
                tie_word_embeddings=False, attention_dropout=0.0, use_cache=True, initializer_range=0.02)
    return {**base, **changes}


def like(name, **changes):
    """A small model of another class; its own keys are in `changes`."""
    types = {"HunYuanDenseV1ForCausalLM": "hunyuan_v1_dense", "GPTNeoXForCausalLM": "gpt_neox", "Gemma3ForCausalLM": "gemma3_text", "SmolLM3ForCausalLM": "smollm3", "Glm4ForCausalLM": "glm4", "Exaone4ForCausalLM": "exaone4",
             "Qwen3MoeForCausalLM": "qwen3_moe"}
    base = dict(architectures=[name], model_type=types.get(name, name.removesuffix("ForCausalLM").lower()), hidden_act="silu", bos_token_id=1,
                hidden_size=48, intermediate_size=100, num_hidden_layers=4, num_attention_heads=6, num_key_value_heads=2, vocab_size=301,
                max_position_embeddings=256, rms_norm_eps=1e-6, rope_theta=10000.0, tie_word_embeddings=False, attention_dropout=0.0,
                use_cache=True, initializer_range=0.02)
    return {**base, **changes}


def gemma(name, **changes):
    return like(name, head_dim=16, hidden_activation="gelu_pytorch_tanh", query_pre_attn_scalar=20, sliding_window=7, **changes)


def neox(**changes):
    base = like("GPTNeoXForCausalLM", layer_norm_eps=1e-5, hidden_act="gelu", rotary_pct=0.25, rotary_emb_base=10000, hidden_size=64, num_attention_heads=4,
                use_parallel_residual=True, torch_dtype="float32")
    for key in ("num_key_value_heads", "rms_norm_eps", "rope_theta"):
        del base[key]
    return {**base, **changes}


def bloom(**changes):
    return dict(architectures=["BloomForCausalLM"], model_type="bloom", bos_token_id=1, hidden_size=48, n_layer=4, n_head=6, vocab_size=301,
                layer_norm_epsilon=1e-5, apply_residual_connection_post_layernorm=False, hidden_dropout=0.0, attention_dropout=0.0, seq_length=256,
                tie_word_embeddings=True, **changes)


def xglm(**changes):
    return dict(architectures=["XGLMForCausalLM"], model_type="xglm", bos_token_id=0, d_model=48, ffn_dim=100, num_layers=4, attention_heads=6,
                vocab_size=301, max_position_embeddings=256, activation_function="gelu", scale_embedding=True, dropout=0.0, attention_dropout=0.0,
                decoder_start_token_id=2, tie_word_embeddings=True, **changes)


def cohere(name, **changes):
    return like(name, layer_norm_eps=1e-5, logit_scale=0.25, tie_word_embeddings=True, **changes)


MODELS = [
    # Llama-2: all heads have their own keys; odd sizes (head dimension 10); single float32 file.
    GoldenModel("llama2", llama(hidden_size=60, num_key_value_heads=6, num_hidden_layers=5), 7, dtype="f32", full=True,
                generation={"do_sample": True, "temperature": 0.6, "top_p": 0.9}),
    # Chinese-Alpaca-2: one torch .bin in float16, with leftover rotary buffers and views of a fused tensor.
    GoldenModel("llama-bin", llama(num_attention_heads=4, num_key_value_heads=4, vocab_size=317), 1, dtype="f16",
                layout="bin", generation=None),
    # TinyLlama-like grouped queries, .bin in shards.
    GoldenModel("llama-bin-sharded", llama(), 1, layout="bin-sharded"),
    # Llama-3.x: llama3 RoPE scaling, tied embeddings, several EOS ids, explicit head dimension, shards.
    GoldenModel("llama3", llama(num_key_value_heads=2, head_dim=16, rope_theta=500000.0, max_position_embeddings=512,
                                tie_word_embeddings=True, mlp_bias=False,
                                rope_scaling={"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                                              "original_max_position_embeddings": 64, "rope_type": "llama3"}),
                1, layout="safetensors-sharded", eos=3, overruled_eos=True),
    # Linear RoPE scaling under its old key; one key head for all; norms in float32.
    GoldenModel("llama-linear", llama(num_key_value_heads=1, rope_scaling={"type": "linear", "factor": 4.0}), 1,
                mixed_norms=True),
    GoldenModel("llama-yarn", llama(rope_scaling={"rope_type": "yarn", "factor": 4.0,
                                                  "original_max_position_embeddings": 32}), 1, dtype="f16"),
    # Biases everywhere.
    GoldenModel("llama-bias", llama(attention_bias=True, mlp_bias=True, num_attention_heads=4, num_key_value_heads=2),
                4, dtype="f16", layout="safetensors-sharded"),
    # A window shorter than the prompts.
    GoldenModel("mistral-window", mistral(sliding_window=7, num_hidden_layers=5, rope_theta=10000.0), 1),
    # Head dimension is not width / heads; the keys transformers 5 writes.
    GoldenModel("mistral-head-dim", mistral(hidden_size=60, head_dim=16), 1, layout="safetensors-sharded",
                new_keys=True),
    # Qwen2-Instruct: biases on q, k, v; several EOS ids; sampling fields and a repetition penalty.
    GoldenModel("qwen2", qwen2(num_hidden_layers=5, num_key_value_heads=3), 22, full=True, eos=2, overruled_eos=True,
                generation={"do_sample": True, "repetition_penalty": 1.05, "temperature": 0.7, "top_k": 20, "top_p": 0.8}),
    GoldenModel("qwen2-tied", qwen2(hidden_size=54, num_attention_heads=3, num_key_value_heads=1,
                                    tie_word_embeddings=True), 1, eos=2),
    # Full attention below max_window_layers, a window from there on.
    GoldenModel("qwen2-window", qwen2(use_sliding_window=True, sliding_window=6, max_window_layers=2), 1, dtype="f16"),
    # Norms of query and key heads; windows as Qwen2 has them, and a head dimension of its own.
    GoldenModel("qwen3", like("Qwen3ForCausalLM", head_dim=16, attention_bias=False, use_sliding_window=True, sliding_window=7, max_window_layers=2), 2),
    # Mixtures of experts: the chosen ones' weights divided by their sum; and left as they are, with norms of heads.
    GoldenModel("mixtral", like("MixtralForCausalLM", num_hidden_layers=3, intermediate_size=40, num_local_experts=5, num_experts_per_tok=2), 1),
    GoldenModel("qwen3-moe", like("Qwen3MoeForCausalLM", num_hidden_layers=3, head_dim=16, moe_intermediate_size=24, num_experts=8, num_experts_per_tok=3, norm_topk_prob=False,
                                  attention_bias=False, mlp_only_layers=[], decoder_sparse_step=1, use_sliding_window=False, sliding_window=4), 1),
    GoldenModel("qwen3-moe-shares", like("Qwen3MoeForCausalLM", num_hidden_layers=3, head_dim=16, moe_intermediate_size=24, num_experts=6, num_experts_per_tok=2,
                                         norm_topk_prob=True, attention_bias=False), 1, layout="safetensors-sharded"),
    # Norms before and after both modules, capped scores and logits, a window in every other layer.
    GoldenModel("gemma2", gemma("Gemma2ForCausalLM", attn_logit_softcapping=5.0, final_logit_softcapping=30.0), 1),
    # As Gemma 2 without caps; norms of heads; sliding layers turn by other angles than full ones.
    GoldenModel("gemma3", gemma("Gemma3ForCausalLM", num_hidden_layers=6, tie_word_embeddings=True, sliding_window_pattern=3, rope_local_base_freq=1000.0,
                                rope_scaling={"rope_type": "linear", "factor": 8.0}), 1),
    # Parallel modules, LayerNorm, pairs that turn, norms of each head by its own weight.
    GoldenModel("cohere", cohere("CohereForCausalLM", use_qk_norm=True), 1),
    # Full layers are not rotated.
    GoldenModel("cohere2", cohere("Cohere2ForCausalLM", sliding_window=7, sliding_window_pattern=2, num_hidden_layers=5), 1),
    # Norms after the modules alone; norms over all query heads at once.
    GoldenModel("olmo2", like("Olmo2ForCausalLM", attention_bias=False), 1, dtype="f32"),
    GoldenModel("olmo3", like("Olmo3ForCausalLM", num_hidden_layers=5, sliding_window=7, attention_bias=False,
                              rope_scaling={"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32, "attention_factor": 1.2,
                                            "beta_fast": 32, "beta_slow": 1}), 1),
    GoldenModel("ministral", like("MinistralForCausalLM", head_dim=16, sliding_window=7,
                                  layer_types=["sliding_attention", "full_attention"] * 2), 2),
    # Every third layer is not rotated.
    GoldenModel("smollm3", like("SmolLM3ForCausalLM", num_hidden_layers=5, no_rope_layer_interval=3, pad_token_id=0, tie_word_embeddings=True, attention_bias=False,
                                mlp_bias=False), 1),
    # Factors on embeddings, scores, both branches and logits.
    GoldenModel("granite", like("GraniteForCausalLM", embedding_multiplier=12.0, logits_scaling=4.0, residual_multiplier=0.25,
                                attention_multiplier=0.3, attention_bias=False, mlp_bias=False), 5),
    # Half of each head turns, in pairs; four norms; fused gate and up; biases of q, k, v.
    GoldenModel("glm4", like("Glm4ForCausalLM", head_dim=16, attention_bias=True, partial_rotary_factor=0.5, pad_token_id=0), 1),
    GoldenModel("exaone4", like("Exaone4ForCausalLM", num_hidden_layers=5, sliding_window=7,
                                layer_types=["sliding_attention"] * 3 + ["full_attention", "sliding_attention"]), 1),
    # q, k, v fused, and gate, up.
    GoldenModel("phi3", like("Phi3ForCausalLM", sliding_window=9, pad_token_id=0), 1, layout="safetensors-sharded"),
    # Angles by the sequence's length: beyond 36 positions others, which one of the prompts has from its beginning and no response comes to.
    GoldenModel("phi3-longrope", like("Phi3ForCausalLM", pad_token_id=0, original_max_position_embeddings=36, partial_rotary_factor=0.75,
                                      rope_scaling={"type": "longrope", "short_factor": [1.0, 1.25, 1.5], "long_factor": [1.0, 2.5, 6.0]}), 1),
    # The base grows with the length beyond 24 positions.
    GoldenModel("llama-dynamic", llama(max_position_embeddings=24, rope_scaling={"type": "dynamic", "factor": 4.0}), 2),
    # A curve with learned numbers in place of gate and activation; norms of heads; llama3's angles.
    GoldenModel("apertus", like("ApertusForCausalLM", hidden_act="xielu", rope_theta=12000000.0,
                                rope_scaling={"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                                              "original_max_position_embeddings": 64}), 1),
    # Norms of heads after the rotation; a base stretched by alpha.
    GoldenModel("hunyuan", like("HunYuanDenseV1ForCausalLM", head_dim=16, attention_bias=False,
                                rope_scaling={"type": "dynamic", "alpha": 50.0, "factor": 1.0, "beta_fast": 32, "beta_slow": 1, "mscale": 1.0,
                                              "mscale_all_dim": 1.0}), 2),
    # Queries grow with the position.
    GoldenModel("ministral3", like("Ministral3ForCausalLM", head_dim=16, sliding_window=None,
                                   rope_parameters={"rope_type": "yarn", "type": "yarn", "rope_theta": 1000000.0, "factor": 16.0,
                                                    "original_max_position_embeddings": 8, "beta_fast": 32.0, "beta_slow": 1.0, "mscale": 1.0,
                                                    "mscale_all_dim": 1.0, "llama_4_scaling_beta": 0.1}), 1),
    # Parallel modules with a norm each, LayerNorm with bias, q, k, v of each head in turn, a quarter of each head turns.
    GoldenModel("neox", neox(), 1, dtype="f16"),
    GoldenModel("neox-serial", neox(use_parallel_residual=False, rotary_pct=0.5), 1, layout="bin-sharded"),
    # Scores biased by distance; normalised embeddings; six heads, which is no power of two; names without their prefix.
    GoldenModel("bloom", bloom(), 1),
    # Positions added to embeddings as sinusoids.
    GoldenModel("xglm", xglm(), 3),
]


def weights(model, spec, seed):
    """Fills `model` so that its taps differ by layer and its greedy texts wander."""
    generator = torch.Generator().manual_seed(seed)
    tied = spec.config["tie_word_embeddings"]
    scaled = spec.config.get("d_model", spec.config.get("hidden_size")) if {"query_pre_attn_scalar", "scale_embedding"} & set(spec.config) else 1
    embedding_scale = spec.config.get("embedding_multiplier", math.sqrt(scaled))
    gains = {"q_proj": 1.4, "k_proj": 1.4, "v_proj": 1.3, "o_proj": 1.8, "gate_proj": 1.4, "up_proj": 1.4,
             "down_proj": 1.6, "lm_head": 5.0, "qkv_proj": 1.4, "gate_up_proj": 1.4,
             "query_key_value": 1.4, "dense": 1.8, "dense_h_to_4h": 1.6, "dense_4h_to_h": 1.8, "out_proj": 1.8, "fc1": 1.6, "fc2": 1.8, "embed_out": 5.0, "gate": 3.0}
    for name, parameter in sorted(model.named_parameters()):
        noise = torch.randn(parameter.shape, generator=generator)
        part = name.split(".")[-1 if parameter.dim() == 3 else -2]  # all experts' matrices are one parameter
        if name.endswith(".bias"):
            value = 0.3 * noise
        elif part == "act_fn":
            value = noise
        elif part.endswith("norm") or part == "ln_f":
            value = (0.0 if spec.config["model_type"].startswith("gemma") else 1.0) + 0.2 * noise  # Gemma's stand for 1 + w
        elif part in ("embed_tokens", "embed_in", "word_embeddings"):
            value = noise * (0.6 if tied else 1.0) / embedding_scale
        else:
            value = noise * (gains[part] / math.sqrt(parameter.shape[-1]))
        with torch.no_grad():
            parameter.copy_(value)


def by_expert(name, parameter):
    """The names that hub files have of the matrices of all experts."""
    stem, _, part = name.rpartition(".")
    old = {"gate_proj": "w1", "up_proj": "w3", "down_proj": "w2"}
    for expert, matrix in enumerate(parameter):
        parts = zip(("gate_proj", "up_proj"), matrix.chunk(2)) if part == "gate_up_proj" else [(part, matrix)]
        for kind, values in parts:
            yield f"{stem}.{expert}.{kind}.weight", f"{stem.replace('.mlp.', '.block_sparse_moe.')}.{expert}.{old[kind]}.weight", values


def stored_tensors(model, spec):
    """What the checkpoint holds: the parameters in the file's dtype, and the numbers of xIELU that are no parameters."""
    tensors = {}
    prefix = "transformer." if spec.name == "bloom" else ""  # hub files of BLOOM have names without it
    for name, parameter in [*model.named_parameters(), *((n, b) for n, b in model.named_buffers() if ".act_fn." in n)]:
        name = name.removeprefix(prefix)
        if spec.name == "neox":  # as hub files have it; transformers 5 writes lm_head
            name = name.replace("lm_head.", "embed_out.")
        if parameter.dim() == 3:
            for new, old, values in by_expert(name, parameter):
                tensors[old if spec.name == "mixtral" else new] = values.detach().to(DTYPES[spec.dtype]).contiguous().clone()
            continue
        if spec.name == "mixtral":
            name = name.replace(".mlp.gate.", ".block_sparse_moe.gate.")
        keep = spec.mixed_norms and "norm" in name
        tensors[name] = parameter.detach().to(torch.float32 if keep else DTYPES[spec.dtype]).contiguous()
    return tensors


def shards(tensors, limit):
    """Splits in name order into groups of at most `limit` bytes."""
    groups, size = [{}], 0
    for name, tensor in tensors.items():
        bytes_ = tensor.numel() * tensor.element_size()
        if groups[-1] and size + bytes_ > limit:
            groups.append({})
            size = 0
        groups[-1][name] = tensor
        size += bytes_
    return groups


def fuse_views(tensors):
    """q, k, v of each layer as views of one storage, as checkpoints split from a fused matrix have them."""
    for name in [n for n in tensors if n.endswith("q_proj.weight")]:
        names = [name.replace("q_proj", f"{part}_proj") for part in "qkv"]
        fused = torch.cat([tensors[n] for n in names])
        tensors.update(zip(names, fused.split([tensors[n].shape[0] for n in names])))


def write_weights(directory, tensors, spec):
    extension, stem = ("bin", "pytorch_model") if spec.layout.startswith("bin") else ("safetensors", "model")

    def save(group, path):
        if extension == "bin":
            torch.save(group, path)
        else:
            save_file(group, path, metadata={"format": "pt"})

    if spec.layout == "bin":
        fuse_views(tensors)
        dim = spec.config["hidden_size"] // spec.config["num_attention_heads"]
        for layer in range(spec.config["num_hidden_layers"]):
            inv_freq = 1.0 / (spec.config["rope_theta"] ** (torch.arange(0, dim, 2).float() / dim))
            tensors[f"model.layers.{layer}.self_attn.rotary_emb.inv_freq"] = inv_freq
    if not spec.layout.endswith("sharded"):
        save(tensors, os.path.join(directory, f"{stem}.{extension}"))
        return
    groups = shards(tensors, 120_000)
    index = {"metadata": {"total_size": sum(t.numel() * t.element_size() for t in tensors.values())}, "weight_map": {}}
    for number, group in enumerate(groups, 1):
        file = f"{stem}-{number:05d}-of-{len(groups):05d}.{extension}"
        save(group, os.path.join(directory, file))
        index["weight_map"].update({name: file for name in group})
    with open(os.path.join(directory, f"{stem}.{extension}.index.json"), "w") as out:
        json.dump(index, out, indent=1)
        out.write("\n")


def write_configs(directory, spec, eos):
    """config.json and generation_config.json; `eos` is None while the ids are still being chosen."""
    config = dict(spec.config)
    given = None if eos is None else eos[0] if len(eos) == 1 else eos
    if spec.overruled_eos and eos is not None:
        config["eos_token_id"] = next(t for t in range(2, 300) if t not in eos)  # overruled by generation_config.json
    else:
        config["eos_token_id"] = given
    if spec.new_keys:
        config["rope_parameters"] = {"rope_theta": config.pop("rope_theta"), "rope_type": "default"}
        config["dtype"] = DTYPE_NAMES[spec.dtype]
    else:
        config["torch_dtype"] = DTYPE_NAMES[spec.dtype]
    files = {"config.json": config}
    if spec.generation is not None:
        generation = {"bos_token_id": config["bos_token_id"], "pad_token_id": 0, **spec.generation}
        if eos is not None:
            generation["eos_token_id"] = given
        files["generation_config.json"] = generation
    for name, content in files.items():
        with open(os.path.join(directory, name), "w") as out:
            json.dump(content, out, indent=1, sort_keys=True)
            out.write("\n")


def create(directory, spec, seed):
    """Writes the directory, without EOS ids yet."""
    os.makedirs(directory, exist_ok=True)
    write_configs(directory, spec, None)
    model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(directory), dtype=torch.float32)
    weights(model, spec, seed)
    write_weights(directory, stored_tensors(model, spec), spec)


def load(directory):
    """The reference: transformers, eager attention and experts, float32 after an exact upcast."""
    model, info = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32, attn_implementation="eager",
                                                       output_loading_info=True)
    if info["missing_keys"] or info["mismatched_keys"]:
        raise RuntimeError(f"{directory}: {info}")
    model.set_experts_implementation("eager")  # one expert after the other, as the class is written
    return model.eval()
