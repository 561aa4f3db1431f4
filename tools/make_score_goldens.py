#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes tests/golden/score: log-probabilities that Hugging Face transformers gives to given tokens.

    python tools/make_score_goldens.py                 # for every model of tests/golden/models
    python tools/make_score_goldens.py -o /tmp/goldens

A file a model: {"format": 1, "sequences": [{"ids": [..], "first": f, "logprobs": [..]}]}: of tokens f.. given all before
them, computed in float64 from the float32 weights. Two runs give the same bytes.
"""

import argparse
import json
import os
import random

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import torch

import golden_models


LONGEST = {"phi3-longrope": 36, "llama-dynamic": 24}  # beyond, angles go by a text's length: not scored


def sequences(name, vocab):
    """(ids, first): texts by themselves, answers to one prompt, and one longer than any window."""
    rng = random.Random(f"score {name}")
    draw = lambda n: [rng.randrange(3, vocab) for _ in range(n)]
    prompt = [1] + draw(22)
    return [([1] + draw(1), 1), ([1] + draw(9), 1), ([1] + draw(59), 1), (prompt + draw(12), 23), (prompt + draw(3), 23),
            (prompt + draw(20), 23), (draw(31), 30), (prompt, 1)]


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    golden = os.path.join(here, "..", "tests", "golden")
    parser = argparse.ArgumentParser(description="Makes the references of teacher-forced scoring.")
    parser.add_argument("--only", action="append", help="may be repeated")
    parser.add_argument("-o", "--output", default=os.path.join(golden, "score"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    os.makedirs(arguments.output, exist_ok=True)
    for name in arguments.only or sorted(os.listdir(os.path.join(golden, "models"))):
        torch.set_default_dtype(torch.float32)
        model = golden_models.load(os.path.join(golden, "models", name)).double()
        torch.set_default_dtype(torch.float64)  # constants that a model makes, too
        cases = []
        for ids, first in sequences(name, model.config.vocab_size):
            if len(ids) > LONGEST.get(name, len(ids)):
                continue
            with torch.no_grad():
                logits = model(torch.tensor([ids]), use_cache=False).logits[0]
            logprobs = torch.log_softmax(logits.double(), -1)
            values = [logprobs[k - 1, ids[k]].item() for k in range(first, len(ids))]
            cases.append({"ids": ids, "first": first, "logprobs": [float(f"{v:.7g}") for v in values]})
        with open(os.path.join(arguments.output, name + ".json"), "w") as out:
            out.write('{"format": 1, "sequences": [\n' + ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases) + "\n]}\n")
        print(name, flush=True)


if __name__ == "__main__":
    main()
