#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes tests/golden/effects.json: numbers of first tokens under transplants, computed by transformers with hooks in float64 from its logits, with models
of tests/golden/models. Source and target are their prompts p1 and p2.

    python tools/make_effect_goldens.py
"""

import json
import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

import torch
from transformers import AutoModelForCausalLM
from transformers.generation.logits_process import RepetitionPenaltyLogitsProcessor

from hf_taps import SITES, Edit, capture, edited, forget_lengths, layers_of

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MODELS, PENALTIES, TRACKED = ("qwen2", "llama2", "neox"), (1.0, 1.3), (3, 41, 59, 180)


@torch.no_grad()
def log_probabilities(model, ids, penalty, edits=()):
    """ln P of the first generated token, in float64."""
    forget_lengths(model)
    prompt = torch.tensor([ids])
    with edited(model, edits):
        logits = model(prompt, logits_to_keep=1).logits[:, -1]
    if penalty != 1.0:
        logits = RepetitionPenaltyLogitsProcessor(penalty)(prompt, logits)
    return torch.log_softmax(logits[0].double(), -1)


def numbers(run, untouched, source):
    """D(untouched || run), D(source || run), then ln P of the tracked tokens."""
    divergences = [float((q.exp() * (q - run)).sum()) for q in (untouched, source)]
    return [round(x, 7) for x in divergences + [float(run[t]) for t in TRACKED]]


def entry(name, model, prompts, penalty):
    source, target = prompts["p1"], prompts["p2"]
    taps, layers = capture(model, source), len(layers_of(model))
    of = {"source": log_probabilities(model, source, penalty), "untouched": log_probabilities(model, target, penalty)}
    cases = []
    for site in ("attn", "ffn", "block", "attn-released"):
        read, write = SITES[site]
        for i, j in ((0, layers - 1), (layers - 1, 0), (1, 1), (layers // 2, layers // 2 - 1)):
            run = log_probabilities(model, target, penalty, [Edit(write, j, taps[read][i])])
            cases.append({"site": site, "source_layer": i, "target_layer": j, "numbers": numbers(run, of["untouched"], of["source"])})
    return {"model": name, "penalty": penalty, "source": source, "target": target, "tracked": list(TRACKED),
            "of_source": numbers(of["source"], of["untouched"], of["source"]),
            "of_untouched": numbers(of["untouched"], of["untouched"], of["source"]), "cases": cases}


def main():
    lines = []
    for name in MODELS:
        folder = os.path.join(ROOT, "tests", "golden", "models", name)
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
        with open(os.path.join(folder, "reference.json"), encoding="utf-8") as file:
            prompts = {p["name"]: p["ids"] for p in json.load(file)["prompts"]}
        lines += [json.dumps(entry(name, model, prompts, penalty), separators=(",", ":")) for penalty in PENALTIES]
    with open(os.path.join(ROOT, "tests", "golden", "effects.json"), "w", encoding="utf-8") as file:
        file.write("[\n" + ",\n".join(lines) + "\n]\n")


if __name__ == "__main__":
    main()
