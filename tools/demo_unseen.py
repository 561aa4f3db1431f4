#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes further questions of the demo's kind: the facts of demo/tuning.jsonl for which no question of demo/to-language.jsonl asks in any language,
with their English prompt.

The codes and English names are those of Debian's iso-codes, from which the demo is made (demo/build).

    tools/demo_unseen.py >unseen.jsonl
    xtransplant sweep -m demo/facts-4m --pairs unseen.jsonl --target-layers first --max-new-tokens 2 -o unseen.db
"""
import json
import pathlib
import sys

demo = pathlib.Path(__file__).parent.parent / "demo"
countries = json.load(open(sys.argv[1] if len(sys.argv) > 1 else "/usr/share/iso-codes/json/iso_3166-1.json"))["3166-1"]
asked = [json.loads(line) for line in open(demo / "to-language.jsonl")]
# the words for a country's code and number in each language, and its name there, from the questions of the demo
words = {}
for q in asked:
    words[q["target"].split(", ")[-1]] = (q["lang"], q["id"].split("-")[1])
names, sources = {}, {q["source"] for q in asked}
for c in countries:
    names[c["alpha_2"]] = names[c["numeric"]] = c.get("common_name", c["name"]), c["alpha_2"]
for line in open(demo / "tuning.jsonl"):
    fact = json.loads(line)
    lang, kind = words.get(fact["prompt"].split(", ")[-1], (None, None))
    name, code = names.get(fact["response"].strip(), (None, None))
    source = f"{name}, country {kind} ="
    if lang and name and source not in sources:
        print(json.dumps({"id": f"{lang}-{kind}-{code}", "lang": lang, "source_lang": "en", "source": source, "target": fact["prompt"],
                          "gold": fact["response"].strip(), "task": "facts"}, ensure_ascii=False))
