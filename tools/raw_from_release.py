#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Files in the layout of XNLI's and GlobalOpinionQA's makers, rebuilt from the paper's released prompts.

  raw_from_release.py RELEASE OUT     writes OUT/xnli.test.tsv and OUT/global_opinions.csv

For tests of `pilotset --templates-from` where the makers' files are not at hand: the questions' fields are read off the
released prompts by what all of them have in common, not by a template. Nothing of pilotset is used."""
import csv
import json
import os
import re
import sys

LABELS = {"1": "entailment", "2": "neutral", "3": "contradiction"}
PARTS = ("sample", "unseen")


def lines(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def languages(folder):
    return sorted(name[: -len(".json")] for name in os.listdir(folder))


def xnli(release, out):
    folder = os.path.join(release, "XNLI", "XNLI_%s", "%s", "%s.json")
    with open(os.path.join(out, "xnli.test.tsv"), "w", encoding="utf-8", newline="") as file:
        file.write("language\tgold_label\tsentence1\tsentence2\tpairID\n")
        for lang in languages(os.path.join(release, "XNLI", "XNLI_sample", "split")):
            prompts, golds = [], []
            for part in PARTS:
                prompts += lines(folder % (part, "split", lang))
                golds += lines(folder % (part, "ans", lang))
            begin = os.path.commonprefix(prompts)
            end = os.path.commonprefix([text[::-1] for text in prompts])[::-1]
            bodies = [text[len(begin) : len(text) - len(end)].split("\n") for text in prompts]
            assert all(len(body) == 2 for body in bodies), lang
            between = os.path.commonprefix([body[1] for body in bodies])
            for number, (body, gold) in enumerate(zip(bodies, golds)):
                file.write("\t".join((lang, LABELS[gold], body[0], body[1][len(between) :], str(number))) + "\n")


def opinions(release, out):
    folder = os.path.join(release, "GlobalOpinionQA", "GlobalOpinionQA_%s", "split")
    rows = {}
    for part in PARTS:
        for lang in languages(folder % part):
            for line in lines(os.path.join(folder % part, lang + ".json")):
                # The first line names the country and the last begins the answer; options follow a line of words.
                body = "\n".join(line["input_text"].split("\n")[1:-1])
                at = body.rindex("\n(A) ")
                options = tuple(re.split(r"\n\([A-Z]\) ", body[at:])[1:])
                question = body[: body.rindex("\n", 0, at)]
                rows.setdefault((question, options), {})[line["country"]] = line["label"]
    with open(os.path.join(out, "global_opinions.csv"), "w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["question", "selections", "options", "source"])
        for (question, options), selections in rows.items():
            table.writerow([question, "defaultdict(<class 'list'>, %r)" % selections, repr(list(options)), ""])


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    os.makedirs(sys.argv[2], exist_ok=True)
    xnli(sys.argv[1], sys.argv[2])
    opinions(sys.argv[1], sys.argv[2])
