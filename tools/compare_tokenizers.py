# SPDX-License-Identifier: Apache-2.0
"""Compares `xtransplant tokenize` and `detokenize` with the library tokenizers on generated texts: many scripts, marks, emoji,
code, odd white space. By default for one small tokenizer.json of every kind (tokenizer_kinds.py); with --tokenizer for
directories that hold one, and with --transformers as transformers.AutoTokenizer reads them; with --gguf for GGUF files, as
transformers' GGUF reader has them, with what it leaves out of the models' own tokenizers (OWN).

Ends with exit code 1 when anything differs.
"""
import argparse
import json
import os
import random
import subprocess
import sys
import tempfile

from tokenizers import Tokenizer, normalizers, pre_tokenizers

from tokenizer_kinds import KINDS, PATTERNS, pattern_kind

HERE = os.path.dirname(os.path.abspath(__file__))
SCRIPTS = [(0x41, 0x5A), (0x61, 0x7A), (0xC0, 0x17F), (0x370, 0x3FF), (0x400, 0x45F), (0x531, 0x587), (0x5D0, 0x5EA), (0x620, 0x65F),
           (0x900, 0x97F), (0x980, 0x9FF), (0xA00, 0xA76), (0xB80, 0xBFF), (0xC00, 0xC7F), (0xD00, 0xD7F), (0xD80, 0xDF4),
           (0xE01, 0xE5B), (0xE81, 0xEDF), (0xF00, 0xFBC), (0x1000, 0x109F), (0x10A0, 0x10FF), (0x1100, 0x11FF), (0x1200, 0x137C),
           (0x13A0, 0x13FD), (0x1780, 0x17F9), (0x1820, 0x1878), (0x1E00, 0x1EFF), (0x3041, 0x3096), (0x30A0, 0x30FF),
           (0x3100, 0x312F), (0x4E00, 0x9FFF), (0xA000, 0xA48C), (0xAC00, 0xD7A3), (0xFB00, 0xFDFF), (0xFE70, 0xFEFC),
           (0xFF00, 0xFFEE), (0x10400, 0x1044F), (0x10D40, 0x10D8F), (0x1D400, 0x1D7FF), (0x20000, 0x2A6DF), (0x2EBF0, 0x2EE5D)]
MARKS = [0x300, 0x301, 0x308, 0x323, 0x327, 0x483, 0x591, 0x64B, 0x651, 0x93C, 0x94D, 0xE34, 0x20D0, 0x20E3, 0x3099, 0xFE0E, 0xFE0F]
SPACES = " \t\n\r\v\f\x85\xa0\u1680\u180e\u2003\u2009\u200b\u200c\u200d\u2028\u2029\u202f\u205f\u2060\u3000\ufeff"
PIECES = ["I'm", "it's", "WE'LL", "don't", "'s", "hello", "world", "<s>", "</s>", "<unk>", "<0x41>", "[CLS]", "##ing", "▁", "Ġ", "straße",
          "for (int i = 0; i < n; i++) {", "\tif x:\n\t\treturn y\n", "https://a.example/b?c=d&e=%20", "#include <stdio.h>", "0x1F_ff",
          "3.14159", "1,234,567", "2024-05-17", "½²³¹", "١٢٣", "१२३", "Ⅳ", "C++17", "a_b__c", "日本語。「はい」、", "中、文", "हिन्दी", "ไทย",
          "한국어", "I love you 🩷", "👩‍👩‍👧‍👦", "🏳️‍🌈", "👍🏽", "1️⃣", "🇩🇪", "☃︎", "é", "e\u0301", "ﬁ", "Å", "ǅ", "İi̇ıI", "ß", "ſ",
          "…", "“quoted”", "—", "。", "،", "۔", "|", "()", "[]", "{}", "\\", "`", "~~", "$5", "€", "+=", "™", "\x00", "\x7f", "\ufffd"]


def make_texts(count, seed):
    """Texts of one to a dozen pieces, each by its number and the seed alone."""
    out = [""]
    while len(out) < count:
        rng = random.Random(f"{seed} {len(out)}")
        low, high = rng.choice(SCRIPTS)
        text = ""
        for _ in range(rng.randrange(1, 12)):
            what = rng.random()
            if what < 0.45:
                for _ in range(rng.randrange(1, 8)):
                    text += chr(rng.randrange(low, high + 1))
                    if rng.random() < 0.12:
                        text += chr(rng.choice(MARKS))
            elif what < 0.7:
                text += rng.choice(PIECES)
            elif what < 0.75:
                low, high = rng.choice(SCRIPTS)
            elif what < 0.8:
                text += chr(rng.choice([rng.randrange(0x20, 0x3000), rng.randrange(0x1F300, 0x1FAFF), rng.randrange(0x20, 0x7F)]))
            else:
                text += rng.choice([rng.choice(SPACES), " ", "  ", "\n\n", " "])
            if rng.random() < 0.4:
                text += " "
        out.append(text)
    return out


def run(binary, arguments, lines):
    stdin = "".join(json.dumps(line) + "\n" for line in lines).encode()
    done = subprocess.run([binary, *arguments], input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode:
        return done.stderr.decode().strip()
    return [json.loads(line) for line in done.stdout.decode().split("\n")[:-1]]


def differences(name, what, wanted, got, shown, most):
    if isinstance(got, str):
        print(f"{name}: {what}: {got}")
        return 1
    bad = [i for i in range(len(wanted)) if i >= len(got) or wanted[i] != got[i]]
    for i in bad[:most]:
        print(f"{name}: {what} {i}: {shown[i]!r}\n    expected {wanted[i]!r}\n    got      {got[i] if i < len(got) else None!r}")
    return len(bad)


def compare(name, binary, directory, oracle, texts, most, rng):
    """oracle: (encode(text, special) -> ids, decode(ids, skip) -> text)."""
    encode, decode = oracle
    bad = compared = 0
    for special in (True, False):
        wanted = [encode(text, special) for text in texts]
        got = run(binary, ["tokenize", "--tokenizer", directory, "--jsonl"] + ([] if special else ["--no-special"]), texts)
        bad += differences(name, "encoded" if special else "encoded without special tokens", wanted, got, texts, most)
        compared += len(texts)
    ids = [ids[cut:] for ids in wanted for cut in (0, rng.randrange(len(ids) + 1))]
    for skip in (True, False):
        wanted = [decode(piece, skip) for piece in ids]
        got = run(binary, ["detokenize", "--tokenizer", directory] + (["--skip-special"] if skip else []), ids)
        bad += differences(name, "decoded", wanted, got, ids, most)
        compared += len(ids)
    print(f"{name:32} {compared:7} comparisons, {bad} differ", flush=True)
    return bad


def of_library(path):
    tokenizer = Tokenizer.from_file(path)
    return (lambda text, special: tokenizer.encode(text, add_special_tokens=special).ids,
            lambda ids, skip: tokenizer.decode(ids, skip_special_tokens=skip))


def of_transformers(directory):
    from transformers import AutoTokenizer
    tokenizer = AutoTokenizer.from_pretrained(directory)
    return (lambda text, special: tokenizer(text, add_special_tokens=special)["input_ids"],
            lambda ids, skip: tokenizer.decode(ids, skip_special_tokens=skip, clean_up_tokenization_spaces=False))


# What the models' own tokenizers do to text and transformers' GGUF reader (5.23) does not, by tokenizer.ggml.pre.
OWN = {"smollm": lambda t: setattr(t, "pre_tokenizer", pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), t.pre_tokenizer])),
       "qwen2": lambda t: setattr(t, "normalizer", normalizers.NFC())}


def of_gguf(path):
    from transformers import AutoTokenizer
    from transformers.integrations.gguf.gguf_tokenizer_mapping import get_gguf_tokenizer
    tokenizer = AutoTokenizer.from_pretrained(os.path.dirname(path), gguf_file=os.path.basename(path)).backend_tokenizer
    OWN.get(get_gguf_tokenizer(path)[1].get("pre_tokenizer_type"), lambda t: None)(tokenizer)
    return (lambda text, special: tokenizer.encode(text, add_special_tokens=special).ids,
            lambda ids, skip: tokenizer.decode(ids, skip_special_tokens=skip))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=os.path.join(HERE, "..", "build", "xtransplant"))
    parser.add_argument("--texts", type=int, default=3600)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--only", nargs="*", help="kinds with one of these in their names")
    parser.add_argument("--tokenizer", nargs="*", help="directories with a tokenizer, in place of the kinds")
    parser.add_argument("--transformers", action="store_true", help="AutoTokenizer is the oracle")
    parser.add_argument("--gguf", nargs="*", default=[], help="GGUF files, in place of the kinds; needs transformers 5")
    parser.add_argument("--show", type=int, default=2)
    arguments = parser.parse_args()
    texts, rng, bad = make_texts(arguments.texts, arguments.seed), random.Random(7), 0
    for directory in arguments.tokenizer or []:
        oracle = of_transformers(directory) if arguments.transformers else of_library(os.path.join(directory, "tokenizer.json"))
        bad += compare(os.path.basename(directory), arguments.binary, directory, oracle, texts, arguments.show, rng)
    for path in arguments.gguf:
        bad += compare(os.path.basename(path), arguments.binary, path, of_gguf(path), texts, arguments.show, rng)
    kinds = {} if arguments.tokenizer or arguments.gguf else dict(KINDS)
    if kinds:
        kinds.update({f"regex {regex}"[:60]: pattern_kind(regex) for regex in PATTERNS})
    for name, kind in kinds.items():
        if arguments.only and not any(part in name for part in arguments.only):
            continue
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "tokenizer.json")
            with open(path, "w", encoding="utf-8") as out:
                json.dump(kind, out)
            bad += compare(name, arguments.binary, directory, of_library(path), texts, arguments.show, rng)
    sys.exit(bad != 0)


if __name__ == "__main__":
    main()
