#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The arithmetic behind docs/PAPER.md: printed cells of the paper's tables against the sizes of the released sets.

  XT_TEST_DATA=DIR check_paper.py     reads DIR/data/xtransplant/GlobalOpinionQA/GlobalOpinionQA_unseen

The cells below are those of Tables 3, 9, 10 and 11, typed in as facts. A cell of one decimal is possible with n questions if
some k of n rounds to it. Needs nothing but Python."""
import itertools
import os
import sys

MODELS = {"Table 3, LLaMA-2-7B-Chat": "llama", "Table 9, Mistral-7B-Instruct-v0.3": "mistral", "Table 10, Qwen2-7B-Instruct": "qwen"}

# Columns in the tables' order, with the averages that they print after each level.
LEVELS = {
    "GlobalOpinionQA": (("High", "ar de en es fr ja zh"), ("Mid", "hi pt ru sv tr vi"), ("Low", "am el id sw tl uk ur")),
    "XNLI": (("High", "ar de en es fr zh"), ("Mid", "hi ru tr vi"), ("Low", "bg el sw ur")),
    "XQuAD": (("High", "ar de en es zh"), ("Mid", "hi ru tr vi"), ("Low", "el ro th")),
    "XCOPA": (("High", "en zh"), ("Mid", "it tr vi"), ("Low", "ht id sw ta")),
    "MKQA": (("High", "ar de en es fr ja zh"), ("Mid", "it ko pt tr vi"), ("Low", "fi he hu nl no")),
    "CulturalBench": (("High", "ar de en es fr ja zh"), ("Mid", "hi ko ru tr vi"), ("Low", "he ms pl tl")),
}

ROWS = {
    ("GlobalOpinionQA", "llama", "vanilla"): "32.7 41.0 29.6 38.6 32.4 26.8 30.3 33.1 25.0 38.2 39.5 53.8 32.8 14.3 33.9 21.1 30.0 30.3 28.6 22.2 33.3 30.5 28.0",
    ("GlobalOpinionQA", "llama", "coarse"): "26.3 40.0 33.3 38.9 31.9 26.8 28.8 32.3 33.3 40.4 39.5 53.8 32.8 14.3 35.7 29.6 44.3 31.8 25.7 33.3 33.3 32.2 32.9",
    ("GlobalOpinionQA", "mistral", "vanilla"): "58.9 77.9 73.2 72.3 77.8 70.7 63.6 70.6 66.7 73.0 68.4 84.6 64.2 57.1 69.0 57.9 75.0 48.5 70.0 55.6 100.0 47.5 64.9",
    ("GlobalOpinionQA", "mistral", "coarse"): "57.9 66.7 75.0 72.3 75.9 70.7 62.1 68.7 66.7 74.2 65.8 84.6 62.7 57.1 68.5 73.2 78.7 48.5 68.6 55.6 100.0 47.5 67.4",
    ("GlobalOpinionQA", "qwen", "vanilla"): "50.6 76.2 66.7 67.7 76.9 63.4 48.5 64.3 66.7 62.9 63.2 80.8 56.7 47.6 63.0 57.9 63.3 53.0 68.6 33.3 66.7 43.2 55.2",
    ("GlobalOpinionQA", "qwen", "coarse"): "57.9 40.0 63.3 67.9 76.9 63.4 48.5 59.7 66.7 62.9 63.2 84.6 58.2 47.6 63.9 66.7 75.4 53.0 70.0 33.3 66.7 43.2 58.3",
    ("XNLI", "llama", "vanilla"): "34.8 35.3 47.3 35.6 39.7 33.3 37.7 8.4 34.4 34.7 32.8 27.6 32.6 34.1 18.6 0.5 21.5",
    ("XNLI", "llama", "coarse"): "35.4 34.2 48.6 35.8 37.6 37.0 38.1 26.6 32.3 31.5 31.8 30.6 34.5 33.7 32.1 29.9 32.6",
    ("XNLI", "mistral", "vanilla"): "12.5 47.9 40 63.3 56.4 39.9 43.3 33.4 53.6 37.8 44.6 42.4 45 40.2 1 12.2 24.6",
    ("XNLI", "mistral", "coarse"): "7.6 44.8 44.8 62.9 57.1 38.3 42.6 37.2 51.5 40.6 45.6 43.7 45.8 45 3 15.9 27.4",
    ("XNLI", "qwen", "vanilla"): "48.2 59.8 83.2 65.3 64.6 66.4 64.6 47.3 60.0 48.7 56.5 53.1 50.2 49.2 25.3 40.1 41.2",
    ("XNLI", "qwen", "coarse"): "48.1 58.9 83.9 64.7 64.9 63.2 64.0 48.1 61.9 51.8 57.5 54.8 52.9 50.9 34.3 40.6 44.7",
    ("XQuAD", "llama", "vanilla"): "7.4 51.3 70.8 56.1 46.4 46.4 8.3 39.7 27.0 31.4 26.6 6.0 48.2 4.3 19.5",
    ("XQuAD", "llama", "coarse"): "7.1 51.2 70.8 56.5 46.3 46.4 8.7 39.3 27.1 32.6 26.9 6.1 54.0 4.4 21.5",
    ("XQuAD", "mistral", "vanilla"): "28.8 49.8 73.5 49.1 46.2 49.5 26.2 39.6 32.2 36.2 33.6 10.4 51.9 18.9 27.1",
    ("XQuAD", "mistral", "coarse"): "29.3 49.6 73.5 48.7 43.4 48.9 26.5 39.3 31.8 36.8 33.6 10.4 52.5 20.7 27.9",
    ("XQuAD", "qwen", "vanilla"): "49.6 46.6 76.5 50.7 77.9 60.2 17.5 35.3 41.7 60.5 38.8 11.1 40.1 31.6 27.6",
    ("XQuAD", "qwen", "coarse"): "50.3 46.7 76.5 50.4 76.2 60.0 18.1 36.1 41.5 60.9 39.1 11.2 41.1 32.3 28.2",
    ("XCOPA", "llama", "vanilla"): "53.6 56.4 55.0 29.6 47.6 50.2 42.4 12.2 53.1 0.0 0.0 16.3",
    ("XCOPA", "llama", "coarse"): "56.7 49.6 53.1 49.1 53.3 46.4 49.6 15.6 49.3 43.6 48.4 39.2",
    ("XCOPA", "mistral", "vanilla"): "48.0 72.7 60.3 73.8 53.6 62.2 63.2 52.2 69.3 6.7 0.0 32.1",
    ("XCOPA", "mistral", "coarse"): "30.0 65.3 47.7 62.4 52.9 48.0 54.4 46.2 45.3 31.3 42.0 41.2",
    ("XCOPA", "qwen", "vanilla"): "0.0 77.3 38.7 87.3 24.9 82.4 64.9 44.2 88.2 48.0 35.8 54.1",
    ("XCOPA", "qwen", "coarse"): "0.0 34.9 17.4 20.4 18.7 50.7 29.9 4.4 40.7 16.9 20.0 20.5",
    ("XCOPA", "tuned", "vanilla"): "87.6 75.3 81.4 90.2 29.1 71.3 63.6 38.9 84.0 38.0 38.7 49.9",
    ("XCOPA", "tuned", "coarse"): "86.7 80.2 83.4 86.7 50.0 73.8 70.1 46.4 76.2 49.1 40.2 53.0",
    ("MKQA", "llama", "vanilla"): "0.9 9.9 19.7 9.3 7.0 4.0 4.0 7.8 7.9 3.3 10.7 9.2 12.4 8.7 7.0 0.8 11.7 12.7 15.7 9.6",
    ("MKQA", "llama", "coarse"): "0.9 9.8 19.7 11.4 7.6 4.7 4.2 8.3 8.2 3.1 10.9 9.7 12.1 8.8 7.6 0.9 11.8 12.8 16.0 9.8",
    ("MKQA", "mistral", "vanilla"): "0.8 19.2 29.4 16.9 11.4 4.3 5.6 12.5 14.2 3.9 14.7 16.3 10.4 11.9 7.2 0.7 15.8 18.5 15.4 11.5",
    ("MKQA", "mistral", "coarse"): "0.9 18.8 29.4 16 11.2 4.4 6.1 12.4 14.1 3.7 14.2 16.6 12.3 12.2 7.7 0.7 16.3 18 16.3 11.8",
    ("MKQA", "qwen", "vanilla"): "4.3 17.7 27.9 17.7 16.4 10.8 15.1 15.7 16.2 6 16 16.6 17.2 14.4 10.8 3.5 10 18.1 18.3 12.1",
    ("MKQA", "qwen", "coarse"): "4.1 19 25.1 19 11.5 9.9 13.9 14.6 12.3 6.8 11.2 16.1 14.3 12.1 8.4 2.7 4.7 18.9 7.4 8.4",
    ("MKQA", "tuned", "vanilla"): "3.4 13.8 28.0 13.3 7.7 10.1 14.4 13.0 8.1 8.6 17.9 16.4 16.9 13.6 7.0 4.8 4.8 22.8 17.2 11.3",
    ("MKQA", "tuned", "coarse"): "5.7 17.5 29.1 17.8 18.4 8.9 14.9 16.0 15.9 8.2 17.8 16.9 17.8 15.3 12.8 6.2 11.9 21.0 16.9 13.8",
    ("CulturalBench", "llama", "vanilla"): "52.9 46.9 84.4 67.5 64.3 67.9 54.2 62.6 54.3 34.1 60.0 63.2 63.0 54.9 46.2 45.5 58.3 66.7 54.2",
    ("CulturalBench", "llama", "coarse"): "52.9 46.9 84.4 67.5 64.3 64.2 52.5 61.8 54.3 34.1 60.0 63.2 63.0 54.9 53.8 45.5 62.5 66.7 57.1",
    ("CulturalBench", "mistral", "vanilla"): "58.8 68.8 77.8 80.0 71.4 73.6 64.4 70.7 52.2 58.5 66.7 71.1 70.4 63.8 61.5 63.6 70.8 57.8 63.4",
    ("CulturalBench", "mistral", "coarse"): "58.8 68.8 77.8 77.5 71.4 71.7 64.4 70.1 52.2 61.0 66.7 71.1 70.4 64.2 61.5 63.6 70.8 57.8 63.4",
    ("CulturalBench", "qwen", "vanilla"): "64.7 59.4 86.7 77.5 78.6 67.9 69.5 72.0 69.6 48.8 70.0 76.3 74.1 67.7 61.5 63.6 70.8 68.9 66.2",
    ("CulturalBench", "qwen", "coarse"): "47.1 53.1 68.9 62.5 57.1 54.7 57.6 57.3 54.3 43.9 50.0 55.3 66.7 54.0 61.5 63.6 66.7 60.0 63.0",
    ("CulturalBench", "tuned", "vanilla"): "58.8 62.5 82.2 75.0 57.1 69.8 69.5 67.9 63.0 58.5 60.0 73.7 70.4 65.1 76.9 72.7 66.7 62.2 69.6",
    ("CulturalBench", "tuned", "coarse"): "58.8 59.4 82.2 75.0 57.1 69.8 69.5 67.4 63.0 58.5 63.3 73.7 70.4 65.8 76.9 72.7 66.7 64.4 70.2",
}

# Sites and layers of the coarse strategy (Table 2): of these tasks ffn, first layer into first.
FIRST_FIRST = ("XQuAD", "MKQA", "GlobalOpinionQA", "CulturalBench")


def columns(task):
    return [lang for _, names in LEVELS[task] for lang in names.split()]


def row(task, model, kind):
    """The cells by language and the printed averages by level."""
    numbers = [float(text) for text in ROWS[task, model, kind].split()]
    cells, averages = {}, {}
    for level, names in LEVELS[task]:
        for lang in names.split():
            cells[lang] = numbers.pop(0)
        averages[level] = numbers.pop(0)
    assert not numbers, (task, model, kind)
    return cells, averages


def possible(cell, n):
    """Whether some k of n, in per cent, is within half of the last printed digit."""
    k = round(cell * n / 100)
    return any(0 <= c <= n and abs(100 * c / n - cell) <= 0.05 + 1e-9 for c in (k - 1, k, k + 1))


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def sizes(folder):
    found = {}
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            found[name.split(".")[0].split("-")[0]] = sum(1 for line in file if line.strip())
    return found


def averages():
    """Printed averages against the unweighted means of the printed cells, whose own rounding is up to 0.05."""
    checked, wrong = 0, []
    for task, model, kind in ROWS:
        cells, printed = row(task, model, kind)
        for level, names in LEVELS[task]:
            checked += 1
            if abs(mean(cells[lang] for lang in names.split()) - printed[level]) > 0.1 + 1e-9:
                wrong.append((task, model, kind, level))
    print("Averages: %d printed, %d are no unweighted mean of their cells%s" % (checked, len(wrong), "".join("\n  %s %s %s %s" % w for w in wrong)))


def permutations(n):
    task = "GlobalOpinionQA"
    print("\nGlobalOpinionQA, unseen: " + ", ".join("%s %d" % (lang, n[lang]) for lang in columns(task)))
    impossible = {"vanilla": {}, "coarse": {}}
    cells = 0
    for model in MODELS.values():
        for kind in impossible:
            for lang, cell in row(task, model, kind)[0].items():
                cells += 1
                if not possible(cell, n[lang]):
                    impossible[kind].setdefault(lang, []).append("%s %.1f" % (model, cell))
    for kind, found in impossible.items():
        print("  %s: %d of %d cells are impossible%s" % (kind, sum(map(len, found.values())), cells // 2,
                                                       "".join("\n    %s (%d questions): %s" % (lang, n[lang], ", ".join(c)) for lang, c in found.items())))
    coarse = {model: row(task, model, "coarse")[0] for model in MODELS.values()}
    vanilla = {model: row(task, model, "vanilla")[0] for model in MODELS.values()}

    def fits(names, order):
        """The cell printed under names[i] belongs to order[i]."""
        return all(possible(coarse[model][a], n[b]) for model in coarse for a, b in zip(names, order))

    five = ("ar", "de", "en", "am", "el")
    good = [order for order in itertools.permutations(five) if fits(five, order)]
    print("  of the 120 permutations of the columns %s, %d fit all 15 coarse cells:" % (", ".join(five), len(good)))
    for order in good:
        same = sum(coarse[model][five[order.index("en")]] == vanilla[model]["en"] for model in coarse)
        print("    printed %s are %s; en's coarse cell then equals its vanilla cell in %d of 3 models" % (", ".join(five), ", ".join(order), same))
    others = [lang for lang in columns(task) if lang not in ("de", "am", "el")]
    total, fitting, noop = 0, [], []
    for extra in [()] + [(a,) for a in others] + list(itertools.combinations(others, 2)):
        names = ("de", "am", "el") + extra
        for order in itertools.permutations(names):
            if any(a == b for a, b in zip(names[3:], order[3:])):
                continue  # an added column that stays is a smaller set's
            total += 1
            if fits(names, order):
                fitting.append((names, order))
                moved = dict(zip(order, names))
                if all(coarse[m][moved.get("en", "en")] == vanilla[m]["en"] for m in coarse):
                    noop.append((names, order))
    print("  of the %d rearrangements of de, am, el and at most two more of the other 17 columns, %d fit all cells; with en's coarse cell equal to"
          "\n  its vanilla cell in all models, %d" % (total, len(fitting), len(noop)))
    for names, order in fitting:
        print("    printed %s are %s%s" % (", ".join(names), ", ".join(order), "; en unchanged" if (names, order) in noop else ""))
    if len(good) != 1:
        return
    moved = dict(zip(good[0], five))
    print("  averages: vanilla, coarse as printed, coarse if so")
    for title, model in MODELS.items():
        for level, names in LEVELS[task]:
            if level != "Mid":
                print("    %-36s %-4s %5.1f  %5.1f  %5.1f" % (title, level, row(task, model, "vanilla")[1][level], row(task, model, "coarse")[1][level],
                                                             mean(coarse[model][moved.get(lang, lang)] for lang in names.split())))


def no_ops():
    print("\nEnglish into English, ffn, first layer into first: vanilla and coarse cells of en")
    for task in FIRST_FIRST:
        for model in ("llama", "mistral", "qwen", "tuned"):
            if (task, model, "vanilla") in ROWS:
                a, b = row(task, model, "vanilla")[0]["en"], row(task, model, "coarse")[0]["en"]
                print("  %-16s %-8s %5.1f %5.1f%s" % (task, model, a, b, "" if a == b else "  differ"))


def denominators():
    def common(task, lang, most):
        """The numbers of questions that all rows of a column allow; lang None: of all columns at once."""
        cells = [cell for key in ROWS if key[0] == task for name, cell in row(*key)[0].items() if lang in (None, name)]
        return [k for k in range(1, most + 1) if all(possible(cell, k) for cell in cells)], len(cells)

    found, cells = common("XCOPA", None, 600)
    print("\nXCOPA: numbers of questions up to 600 that all %d cells allow: %s" % (cells, ", ".join(map(str, found))))
    print("CulturalBench: the numbers up to 60 that the rows of each column allow")
    for lang in columns("CulturalBench"):
        print("  %-3s %s" % (lang, ", ".join(map(str, common("CulturalBench", lang, 60)[0]))))
    found, cells = common("MKQA", None, 10000)
    print("MKQA: %d numbers up to 10,000 fit all %d cells, the smallest of them %s" % (len(found), cells, ", ".join(map(str, found[:5])) or "-"))


def main():
    root = os.environ.get("XT_TEST_DATA")
    folder = os.path.join(root or "", "data", "xtransplant", "GlobalOpinionQA", "GlobalOpinionQA_unseen", "split")
    if not root or not os.path.isdir(folder):
        sys.exit("check_paper.py: XT_TEST_DATA names no folder with data/xtransplant/GlobalOpinionQA/GlobalOpinionQA_unseen/split")
    averages()
    permutations(sizes(folder))
    no_ops()
    denominators()


if __name__ == "__main__":
    main()
