#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes tests/golden/controls.json: what transformers with hooks generates when the value that a control stands for is written, and when the
source's value is written by other rules, over several layers or at other positions, with models of tests/golden/models. Source, target and the other question's prompt are their prompts p1, p2 and p3; the mean is over p0 and p3.

    python tools/make_control_goldens.py
"""

import json
import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

import torch
from transformers import AutoModelForCausalLM

from hf_taps import SITES, Edit, capture, greedy, layers_of, on_tap

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# Of the first three each case is written at four places; of the others, which have other norms, modules and factors around the places, at one.
WHOLE = ("qwen2", "llama2", "neox")
BRIEF = ("gemma2", "gemma3", "olmo2", "glm4", "cohere", "granite", "phi3", "bloom", "xglm", "mixtral", "mistral-window")
NEW, SEED = 12, 0xC0FFEE
LEAST_MARGIN = 1e-3  # a step closer than this could turn on rounding
TAPS = ("attn", "mid", "ffn", "block")
MASK = 2**64 - 1


def splitmix(state):
    """The next state and number."""
    state = (state + 0x9E3779B97F4A7C15) & MASK
    z = state
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & MASK
    return state, z ^ (z >> 31)


def random_like(values, seed, tap, layer):
    """Vectors of random direction, each as long as one of `values` (include/xtransplant/sweep.h)."""
    for _ in range(len(TAPS) * layer + TAPS.index(tap) + 1):
        seed, begin = splitmix(seed)
    made = []
    for value in values:
        out = []
        for _ in range(len(value)):
            begin, number = splitmix(begin)
            out.append(bin(number).count("1") - 32)
        direction = torch.tensor(out, dtype=torch.float64)
        made.append((direction * (value.double().norm() / direction.norm())).float())
    return torch.stack(made)


def case(model, taps, prompts, control, site, i, j):
    read, write = SITES[site]
    value = {"self": lambda: taps["p2"][read][i], "shuffled": lambda: taps["p3"][read][i],
             "mean": lambda: ((taps["p0"][read][i].double() + taps["p3"][read][i].double()) / 2).float(),
             "random": lambda: random_like(taps["p1"][read][i][None], SEED, read, i)[0]}[control]()
    out = greedy(model, prompts["p2"], [Edit(write, j, value)], count=NEW)
    if min(out.margins) < LEAST_MARGIN:
        return None
    return {"site": f"{site}+{control}", "source_layer": i, "target_layer": j, "ids": out.ids, "margins": [round(m, 5) for m in out.margins]}


# rule, alpha, span, positions
WAYS = (("add", 0.5, 1, "last"), ("blend", 0.75, 1, "last"), ("replace", 0, 3, "last"), ("add", -2, 2, "last"), ("replace", 0, 1, "generated"),
        ("blend", 0.5, 2, "generated"), ("replace", 0, 1, "all"), ("add", 0.25, 2, "all"))


def way(model, taps, prompts, how, site, i, j):
    rule, alpha, span, positions = how
    read, write = SITES[site]
    layers = len(layers_of(model))
    edits = [Edit(write, j + k, taps["p1"][read][i + k], rule=rule, alpha=alpha, positions={"last": "one"}.get(positions, positions))
             for k in range(span) if i + k < layers and j + k < layers]
    out = greedy(model, prompts["p2"], edits, count=NEW)
    if min(out.margins) < LEAST_MARGIN:
        return None
    name = site + (f"+{rule}{alpha:g}" if rule != "replace" else "") + (f"+span{span}" if span > 1 else "") + (f"+{positions}" if positions != "last" else "")
    return {"site": name, "source_layer": i, "target_layer": j, "ids": out.ids, "margins": [round(m, 5) for m in out.margins]}


SITES_SWEPT = ("attn", "ffn", "block", "attn-released")
HEADS = (((0, 2), "replace", 0, 1, "last"), ((1,), "add", 2, 2, "last"), ((0, 1, 2, 3), "replace", 0, 1, "generated"), ((3,), "blend", 0.5, 2, "all"))


@torch.no_grad()
def capture_heads(model, ids):
    """What the heads give for the last token at each layer, [heads, head_dim]."""
    kept = []
    for layer in range(len(layers_of(model))):
        with on_tap(model, "heads", layer, lambda hidden: kept.append(hidden[0, -1].clone())):
            model(torch.tensor([ids]), use_cache=False)
    return [one.view(model.config.num_attention_heads, -1) for one in kept]


def controlled_heads(heads, control):
    """What the heads give at each layer, under a control."""
    mean = lambda: [((a.double() + b.double()) / 2).float() for a, b in zip(heads["p0"], heads["p3"])]
    drawn = lambda: [random_like(one, SEED, "attn", layer) for layer, one in enumerate(heads["p1"])]
    return {"": lambda: heads["p1"], "self": lambda: heads["p2"], "shuffled": lambda: heads["p3"], "mean": mean, "random": drawn}[control]()


def of_heads(model, given, prompts, how, control, i, j):
    heads, rule, alpha, span, positions = how
    values, layers = controlled_heads(given, control), len(layers_of(model))
    edits = [Edit("heads", j + k, values[i + k], rule=rule, alpha=alpha, positions={"last": "one"}.get(positions, positions), heads=heads)
             for k in range(span) if i + k < layers and j + k < layers]
    out = greedy(model, prompts["p2"], edits, count=NEW)
    if min(out.margins) < LEAST_MARGIN:
        return None
    runs = "0-3" if len(heads) == 4 else ".".join(map(str, heads))
    name = f"attn+heads{runs}" + (f"+{rule}{alpha:g}" if rule != "replace" else "") + (f"+span{span}" if span > 1 else "") + \
        (f"+{positions}" if positions != "last" else "") + (f"+{control}" if control else "")
    return {"site": name, "source_layer": i, "target_layer": j, "ids": out.ids, "margins": [round(m, 5) for m in out.margins]}


def main():
    lines = []
    for name in WHOLE + BRIEF:
        folder = os.path.join(ROOT, "tests", "golden", "models", name)
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
        with open(os.path.join(folder, "reference.json"), encoding="utf-8") as file:
            prompts = {p["name"]: p["ids"] for p in json.load(file)["prompts"]}
        taps, layers = {p: capture(model, ids) for p, ids in prompts.items()}, len(layers_of(model))
        places = [(0, layers - 1), (layers - 1, 0), (1, 1), (layers // 2, layers // 2 - 1)]
        heads = {p: capture_heads(model, prompts[p]) for p in ("p0", "p1", "p2", "p3")}
        kinds = [(case, (taps, prompts, control, site)) for control in ("self", "shuffled", "mean", "random") for site in SITES_SWEPT]
        kinds += [(way, (taps, prompts, how, site)) for n, how in enumerate(WAYS) for k, site in enumerate(SITES_SWEPT) if (n + k) % 2 == 0]
        kinds += [(of_heads, (heads, prompts, how, "")) for how in HEADS]
        kinds += [(of_heads, (heads, prompts, HEADS[n % 3], control)) for n, control in enumerate(("self", "shuffled", "mean", "random", "mean", "random"))]
        some = [make(model, *what, i, j)
                for n, (make, what) in enumerate(kinds) for k, (i, j) in enumerate(places) if name in WHOLE or k == (n + n // 4) % 4]
        kept = [x for x in some if x]
        print(f"{name}: {len(kept)} of {len(some)}, without near-ties")
        lines.append(json.dumps({"model": name, **{k: prompts[p] for k, p in (("source", "p1"), ("target", "p2"), ("other", "p3"), ("also", "p0"))},
                                 "seed": SEED, "cases": kept}, separators=(",", ":")))
    with open(os.path.join(ROOT, "tests", "golden", "controls.json"), "w", encoding="utf-8") as file:
        file.write("[\n" + ",\n".join(lines) + "\n]\n")


if __name__ == "__main__":
    main()
