# SPDX-License-Identifier: Apache-2.0
"""Makes the tokenizer goldens in tests/golden/data/tokenizer with Hugging Face's fast tokenizers.

Needs transformers 4 (AutoTokenizer as the paper ran it; release 5 ranks the merges of a SentencePiece model
otherwise), tokenizers, sentencepiece and protobuf; and a built xtransplant for the byte-level vocabularies.

  NAME/              small vocabularies, trained here on made-up text, in each form that real models have
  NAME.jsonl         odd texts and cut-off decodes for each of them
  released.jsonl     the same for the four real vocabularies in --test-data's data/tokenizers; without it left as it is
  components.jsonl   what single normalizers, pre-tokenizers and decoders do

Each line: {"tokenizer", "text", "special", "ids"} or {"tokenizer", "ids", "skip", "decoded"}; of the components
{"kind", "spec", "in", "out"}, where words and tokens are lists.
"""
import argparse
import json
import os
import random
import shutil
import subprocess
import tempfile

import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.path.join(HERE, "..", "tests", "golden", "data", "tokenizer")

LLAMA3_REGEX = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
                r"|\s*[\r\n]+|\s+(?!\S)|\s+")

# The directories that released.jsonl is about; the test writes the same tokenizer_config.json.
CONFIGS = {
    "llama-2": {"tokenizer_class": "LlamaTokenizer"},
    "mistral-v0.3": {"tokenizer_class": "LlamaTokenizer", "legacy": False, "add_prefix_space": True},
    "chinese-alpaca-2": {
        "tokenizer_class": "LlamaTokenizer", "legacy": True, "add_bos_token": True, "add_eos_token": False,
        **{key: {"__type": "AddedToken", "content": text, "lstrip": False, "normalized": True, "rstrip": False,
                 "single_word": False}
           for key, text in (("bos_token", "<s>"), ("eos_token", "</s>"), ("unk_token", "<unk>"))}},
    "qwen2": None,  # its own
}

TEXTS = [
    "", " ", "  ", "\n", "\n\n", "\t\n x", "Hello world", " Hello", "Hello  world ", "a\u00a0b\u3000c\u2028d\u0085e\u180ef",
    "</s>", "a</s> b", "<s>[INST] x [/INST] y", "<s> <s>x <unk>z", "s>  <s ><s>", "<0x0A> <0x41>",
    "<|im_start|>user\nhi<|im_end|>\n", "<|endoftext|> x", "<|begin_of_text|>",
    "你好，世界。我想在apple工作1314151天～", "中文 测试 第二次",
    "黑豹队的防守只丢了 308分，在联赛中排名第六，同时也以 24 次拦截领先国家橄榄球联盟。人民群众来信来访接待室，中华人民共和国国务院办公厅",
    "根据以下前提和假设，你认为它们之间是什么关系？请从选项中选择最合适的一个，并且说明你的理由。",
    "こんにちは　世界", "한국어 가각 \u1100\u1161", "कान हिन्दी में",
    "ภาษาไทย", "العربية مرحبا", "ሰላም ለዓለም", "Ελληνικά Ελληνικά", "нещо на Български", "Cửa Việt",
    "e\u0301 é A\u030a Å ﬁ ① ½ \u212b \u0344 \u0958", "🦙🏳️‍🌈👩‍👩‍👧 ok\u0000x", "▁a ▁▁b _ a▁b", "don't I'LL 'ſ ſ's 12345 3.14  x\r\n\r\n  y",
    "!!!??..,,;;\u2026--==\n\n\n  z", "x" * 70, " " * 40 + "x", "ab" * 40, "\u0301\u0301a", "\U0001f999\ufffd\ufeff\u200b",
    "def f(x):\n    return x+1  # ok\n\n\tpass\n", "http://a.b/c?d=e&f=%20", "A" + "\u0300" * 30,
]

MADE_UP = [
    "the quick brown fox doesn't jump over 12 lazy dogs; it's 2048 o'clock.\n",
    "she'll say: \"we've 100 apples, they're red\"\n\n  and he'd laugh!  ",
    "der schnelle Fuchs läuft über den Hügel, él corrió rápido, où est-il?\n",
    "быстрая лиса бежит через лес. 快速的狐狸跑过森林。狐狸 狐狸\n",
    "one two three four five six seven eight nine ten, then the them there\n",
]


def sequence(kind, *parts):
    return {"type": "Sequence", kind: list(parts)}


PREPEND = {"type": "Prepend", "prepend": "▁"}
LLAMA_DECODER = sequence("decoders", {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
                         {"type": "ByteFallback"}, {"type": "Fuse"},
                         {"type": "Strip", "content": " ", "start": 1, "stop": 0})
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}

NORMALIZERS = [
    ({"type": "NFC"}, "e\u0301 A\u030a \u212b"), ({"type": "NFD"}, "é가"), ({"type": "NFKC"}, "ﬁ ① ½ Ａ"),
    ({"type": "NFKD"}, "ﬁé"), ({"type": "Lowercase"}, "ÀΣΑΣ İI ẞ"),
    ({"type": "Strip", "strip_left": True, "strip_right": False}, "\u3000 a b \n"),
    ({"type": "Strip", "strip_left": False, "strip_right": True}, " a b \u2028\n"),
    ({"type": "Strip", "strip_left": True, "strip_right": True}, " \t "),
    (sequence("normalizers", {"type": "NFD"}, {"type": "StripAccents"}), "Crème é\u0903"),
    # Characters that came after Unicode 9, and three whose category changed.
    ({"type": "NFC"}, "a\u0d3b\u0301 \u0301\u0d3b \u09fe\u09bc \U00011935\U00011930"), ({"type": "NFD"}, "\u09fe\u09bc\u0d3b\u093c \U00011938"),
    ({"type": "NFKC"}, "\u32ff \U0001e030 ﬁ"), ({"type": "NFKD"}, "\u32ff\U0001f16c \U000105c9 ½"),
    ({"type": "StripAccents"}, "a\u0301 \u09fe \u0d00 \u1cf2\u1cf3 \U000111c9 \u0898"),
    (PREPEND, "x"), (PREPEND, ""),
    ({"type": "Replace", "pattern": {"String": "ab"}, "content": "<>"}, "aababab"),
    ({"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "▁"}, "a  b   c d"),
    ({"type": "Replace", "pattern": {"Regex": "\\s+$"}, "content": ""}, "a \nb \u180e \u2003"),
    ({"type": "Replace", "pattern": {"Regex": "x*"}, "content": "-"}, "axxbé"),
    (sequence("normalizers", PREPEND, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}), " a b"),
]

# What Oniguruma has of its own, and Unicode 16's classes: regular expressions that real vocabularies have, or that people write.
REGEXES = [
    (r"\p{S}+", "so 🩷🫨+🛜 a⃀"), (r"\p{L}+", "a𮯰b 𐵊𞓐 c"),
    (r"\w+", "हिन्दी ไทยที่ a‍b‿c"), (r"\b", "का, ตี่x"), (r"[[:alpha:]]+", "हिन्दी, x́"),
    (r"[\p{Han}]+", "日、本。々〇「漢」·字"), (r"[\p{Hiragana}\p{Katakana}]+", "カー・ひ゛ー漢"),
    (r" ?[^(\s|[.,!?…。，、।۔،])]+", "Hello, (नमस्ते। a|b] 你好，世界。 x"),
    (r"[\p{L}&&[^\p{Han}]]+", "ab漢cd字é"), (r"[a-z&&[^aeiou]]+", "abcdei"), (r"\h+|\H", "ffxy0"),
    (r"\R", "a\r\nb\u2028c\n"), (r"(?:ab){1,2}+", "abababx"),
]

PRE_TOKENIZERS = [
    *(({"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": False}, text) for regex, text in REGEXES),
    *(({"type": "Split", "pattern": {"String": "-"}, "behavior": behavior, "invert": invert}, "-a--bc-d--")
      for behavior in ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous")
      for invert in (False, True)),
    ({"type": "Split", "pattern": {"Regex": LLAMA3_REGEX}, "behavior": "Isolated", "invert": False},
     "I'LL go'ſ  12345.6 \u180ex\r\n\r\n  y  "),
    ({"type": "Split", "pattern": {"Regex": "(?=b)"}, "behavior": "Isolated", "invert": False}, "abab"),
    ({"type": "Split", "pattern": {"Regex": "[^\\s[:punct:]]+"}, "behavior": "Isolated", "invert": False}, "ab, c\u0085d"),
    ({"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}, "don't 12 x  y "),
    ({"type": "Digits", "individual_digits": True}, "a12½b"), ({"type": "Digits", "individual_digits": False}, "a12½b"),
    ({"type": "Whitespace"}, "Hi, you_2!! é x"), ({"type": "WhitespaceSplit"}, " a\u3000b  c"),
    ({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}, " a  b ▁c"),
    ({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "never", "split": True}, "a  b"),
    ({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False}, "a b"),
    (sequence("pretokenizers", {"type": "WhitespaceSplit"},
              {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": True},
              {"type": "Digits", "individual_digits": True}), "ab1 c23"),
]

DECODERS = [
    (LLAMA_DECODER, ["▁▁Hi", "▁x"]), (LLAMA_DECODER, ["<0xE4>", "<0xBD>", "<0xA0>", "▁a", "<0xE4>", "<0xBD>"]),
    (LLAMA_DECODER, ["<0xE4>", "<0x41>", "b"]), (LLAMA_DECODER, ["<0x+A>", "<0xg0>", "<0x4>"]), (LLAMA_DECODER, []),
    ({"type": "ByteFallback"}, ["<0xF0>", "<0x9F>", "<0xA6>"]),
    (BYTE_LEVEL, ["\u0120a", "\u00e4\u00bd", "\u0142"]), (BYTE_LEVEL, ["\u00e4\u00bd", "a"]),
    (BYTE_LEVEL, ["\u00f0\u0141\u00a6", "\u00c0\u00af", "\u00ed\u0142\u0122"]),
    (BYTE_LEVEL, ["中\u0120", "\u0120"]),
    ({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}, ["▁a▁", "▁b"]),
    ({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "never", "split": False}, ["▁a", "▁b"]),
    ({"type": "Strip", "content": "_", "start": 2, "stop": 1}, ["___a__", "x_", "b_"]),
    ({"type": "Replace", "pattern": {"Regex": "a+"}, "content": "-"}, ["caab", "a"]),
]


def component_lines():
    def tokenizer(**part):
        state = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
                 "pre_tokenizer": None, "post_processor": None, "decoder": None,
                 "model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}}
        return Tokenizer.from_str(json.dumps({**state, **part}))

    alphabet = list(range(0x21, 0x7F)) + list(range(0xA1, 0xAD)) + list(range(0xAE, 0x100))
    rest = [byte for byte in range(256) if byte not in alphabet]
    byte_of = {chr(byte): byte for byte in alphabet} | {chr(256 + i): byte for i, byte in enumerate(rest)}
    for spec, text in NORMALIZERS:
        yield {"kind": "normalizer", "spec": spec, "in": text,
               "out": tokenizer(normalizer=spec).normalizer.normalize_str(text)}
    for spec, text in PRE_TOKENIZERS:
        words = [word for word, _ in tokenizer(pre_tokenizer=spec).pre_tokenizer.pre_tokenize_str(text)]
        if spec["type"] == "ByteLevel":  # the library keeps the bytes where Hugging Face has letters for them
            words = [bytes(byte_of[letter] for letter in word).decode() for word in words]
        yield {"kind": "pre_tokenizer", "spec": spec, "in": text, "out": words}
    for spec, tokens in DECODERS:
        yield {"kind": "decoder", "spec": spec, "in": tokens, "out": tokenizer(decoder=spec).decoder.decode(tokens)}


def lines_for(name, tokenizer, texts, rng):
    for text in texts:
        ids = tokenizer(text, add_special_tokens=True)["input_ids"]
        yield {"tokenizer": name, "text": text, "special": True, "ids": ids}
        if len(ids) < 16:
            yield {"tokenizer": name, "text": text, "special": False,
                   "ids": tokenizer(text, add_special_tokens=False)["input_ids"]}
        for skip in (True, False):  # whole, without its beginning, without its end
            cut = rng.randrange(len(ids) + 1)
            for part in (ids, ids[cut:], ids[:cut]):
                if len(part) > 80 or (part is ids and not skip):
                    continue
                yield {"tokenizer": name, "ids": part, "skip": skip,
                       "decoded": tokenizer.decode(part, skip_special_tokens=skip, clean_up_tokenization_spaces=False)}
    for _ in range(30):  # ids in no order: broken bytes, ids out of range
        part = [rng.randrange(len(tokenizer) + 9) if rng.random() < 0.4 else rng.randrange(min(262, len(tokenizer)))
                for _ in range(rng.randrange(1, 9))]
        yield {"tokenizer": name, "ids": part, "skip": True,
               "decoded": tokenizer.decode(part, skip_special_tokens=True, clean_up_tokenization_spaces=False)}


def write(path, lines):
    with open(path, "w", encoding="utf-8") as out:
        for line in lines:
            out.write(json.dumps(line, ensure_ascii=True, separators=(",", ":")) + "\n")


def model_directory(vocabularies, name, directory):
    """Makes `directory` one of the four models, as far as tokenizers go."""
    for file in os.listdir(os.path.join(vocabularies, name)):
        shutil.copyfile(os.path.join(vocabularies, name, file), os.path.join(directory, file))
    with open(os.path.join(directory, "config.json"), "w") as out:
        json.dump({"model_type": "qwen2" if name == "qwen2" else "llama"}, out)
    if CONFIGS[name]:
        with open(os.path.join(directory, "tokenizer_config.json"), "w") as out:
            json.dump(CONFIGS[name], out)


def released_lines(vocabularies):
    for name in CONFIGS:
        with tempfile.TemporaryDirectory() as directory:
            model_directory(vocabularies, name, directory)
            yield from lines_for(name, AutoTokenizer.from_pretrained(directory), TEXTS, random.Random(7))


def tiny_bytes():
    """Byte-level, in the form of a Llama 3: regex split, ignore_merges, BOS by template."""
    t = Tokenizer(models.BPE(ignore_merges=True))
    t.normalizer = normalizers.NFC()
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(LLAMA3_REGEX), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator(MADE_UP, trainers.BpeTrainer(
        vocab_size=420, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False))
    t.add_special_tokens([AddedToken("<|begin_of_text|>", special=True), AddedToken("<|endoftext|>", special=True)])
    t.add_tokens([AddedToken("fox trot", lstrip=True, rstrip=True, normalized=True),
                  AddedToken("dog", single_word=True, normalized=False)])
    t.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(single="<|begin_of_text|> $A", special_tokens=[
            ("<|begin_of_text|>", t.token_to_id("<|begin_of_text|>"))])])
    return t, {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<|begin_of_text|>",
               "eos_token": "<|endoftext|>"}


def tiny_pieces():
    """SentencePiece-like, in the form of a Llama 2 tokenizer.json: prepended mark, byte fallback."""
    t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    t.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    t.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                                   decoders.Strip(" ", 1, 0)])
    specials = ["<unk>", "<s>", "</s>"] + ["<0x%02X>" % byte for byte in range(256)]
    words = [word for text in MADE_UP[:3] for word in text.replace("\n", " ").split(" ") if word]
    t.train_from_iterator(words, trainers.BpeTrainer(vocab_size=460, special_tokens=specials, show_progress=False))
    state = json.loads(t.to_str())
    state["added_tokens"] = [token for token in state["added_tokens"] if token["id"] < 3]
    return Tokenizer.from_str(json.dumps(state)), {"tokenizer_class": "LlamaTokenizer"}


# What the vocabularies in real models' forms learn from.
CORPUS = MADE_UP + [
    "An answer is right if it names the option, and wrong if it names another one.\n",
    "The river rises in the north; it runs past the old mill and the new bridge, and ends in the sea.\n",
    "Question: which of the two sentences follows from the other? Answer: (1), (2) or (3).\n",
    "for i in range(10):\n    print(i * i)  # squares\n\n\treturn None\n",
    "In 1907 there were 312 houses, 1,048 people and no railway.\n",
    "Der Fluss entspringt im Norden, fließt an der alten Mühle vorbei und mündet ins Meer.\n",
    "La rivière prend sa source au nord et se jette dans la mer; la réponse est écrite ici.\n",
    "El río nace en el norte y pasa por el molino viejo. ¿Cuál es la respuesta?\n",
    "Nehir kuzeyde doğar, eski değirmenin yanından geçer ve denize dökülür. Cevap doğru mu?\n",
    "Mto huanza kaskazini na kupita karibu na kinu cha zamani. Jibu sahihi ni lipi?\n",
    "Река начинается на севере, течёт мимо старой мельницы и впадает в море. Какой ответ верен?\n",
    "Ο ποταμός πηγάζει στον βορρά και χύνεται στη θάλασσα. Ποια είναι η απάντηση;\n",
    "ينبع النهر في الشمال ويصب في البحر. ما هو الجواب الصحيح؟\n",
    "नदी उत्तर में निकलती है और समुद्र में गिरती है। सही उत्तर क्या है?\n",
    "河流发源于北方，流过旧磨坊，注入大海。正确的答案是什么？请回答问题。\n",
    "川は北から流れて海に入る。正しい答えはどれですか。\n",
    "강은 북쪽에서 시작하여 바다로 흘러간다. 올바른 답은 무엇입니까?\n",
    "Dòng sông bắt nguồn từ phía bắc và đổ ra biển. Câu trả lời đúng là gì?\n",
]
QWEN2_SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def pieces_model(directory, vocab, control=()):
    """A SentencePiece model with byte fallback, trained as Llama 2's and Mistral's were: tokenizer.model."""
    with tempfile.TemporaryDirectory() as scratch:
        text = os.path.join(scratch, "text")
        with open(text, "w", encoding="utf-8") as out:
            out.writelines(CORPUS * 3)
        prefix = os.path.join(scratch, "m")
        sentencepiece.SentencePieceTrainer.train(
            input=text, model_prefix=prefix, vocab_size=vocab, model_type="bpe", byte_fallback=True, character_coverage=0.98, num_threads=1,
            normalization_rule_name="identity", remove_extra_whitespaces=False, allow_whitespace_only_pieces=True, split_digits=True,
            max_sentencepiece_length=16, control_symbols=list(control), minloglevel=2)
        proto = sentencepiece_model_pb2.ModelProto()
        with open(prefix + ".model", "rb") as file:
            proto.ParseFromString(file.read())
    proto.trainer_spec.input[:] = []  # names of scratch files
    proto.trainer_spec.model_prefix = ""
    with open(os.path.join(directory, "tokenizer.model"), "wb") as out:
        out.write(proto.SerializeToString())
    return proto


def extended_model(directory):
    """As Chinese-Alpaca-2 extends Llama 2's: pieces behind the others, which all score 0."""
    proto = pieces_model(directory, 500)
    have = {piece.piece for piece in proto.pieces}
    for text in ("北方", "答案", "正确", "正确的", "的答案", "正确的答案", "大海", "问题", "回答", "北", "世", "界", "世界", "国", "中国", "人", "民", "人民"):
        if text not in have:
            proto.pieces.add(piece=text, score=0.0, type=1)
    with open(os.path.join(directory, "tokenizer.model"), "wb") as out:
        out.write(proto.SerializeToString())


def own_bytes(program):
    """What our own trainer learns: its tokenizer.json."""
    with tempfile.TemporaryDirectory() as scratch:
        text = os.path.join(scratch, "text")
        with open(text, "w", encoding="utf-8") as out:
            out.writelines(CORPUS)
        subprocess.run([program, "train-tokenizer", "--vocab", "700", "--quiet", "-o", scratch, text], check=True)
        with open(os.path.join(scratch, "tokenizer.json"), encoding="utf-8") as file:
            return json.load(file)


def dump(directory, name, value):
    with open(os.path.join(directory, name), "w", encoding="utf-8") as out:
        json.dump(value, out, ensure_ascii=False, separators=(",", ":"))


def qwen2_directory(directory, own):
    """vocab.json, merges.txt and tokenizer_config.json as Qwen2 has them."""
    special = {token["id"] for token in own["added_tokens"]}
    tokens = [token for token, id in sorted(own["model"]["vocab"].items(), key=lambda item: item[1]) if id not in special]
    dump(directory, "vocab.json", {token: id for id, token in enumerate(tokens)})
    with open(os.path.join(directory, "merges.txt"), "w", encoding="utf-8") as out:
        out.write("#version: 0.2\n")
        out.writelines((merge if isinstance(merge, str) else " ".join(merge)) + "\n" for merge in own["model"]["merges"])
    added = {str(len(tokens) + i): {"content": text, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}
             for i, text in enumerate(QWEN2_SPECIAL)}
    dump(directory, "tokenizer_config.json", {
        "add_prefix_space": False, "added_tokens_decoder": added, "additional_special_tokens": QWEN2_SPECIAL[1:], "bos_token": None,
        "clean_up_tokenization_spaces": False, "eos_token": QWEN2_SPECIAL[0], "errors": "replace", "model_max_length": 32768,
        "pad_token": QWEN2_SPECIAL[0], "split_special_tokens": False, "tokenizer_class": "Qwen2Tokenizer", "unk_token": None})


def as_json(source, directory, config):
    """The tokenizer.json that transformers saves of the tokenizer in `source`, beside a configuration."""
    AutoTokenizer.from_pretrained(source).backend_tokenizer.save(os.path.join(directory, "tokenizer.json"), pretty=False)
    dump(directory, "tokenizer_config.json", config)


def real_forms(program):
    """(name, directory) of vocabularies in each form that real models come in."""
    folder = lambda name: os.makedirs(os.path.join(OUT, name), exist_ok=True) or os.path.join(OUT, name)
    llama, mistral, extended, qwen2 = (folder(name) for name in ("llama2-model", "mistral-model", "extended-model", "qwen2-bpe"))
    pieces_model(llama, 560)
    pieces_model(mistral, 600, ["[INST]", "[/INST]", "[TOOL_CALLS]"])
    extended_model(extended)
    for directory, name in ((llama, "llama-2"), (mistral, "mistral-v0.3"), (extended, "chinese-alpaca-2")):
        dump(directory, "tokenizer_config.json", CONFIGS[name])
    own = own_bytes(program)
    qwen2_directory(qwen2, own)
    as_json(llama, folder("llama2-json"), CONFIGS["llama-2"])
    as_json(mistral, folder("mistral-json"), {"tokenizer_class": "LlamaTokenizer", "legacy": False})
    with open(os.path.join(qwen2, "tokenizer_config.json"), encoding="utf-8") as file:
        as_json(qwen2, folder("qwen2-json"), json.load(file))
    directory = folder("own-json")  # as train-tokenizer writes it
    dump(directory, "tokenizer.json", own)
    dump(directory, "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|endoftext|>"})
    for name in ("llama2-model", "mistral-model", "extended-model", "llama2-json", "mistral-json", "qwen2-bpe", "qwen2-json", "own-json"):
        yield name, os.path.join(OUT, name)


def golden_lines(name, directory):
    texts = TEXTS + CORPUS + ["a fox trot b", "afox trotb", "dog dogs hot-dog dog", "<|begin_of_text|>dog", "[INST] 正确的答案 [/INST] the answer"]
    write(os.path.join(OUT, name + ".jsonl"), lines_for(name, AutoTokenizer.from_pretrained(directory), texts, random.Random(5)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=os.path.join(HERE, "..", "build", "xtransplant"), help="a built xtransplant")
    parser.add_argument("--test-data", default=os.environ.get("XT_TEST_DATA"), help="folder with data/tokenizers")
    arguments = parser.parse_args()
    os.makedirs(OUT, exist_ok=True)
    for name, make in (("tiny-bytes", tiny_bytes), ("tiny-pieces", tiny_pieces)):
        directory = os.path.join(OUT, name)
        os.makedirs(directory, exist_ok=True)
        tokenizer, config = make()
        tokenizer.save(os.path.join(directory, "tokenizer.json"), pretty=False)
        with open(os.path.join(directory, "tokenizer_config.json"), "w") as out:
            json.dump(config, out)
        texts = TEXTS + MADE_UP + ["a fox trot b", "afox trotb", "dog dogs hot-dog dog", "<|begin_of_text|>dog"]
        write(os.path.join(OUT, name + ".jsonl"),
              lines_for(name, AutoTokenizer.from_pretrained(directory), texts, random.Random(5)))
    for name, directory in real_forms(arguments.program):
        golden_lines(name, directory)
    write(os.path.join(OUT, "components.jsonl"), component_lines())
    if arguments.test_data:
        write(os.path.join(OUT, "released.jsonl"), released_lines(os.path.join(arguments.test_data, "data", "tokenizers")))


if __name__ == "__main__":
    main()
