#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How fast verbs run many questions, beside a long prompt and llama.cpp's batches of prompts.

    questions_bench.py [options] XTRANSPLANT MODEL.gguf DATA     DATA: XNLI as released, or its PilotSet

Each verb's tokens are those that are different: positions at which prompts begin alike count once,
as do tokens of responses and options in which those of a prompt agree under the same change. All
seconds are the processor time of one thread, less that of reading the model, so that a busy machine
can be used; the best of the rounds counts. llama.cpp (--bin, of llama_bench.sh build) runs as many
prompts of 100 tokens in one batch as there are questions, which share nothing.
"""

import argparse
import array
import json
import os
import sqlite3
import subprocess
import sys
import tempfile


def spent(command, stdin=None):
    """The processor time of a command, and its output."""
    with tempfile.TemporaryFile() as out:
        child = subprocess.Popen(command, stdin=stdin, stdout=out, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            sys.exit(f"failed: {' '.join(command)}")
        out.seek(0)
        return usage.ru_utime + usage.ru_stime, out.read().decode()


def different(sequences, behind=()):
    """Positions of the sequences that differ from those of others, and from those of `behind`."""
    known = set()
    for ids in behind:
        known.update(ids[:k] for k in range(1, len(ids) + 1))
    before = len(known)
    for ids in sequences:
        known.update(ids[:k] for k in range(1, len(ids) + 1))
    return len(known) - before


class Results:
    """The questions of a results file."""

    def __init__(self, path, tokenize):
        self.db = sqlite3.connect(path)
        self.tokenize = tokenize
        self.sources, self.targets = ([self.ids(row[0]) for row in self.rows(f"{side}_ids")]
                                      for side in ("source", "target"))

    def rows(self, columns):
        return self.db.execute(f"SELECT {columns} FROM instances ORDER BY id").fetchall()

    @staticmethod
    def ids(blob):
        ids = array.array("i")
        ids.frombytes(blob)
        return tuple(ids)

    def responses(self, table, columns=""):
        return [(self.ids(i), self.ids(t), *more) for i, t, *more in self.db.execute(
            f"SELECT i.target_ids, t.ids{columns} FROM instances i JOIN {table} r "
            "ON r.instance = i.id JOIN texts t ON t.id = r.text")]

    def coarse(self):
        # of a transplant into the first layer, generated tokens share nothing with untouched ones
        grown = sum(different([p + r[:-1] for p, r in self.responses(table)], self.targets)
                    for table in ("vanilla", "responses"))
        source = {(self.ids(i), self.ids(t)) for i, t in self.db.execute(
            "SELECT i.source_ids, t.ids FROM instances i JOIN sources r ON r.instance = i.id "
            "JOIN texts t ON t.id = r.text")}
        first = len(self.responses("responses"))  # the changed last tokens of prompts
        return (different(self.sources + self.targets) + grown + first +
                sum(len(ids) - 1 for _, ids in source))

    def conditional(self):
        pairs = {r for table in ("vanilla", "responses") for r in self.responses(table)}
        return different([p + r[:-1] for p, r in pairs] + self.targets)

    def options(self):
        asked = [(target, json.loads(choices).values())
                 for target, choices in self.rows("target, choices")]
        texts = [f"{target} {option}" for target, options in asked for option in options]
        ids = iter(self.tokenize(texts))
        tokens = different(self.sources)
        for prompt, (_, options) in zip(self.targets, asked):
            whole = [tuple(next(ids))[:-1] for _ in options]
            # the untouched run, and a changed one from the prompt's last token on
            tokens += 2 * different(whole, [prompt[:-1]])
        return tokens + different([prompt[:-1] for prompt in self.targets])


def measure(a, folder):
    """Yields each verb with its tokens and seconds."""
    common = ["-m", a.model, "--threads", "1", "--quiet"]
    path = os.path.join(folder, "results.db")
    lines = os.path.join(folder, "lines.jsonl")

    def tokenize(texts):
        with open(lines, "w", encoding="utf-8") as out:
            out.writelines(json.dumps(text) + "\n" for text in texts)
        with open(lines, encoding="utf-8") as given:
            found = spent([a.xtransplant, "tokenize", "-t", a.model, "--jsonl"], given)[1]
        return [json.loads(line) for line in found.splitlines()]

    if os.path.exists(path):
        os.remove(path)
    sweep = spent([a.xtransplant, "sweep", *common, "-t", "xnli", "-d", a.data, "-l", a.languages,
                   "--limit", str(a.limit), "-s", "attn", "-i", "last", "-j", "first",
                   "-o", path])[0]
    results = Results(path, tokenize)
    yield "coarse sweep", results.coarse(), sweep
    yield "metrics, conditional", results.conditional(), spent(
        [a.xtransplant, "metrics", path, *common, "--perplexity", "conditional"])[0]
    yield "options", results.options(), spent([a.xtransplant, "options", path, *common])[0]
    prompts = [row[0] for row in results.rows("target")]
    tokenize(prompts)
    taps = os.path.join(folder, "taps.safetensors")
    yield "capture --jsonl", different(results.targets), spent(
        [a.xtransplant, "capture", *common, "--jsonl", lines, "-o", taps])[0]
    yield "generate --jsonl, 1 token", different(results.targets), spent(
        [a.xtransplant, "generate", *common, "--jsonl", lines, "-n", "1"])[0]


def our_speeds(a):
    rows = (64, 256)
    result = json.loads(spent([a.xtransplant, "bench", "-m", a.model, "--threads", "1", "--rows",
                               "64,256", "-n", "6", "--repeats", "1", "--quiet", "--json"])[1])
    yield "a prompt of 512 tokens", 512 / result["prefill"]["processor_seconds"]
    for count, speed in zip(rows, result["decode"]):
        yield f"{count} rows", 5 * count / speed["processor_seconds"]


def their_speeds(a):
    def batch(tokens, count):
        return spent([os.path.join(a.bin, "llama-batched-bench"), "-m", a.model, "-t", "1", "-c", "16384", "-b", "2048",
                      "-ub", "512", "-npp", str(tokens), "-ntg", "1", "-npl", str(count),
                      *["--no-repack"] * a.no_repack])[0]

    yield "llama.cpp, a prompt of 512 tokens", 512 / (batch(1024, 1) - batch(512, 1))
    yield "llama.cpp, prompts of 100 tokens together", 24 * 101 / (batch(100, 36) - batch(100, 12))


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("xtransplant")
    parser.add_argument("model")
    parser.add_argument("data")
    parser.add_argument("--bin", help="of llama.cpp's programs")
    parser.add_argument("--no-repack", action="store_true", help="llama.cpp keeps weights as they are; 0.3.36 crashes "
                        "with AMX otherwise")
    parser.add_argument("--languages", default="sw,tr")
    parser.add_argument("--limit", type=int, default=6, help="questions of each language")
    parser.add_argument("--rounds", type=int, default=2)
    a = parser.parse_args()
    best = {}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(a.rounds):
            start = spent([a.xtransplant, "generate", "-m", a.model, "--threads", "1", "--quiet",
                           "-p", "a", "-n", "1"])[0]
            speeds = list(our_speeds(a))
            speeds += [(verb, tokens / (seconds - start))
                       for verb, tokens, seconds in measure(a, folder)]
            for what, speed in speeds + (list(their_speeds(a)) if a.bin else []):
                best[what] = max(speed, best.get(what, 0))
                print(f"# {what}: {speed:.0f}", file=sys.stderr)
    print(f"{os.path.basename(a.model)}, one thread\n\n| | tokens/s |\n|---|---|")
    for what, speed in best.items():
        print(f"| {what} | {speed:.0f} |")


if __name__ == "__main__":
    main()
