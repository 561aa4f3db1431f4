#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes a results store with made-up responses, of any size: for trying `report` and measuring it.

What is drawn looks like a sweep: accuracy differs by language and layer, most responses of a question agree, some
are unique. It says nothing about any model.

    tools/simulate_store.py -o big.db                    # XNLI, 14 languages, 50 each, 32 layers: 716,800 responses
    tools/simulate_store.py -o small.db --layers 6 --per-language 8 --tasks xnli,xquad --sites attn,ffn --extras
"""
import argparse
import hashlib
import json
import random
import sqlite3
import struct

TABLES = """
PRAGMA application_id = 1481921107; PRAGMA user_version = 1;
CREATE TABLE settings(name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE runs(id INTEGER PRIMARY KEY, started TEXT NOT NULL, provenance TEXT NOT NULL);
CREATE TABLE instances(id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, task TEXT NOT NULL, lang TEXT NOT NULL,
 source_lang TEXT NOT NULL, number INTEGER NOT NULL, doc_id TEXT NOT NULL, source TEXT NOT NULL, target TEXT NOT NULL,
 gold TEXT, choices TEXT, source_ids BLOB NOT NULL, target_ids BLOB NOT NULL);
CREATE TABLE texts(id INTEGER PRIMARY KEY, ids BLOB NOT NULL UNIQUE, text TEXT);
CREATE TABLE vanilla(instance INTEGER PRIMARY KEY REFERENCES instances, text INTEGER NOT NULL REFERENCES texts,
 margin REAL, entropy REAL, mean_entropy REAL, mean_logprob REAL, run INTEGER NOT NULL REFERENCES runs);
CREATE TABLE responses(instance INTEGER NOT NULL REFERENCES instances, site TEXT NOT NULL, source_layer INTEGER NOT NULL,
 target_layer INTEGER NOT NULL, text INTEGER NOT NULL REFERENCES texts, margin REAL, entropy REAL, mean_entropy REAL,
 mean_logprob REAL, run INTEGER NOT NULL REFERENCES runs, PRIMARY KEY(instance, site, source_layer, target_layer)) WITHOUT ROWID;
"""
EXTRAS = """
CREATE TABLE text_metrics(text INTEGER NOT NULL REFERENCES texts, name TEXT NOT NULL, value, PRIMARY KEY(text, name)) WITHOUT ROWID;
CREATE TABLE pair_metrics(instance INTEGER NOT NULL REFERENCES instances, text INTEGER NOT NULL REFERENCES texts,
 name TEXT NOT NULL, value, PRIMARY KEY(instance, text, name)) WITHOUT ROWID;
CREATE TABLE selections(strategy TEXT NOT NULL, site TEXT NOT NULL, instance INTEGER NOT NULL REFERENCES instances,
 source_layer INTEGER NOT NULL, target_layer INTEGER NOT NULL, PRIMARY KEY(instance, strategy, site)) WITHOUT ROWID;
"""
LANGUAGES = {
    "xnli": "ar bg de el en es fr hi ru sw tr ur vi zh",
    "xquad": "ar de el en es hi ro ru th tr vi zh",
    "globalopinionqa": "am ar de el en es fr hi id ja pt ru sv sw tl tr uk ur vi zh-CN",
}
WORDS = "the answer is option because this follows from what text says about it more than other one maybe never river north year house".split()
SKILL = {lang: 0.62 - 0.022 * i for i, lang in enumerate("en de fr es zh ar ja pt ru it sv vi tr hi zh-CN el bg ro uk id th tl am sw ur".split())}


class Store:
    def __init__(self, path, layers, model):
        self.db = sqlite3.connect(path)
        self.db.executescript(TABLES.replace("\n ", " "))  # each definition on one line, as the program makes it
        values = dict(model_hash=hashlib.sha256(model.encode()).hexdigest(), layers=layers, compute="f32", max_new_tokens=20,
                      repetition_penalty=1, ignore_eos=0, model_name=model)
        self.db.executemany("INSERT INTO settings VALUES(?, ?)", [(k, str(v)) for k, v in values.items()])
        provenance = {"model": {"architecture": "simulated"}, "build": {"version": "simulated"}, "command": "tools/simulate_store.py"}
        self.db.execute("INSERT INTO runs VALUES(1, '2025-01-01T00:00:00Z', ?)", [json.dumps(provenance)])
        self.texts = {}

    def text(self, text):
        if text not in self.texts:
            self.texts[text] = len(self.texts) + 1
            ids = text.encode()
            self.db.execute("INSERT INTO texts VALUES(?, ?, ?)", (self.texts[text], struct.pack(f"<{len(ids)}i", *ids), text))
        return self.texts[text]


UNIQUE = False  # whether every response is made anew, and long


def respond(rng, task, gold, options, right):
    """A response that is right or wrong by the task's rule; sometimes one of a kind."""
    answer = gold if right else rng.choice([o for o in options if o != gold] or ["nothing"])
    tail = " ".join(rng.choice(WORDS) for _ in range(rng.choice([0, 3, 8]))) if rng.random() < 0.5 else ""
    if UNIQUE:
        tail = " ".join(rng.choice(WORDS) for _ in range(16)) + f" {rng.randrange(10**6)}"
    if task == "xquad":
        return f"{answer} {tail}".strip()
    return f"({answer}) {tail}".strip()


def simulate(store, rng, task, lang, number, pivot, layers, sites, p_missing_gold):
    question = f"{lang} question {number}: " + " ".join(rng.choice(WORDS) for _ in range(40))
    choices = None
    if task == "xnli":
        options = ["1", "2", "3"]
        choices = json.dumps({o: f"{lang}-word-{o}" for o in options})
    elif task == "xquad":
        options = [f"{rng.choice(WORDS)} {rng.randrange(1000)}" for _ in range(4)]
    else:
        options = list("ABCD")
    gold = rng.choice(options)
    source_lang = lang if task == "globalopinionqa" else pivot
    if task == "globalopinionqa":  # two questions of three are asked of all cultures, some of two countries of one
        asked = f"{lang} question {number}" if number % 3 == 2 else f"question {number // 4}"
        question = f"Human: How would someone from Land {lang}{number % 2} answer the following question:\n{asked}: (A) (B) (C) (D)"
    key = hashlib.sha256(f"{task} {lang} {number} {pivot}".encode()).hexdigest()[:32]
    instance = store.db.execute(
        "INSERT INTO instances(key, task, lang, source_lang, number, doc_id, source, target, gold, choices, source_ids, target_ids)"
        " VALUES(?,?,?,?,?,?,?,?,?,?,?,?)",
        (key, task, lang, source_lang, number, str(number), f"en source of question {number}: " + question, question,
         None if rng.random() < p_missing_gold else gold, choices, b"\1\0\0\0", b"\1\0\0\0")).lastrowid
    skill = SKILL.get(lang, 0.3)
    ease = rng.gauss(0, 0.25)
    untouched = skill + ease > 0.4
    numbers = lambda: (rng.random() * 3, rng.random() * 2, rng.random() * 2, -rng.random())
    vanilla = respond(rng, task, gold, options, untouched)
    store.db.execute("INSERT INTO vanilla VALUES(?,?,?,?,?,?,1)", (instance, store.text(vanilla), *numbers()))
    rows = []
    for site in sites:
        usual = {right: respond(rng, task, gold, options, right) for right in (True, False)}
        for i in range(layers):
            for j in range(layers):
                lift = 0.12 * (1 - skill) * (i / layers) * (1 - j / layers) - 0.1 * (j / layers) * (1 - i / layers)
                changed = UNIQUE or rng.random() < 0.25 + 0.35 * (1 - j / layers)
                right = skill + ease + lift + rng.gauss(0, 0.12) > 0.4 if changed else untouched
                kind = rng.random()
                text = vanilla if not changed else usual[right] if kind < 0.6 and not UNIQUE else respond(rng, task, gold, options, right)
                rows.append((instance, site, i, j, store.text(text), *numbers()))
    store.db.executemany("INSERT INTO responses VALUES(?,?,?,?,?,?,?,?,?,1)", rows)
    return instance


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", required=True)
    parser.add_argument("--layers", type=int, default=32)
    parser.add_argument("--per-language", type=int, default=50)
    parser.add_argument("--tasks", default="xnli")
    parser.add_argument("--sites", default="attn")
    parser.add_argument("--lang", default="")
    parser.add_argument("--pivots", default="en")
    parser.add_argument("--model", default="Llama-2-7b-simulated")
    parser.add_argument("--extras", action="store_true", help="strategies and text metrics too")
    parser.add_argument("--missing-gold", type=float, default=0)
    parser.add_argument("--unique", action="store_true", help="no two responses alike: the largest a store can be")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    global UNIQUE
    UNIQUE = args.unique
    rng = random.Random(args.seed)
    store = Store(args.output, args.layers, args.model)
    instances = []
    for task in args.tasks.split(","):
        for lang in args.lang.split(",") if args.lang else LANGUAGES[task].split():
            for pivot in args.pivots.split(",") if task != "globalopinionqa" else ["en"]:
                for number in range(args.per_language):
                    instances.append(simulate(store, rng, task, lang, number, pivot, args.layers, args.sites.split(","), args.missing_gold))
    if args.extras:
        store.db.executescript(EXTRAS.replace("\n ", " "))
        for instance in instances:
            for site in args.sites.split(","):
                store.db.execute("INSERT INTO selections VALUES('entropy', ?, ?, ?, 0)", (site, instance, rng.choice([0, args.layers - 1])))
        for text in store.texts.values():
            store.db.execute("INSERT INTO text_metrics VALUES(?, 'nll_standalone', ?)", (text, 3.5 + rng.random()))
            store.db.execute("INSERT INTO text_metrics VALUES(?, 'lang', ?)", (text, rng.choice(["en", "en", "sw", "de"])))
    store.db.commit()


if __name__ == "__main__":
    main()
