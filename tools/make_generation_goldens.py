#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes tests/golden/generation.json: what transformers' generate gives under the settings of a generation_config.json that change
greedy decoding, alone and together, with a model of tests/golden/models.

    python tools/make_generation_goldens.py
"""

import json
import os
import random

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

import torch
from transformers import AutoModelForCausalLM, GenerationConfig

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MODEL, NEW = "llama2", 20
LEAST_MARGIN = 1e-3  # a step closer than this could turn on rounding


def prompts(vocab):
    draw = random.Random("prompts of the generation settings")
    ids = lambda n: [draw.randrange(3, vocab) for _ in range(n)]
    six = ids(6)
    return [ids(1), [1] + ids(3), six * 4, [1] + ids(20), ids(2) * 5 + ids(3)]


def settings(often, vocab):
    """`often`: tokens that the model likes to say, most liked first."""
    a, b, c, d, e, f = often[:6]
    single = [
        {"repetition_penalty": 1.3}, {"repetition_penalty": 0.7},
        {"no_repeat_ngram_size": 1}, {"no_repeat_ngram_size": 2}, {"no_repeat_ngram_size": 3}, {"no_repeat_ngram_size": 30},
        {"bad_words_ids": [[a]]}, {"bad_words_ids": [[a, a], [b], [c, d, e], [f, a], [2] * 24]}, {"bad_words_ids": [[a, a, a]]},
        {"suppress_tokens": [a, b, -1, vocab + 3]}, {"begin_suppress_tokens": [a, b, c]},
        {"min_length": 9, "eos_token_id": [a, b]}, {"min_new_tokens": 7, "eos_token_id": [a, b]},
        {"min_new_tokens": 3, "min_length": 40, "eos_token_id": a}, {"eos_token_id": [a, b], "bad_words_ids": [[a], [c]]},
        {"forced_eos_token_id": 2}, {"forced_eos_token_id": [f, e]}, {"forced_bos_token_id": d},
    ]
    together = [
        {"forced_bos_token_id": d, "begin_suppress_tokens": [a, d], "suppress_tokens": [b]},
        {"forced_eos_token_id": [e, f], "suppress_tokens": [e]},
        {"repetition_penalty": 1.2, "no_repeat_ngram_size": 2, "suppress_tokens": [c], "min_new_tokens": 10, "eos_token_id": [a, d]},
        {"no_repeat_ngram_size": 3, "bad_words_ids": [[a, b], [d]], "begin_suppress_tokens": [a], "min_length": 12, "eos_token_id": e},
        {"repetition_penalty": 1.1, "no_repeat_ngram_size": 2, "bad_words_ids": [[a], [b, c]], "suppress_tokens": [d],
         "begin_suppress_tokens": [e, f], "min_new_tokens": 20, "eos_token_id": [e, f], "forced_eos_token_id": f, "forced_bos_token_id": c},
    ]
    return single + together


def generate(model, ids, fields):
    """The new ids, and the smallest difference between a step's two best scores."""
    config = GenerationConfig.from_dict({"bos_token_id": 1, "pad_token_id": 0, "max_new_tokens": NEW, "do_sample": False, **fields})
    out = model.generate(torch.tensor([ids]), generation_config=config, output_scores=True, return_dict_in_generate=True)
    margin = float("inf")
    for score in out.scores:
        best = score[0].topk(2).values
        if torch.isfinite(best).all() and best.count_nonzero():
            margin = min(margin, float(best[0] - best[1]))
    return out.sequences[0, len(ids):].tolist(), margin


def main():
    model = AutoModelForCausalLM.from_pretrained(f"{ROOT}/tests/golden/models/{MODEL}", dtype=torch.float32, attn_implementation="eager")
    model.generation_config = GenerationConfig()
    vocab, counts = model.config.vocab_size, {}
    texts = prompts(vocab)
    for ids in texts:
        for token in generate(model, ids, {"eos_token_id": 2})[0]:
            counts[token] = counts.get(token, 0) + 1
    often = sorted(counts, key=lambda t: (-counts[t], t))
    lines, left_out = [], 0
    for fields in settings(often, vocab):
        fields = {"eos_token_id": 2, **fields}
        for number, ids in enumerate(texts):
            new, margin = generate(model, ids, fields)
            if margin < LEAST_MARGIN:
                left_out += 1
                continue
            lines.append(json.dumps({"settings": fields, "prompt": number, "ids": new}))
    head = {"model": MODEL, "max_new_tokens": NEW, "left_out": left_out}
    with open(f"{ROOT}/tests/golden/generation.json", "w", encoding="utf-8") as file:
        file.write(json.dumps(head)[:-1] + ', "prompts": ' + json.dumps(texts) + ', "cases": [\n' + ",\n".join(lines) + "\n]}\n")
    print(f"{len(lines)} cases, {left_out} left out")


if __name__ == "__main__":
    main()
