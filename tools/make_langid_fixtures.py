#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes tests/data/langid and tests/golden/langid.json: tiny fastText models of our own, and what the fasttext package says with
them; and what it says with lid.176.ftz on released prompts, of which nothing but file, line and length is kept.

    XT_TEST_DATA=DIR python tools/make_langid_fixtures.py      # DIR has data/langid and data/xtransplant

The models are kept as they are: training again gives other bytes. --goldens-only leaves them alone.
"""

import argparse
import json
import os
import random
import tempfile

import fasttext

WORDS = {
    "en": "the a house tree water answer question please determine following which is are not and or of to with under great small",
    "sw": "nyumba mti maji jibu swali tafadhali tambua ifuatayo ipi ni si na au ya kwa chini kubwa ndogo watu siku jua usiku",
    "tr": "ev ağaç su cevap soru lütfen belirle aşağıdaki hangisi değil ve veya ile altında büyük küçük insan gün güneş gece",
    "ru": "дом дерево вода ответ вопрос пожалуйста определите следующий какой не и или под большой малый люди день солнце ночь",
    "zh": "房子 树 水 答案 问题 请 判断 以下 哪个 是 不是 和 或 下面 大 小 人 日子 太阳 夜晚",
}
PREFIXES = (4, 12, 40)  # characters, beside the whole prompt
PROMPTS = 1000


def sentences(rng, lang, count):
    words = WORDS[lang].split()
    return [" ".join(rng.choice(words) for _ in range(rng.randint(2, 9))) for _ in range(count)]


def train(folder):
    rng = random.Random("langid")
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as corpus:
        lines = [f"__label__{lang} {s}" for lang in WORDS for s in sentences(rng, lang, 60)]
        rng.shuffle(lines)
        corpus.write("\n".join(lines) + "\n")
        corpus.flush()
        model = fasttext.train_supervised(corpus.name, dim=4, bucket=600, minn=2, maxn=3, epoch=30, lr=0.5, loss="hs", thread=1, verbose=0)
        model.save_model(os.path.join(folder, "tiny.bin"))
        model.quantize(input=corpus.name, qnorm=True, cutoff=300, retrain=False, thread=1, verbose=0)
        model.save_model(os.path.join(folder, "tiny.ftz"))


def predict(model, text):
    found = model.f.predict(text.replace("\n", " ") + "\n", 1, 0.0, "strict")  # what model.predict does, without its numpy
    if not found:
        return ["", 0]
    probability, label = found[0]
    return [label.removeprefix("__label__"), float(f"{probability:.6g}")]


def tiny_cases(folder):
    rng = random.Random("cases")
    texts = [s for lang in WORDS for s in sentences(rng, lang, 8)] + ["", " ", "1", "(2)", "\n\n", "house\nnyumba", "x" * 400]
    return [{"text": t} | {kind: predict(fasttext.load_model(os.path.join(folder, f"tiny.{kind}")), t) for kind in ("bin", "ftz")} for t in texts]


def released_cases(data):
    """[file, line from 0, characters or -1 for all, language, probability]"""
    model = fasttext.load_model(os.path.join(data, "data", "langid", "lid.176.ftz"))
    root = os.path.join(data, "data", "xtransplant")
    files = sorted(os.path.relpath(os.path.join(d, f), root) for d, _, names in os.walk(root) for f in names
                   if f.endswith(".json") and os.path.basename(d) in ("split", "translated") and "_sample" in d)
    rng = random.Random("released prompts")
    cases = []
    for _ in range(PROMPTS):
        name = rng.choice(files)
        lines = open(os.path.join(root, name), encoding="utf-8").read().split("\n")
        line = rng.randrange(len([x for x in lines if x]))
        value = json.loads(lines[line])
        text = value["input_text"] if isinstance(value, dict) else value
        for characters in (-1,) + PREFIXES:
            cases.append([name, line, characters] + predict(model, text if characters < 0 else text[:characters]))
    return cases


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser(description="Makes language identification's fixtures and goldens.")
    parser.add_argument("--test-data", default=os.environ.get("XT_TEST_DATA"), help="folder with data/langid and data/xtransplant")
    parser.add_argument("--goldens-only", action="store_true")
    arguments = parser.parse_args()
    if not arguments.test_data:
        parser.error("--test-data DIR, or XT_TEST_DATA in the environment, has to name the released data")
    folder = os.path.join(here, "..", "tests", "data", "langid")
    os.makedirs(folder, exist_ok=True)
    if not arguments.goldens_only:
        train(folder)
    compact = lambda value: json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    with open(os.path.join(here, "..", "tests", "golden", "langid.json"), "w", encoding="utf-8") as out:
        out.write('{"tiny": [\n' + ",\n".join(map(compact, tiny_cases(folder))) + '\n], "released": [\n')
        out.write(",\n".join(map(compact, released_cases(arguments.test_data))) + "\n]}\n")


if __name__ == "__main__":
    main()
