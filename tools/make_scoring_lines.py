#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes tests/golden/scoring: responses of our own making, and whether each is right by its task's rule.

    python3 tools/make_scoring_lines.py            # any Python 3.8 or later, no packages

The rules are written here in Python as the released evaluation has them, apart from the C code that they are to check:

  xnli, xcopa                    full-width parentheses count as ASCII ones; right if the response names the gold option and
                                 no other. It names x by "(x)", by being x but for white space around, or by x's word (XNLI).
  globalopinionqa, culturalbench the same on the upper-cased response, over the letters A to Z, without words
  xquad, mkqa                    the lower-cased gold answer is within the lower-cased response

A line is {"lang", "pred", "gold", "correct"}.
"""

import json
import os

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "golden", "scoring")

# XNLI's words for entailment, neutral, contradiction, by language. The French ones do begin with their number.
WORDS = {
    "ar": ("يستلزم", "محايد", "يتناقض"), "bg": ("Повлича", "Неутрален", "Противоречат"),
    "de": ("Nach sich ziehen", "Neutral", "Widersprechen"), "el": ("Συνεπάγεται", "Ουδέτερο", "Αντίφαση"),
    "en": ("Entail", "Neutral", "Contradict"), "es": ("Implica", "Neutral", "Contradice"),
    "fr": ("(1)\u00a0Entraîner", "(2)\u00a0Neutre", "(3)\u00a0Contraire"), "hi": ("निहित", "तटस्थ", "विरोधाभास"),
    "ru": ("Следствие", "Нейтральное", "Противоречие"), "sw": ("Inajumuisha", "Kuegemea upande wowote", "Kupingana"),
    "tr": ("Gerektirir", "Tarafsız", "Çelişkili"), "ur": ("داخل کرنا", "غیر جانبدار", "تضاد"),
    "vi": ("Kéo theo", "Trung lập", "Mâu thuẫn"), "zh": ("蕴涵", "中立", "矛盾"),
}
XCOPA = ("en", "ht", "id", "it", "sw", "ta", "tr", "vi", "zh")


def names_one(text, gold, options, words=None):
    def named(x):
        return "(" + x + ")" in text or text.strip() == x or (words is not None and words[x] in text)
    return named(gold) and not any(named(x) for x in options if x != gold)


def right(task, lang, pred, gold):
    if task in ("xnli", "xcopa"):
        options = "123" if task == "xnli" else "12"
        words = dict(zip("123", WORDS[lang])) if task == "xnli" else None
        return names_one(pred.replace("（", "(").replace("）", ")"), gold, options, words)
    if task in ("globalopinionqa", "culturalbench"):
        return names_one(pred.upper(), gold, "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    return gold.lower() in pred.lower()


# What Python strips and what it does not: U+200B, U+FEFF and U+180E are no white space.
AROUND = ["{}", " {}\n", "\t{}\r\n", "\u3000{}\u00a0", "\x1c{}\x1f", "\x85{}\u2028", "\u2003{}\u205f", "\u1680{}\u202f", "\u200b{}", "{}\ufeff",
          "\u180e{}", "\v{}\f", "{} \u2029\n\n"]
# {} is the gold option, [] another.
NUMBERED = ["({})", "\n({})", "（{}）", "（{})", "({}）", "(({}))", "({}", "{})", "( {} )", "{}.", "{}{}", "{} {}", "[{}]", "({}) ({})", "({}) ([])",
            "（{}） （[]）", "([])", "[]", "{} []", "({})[]", "({}[])", "", " ", "()", "（）", "The answer is ({}).", "The answer is {}.",
            "I choose ({}) since ([] is wrong", "({}) or maybe [])", "Option({})is right", "(０{})", "（１）", "\\({}\\)", "({}\n)", "(4) ({})", "({}) 0"]
SENTENCES = {  # {} is the option's word
    "ar": "الجواب هو {}.", "bg": "Отговорът е {}.", "de": "Die Antwort ist {}.", "el": "Η απάντηση είναι {}.", "en": "It does {}ment, I think.",
    "es": "La respuesta es {}.", "fr": "La réponse est {}.", "hi": "उत्तर {} है।", "ru": "Ответ: {}.", "sw": "Jibu ni {}.", "tr": "Cevap {}.",
    "ur": "جواب {} ہے۔", "vi": "Đáp án là {}.", "zh": "答案是{}。",
}


def fill(shape, gold, other):
    return shape.replace("{}", gold).replace("[]", other)


def xnli():
    for n, (lang, words) in enumerate(sorted(WORDS.items())):
        gold = n % 3
        label, other = "123"[gold], "123"[(gold + 1) % 3]
        word, wrong = words[gold], words[(gold + 2) % 3]
        texts = [word, "  " + word + "\n", SENTENCES[lang].format(word), SENTENCES[lang].format(wrong), wrong, word + ", " + wrong, word[:-1],
                 word.upper(), word.lower(), "(" + label + ") " + word, "(" + other + ") " + word, word + " (" + label + ")（" + other + "）",
                 word[0] + "\u200d" + word[1:], word.replace("\u00a0", " "), word + word, label + " " + wrong]
        texts += [fill(NUMBERED[(5 * n + k) % len(NUMBERED)], label, other) for k in range(8)]
        yield from ((lang, text, label) for text in texts)
    for n, shape in enumerate(AROUND):
        yield "en", shape.format("2"), "2"
        yield "vi", shape.format("3"), "1"
    for shape in NUMBERED:
        yield "en", fill(shape, "1", "3"), "1"


def xcopa():
    for n, lang in enumerate(XCOPA):
        label, other = "12"[n % 2], "21"[n % 2]
        for k in range(10):
            yield lang, fill(NUMBERED[(4 * n + k) % len(NUMBERED)], label, other), label
    for n, shape in enumerate(AROUND):
        yield XCOPA[n % 9], shape.format("12"[n % 2]), "1"
    yield "it", "(3) (1)", "1"  # no option of this task, so it does not count


LETTERS = ["({})", "\n({})", "(VOL) ({})", "({}) (VOL)", "({}) ([])", "([]) ({})", "([])", "[]", "{}.", "{}{}", "{} []", "{}[]", "（{}）", "( {} )", "({}.)", "",
           "()", "The answer is ({}).", "a ({}) b", "({}", "{})", "({})\n\n([]) no", "({}) [] is wrong", "Because, ({})", "({}{})", "({})({})", "({}) (É)",
           "({}) (1)", "\"({})\"", "*({})*"]


def letters(golds, langs):
    for n, shape in enumerate(LETTERS):
        gold, other = golds[n % len(golds)], golds[(n + 2) % len(golds)]
        lang = langs[n % len(langs)]
        yield lang, fill(shape, gold, other), gold
        yield lang, fill(shape, gold, other).lower(), gold
        yield lang, fill(shape, other, "Z"), gold
    for n, shape in enumerate(AROUND):
        yield langs[n % len(langs)], shape.format("b"), "B"
        yield langs[n % len(langs)], shape.format("Y"), "B"
    # Upper-casing takes letters of other scripts to ASCII ones, or makes two of one.
    for text, gold in (("(ı)", "I"), ("ı", "I"), ("(ſ)", "S"), ("ſ", "S"), ("(ß)", "S"), ("ß", "S"), ("(а)", "A"), ("(Α)", "A"), ("(ａ)", "A"),
                       ("(ﬁ)", "F"), ("(K)", "K"), ("(i̇)", "I"), ("(A) (ı)", "A"), ("(ŉ)", "N")):
        yield langs[0], text, gold


CASES = [  # response, gold: both kinds of outcome
    ("in 1953", "1953"), ("1 953", "1953"), ("PARIS", "Paris"), ("Pari", "Paris"), ("the answer is paris, france", "Paris"), ("", "Paris"),
    ("par is", "Paris"), ("Paris ", "Paris "), ("Paris", "Paris "), (" Paris", "Paris"), ("\nParis\n", "\nParis"), ("Paris\u00a0X", "Paris X"),
    ("İSTANBUL", "istanbul"), ("İstanbul", "i̇stanbul"), ("istanbul", "İstanbul"), ("i̇stanbul", "İSTANBUL"), ("ISTANBUL", "ıstanbul"), ("ISPARTA", "isparta"),
    ("ΣΟΦΟΣ", "σοφος"), ("ΣΟΦΟΣ", "σοφοσ"), ("ο ΣΟΦΟΣ είπε", "Σοφος"), ("ΣΟΦΟΣ.", "σοφος"), ("ΟΔΥΣΣΕΥΣ", "οδυσσευς"), ("Σ", "σ"), ("ς", "Σ"), ("ΑΣΑ", "ας"), ("ΑΣ", "ας"),
    ("ΑΘΗΝΑ", "Αθηνα"), ("ΑΘΉΝΑ", "Αθήνα"), ("Αθηνα", "Αθήνα"), ("STRASSE", "straße"), ("STRAẞE", "straße"), ("Straße", "STRAẞE"), ("straße", "STRASSE"),
    ("МОСКВА", "Москва"), ("москва", "МОСКВА"), ("Москв", "Москва"), ("ЁЛКА", "ёлка"), ("елка", "ёлка"), ("в Москве", "Москва"), ("ЇЖАК", "їжак"),
    ("é", "e\u0301"), ("E\u0301", "e\u0301"), ("CAFÉ", "café"), ("cafe", "café"), ("Ⅷ", "ⅷ"), ("ⓐ", "Ⓐ"), ("Ǆ", "ǆ"), ("ǅ", "Ǆ"), ("Ω", "ω"), ("K", "k"), ("Å", "å"),
    ("ＡＢＣ", "ａｂｃ"), ("ＡＢＣ", "abc"), ("Ა", "ა"), ("ᏸ", "Ᏸ"), ("𐐀", "𐐨"), ("𐐨", "𐐀"), ("ﬁsh", "fish"), ("Ά", "ά"), ("ᾼ", "ᾳ"), ("ὈΔΥΣΣΕΎΣ", "ὀδυσσεύς"),
    ("北京市", "北京"), ("京北", "北京"), ("在北京。", "北京"), ("कर्नाटक में", "कर्नाटक"), ("กรุงเทพมหานคร", "กรุงเทพ"), ("في القاهرة", "القاهرة"), ("القاهره", "القاهرة"),
    ("서울특별시", "서울"), ("東京タワー", "東京"), ("とうきょう", "東京"), ("ירושלים", "ירושלים"), ("Tp. HỒ CHÍ MINH", "Hồ Chí Minh"), ("Ho Chi Minh", "Hồ Chí Minh"),
    ("BUCUREȘTI", "București"), ("BUCUREŞTI", "București"), ("ÅBO och Turku", "åbo"), ("HELSINGISSÄ", "Helsingissä"), ("Helsinki", "Helsingissä"), ("ŁÓDŹ", "łódź"),
    ("91%", "91%"), ("91 %", "91%"), ("3.14", "3,14"), ("(1)", "1"), ("a.b", "a.b"), ("axb", "a.b"), ("a\\b", "a\\b"), ("\"yes\"", "yes"), ("aab", "ab"), ("ababac", "abac"),
    ("🦙 llama", "🦙"), ("👩‍🚀", "👩"), ("👩🏽", "👩🏿"), ("a\u0000".replace("\u0000", "\u0001") + "b", "a\u0001b"), ("x" * 300 + "Y", "y"), ("x" * 300, "x" * 301),
]


def contains(langs, part):
    for n, (pred, gold) in enumerate(CASES):
        if n % 8 != part:  # most cases for both tasks, an eighth for the other alone
            yield langs[n % len(langs)], pred, gold


def main():
    os.makedirs(OUT, exist_ok=True)
    lines = {
        "xnli": xnli(), "xcopa": xcopa(),
        "globalopinionqa": letters("CAFBE", ("ja", "sw", "de", "zh-CN")), "culturalbench": letters("DBCA", ("tr", "ko", "en")),
        "xquad": contains(("ar", "de", "el", "ru", "tr", "zh"), 3), "mkqa": contains(("fi", "he", "ja", "ko", "vi"), 6),
    }
    for task, cases in lines.items():
        seen, counts = set(), [0, 0]
        with open(os.path.join(OUT, task + ".jsonl"), "w", encoding="utf-8") as out:
            for lang, pred, gold in cases:
                if (lang, pred, gold) in seen:
                    continue
                seen.add((lang, pred, gold))
                verdict = right(task, lang, pred, gold)
                counts[verdict] += 1
                out.write(json.dumps({"lang": lang, "pred": pred, "gold": gold, "correct": verdict}, ensure_ascii=True) + "\n")
        print(task, "right", counts[True], "wrong", counts[False])


if __name__ == "__main__":
    main()
