#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes tests/golden/real/NAME.json: what transformers with hooks generates in float32 with the dequantised weights of a real
GGUF file, for 40 pairs of prompts of the released benchmarks, untouched and with a transplant at each site. The file has no
prompts, only their places in the released files and digests of their token ids.

    python tools/make_real_goldens.py FOLDER/NAME.gguf RELEASED
"""

import argparse
import hashlib
import json
import os
import struct

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

import torch
from gguf import GGUFReader
from transformers import AutoModelForCausalLM, DynamicCache

from compare_tokenizers import of_gguf
from hf_taps import SITES, Edit, Generated, capture, edited, layers_of

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TASKS = [  # name, folder, a file's name, folders of the source and the target, whether the source is English; languages
    ("xnli", "XNLI/XNLI_sample", "{}.json", "split", "split", True, "ar bg de el es fr hi ru sw tr ur vi zh"),
    ("xquad", "XQuAD/XQuAD_sample", "xquad.{}.json", "split", "split", True, "ar de el es hi ro ru th tr vi zh"),
    ("globalopinionqa", "GlobalOpinionQA/GlobalOpinionQA_sample", "{}.json", "translated", "split", False,
     "am ar de el es fr hi id ja pt ru sv sw tl tr uk"),
]
FIRST, NEW = 10, 8  # the shortest of a language's first questions; tokens of a response


def prompts(path):
    with open(path, encoding="utf-8") as file:
        lines = [json.loads(line) for line in file if line.strip()][:FIRST]
    return [line if isinstance(line, str) else line["input_text"] for line in lines]


def pairs(released):
    for task, folder, name, source, target, english, languages in TASKS:
        for lang in languages.split():
            paths = [os.path.join(released, folder, part, name.format(code)) for part, code in
                     ((source, "en" if english else lang), (target, lang))]
            both = list(zip(*map(prompts, paths)))
            number = min(range(len(both)), key=lambda n: sum(map(len, both[n])))
            yield task, lang, number, *both[number]


def ends(path):
    fields = GGUFReader(path).fields
    keys = [f"tokenizer.ggml.{name}_token_id" for name in ("eos", "eot", "eom")]
    return [int(fields[key].contents()) for key in keys if key in fields]


def digest(ids):
    return hashlib.sha256(struct.pack(f"<{len(ids)}i", *ids)).hexdigest()[:16]


class RowEdit(Edit):
    row = 0

    def apply(self, hidden):
        hidden[self.row, -1].copy_(self.value)


@torch.no_grad()
def responses(model, ids, edits, eos):
    """The untouched response and one for each edit of the last token, as the rows of a batch that has the other tokens in common."""
    rows, cache = len(edits) + 1, DynamicCache(config=model.config)
    model(torch.tensor([ids[:-1]]), past_key_values=cache, use_cache=True, logits_to_keep=1)
    cache.batch_repeat_interleave(rows)
    for row, edit in enumerate(edits, 1):
        edit.row = row
    step, out = torch.tensor([ids[-1:]] * rows), [Generated([], [], []) for _ in range(rows)]
    for number in range(NEW):
        with edited(model, () if number else edits):
            logits = model(step, past_key_values=cache, use_cache=True, logits_to_keep=1).logits[:, -1]
        best = torch.topk(logits, 2).values
        step = logits.argmax(-1, keepdim=True)
        for row, run in enumerate(out):
            run.ids.append(int(step[row]))
            run.margins.append(float(best[row, 0] - best[row, 1]))
    runs = [run.cut(eos) for run in out]
    return [{"ids": run.ids, "margins": [round(m, 5) for m in run.margins]} for run in runs]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("gguf")
    parser.add_argument("released")
    arguments = parser.parse_args()
    folder, name = os.path.split(arguments.gguf)
    encode, _ = of_gguf(arguments.gguf)
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32, attn_implementation="eager").eval()
    layers, eos, lines, least = len(layers_of(model)), ends(arguments.gguf), [], 9.0
    for k, (task, lang, number, *texts) in enumerate(pairs(arguments.released)):
        source, target = [encode(text, True) for text in texts]
        taps = capture(model, source)
        places = [{"site": site, "source_layer": (5 * k + 11 * s) % layers, "target_layer": (7 * k + 13 * s + 3) % layers}
                  for s, site in enumerate(SITES)]
        edits = [RowEdit(SITES[p["site"]][1], p["target_layer"], taps[SITES[p["site"]][0]][p["source_layer"]]) for p in places]
        vanilla, *changed = responses(model, target, edits, eos)
        case = {"task": task, "lang": lang, "number": number, "source": digest(source), "target": digest(target), "vanilla": vanilla,
                "transplants": [{**place, **run} for place, run in zip(places, changed)]}
        lines.append(json.dumps(case, separators=(",", ":")))
        least = min([least, *(m for run in (vanilla, *changed) for m in run["margins"])])
        print(k, task, lang, len(source), len(target), f"least margin so far {least}", flush=True)
    os.makedirs(f"{ROOT}/tests/golden/real", exist_ok=True)
    with open(f"{ROOT}/tests/golden/real/{name.removesuffix('.gguf')}.json", "w", encoding="utf-8") as file:
        file.write(json.dumps({"file": name, "layers": layers, "tokens": NEW})[:-1] + ', "cases": [\n' + ",\n".join(lines) + "\n]}\n")


if __name__ == "__main__":
    main()
