# SPDX-License-Identifier: Apache-2.0
"""Compares `xtransplant tokenize` and `detokenize` with Hugging Face's fast tokenizers on every prompt of the released
data set, for the four vocabularies in data/tokenizers of the folder that XT_TEST_DATA names, and measures both on one core.

  encode   every text (prompts, translated prompts, answers), with and without special tokens
  decode   every text's ids, and the same cut off at both ends (--cuts pieces a text), with and without special tokens

Needs what make_tokenizer_goldens.py needs (transformers 4). Ends with exit code 1 when anything differs.
"""
import argparse
import glob
import json
import os
import random
import subprocess
import sys
import tempfile
import time

from transformers import AutoTokenizer

from make_tokenizer_goldens import CONFIGS, HERE, model_directory

RELEASED = os.environ.get("XT_TEST_DATA") or sys.exit("XT_TEST_DATA has to name the folder of the released data")
DATA = os.path.join(RELEASED, "data", "xtransplant")


def strings(value):
    """The texts of a line: a string, an object's input_text, or whatever strings lie inside an answer."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from strings(value["input_text"]) if "input_text" in value else strings(list(value.values()))
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)


def read_texts(folders):
    """Prompts first, in the files' order: (texts, number of prompts)."""
    texts, prompts = [], 0
    for folder in folders:
        for path in sorted(glob.glob(os.path.join(DATA, "*", "*", folder, "*.json"))):
            with open(path, encoding="utf-8") as lines:
                texts += [text for line in lines for text in strings(json.loads(line))]
        if folder == "translated":
            prompts = len(texts)
    return texts, prompts


def run(binary, arguments, lines):
    """A verb on one core: its output lines and its seconds."""
    stdin = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode("utf-8", "surrogatepass")
    began = time.perf_counter()
    done = subprocess.run(["taskset", "-c", "0", binary, *arguments], input=stdin, stdout=subprocess.PIPE, check=True)
    seconds = time.perf_counter() - began
    return [json.loads(line) for line in done.stdout.decode("utf-8").splitlines()], seconds


def compare(what, wanted, got, shown):
    """Prints the first differences; returns how many there are."""
    bad = [i for i in range(max(len(wanted), len(got))) if i >= len(got) or i >= len(wanted) or wanted[i] != got[i]]
    for i in bad[:3]:
        print(f"  {what} {i}: {shown[i]!r}\n    expected {wanted[i]!r}\n    got      {got[i] if i < len(got) else None!r}")
    return len(bad)


def cut_off(ids, rng, cuts):
    for _ in range(cuts):
        first = rng.randrange(len(ids) + 1)
        yield ids[first:first + rng.randrange(24)]
        yield ids[:first]


def check(name, binary, texts, prompts, cuts):
    rng = random.Random(11)
    with tempfile.TemporaryDirectory() as directory:
        model_directory(os.path.join(RELEASED, "data", "tokenizers"), name, directory)
        hf = AutoTokenizer.from_pretrained(directory)
        if not hf.is_fast:
            raise RuntimeError(f"{name}: not a fast tokenizer")
        differences, compared = 0, 0
        encoded = None
        for special in (True, False):
            wanted = hf(texts, add_special_tokens=special)["input_ids"]
            arguments = ["tokenize", "--tokenizer", directory, "--jsonl"] + ([] if special else ["--no-special"])
            got, _ = run(binary, arguments, texts)
            differences += compare("text", wanted, got, texts)
            compared += len(texts)
            encoded = encoded or wanted
        _, seconds = run(binary, ["tokenize", "--tokenizer", directory, "--jsonl"], texts[:prompts])
        began = time.perf_counter()
        for text in texts[:prompts]:
            hf._tokenizer.encode(text)
        theirs = time.perf_counter() - began
        pieces = encoded + [piece for ids in encoded for piece in cut_off(ids, rng, cuts)]
        for skip in (True, False):
            wanted = [hf.decode(ids, skip_special_tokens=skip, clean_up_tokenization_spaces=False) for ids in pieces]
            got, _ = run(binary, ["detokenize", "--tokenizer", directory] + (["--skip-special"] if skip else []), pieces)
            differences += compare("ids", wanted, got, pieces)
            compared += len(pieces)
        _, decode_seconds = run(binary, ["detokenize", "--tokenizer", directory, "--skip-special"], encoded[:prompts])
    tokens = sum(map(len, encoded[:prompts]))
    print(f"{name:18} {compared:8} comparisons, {differences} differ; {prompts} prompts of {tokens} tokens on one core: encoded in "
          f"{seconds:.2f} s (Hugging Face {theirs:.2f} s), decoded in {decode_seconds:.2f} s",
          flush=True)
    return differences


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=os.path.join(HERE, "..", "build", "xtransplant"))
    parser.add_argument("--only", nargs="*", choices=list(CONFIGS), default=list(CONFIGS))
    parser.add_argument("--cuts", type=int, default=2, help="places where each text's ids are cut")
    parser.add_argument("--limit", type=int, help="use only so many texts, spread over all")
    arguments = parser.parse_args()
    texts, prompts = read_texts(["split", "translated", "ans", "ans_lang"])
    if arguments.limit:
        texts = texts[::max(1, len(texts) // arguments.limit)]
        prompts = len(texts)
    os.sched_setaffinity(0, {0})
    sys.exit(any([check(name, arguments.binary, texts, prompts, arguments.cuts) for name in arguments.only]))


if __name__ == "__main__":
    main()
