#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""For growth.sh: a tokenizer of any size, and the table and drawing of what was measured.

    growth.py tokenizer SIZE DIR
    growth.py chart growth.csv DIR      # writes DIR/growth.md and DIR/growth.svg; fails if a cost grew too fast
"""

import csv
import itertools
import json
import math
import pathlib
import sys

LETTERS = "abcdefghijklmnopqrstuvwxyz"
# A cost may grow by so much more than the work before that counts as too fast, and only from so many seconds on: a shorter
# measurement on a machine with other work is not more exact than that.
ALLOWED, SHORTEST = 1.2, 0.1

# init-model's tiny-llama: layers, width (and that of all heads together), weights in products.
LAYERS, WIDTH = 6, 64
WEIGHTS = LAYERS * (2 * WIDTH * WIDTH + 2 * WIDTH * 32 + 3 * WIDTH * 160)


def prefill_operations(tokens):
    """Each token meets every weight, and every token before it, in two products."""
    return 2 * WEIGHTS * tokens + LAYERS * 4 * WIDTH * tokens * (tokens + 1) / 2


# What a size is, and what work it stands for.
SERIES = {
    "responses": ("responses", float, "proportional to the responses"),
    "prompts": ("tokens of the prompt", prefill_operations, "operations: 2 a weight and token, and attention's square"),
    "vocabularies": ("tokens in the vocabulary", float, "proportional to the vocabulary, besides what does not depend on it"),
    "texts": ("KiB of words", float, "proportional to the text"),
    "words": ("KiB of one word", lambda size: size * math.log2(1024 * size), "n log n: the next merge of many"),
}


def write_tokenizer(size, folder):
    """Byte-level BPE: the bytes, all pairs of letters, then pairs of those, as many as there is room for."""
    shown = [chr(b) for b in range(256) if 33 <= b <= 126 or 161 <= b <= 172 or b >= 174]
    tokens = shown + [chr(256 + n) for n in range(256 - len(shown))]
    merges = [[a, b] for a in LETTERS for b in LETTERS]
    pairs = [a + b for a, b in merges]
    merges += itertools.islice(([a, b] for b in pairs for a in pairs), size - len(tokens) - len(merges))
    tokens += [a + b for a, b in merges]
    if len(tokens) != size:
        sys.exit(f"a vocabulary of {size} is not possible; {len(tokens)} is")
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    model = {
        "type": "BPE",
        "vocab": {token: number for number, token in enumerate(tokens)},
        "merges": merges,
    }
    whole = {
        "version": "1.0",
        "added_tokens": [],
        "normalizer": None,
        "pre_tokenizer": byte_level,
        "post_processor": None,
        "decoder": byte_level,
        "model": model,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(json.dumps(whole, ensure_ascii=False), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}\n')


def read(path):
    """{(series, step): [(size, seconds)]}, by size."""
    found = {}
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            found.setdefault((row["series"], row["step"]), []).append((int(row["size"]), float(row["seconds"])))
    for points in found.values():
        points.sort()
    return found


def growth(series, points):
    """For each size: seconds, and how often the work and the seconds are those of the size before."""
    work = SERIES[series][1]
    rows, before = [], None
    for size, seconds in points:
        times = (work(size) / work(before[0]), seconds / before[1]) if before and before[1] > 0 else None
        rows.append((size, seconds, times))
        before = size, seconds
    return rows


def table(found):
    lines, fast = [], []
    for series, (what, _, must) in SERIES.items():
        steps = [step for name, step in found if name == series]
        if not steps:
            continue
        lines += ["", f"| {what} | " + " | ".join(steps) + " |", "|---|" + "---|" * len(steps)]
        columns = [{row[0]: row for row in growth(series, found[series, step])} for step in steps]
        for size in sorted({size for column in columns for size in column}):
            cells = []
            for step, column in zip(steps, columns):
                _, seconds, times = column[size]
                cells.append(f"{seconds:.2f} s" + (f", {times[1]:.2f} times for {times[0]:.2f}" if times else ""))
                if times and times[1] > ALLOWED * times[0] and seconds > SHORTEST * times[0]:
                    fast.append(f"{series}, {step}: {times[1]:.2f} times at {size}, where the work is {times[0]:.2f} times")
            lines.append(f"| {size:,} | " + " | ".join(cells) + " |")
        lines += ["", f"It may grow as the work does: {must}."]
    return lines, fast


COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7"]
SIDE, GAP, LEFT, TOP = 250, 70, 60, 40


def panel(series, found, at):
    """Seconds against work, both by powers of ten; a dotted line to the last point grows as the work does."""
    _, work, must = SERIES[series]
    curves = {step: [(work(x), y) for x, y in points if y > 0] for (name, step), points in found.items() if name == series}
    xs = [x for curve in curves.values() for x, _ in curve]
    ys = [y for curve in curves.values() for _, y in curve]
    low, high = math.log10(min(xs)), math.log10(max(xs))
    floor, roof = math.floor(math.log10(min(ys))), math.ceil(math.log10(max(ys)))
    roof = max(roof, floor + 1)
    x0 = LEFT + at * (SIDE + GAP)

    def place(x, y):
        return (
            x0 + SIDE * (math.log10(x) - low) / (high - low),
            TOP + SIDE * (1 - (math.log10(y) - floor) / (roof - floor)),
        )

    out = [f'<text x="{x0}" y="{TOP - 14}" font-weight="bold">{series}</text>']
    out.append(f'<rect x="{x0}" y="{TOP}" width="{SIDE}" height="{SIDE}" fill="none" stroke="#999"/>')
    for power in range(floor, roof + 1):
        y = place(10**low, 10**power)[1]
        out.append(f'<text x="{x0 - 6}" y="{y + 4:.1f}" text-anchor="end">{10.0**power:g} s</text>')
        out.append(f'<line x1="{x0}" x2="{x0 + SIDE}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
    sizes = sorted({size for (name, _), points in found.items() if name == series for size, _ in points})
    for size in (sizes[0], sizes[-1]):
        x = place(work(size), ys[0])[0]
        out.append(f'<text x="{x:.1f}" y="{TOP + SIDE + 16}" text-anchor="middle">{size:,}</text>')
    out.append(f'<text x="{x0 + SIDE / 2}" y="{TOP + SIDE + 16}" text-anchor="middle">{SERIES[series][0]}</text>')
    for number, (step, curve) in enumerate(curves.items()):
        colour = COLOURS[number % len(COLOURS)]
        (x, y), first = curve[-1], curve[0][0]
        ends = (*place(max(first, x * 10**floor / y), y * max(first / x, 10**floor / y)), *place(x, y))
        out.append('<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s" stroke-dasharray="2 3"/>' % (*ends, colour))
        line = " ".join("%.1f,%.1f" % place(*point) for point in curve)
        out.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        out += ['<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>' % (*place(*point), colour) for point in curve]
        out.append(f'<text x="{x0 + 8}" y="{TOP + 16 + 14 * number}" fill="{colour}">{step}</text>')
    return out


def draw(found):
    shown = [series for series in SERIES if any(name == series for name, _ in found)]
    width, height = LEFT + len(shown) * (SIDE + GAP), TOP + SIDE + 40
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]
    for at, series in enumerate(shown):
        out += panel(series, found, at)
    return "\n".join([*out, "</svg>", ""])


def chart(path, folder):
    found = read(path)
    lines, fast = table(found)
    with open("/proc/cpuinfo") as file:
        name = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), "unknown")
    about = [
        "# How cost grows",
        "",
        f"`bench/growth.sh` on {name}: processor seconds of one thread (without the system's), and how often they and the work are those of the line above.",
        "",
        "![processor seconds against sizes; dotted: in proportion to the work](growth.svg)",
    ]
    (folder / "growth.md").write_text("\n".join(about + lines) + "\n", encoding="utf-8")
    (folder / "growth.svg").write_text(draw(found), encoding="utf-8")
    for each in fast:
        print(f"grew too fast: {each}", file=sys.stderr)
    return 1 if fast else 0


if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[1] not in ("tokenizer", "chart"):
        sys.exit(__doc__)
    if sys.argv[1] == "tokenizer":
        sys.exit(write_tokenizer(int(sys.argv[2]), pathlib.Path(sys.argv[3])))
    sys.exit(chart(sys.argv[2], pathlib.Path(sys.argv[3])))
