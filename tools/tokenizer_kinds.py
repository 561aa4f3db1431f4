# SPDX-License-Identifier: Apache-2.0
"""A small tokenizer.json of every kind that compare_tokenizers.py tries, and the regular expressions of known families."""
import random

PATTERNS = [
    r"\w+", r"\W+", r"[\w]+", r"[^\w]+", r"\b", r"\B\w", r"\s+", r"\S+", r"\d", r"\D+", r"\h+", r"\H", r"\R", r"\p{L}+", r"\P{L}+", r"\p{^Lu}",
    r"\p{Han}+", r"[\p{Han}]+|[\p{Hiragana}\p{Katakana}]+", r"\p{Punct}", r"[[:punct:]]", r"[[:alpha:]]+", r"[[:^alnum:]]+", r"[[:space:][:digit:]]",
    r"\p{Emoji}", r"\p{Extended_Pictographic}\u200d?", r"\p{Arabic}+", r"\p{Cyrillic}", r"\p{Lm}|\p{Mn}", r"[^\r\n\p{L}\p{N}]?\p{L}+", r"^.", r".$", r"\A.",
    r".\Z", r"(?m:.)+", r"a{2}?", r"[a-z]{1,2}+", r"x{,2}y", r"(?i:k|s)", r"(?i)straße", r"(?i:[^k-s])+", r"(?i:[\p{Lu}])", r"a|e(?i)b|c", r"(?<=\s)\w",
    r"(?<!\p{L})\p{N}+", r"\w+(?!\s)", r"(?>\w+) ", r"\w++ ", r"\w*?\s", r"[\p{L}&&[^a-z]]+", r"[a-z&&[^aeiou]]", r"[^a-z&&\w]", r"[[a-f][x-z]\d]",
    r"[]a]", r"[a-]", r"[-a]", r"[&a]", r"x*", "(?x: \\w + # word\n)", r"\x41|\u0042|\x{43}", r"(?<name>\d)", r"[^\S\n]+", r"\N+", r"\p{Any}", r"\p{Cn}", r"[\p{Common}]+",
    r" ?[^(\s|[.,!?…。，、।۔،])]+",
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+",
    "[一-龥぀-ゟ゠-ヿ]+", r"[\p{Han}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t)?",
]


def letters():
    """The letters that stand for bytes."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [b for b in range(256) if b not in printable]
    return [chr(b) for b in printable] + [chr(0x100 + i) for i in range(len(others))]


def byte_bpe():
    """A byte-level vocabulary with a few hundred merges, drawn at random; every merge of a whole character's bytes is likely."""
    rng, tokens, merges = random.Random(3), letters(), []
    known = set(tokens)
    while len(merges) < 600:
        pair = [rng.choice(tokens), rng.choice(tokens)]
        if "".join(pair) not in known and len("".join(pair)) < 8:
            known.add("".join(pair))
            tokens.append("".join(pair))
            merges.append(pair)
    return {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None, "fuse_unk": False,
            "byte_fallback": False, "ignore_merges": False, "vocab": {token: i for i, token in enumerate(tokens)}, "merges": merges}


def tokenizer(model, normalizer=None, pre=None, post=None, decoder=None, added=()):
    return {"version": "1.0", "truncation": None, "padding": None, "normalizer": normalizer, "pre_tokenizer": pre, "post_processor": post,
            "decoder": decoder, "model": model, "added_tokens": [
                {"id": i, "content": text, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True, **flags}
                for i, text, flags in added]}


BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}


def sequence(*parts):
    return {"type": "Sequence", "pretokenizers": list(parts)}


def split(regex, behavior="Isolated", invert=False):
    return {"type": "Split", "pattern": {"Regex": regex}, "behavior": behavior, "invert": invert}


def pattern_kind(regex):
    """Where the matches are shows in the ids: each piece of the text gets a space in front."""
    return tokenizer(byte_bpe(), pre=sequence(split(regex), {**BYTES, "add_prefix_space": True}), decoder=BYTES)


KINDS = {
    "byte level": tokenizer(byte_bpe(), pre={**BYTES, "use_regex": True, "add_prefix_space": True}, decoder=BYTES),
    "whitespace": tokenizer(byte_bpe(), pre=sequence({"type": "Whitespace"}, BYTES), decoder=BYTES),
    "digits": tokenizer(byte_bpe(), pre=sequence({"type": "Digits", "individual_digits": True}, BYTES), decoder=BYTES),
}
