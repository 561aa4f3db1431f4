# SPDX-License-Identifier: Apache-2.0
"""Reading and writing the four taps of a Hugging Face decoder, and greedy generation around it.

A decoder layer has, at every position: a (what the attention module adds to the residual stream), m = h + a, f (what the
feed-forward module adds), o = m + f. Where a norm follows a module, a and f are that norm's output. Values are written in place,
so that whatever the model computes next sees them: the tensor that enters the second norm is also the residual that is added to
the feed-forward output. Layers with parallel modules (o = h + a + f, both computed from h) have no place where m can be written.
"""

import contextlib
import math
from dataclasses import dataclass

import torch
from transformers import DynamicCache
from transformers.generation.logits_process import RepetitionPenaltyLogitsProcessor

TAPS = ("attn", "mid", "ffn", "block")
SITES = {"attn": ("attn", "attn"), "ffn": ("ffn", "ffn"), "block": ("block", "block"), "attn-released": ("mid", "attn")}


@dataclass
class Edit:
    """One change, at `position` of the prompt (-1: the last), or, where `positions` is "all" or "generated", at each of these tokens."""
    write: str
    layer: int
    value: torch.Tensor
    position: int = -1
    rule: str = "replace"
    alpha: float = 1.0
    positions: str = "one"
    heads: tuple = None  # of the tap "heads": those whose slices change; `value` is [heads, head_dim]

    def is_in(self, step):
        """Whether it changes step `step` of a generation, 0 being the prefill."""
        return {"one": step == 0, "all": True, "generated": step > 0}[self.positions]

    def apply(self, hidden):
        place = hidden[:, self.position] if self.positions == "one" else hidden
        if self.heads is None:
            self.change(place, self.value)
        for head in self.heads or ():
            self.change(place.unflatten(-1, self.value.shape)[..., head, :], self.value[head])

    def change(self, place, value):
        if self.rule == "replace":
            place.copy_(value.expand_as(place))
        elif self.rule == "add":
            place.add_(self.alpha * value)
        elif self.rule == "blend":
            place.copy_((1.0 - self.alpha) * place + self.alpha * value)
        else:
            raise ValueError(self.rule)


# Modules of a layer whose output is a and f, and whose input is m, where they are not the usual ones.
PLACES = {
    "gemma2": ("post_attention_layernorm", "pre_feedforward_layernorm", "post_feedforward_layernorm"),
    "gemma3_text": ("post_attention_layernorm", "pre_feedforward_layernorm", "post_feedforward_layernorm"),
    "olmo2": ("post_attention_layernorm", "mlp", "post_feedforward_layernorm"),
    "olmo3": ("post_attention_layernorm", "mlp", "post_feedforward_layernorm"),
    "exaone4": ("post_attention_layernorm", "mlp", "post_feedforward_layernorm"),
    "glm4": ("post_self_attn_layernorm", "post_attention_layernorm", "post_mlp_layernorm"),
    "cohere": ("self_attn", None, "mlp"),
    "cohere2": ("self_attn", None, "mlp"),
    "apertus": ("self_attn", "feedforward_layernorm", "mlp"),
    "gpt_neox": ("attention", "post_attention_layernorm", "mlp"),
    "bloom": ("self_attention.dense", "post_attention_layernorm", "mlp.dense_4h_to_h"),
    "xglm": ("self_attn", "final_layer_norm", "fc2"),
}
USUAL = ("self_attn", "post_attention_layernorm", "mlp")
PROJECTIONS = {"gpt_neox": "attention.dense", "bloom": "self_attention.dense", "xglm": "self_attn.out_proj"}  # modules whose input is what the heads give, where they are not self_attn.o_proj


def places(model):
    attn, mid, ffn = PLACES.get(model.config.model_type, USUAL)
    return attn, None if getattr(model.config, "use_parallel_residual", False) else mid, ffn


def is_parallel(model):
    return places(model)[1] is None


def layers_of(model):
    base = model.base_model
    return base.h if model.config.model_type == "bloom" else base.layers


def residual_scale(model):
    """What a and f are multiplied by after the module gave them (Granite); a power of two, so that it can be undone."""
    return getattr(model.config, "residual_multiplier", 1.0)


def forget_lengths(model):
    """Dynamic rotary angles keep those of the longest sequence so far, until a short one comes."""
    if (getattr(model.config, "rope_parameters", None) or {}).get("rope_type") == "dynamic":
        model(torch.tensor([[1]]), use_cache=False)


def tensor_of(output):
    return output[0] if isinstance(output, tuple) else output


@contextlib.contextmanager
def on_tap(model, tap, layer, call):
    """Calls `call(hidden)` with the tap's [1, T, C] tensor whenever the layer computes it."""
    module = layers_of(model)[layer]
    attn, mid, ffn = places(model)
    scale = residual_scale(model)

    def scaled(hidden):
        hidden.mul_(scale)
        call(hidden)
        hidden.div_(scale)

    if tap == "heads":
        handle = module.get_submodule(PROJECTIONS.get(model.config.model_type, "self_attn.o_proj")).register_forward_pre_hook(
            lambda _, args: call(args[0]))
    elif tap == "mid":
        def before(_, args, keywords):
            call(args[0] if args else keywords["x"])
        handle = module.get_submodule(mid).register_forward_pre_hook(before, with_kwargs=True)
    elif tap == "block":
        handle = module.register_forward_hook(lambda _, args, output: call(tensor_of(output)))
    else:
        of = scaled if scale != 1.0 else call
        handle = module.get_submodule(attn if tap == "attn" else ffn).register_forward_hook(lambda _, args, output: of(tensor_of(output)))
    try:
        yield
    finally:
        handle.remove()


@contextlib.contextmanager
def edited(model, edits):
    """Edits in force, in list order where they name the same place."""
    with contextlib.ExitStack() as stack:
        for edit in edits:
            stack.enter_context(on_tap(model, edit.write, edit.layer, edit.apply))
        yield


@torch.no_grad()
def capture(model, ids):
    """Taps of the last token: embed [C], attn, mid, ffn, block [N, C], logits [V]."""
    forget_lengths(model)
    layers = len(layers_of(model))
    kept = {tap: [None] * layers for tap in TAPS}
    embed = []

    def keep(tap, layer):
        def call(hidden):
            kept[tap][layer] = hidden[0, -1].clone()
        return call

    with contextlib.ExitStack() as stack:
        handle = layers_of(model)[0].register_forward_pre_hook(lambda _, args: embed.append(args[0][0, -1].clone()))
        stack.callback(handle.remove)
        for tap in TAPS:
            if tap == "mid" and is_parallel(model):
                continue
            for layer in range(layers):
                stack.enter_context(on_tap(model, tap, layer, keep(tap, layer)))
        logits = model(torch.tensor([ids]), use_cache=False, logits_to_keep=1).logits[0, -1].clone()
    if is_parallel(model):
        below = [embed[0], *kept["block"][:-1]]
        kept["mid"] = [h + a for h, a in zip(below, kept["attn"])]
    return {"embed": embed[0], **{tap: torch.stack(kept[tap]) for tap in TAPS}, "logits": logits}


@dataclass
class Generated:
    ids: list
    margins: list  # best minus second-best logit, after the penalty
    entropies: list  # nats

    def cut(self, eos):
        """The same generation, stopped at the first EOS id, which is kept."""
        end = next((k + 1 for k, token in enumerate(self.ids) if token in eos), len(self.ids))
        return Generated(self.ids[:end], self.margins[:end], self.entropies[:end])


@torch.no_grad()
def greedy(model, ids, edits=(), penalty=1.0, count=20):
    """Greedy decoding with a KV cache. Does not stop at EOS."""
    forget_lengths(model)
    cache = DynamicCache(config=model.config)
    processor = RepetitionPenaltyLogitsProcessor(float(penalty)) if penalty != 1.0 else None
    sequence = torch.tensor([ids])
    result = Generated([], [], [])
    step = sequence
    for number in range(count):
        with edited(model, [edit for edit in edits if edit.is_in(number)]):
            logits = model(step, past_key_values=cache, use_cache=True, logits_to_keep=1).logits[:, -1]
        if processor is not None:
            logits = processor(sequence, logits)
        best = torch.topk(logits[0], 2).values
        log_p = torch.log_softmax(logits[0].double(), -1)
        step = logits.argmax(-1, keepdim=True)
        sequence = torch.cat([sequence, step], 1)
        result.ids.append(int(step))
        result.margins.append(float(best[0] - best[1]))
        result.entropies.append(float(-(log_p.exp() * log_p).sum()))
        if not math.isfinite(result.margins[-1]):
            raise RuntimeError("logits are not finite")
    return result


@torch.no_grad()
def generate_with_transformers(model, ids, edits=(), count=20, **options):
    """model.generate itself, with the edits in force during its first forward call."""
    forget_lengths(model)
    calls = [0]
    count_call = model.register_forward_pre_hook(lambda *_: calls.__setitem__(0, calls[0] + 1))

    def first_call_only(edit):
        def call(hidden):
            if calls[0] == 1:
                edit.apply(hidden)
        return call

    with contextlib.ExitStack() as stack:
        stack.callback(count_call.remove)
        for edit in edits:
            stack.enter_context(on_tap(model, edit.write, edit.layer, first_call_only(edit)))
        prompt = torch.tensor([ids])
        output = model.generate(prompt, attention_mask=torch.ones_like(prompt), do_sample=False, max_new_tokens=count,
                                pad_token_id=0, **options)
    return output[0, len(ids):].tolist()


@torch.no_grad()
def capture_as_released(model, ids):
    """The published attention code: keeps a reference to the attention output, then adds the residual in place.

    Returns what that reference holds afterwards, [N, C]."""
    references = []

    def layer_forward(layer):
        def forward(hidden_states, **arguments):
            residual = hidden_states
            hidden_states, _ = layer.self_attn(hidden_states=layer.input_layernorm(hidden_states), **arguments)
            references.append(hidden_states)
            hidden_states += residual
            return hidden_states + layer.mlp(layer.post_attention_layernorm(hidden_states))
        return forward

    layers = model.model.layers
    for layer in layers:
        layer.forward = layer_forward(layer)
    try:
        model(torch.tensor([ids]), use_cache=False)
    finally:
        for layer in layers:
            del layer.forward
    return torch.stack([reference[0, -1] for reference in references])
