# SPDX-License-Identifier: Apache-2.0
"""A small tokenizer.json of every kind that compare_tokenizers.py tries, and the regular expressions of known families."""
import base64
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


def pieces(byte_tokens):
    """Scores with many ties, and tokens that cover each other."""
    rng, texts = random.Random(4), ["\u2581", "\u2581\u2581", "<s>"]
    sounds = ["a", "b", "e", "n", "r", "日", "本", "語", "い", "は", "न", "म", "ा", "ส", "ก", "é", "1", "2", "\u2581a", "\u2581the"]
    while len(texts) < 400:
        text = "".join(rng.choice(sounds) for _ in range(rng.randrange(1, 5)))
        if text not in texts:
            texts.append(text)
    texts += [chr(c) for c in range(0x21, 0x7F) if chr(c) not in texts and rng.random() < 0.7]
    out = [["<unk>", 0.0]] + [[text, -rng.randrange(1, 9) / 2 * len(text) ** 0.5] for text in texts]
    return out + ([[f"<0x{b:02X}>", 0.0] for b in range(256)] if byte_tokens else [])


def unigram(byte_tokens=False, unk=0):
    return {"type": "Unigram", "unk_id": unk, "vocab": pieces(byte_tokens), "byte_fallback": byte_tokens}


def metaspace(scheme, cut=True):
    return {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": scheme, "split": cut}


def normalizers(*parts):
    return {"type": "Sequence", "normalizers": list(parts)}


def charsmap(rules):
    """SentencePiece's compiled rules: a Darts double array over the sources, behind it the targets."""
    texts, values = b"", {}
    for source, target in rules.items():
        values[source.encode()] = len(texts)
        texts += target.encode() + b"\0"
    units, used = {0: 0}, {0}
    tree = {}
    for key in values:
        node = tree
        for byte in key:
            node = node.setdefault(byte, {})
        node[None] = values[key]

    def place(at, node):
        labels = [0 if label is None else label for label in node]
        base = 1
        while any((base ^ label) in used or (base ^ label) == 0 for label in labels) or ((at ^ base) >> 21):
            base += 1
        used.update(base ^ label for label in labels)
        units[at] = units.get(at, 0) | (at ^ base) << 10 | (0x100 if None in node else 0)
        for label, child in node.items():
            where = base ^ (0 if label is None else label)
            if label is None:
                units[where] = child | 1 << 31
            else:
                units[where] = label
                place(where, child)
    place(0, tree)
    size = (max(units) // 256 + 1) * 256
    trie = b"".join((units.get(i, 0)).to_bytes(4, "little") for i in range(size))
    return base64.b64encode(len(trie).to_bytes(4, "little") + trie + texts).decode()


RULES = {"\u00a0": " ", "\u3000": " ", "\t": " ", "\n": " ", "ｈ": "h", "①": "1", "ﬁ": "fi", "é": "é", "e\u0301": "é", "…": "...", "\u200d": "", "½": "1/2",
         "A": "a", "\u093f": "\u093f", "Å": "å"}
PRECOMPILED = {"type": "Precompiled", "precompiled_charsmap": charsmap(RULES)}
META = metaspace("always")
LLAMA_DECODER = {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "}, {"type": "ByteFallback"},
                                                  {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}
UNK = [(0, "<unk>", {})]

KINDS = {
    "byte level": tokenizer(byte_bpe(), pre={**BYTES, "use_regex": True, "add_prefix_space": True}, decoder=BYTES),
    "whitespace": tokenizer(byte_bpe(), pre=sequence({"type": "Whitespace"}, BYTES), decoder=BYTES),
    "unigram": tokenizer(unigram(), pre=META, decoder=META, added=UNK),
    "unigram byte fallback": tokenizer(unigram(True), normalizers({"type": "Prepend", "prepend": "\u2581"},
                                       {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}), decoder=LLAMA_DECODER, added=UNK),
    "unigram first, not split": tokenizer(unigram(), pre=metaspace("first", False), decoder=metaspace("first", False), added=UNK + [(3, "<s>", {})]),
    "unigram nfkc": tokenizer(unigram(), {"type": "NFKC"}, metaspace("never"), decoder=metaspace("never"), added=UNK),
    "unigram precompiled": tokenizer(unigram(), normalizers(PRECOMPILED, {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}), META,
                                     decoder=META, added=UNK),
    "unigram xlnet": tokenizer(unigram(), normalizers({"type": "Nmt"}, {"type": "NFKC"}), sequence({"type": "WhitespaceSplit"}, META), decoder=META, added=UNK),
    "unigram byte level": tokenizer(unigram(), pre=BYTES, decoder=BYTES, added=UNK),
    "nmt": tokenizer(byte_bpe(), {"type": "Nmt"}, BYTES, decoder=BYTES),
    "byte level normalizer": tokenizer(byte_bpe(), {"type": "ByteLevel"}, split(r"\p{L}+"), decoder=BYTES),
    "falcon": tokenizer(byte_bpe(), pre=sequence({"type": "Punctuation", "behavior": "Contiguous"}, {**BYTES, "use_regex": True},
                                                 {"type": "Digits", "individual_digits": False}, split("[0-9][0-9][0-9]")), decoder=BYTES),
    "punctuation": tokenizer(byte_bpe(), pre=sequence({"type": "Punctuation", "behavior": "Isolated"}, BYTES), decoder=BYTES),
    "bert": tokenizer(byte_bpe(), pre=sequence({"type": "BertPreTokenizer"}, BYTES), decoder=BYTES),
    "delimiter": tokenizer(byte_bpe(), pre=sequence({"type": "CharDelimiterSplit", "delimiter": "a"}, BYTES), decoder=BYTES),
    "fixed length": tokenizer(byte_bpe(), pre=sequence({"type": "FixedLength", "length": 3}, BYTES), decoder=BYTES),
    "digits": tokenizer(byte_bpe(), pre=sequence({"type": "Digits", "individual_digits": True}, BYTES), decoder=BYTES),
}
