#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Computes the figures of report.json anew, from the lines of `xtransplant export`, and compares them digit by digit.

Nothing is shared with the C code but what the documentation says: the definitions, and the order in which random
numbers are drawn (docs/FORMATS.md). Scoring against permuted answers is done here as well.

    xtransplant export results.db > results.jsonl
    xtransplant report results.db --tuned tuned.db -o out
    xtransplant select --strategy vote -o results.db --json > chosen.jsonl
    tools/recompute_tables.py results.jsonl out/report.json results.db --select chosen.jsonl --store tuned tuned.jsonl tuned.db

Strategies, perplexities, languages, token ids and the numbers of the source prompts are not in the lines: what is made of them, and the maps of the page, are compared where the results file is given. What the report was made with
beside is compared where --store names it, its lines and its results file: cot, tuned, beside, and the other models' as more1, more2 and so on.
Needs numpy.
"""
import argparse
import functools
import json
import math
import re
import sqlite3
import sys
from collections import defaultdict
from fractions import Fraction

import numpy as np

LEVELS = {"High": "ar de en es fr ja zh", "Mid": "hi it ko pt ru sv tr vi", "Low": "am bg el fi he ht hu id ms nl no pl ro sw ta th tl uk ur"}
FROM_LANGUAGE = {"globalopinionqa", "culturalbench", "local-facts"}
# what stands before and after a culture's name in target prompts
CULTURE = {
    "globalopinionqa": [("How would someone from ", " answer the following question:\n"),
                        ("How would a person from ", " answer this question? Choose one of the options.\n")],
    "culturalbench": [("Choose the right answer to this question about ", ".\n")],
}
CONTAINS = {"xquad", "mkqa", "facts", "local-facts"}
LETTERS = {"globalopinionqa", "culturalbench"}
COARSE = {"xnli": ("attn", -1, 0), "xcopa": ("attn", -1, 0)}  # the others: ffn, first, first
ORDER = ["xnli", "xquad", "globalopinionqa", "xcopa", "mkqa", "culturalbench", "facts", "local-facts"]


class Random:
    """SplitMix64."""

    def __init__(self, seed):
        self.seed, self.drawn = seed, 0

    def take(self, count):
        k = np.arange(self.drawn + 1, self.drawn + count + 1, dtype=np.uint64)
        self.drawn += count
        with np.errstate(over="ignore"):
            z = np.uint64(self.seed) + k * np.uint64(0x9E3779B97F4A7C15)
            z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def level_of(lang):
    return next((level for level, names in LEVELS.items() if lang.split("-")[0].split("_")[0] in names.split()), None)


def after_culture(task, prompt):
    for before, after in CULTURE.get(task, []):
        found = re.search(re.escape(before) + "([^\n]*?)" + re.escape(after), prompt)
        if found:
            return prompt[found.end(1) :]
    return prompt


def names_option(text, label):
    return f"({label})" in text or text.strip() == label


def score(task, choices, response, gold):
    """As the released evaluation has it."""
    if task in CONTAINS:
        return any(g.lower() in response.lower() for g in (gold if isinstance(gold, tuple) else [gold]))
    if task in LETTERS:
        text = response.upper()
        named = {c: names_option(text, c) for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}
    else:
        text = response.replace("（", "(").replace("）", ")")
        named = {c: names_option(text, c) or bool(word and word in text) for c, word in choices.items()}
    return named[gold] and not any(v for c, v in named.items() if c != gold)


def quantile(values, p):
    values = sorted(values)
    if not values or p is None:
        return None
    at = p * (len(values) - 1)
    below = int(at)
    return values[-1] if below + 1 >= len(values) else values[below] + (at - below) * (values[below + 1] - values[below])


@functools.lru_cache(None)
def gauss_legendre():
    return np.polynomial.legendre.leggauss(200)


def student_beyond(t, freedom):
    """P(T > t) of t > 0: the integral of the density, by Gauss and Legendre after t = sqrt(freedom) tan(angle)."""
    nodes, weights = gauss_legendre()
    low, high = math.atan(t / math.sqrt(freedom)), math.pi / 2
    angles = low + (high - low) * (nodes + 1) / 2
    scale = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)) / math.sqrt(math.pi)
    return scale * float(np.sum(weights * np.cos(angles) ** (freedom - 1))) * (high - low) / 2


def upper_quantile(beyond, share):
    low, high = 0.0, 1.0
    while beyond(high) > share:
        high *= 2
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if beyond(middle) > share else (low, middle)
    return (low + high) / 2


def normal_beyond(z):
    return math.erfc(z / math.sqrt(2)) / 2


@functools.lru_cache(None)
def interval_tail(confidence, n, strata):
    """Hesterberg's expanded percentiles."""
    if n <= strata:
        return None
    freedom = n - strata
    t = upper_quantile(lambda x: student_beyond(x, freedom), (1 - confidence) / 2)
    return normal_beyond(t * math.sqrt(n / freedom))


@functools.lru_cache(None)
def normal_two_sided(confidence):
    return upper_quantile(normal_beyond, (1 - confidence) / 2)


def wilson(p, n, confidence):
    z = normal_two_sided(confidence)
    centre, half = (p + z * z / (2 * n)) / (1 + z * z / n), z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def sign_flip(d, draws, seed):
    """Two-sided: the share of sign patterns whose sum is as far from 0."""
    d = [float(x) for x in d if x]
    if not d:
        return 1.0
    total, observed, sizes = sum(abs(x) for x in d), abs(sum(d)), {abs(x) for x in d}
    if len(sizes) == 1:
        return mcnemar(sum(x > 0 for x in d), sum(x < 0 for x in d))
    if all(x == int(x) for x in d) and len(d) * (2 * total + 1) <= 2**24:
        ways = {0: 1}  # sum: number of patterns, in whole numbers
        for x in d:
            step = defaultdict(int)
            for s, n in ways.items():
                step[s + int(x)] += n
                step[s - int(x)] += n
            ways = step
        return float(Fraction(sum(n for s, n in ways.items() if abs(s) >= observed), 2 ** len(d)))
    far = observed - 1e-12 * total  # as the sum may be rounded in another order
    values = np.array(d)
    if len(d) <= 16:
        signs = 1 - 2 * (np.arange(2 ** len(d))[:, None] >> np.arange(len(d)) & 1)
        return float((np.abs(signs @ values) >= far).mean())
    words = (len(d) + 63) // 64
    numbers = Random(seed).take(draws * words).reshape(draws, words)
    bits = (numbers[:, :, None] >> np.arange(64, dtype=np.uint64) & np.uint64(1)).reshape(draws, -1)[:, :len(d)].astype(int)
    return float((1 + int((np.abs((1 - 2 * bits) @ values) >= far).sum())) / (1 + draws))


def mcnemar(won, lost):
    n = won + lost
    return min(1.0, 2 * sum(math.comb(n, k) for k in range(min(won, lost) + 1)) / 2**n)


def holm(p):
    order, out, largest = sorted(range(len(p)), key=lambda i: (p[i], i)), [0.0] * len(p), 0.0
    for k, i in enumerate(order):
        out[i] = largest = max(largest, min(1.0, p[i] * (len(p) - k)))
    return out


def bh(p):
    order, out, least = sorted(range(len(p)), key=lambda i: (p[i], i)), [0.0] * len(p), 1.0
    for k in reversed(range(len(p))):
        out[order[k]] = least = min(least, p[order[k]] * len(p) / (k + 1))
    return out


class Group:
    def __init__(self, key, rows, layers, options):
        self.task, self.pivot, self.cot = key
        self.layers, self.options = layers, options
        self.docs, self.vanilla, self.site_rows = [], [], defaultdict(dict)
        self.sureness, self.labels = defaultdict(dict), defaultdict(dict)  # of a response: mean log-probability; those of the options' labels
        self.vanilla_lines, self.lines = [], defaultdict(dict)
        at = {}
        for row in rows:
            doc = json.dumps(row["doc"])
            if doc not in at:
                at[doc] = len(self.docs)
                self.docs.append(row["doc"])
                self.vanilla.append(None)
                self.vanilla_lines.append(None)
            i = at[doc]
            if row["site"] == "vanilla":
                self.vanilla[i] = (row["resps"][0][0], row["metrics"]["acc"])
                self.vanilla_lines[i] = row
            else:
                cell = row["source_layer"] * layers + row["target_layer"]
                self.lines[row["site"]][i, cell] = row
                self.site_rows[row["site"]][i, cell] = (row["resps"][0][0], row["metrics"]["acc"])
                self.sureness[row["site"]][i, cell] = row["mean_logprob"]
                labels = self.labels[row["site"]][i, cell] = {}
                for kind, answer, spelling, logprob in (row.get("effects") or {}).get("tracked", []):
                    if kind == "label":
                        labels[answer, spelling] = logprob
        n = len(self.docs)
        self.scored = np.array([v is not None and v[1] is not None for v in self.vanilla])
        self.right = np.array([bool(v and v[1]) for v in self.vanilla])
        self.languages = []
        for i, doc in enumerate(self.docs):
            if i == 0 or doc["lang"] != self.docs[i - 1]["lang"]:
                self.languages.append([doc["lang"], i, 0])
            self.languages[-1][2] += 1
        self.sites = {}
        for site, rows_of in self.site_rows.items():
            there, correct = np.zeros((layers**2, n), bool), np.zeros((layers**2, n), bool)
            for (i, c), (_, acc) in rows_of.items():
                there[c, i] = self.scored[i]
                correct[c, i] = self.scored[i] and acc == 1
            self.sites[site] = (there, correct)
        self.find_questions()
        self.sample()

    def find_questions(self):
        """Instances that ask the same: of one id, or of one source prompt that no language has twice; of cultures, of one
        target prompt after the culture's name."""
        n = len(self.docs)
        same = list(range(n))

        def root(i):
            while same[i] != i:
                i = same[i]
            return i

        for field in ("target_prompt",) if self.task in FROM_LANGUAGE else ("id", "source_prompt"):
            of = defaultdict(list)
            for i, doc in enumerate(self.docs):
                of[after_culture(self.task, doc[field]) if field == "target_prompt" else doc[field]].append(i)
            for some in of.values():
                if field != "source_prompt" or len({self.docs[i]["lang"] for i in some}) == len(some):
                    for i in some[1:]:
                        x, y = sorted((root(some[0]), root(i)))
                        same[y] = x
        roots = [root(i) for i in range(n)]
        number = {r: k for k, r in enumerate(sorted(set(roots)))}
        self.question = np.array([number[r] for r in roots])
        self.questions = len(number)
        self.parallel = self.questions < n
        language = {i: k for k, (_, f, c) in enumerate(self.languages) for i in range(f, f + c)}
        self.stratum = np.zeros(self.questions, int) if self.parallel else np.array([language[i] for i in sorted(set(roots))])

    def by_question(self, values):
        return np.bincount(self.question, weights=values, minlength=self.questions)

    def sample(self):
        rng = Random(self.options["seed"])
        self.weights = np.zeros((self.options["bootstrap"], self.questions), np.int64)
        scored = self.by_question(self.scored) > 0
        pools = [np.flatnonzero(scored & (self.stratum == h)) for h in range(self.stratum.max() + 1)]
        for b in range(self.options["bootstrap"]):
            for pool in pools:
                if len(pool):
                    np.add.at(self.weights[b], pool[(rng.take(len(pool)) % np.uint64(len(pool))).astype(np.int64)], 1)

    def spread(self, parts, sums, weights):
        """Standard error of a weighted sum of means over ranges of instances: (share, first, count); and its number of questions."""
        u, touched = np.zeros(self.questions), np.zeros(self.questions, bool)
        for share, f, c in parts:
            s, w, q = sums[f:f + c], weights[f:f + c], self.question[f:f + c]
            there = w > 0
            np.add.at(u, q[there], share * (s - s.sum() / w.sum() * w)[there] / w.sum())
            touched[q[there]] = True
        variance = 0.0
        for h in set(self.stratum[touched]):
            some = u[touched & (self.stratum == h)]
            n = len(some)
            variance += float((some**2).sum()) if n == 1 else n / (n - 1) * float(((some - some.mean()) ** 2).sum())
        error = math.sqrt(variance)
        return (None if touched.sum() < 2 else 0.0 if error < 1e-12 else error), int(touched.sum())

    def finish(self, value, error, count, questions, proportion):
        if not proportion or value is None:
            return (value, error, count)
        spread = value * (1 - value)
        n = 1 + spread / error**2 if error and spread > 0 else questions
        return (value, error, count, *wilson(value, n, self.options["confidence"]))

    def mean_of(self, f, c, sums, weights, proportion):
        weight = float(weights[f:f + c].sum())
        if not weight:
            return (None, None, 0)
        error, questions = self.spread([(1, f, c)], sums, weights)
        return self.finish(float(sums[f:f + c].sum()) / weight, error, int(weight), questions, proportion)

    def measured(self, sums, weights, proportion):
        languages = {name: self.mean_of(f, c, sums, weights, proportion) for name, f, c in self.languages}
        levels = {}
        for level in [*LEVELS, None]:
            parts = [(name, f, c) for name, f, c in self.languages if (level is None or level_of(name) == level) and languages[name][2]]
            if not parts:
                levels[level] = (None, None, 0)
                continue
            error, questions = self.spread([(1 / len(parts), f, c) for _, f, c in parts], sums, weights)
            known = all(languages[name][1] is not None for name, _, _ in parts)
            value = sum(languages[name][0] for name, _, _ in parts) / len(parts)
            levels[level] = self.finish(value, error if known else None, len(parts), questions, proportion)
        return {"overall": self.mean_of(0, len(self.docs), sums, weights, proportion), "average": levels.pop(None), "levels": levels, "languages": languages}

    def scores(self, values, proportion=True):
        """values: a number an instance, NaN where there is none."""
        values = np.asarray(values, float)
        return self.measured(np.where(np.isnan(values), 0, values), (~np.isnan(values)).astype(float), proportion)

    def sampled(self, sums, weights):
        size = self.weights @ self.by_question(weights)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(size > 0, (self.weights @ self.by_question(sums)) / size, math.nan)

    def interval(self, samples, there):
        """Of sampled means of the instances that are there."""
        questions = np.unique(self.question[there])
        tail = interval_tail(self.options["confidence"], len(questions), len(np.unique(self.stratum[questions])))
        some = [float(x) for x in samples if not math.isnan(x)]
        return (quantile(some, tail), quantile(some, None if tail is None else 1 - tail))

    def difference(self, parts, d, there):
        """parts: ranges of the instances compared."""
        at = np.zeros(len(d), bool)
        for _, f, c in parts:
            at[f:f + c] = there[f:f + c]
        parts = [(name, f, c) for name, f, c in parts if there[f:f + c].any()]
        if not parts:
            return dict(count=0, questions=0, won=0, lost=0, gain=None, low=None, high=None, p=None, mcnemar=None)
        counts = [int(there[f:f + c].sum()) for _, f, c in parts]
        gains = [float(d[f:f + c].sum()) / n for (_, f, c), n in zip(parts, counts)]

        def samples_of(f, c):
            inside = np.zeros(len(d))
            inside[f:f + c] = there[f:f + c]
            return self.sampled(d * inside, inside)

        samples = sum(samples_of(f, c) for _, f, c in parts) / len(parts)
        equal = len(set(counts)) == 1
        by_question = np.zeros(self.questions)
        for (_, f, c), n in zip(parts, counts):
            np.add.at(by_question, self.question[f:f + c], d[f:f + c] * (1 if equal else 1 / n))
        won, lost = int((d[at] > 0).sum()), int((d[at] < 0).sum())
        low, high = self.interval(samples, at)
        return dict(count=sum(counts), questions=len(np.unique(self.question[at])), won=won, lost=lost, gain=sum(gains) / len(parts), low=low, high=high,
                    p=sign_flip(by_question, self.options["permutations"], self.options["seed"]), mcnemar=mcnemar(won, lost))

    def compare(self, right, baseline, there):
        return self.compare_values(np.where(there, right.astype(float) - baseline.astype(float), 0.0), there)

    def mean_among(self, site, there):
        """Of each instance the share that is right of the responses `there`; none: NaN."""
        count = there.sum(0)
        return np.where(count > 0, (self.sites[site][1] & there).sum(0) / np.maximum(count, 1), math.nan)

    def compare_sites(self, site, other, cells, among=None):
        """Of each instance the mean difference over the cells that both have, and that `among` has; other None: the untouched model."""
        there, right = (x[cells] for x in self.sites[site])
        other_there, other_right = (x[cells] for x in self.sites[other]) if other else (self.scored[None], self.right[None])
        both = there & other_there & (self.sites[among][0][cells] if among else True)
        gained, count = ((right.astype(int) - other_right) * both).sum(0), both.sum(0)
        return self.compare_values(np.where(count > 0, gained / np.maximum(count, 1), 0.0), count > 0)

    def compare_values(self, d, there):
        languages = {x[0]: self.difference([x], d, there) for x in self.languages}
        levels = {level: self.difference([x for x in self.languages if level_of(x[0]) == level], d, there) for level in LEVELS}
        return {"overall": self.difference([(None, 0, len(self.docs))], d, there), "levels": levels, "languages": languages}

    def masked(self, correct, there):
        return np.where(there, correct.astype(float), math.nan)

    def configurations(self, site):
        there, correct = self.sites[site]
        out = {k: [] for k in ("count", "correct", "vanilla_correct", "won", "lost", "gain", "low", "high", "p", "mcnemar")}
        left = self.weights == 0
        gains = np.full((self.layers**2, len(self.weights)), math.nan)
        fresh = gains.copy()
        for c in range(self.layers**2):
            if not there[c].any():
                for k in out:
                    out[k].append(None)
                continue
            won, lost = correct[c] & ~self.right, self.right & there[c] & ~correct[c]
            difference = self.by_question(won.astype(int) - lost.astype(int))
            size, outside = self.weights @ self.by_question(there[c]), left @ self.by_question(there[c])
            with np.errstate(invalid="ignore", divide="ignore"):
                gains[c] = (self.weights @ difference) / size
                fresh[c] = (left @ difference) / outside
            low, high = self.interval(gains[c], there[c])
            counts = dict(count=there[c].sum(), correct=correct[c].sum(), vanilla_correct=(self.right & there[c]).sum(), won=won.sum(), lost=lost.sum())
            for k, v in counts.items():
                out[k].append(int(v))
            out["gain"].append((out["correct"][-1] - out["vanilla_correct"][-1]) / out["count"][-1])
            out["low"].append(low)
            out["high"].append(high)
            out["p"].append(sign_flip(difference, self.options["permutations"], self.options["seed"]))
            out["mcnemar"].append(mcnemar(out["won"][-1], out["lost"][-1]))
        known = [c for c in range(self.layers**2) if out["count"][c] is not None]
        for name, adjust in (("holm", holm), ("bh", bh)):
            values = dict(zip(known, adjust([out["p"][c] for c in known])))
            out[name] = [values.get(c) for c in range(self.layers**2)]
        picked = []
        for b in range(len(self.weights)):
            some = [c for c in known if not math.isnan(gains[c, b])]
            if some:
                best = max(some, key=lambda c: (gains[c, b], -c))
                if not math.isnan(fresh[best, b]):
                    picked.append(fresh[best, b])
        best = max(known, key=lambda c: (out["gain"][c], -c)) if known else None
        return out, best, (float(sum(picked)) / len(picked) if picked else None), known

    def tally(self, site, first, count):
        there, correct = self.sites[site]
        out = dict(win=0, tie=0, lose=0)
        for c in range(self.layers**2):
            part = slice(first, first + count)
            if there[c, part].any():
                d = int(correct[c, part].sum()) - int((self.right & there[c])[part].sum())
                out["win" if d > 0 else "lose" if d < 0 else "tie"] += 1
        return out

    def mean(self, site, cells, gain):
        there, correct = self.sites[site]
        n = there[cells].sum(0)
        out = np.full(len(self.docs), math.nan)
        for i in np.flatnonzero(n):
            out[i] = int(correct[cells, i].sum()) / int(n[i]) - (1 if gain and self.right[i] else 0)
        return out

    def cells(self, source, layer):
        n = self.layers
        return [layer * n + k if source else k * n + layer for k in range(n)]

    def bound(self, site, source, layer):
        there, correct = (x[self.cells(source, layer)] for x in self.sites[site])
        complete, any_right = there.all(0), correct.any(0)
        interval = self.interval(self.sampled((any_right & complete).astype(float), complete.astype(float)), complete)
        some = there.any(0)
        candidates = int(there.sum()) / int(some.sum()) if some.any() else 0.0
        return complete, any_right, interval, candidates

    def above(self, right, there, chance):
        both = there & ~np.isnan(chance)
        values = np.where(both, chance, 0)
        difference = np.where(both, right.astype(float) - values, 0)
        scores = self.measured(values, both.astype(float), False)
        above = float(difference.sum()) / int(both.sum()) if both.any() else None
        return scores, self.interval(self.sampled(values, both.astype(float)), both), above, self.interval(self.sampled(difference, both.astype(float)), both)

    def chance(self):
        """{None: of the untouched run; (site, source, layer): a number an instance, NaN where there is none}, against each other question's gold."""
        out = defaultdict(lambda: np.full(len(self.docs), math.nan))
        texts = {(site, i): {} for site in self.sites for i in range(len(self.docs))}
        for site in self.sites:
            for (i, c), (text, _) in self.site_rows[site].items():
                texts[site, i].setdefault(text, []).append(c)
        for _, first, size in self.languages:
            pool = [i for i in range(first, first + size) if self.scored[i]]
            for i in pool:
                if len(pool) < 2:
                    continue
                choices, memory = self.docs[i].get("choices"), {}
                golds = [self.docs[j]["gold"] for j in pool if j != i]
                others = [tuple(g) if isinstance(g, list) else g for g in golds]

                def mask(text):
                    if text not in memory:
                        right = {g: text is not None and score(self.task, choices, text, g) for g in set(others)}
                        memory[text] = np.array([right[g] for g in others])
                    return memory[text]
                out[None][i] = mask(self.vanilla[i][0]).mean()
                for site in self.sites:
                    any_of, count = defaultdict(lambda: np.zeros(len(others), bool)), defaultdict(int)
                    for text, cells in texts[site, i].items():
                        for c in cells:
                            for key in ((True, c // self.layers), (False, c % self.layers)):
                                any_of[key] |= mask(text)
                                count[key] += 1
                    for (source, layer), m in any_of.items():
                        if count[source, layer] == self.layers:
                            out[site, source, layer][i] = m.mean()
        return out


class Comparison:
    def __init__(self):
        self.compared, self.wrong = 0, []

    def same(self, where, got, wanted, tolerance=1e-11):
        self.compared += 1
        wanted = None if isinstance(wanted, float) and math.isnan(wanted) else wanted
        numbers = isinstance(got, (int, float)) and isinstance(wanted, (int, float))
        # twelve digits: sums of thousands of terms may be taken in another order
        if not (math.isclose(got, wanted, rel_tol=tolerance, abs_tol=1e-13) if numbers else got == wanted):
            self.wrong.append(f"{where}: report has {got}, recomputed {wanted}")

    def estimate(self, where, got, wanted):
        for k, name in enumerate(("value", "error", "count")):
            self.same(f"{where} {name}", got[name], wanted[k])
        for k, name in enumerate(("low", "high")):
            self.same(f"{where} {name}", got.get(name), wanted[3 + k] if len(wanted) > 3 else None)

    def scores(self, where, got, wanted):
        self.estimate(where, got["overall"], wanted["overall"])
        self.estimate(where + " average", got["average"], wanted["average"])
        for part in ("levels", "languages"):
            for name, e in wanted[part].items():
                self.estimate(f"{where} {name}", got[part][name], e)


    def difference(self, where, got, wanted, tolerance=1e-11):
        for name, value in wanted.items():
            self.same(f"{where} {name}", got[name], value, tolerance)

    def comparison(self, where, got, wanted):
        if not wanted["overall"]["count"]:
            return self.same(where, got, None)
        self.difference(where, got["overall"], wanted["overall"])
        for part in ("levels", "languages"):
            for name, d in wanted[part].items():
                self.difference(f"{where} {name}", got[part][name], d)


class Store:
    """Of a results file: what strategies chose, and what is known of each response's text."""

    def __init__(self, path):
        db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        self.chosen, self.texts, self.vanilla = defaultdict(dict), defaultdict(list), {}
        instances = {k: rest for k, *rest in db.execute("SELECT id, task, lang, source_lang, doc_id, source, target FROM instances")}
        known = defaultdict(dict)
        for text, name, value in db.execute("SELECT text, name, value FROM text_metrics") if self.has(db, "text_metrics") else []:
            known[text][name] = value
        for strategy, site, k, i, j in db.execute("SELECT strategy, site, instance, source_layer, target_layer FROM selections") if self.has(db, "selections") else []:
            self.chosen[tuple(instances[k]), site][strategy] = (i, j)
        tracked = db.execute("SELECT instance, answers FROM tracked") if self.has(db, "tracked") else []
        self.tracked = {tuple(instances[k]): json.loads(answers) for k, answers in tracked}
        self.costs = {}
        for strategy, site, k, *cost in db.execute("SELECT strategy, site, instance, responses, tokens FROM selection_costs") if self.has(db, "selection_costs") else []:
            self.costs[tuple(instances[k]), site, strategy] = cost
        words = dict(db.execute("SELECT id, text FROM texts"))
        self.model = db.execute("SELECT value FROM settings WHERE name = 'model_name'").fetchone()[0]
        lengths = dict(db.execute("SELECT id, length(ids) / 4 FROM texts"))
        self.tokens = {}  # of each response: question, site and layers
        for k, text in db.execute("SELECT instance, text FROM vanilla"):
            self.texts[tuple(instances[k]), "vanilla"].append((words[text], known[text]))
            self.tokens[tuple(instances[k]), "vanilla", -1, -1] = lengths[text]
        self.effects = {}  # of each run's first token: divergences, then log-probabilities
        for k, site, i, j, numbers in db.execute("SELECT instance, site, source_layer, target_layer, numbers FROM effects") if self.has(db, "effects") else []:
            self.effects[tuple(instances[k]), site, i, j] = np.frombuffer(numbers, "<f2").astype(float).tolist()
        self.sources, self.samples = {}, defaultdict(lambda: defaultdict(list))
        for k, text in db.execute("SELECT instance, text FROM sources") if self.has(db, "sources") else []:
            self.sources[tuple(instances[k])] = words[text]
        for k, text, *settings in db.execute("SELECT instance, text, temperature, top_p, seed FROM samples") if self.has(db, "samples") else []:
            self.samples[tuple(settings)][tuple(instances[k])].append(words[text])
        for k, site, text, i, j in db.execute("SELECT instance, site, text, source_layer, target_layer FROM responses"):
            self.texts[tuple(instances[k]), site].append((words[text], known[text]))
            self.tokens[tuple(instances[k]), site, i, j] = lengths[text]

    @staticmethod
    def has(db, table):
        return db.execute("SELECT count(*) FROM sqlite_master WHERE name = ?", (table,)).fetchone()[0]


LANGUAGE_CODES = {"nb": "no", "iw": "he", "fil": "tl"}  # that lid.176 has under another code


def compare_texts(c, where, got, g, texts):
    """texts: of each instance what is known of its responses' texts, each with the text itself."""
    sums = {k: np.zeros(len(g.docs)) for k in ("perplexity", "nll", "measured", "consistent", "looked")}
    all_of = []
    for i, (doc, some) in enumerate(zip(g.docs, texts)):
        asked = "en" if g.task in FROM_LANGUAGE else doc["lang"].split("-")[0]
        for text, known in some:
            nll = known.get("nll_standalone")
            if nll is not None:
                all_of.append(math.exp(nll))
                sums["perplexity"][i] += all_of[-1]
                sums["nll"][i] += nll
                sums["measured"][i] += 1
            if "lang" in known:
                sums["looked"][i] += 1
                sums["consistent"][i] += bool((text or "").strip(" \t\r\n\v\f")) and known["lang"] == LANGUAGE_CODES.get(asked, asked)
    c.estimate(where + " perplexity", got["perplexity"], g.measured(sums["perplexity"], sums["measured"], False)["overall"])
    mean = g.measured(sums["nll"], sums["measured"], False)["overall"]
    value = math.exp(mean[0]) if mean[2] else None
    c.estimate(where + " geometric perplexity", got["perplexity_geometric"], (value, None if mean[1] is None else mean[1] * value, mean[2]))
    c.same(where + " median perplexity", got["perplexity_median"], quantile(all_of, 0.5))
    c.estimate(where + " consistency", got["consistency"], g.measured(sums["consistent"], sums["looked"], True)["overall"])


def chosen_right(g, site, strategy, keys, store):
    """Of each question's choice whether it is right, NaN where there is none; and the same of the coarse strategy's layers at the site."""
    _, i, j = COARSE.get(g.task, ("ffn", 0, 0))
    there, correct = g.sites[site]
    coarse = (i % g.layers) * g.layers + j
    right = np.full(len(keys), math.nan)
    for n, key in enumerate(keys):
        at = store.chosen[key, site].get(strategy)
        if at is None or not g.scored[n]:
            continue
        if at[0] < 0 or there[at[0] * g.layers + at[1], n]:
            right[n] = g.right[n] if at[0] < 0 else correct[at[0] * g.layers + at[1], n]
    return right, there[coarse], correct[coarse]


UNTOUCHED = ("logistic", "stumps", "control", "weighted-vote", "controller")  # strategies that need the untouched run


def noise_of(g, i, texts):
    """Of an instance that is wrong untouched: the share of the language's other gold answers, but those that its untouched response hits, that some
    text hits. NaN: there are none."""
    first, count = next((f, n) for _, f, n in g.languages if f <= i < f + n)
    choices = g.docs[i].get("choices")
    golds = [gold_of(g.docs[k]) for k in range(first, first + count) if k != i and g.scored[k]]
    untouched = g.vanilla[i][0]
    left = [x for x in golds if untouched is None or not score(g.task, choices, untouched, x)]
    hit = {x: any(t is not None and score(g.task, choices, t, x) for t in texts) for x in set(left)}
    return sum(hit[x] for x in left) / len(left) if left else math.nan


def compare_gap(c, where, g, got, site, strategy, chosen, keys, store):
    """What a strategy closes of the gap to its bound without noise, and its cost; chosen: 1, 0, or NaN where nothing was chosen."""
    set_of = "ends" if strategy == "coarse" else strategy.split("@")[0].split(":")[-1]
    if set_of not in ("ends", "target-first", "source-last", "all"):
        return c.same(where + " gap", got["gap"], None)
    bound = candidates_of(g, "x:" + ("target-first" if set_of == "ends" else set_of))
    needed = candidates_of(g, strategy)
    site_there, correct = g.sites[site]
    there = ~np.isnan(chosen) & site_there[bound].all(0) & g.scored
    if not there.any():
        return c.same(where + " gap", got["gap"], None)
    untouched, some = g.right & there, correct[bound].any(0) & there
    noise = np.full(len(keys), math.nan)
    for i in np.flatnonzero(there & ~g.right):
        noise[i] = noise_of(g, i, {g.site_rows[site][i, k][0] for k in bound})
    known = ~np.isnan(noise)
    above, room = np.where(known, some - noise, 0), np.where(known, 1 - noise, 0)
    gained = np.where(there, np.nan_to_num(chosen) - g.right, 0)
    count, weight = int(there.sum()), there.astype(float)
    wanted = dict(count=count, questions=len(np.unique(g.question[there])), vanilla=untouched.sum() / count, selected=np.nansum(chosen[there]) / count,
                  bound=(untouched | some).sum() / count, noise=None, corrected=None, gap=None, closed=None, closed_low=None, closed_high=None)
    missing = 1 - wanted["vanilla"]
    if known.any():
        wanted["noise"] = wanted["vanilla"] + missing * noise[known].mean()
    if room.sum() > 0:
        wanted["gap"] = missing * above.sum() / room.sum()
        wanted["corrected"] = wanted["vanilla"] + wanted["gap"]
    samples = (1 - g.sampled(untouched.astype(float), weight)) * g.sampled(above, room)
    wanted["gap_low"], wanted["gap_high"] = g.interval(samples, there)
    if wanted["gap"] is not None and wanted["gap"] > 0:
        wanted["closed"] = gained.sum() / count / wanted["gap"]
    if wanted["gap_low"] is not None and wanted["gap_low"] > 0:
        with np.errstate(invalid="ignore", divide="ignore"):
            shares = np.where(samples > 0, g.sampled(gained, weight) / samples, math.nan)
        wanted["closed_low"], wanted["closed_high"] = g.interval(shares, there)
    name = strategy.split(":")[0]
    wanted["responses"] = wanted["tokens"] = 0
    for i in np.flatnonzero(there):
        if name == "sequence":  # it is the store that knows where it ended
            responses, tokens = store.costs[keys[i], site, strategy]
            c.same(f"{where} runs of question {i}", 1 <= responses <= len(needed) + 1, True)
            c.same(f"{where} choice of question {i}", store.chosen[keys[i], site][strategy],
                   store.chosen[keys[i], site].get(strategy.replace(name, "weighted-vote"), store.chosen[keys[i], site][strategy]))
        else:
            runs = [(site, k // g.layers, k % g.layers) for k in needed]
            if name in ("neighbours", "probe"):
                at = store.chosen[keys[i], site][strategy]
                runs = [(site if at[0] >= 0 else "vanilla", *at)]
            if name == "control":
                runs += [(site + "+shuffled", *run[1:]) for run in runs]
            if name in UNTOUCHED:
                runs.append(("vanilla", -1, -1))
            responses, tokens = len(runs), sum(store.tokens[keys[i], *run] for run in runs)
        wanted["responses"] += responses / count
        wanted["tokens"] += tokens / count
    for name, value in wanted.items():
        c.same(f"{where} gap {name}", got["gap"][name], None if value is None else float(value))


def labels_of(values, tracked):
    """Of each option the largest of its label's spellings, without those whose first token another option's label has too."""
    out = {}
    for token, kind, answer, spelling in tracked:
        if kind == "label" and not any(t == token and k == "label" and a != answer for t, k, a, _ in tracked):
            out[answer] = max(out.get(answer, -math.inf), values[answer, spelling])
    return out


def contextual(g, site, cells, first, count, keys, store):
    """Of each question of a language its choice: (cell, the lead over the next option's sum). No question with labels beside it: none."""
    labels, sure, out = {}, g.sureness[site], {}
    there = [i for i in range(first, first + count) if all(g.labels[site].get((i, k)) for k in cells)]
    for i in there:
        for k in cells:
            labels[i, k] = labels_of(g.labels[site][i, k], store.tracked[keys[i]])
    for i in there:
        gives = defaultdict(list)
        for k in cells:
            named = [o for o in labels[i, k] if score(g.task, g.docs[i].get("choices"), g.site_rows[site][i, k][0], o)]
            gives[named[0] if named else None].append(k)
        sums = {}
        for o in gives.keys() - {None}:
            differences = [labels[i, k][o] - np.mean([labels[n, k][o] for n in there if n != i]) for k in cells]
            sums[o] = float(np.sum(differences))
        order = sorted(sums.values(), reverse=True)
        givers = next((gives[o] for o in sums if sums[o] == order[0]), None) or cells
        if len(there) > 1:
            out[i] = max(givers, key=lambda k: (sure[i, k], -k)), order[0] - order[1] if len(order) > 1 else math.inf
    return out


def compare_contextual(c, where, g, site, strategy, keys, store):
    cells, wanted = candidates_of(g, strategy), {}
    for _, first, count in g.languages:
        wanted |= contextual(g, site, cells, first, count, keys, store)
    for i, key in enumerate(keys):
        at = store.chosen[key, site].get(strategy)
        cell, lead = wanted.get(i, (None, math.inf))
        if lead > 1e-9:
            c.same(f"{where} choice of question {i}", at and at[0] * g.layers + at[1], cell)


def compare_strategies(c, where, g, got, keys, store, family):
    site = got["site"]
    names = sorted({s for key in keys for s in store.chosen[key, site]})
    c.same(f"{where} {site} strategies", sorted(got["strategies"]), names)
    for strategy, scores in got["strategies"].items():
        if strategy.startswith("contextual:"):
            compare_contextual(c, f"{where} {site} {strategy}", g, site, strategy, keys, store)
        right, coarse_there, coarse_right = chosen_right(g, site, strategy, keys, store)
        c.scores(f"{where} {site} {strategy}", scores, g.scores(right))
        compare_gap(c, f"{where} {site} {strategy}", g, scores, site, strategy, right, keys, store)
        there, right = ~np.isnan(right), right == 1
        family.add(c, f"{where} {site} {strategy} against vanilla", scores["against_vanilla"], g.compare(right, g.right, there), "vanilla")
        family.add(c, f"{where} {site} {strategy} against coarse", scores["against_coarse"], g.compare(right, coarse_right, there & coarse_there), "coarse")


def candidates_of(g, strategy):
    """The cells that a strategy chooses among, by its name."""
    n, first = g.layers, range(1)
    if ":" not in strategy:
        _, i, j = COARSE.get(g.task, ("ffn", 0, 0))
        return [(i % n) * n + j]
    sources, targets = {"ends": ((0, n - 1), first), "target-first": (range(n), first), "source-last": ((n - 1,), range(n)),
                        "all": (range(n), range(n))}[strategy.split("@")[0].split(":")[1]]
    return sorted({i * n + j for i in sources for j in targets})


NINE_DIGITS = 1e-8  # that lines of select have


def closed(vanilla, selected, bound):
    return (selected - vanilla) / (bound - vanilla) if bound > vanilla else None


def compare_selection(c, g, line, keys, store):
    """A line of `select --json`: what was chosen, what could have been, and what it gains over the untouched runs and the coarse layers."""
    site, strategy = line["site"], line["strategy"]
    where = " ".join(str(line[k]) for k in ("task", "pivot", "lang", "site", "strategy"))
    parts = [x for x in g.languages if line["lang"] in (None, x[0])]
    inside = np.zeros(len(keys), bool)
    for _, first, count in parts:
        inside[first:first + count] = True
    right, coarse_there, coarse_right = chosen_right(g, site, strategy, keys, store)
    there, right = ~np.isnan(right) & inside, right == 1
    site_there, correct = g.sites[site]
    some = correct[candidates_of(g, strategy)].any(0)
    first = [k * g.layers for k in range(g.layers)]
    full = there & site_there[first].all(0)
    counts = dict(questions=there, vanilla=there & g.right, selected=there & right, bound=there & some, with_target_first=full,
                  target_first=full & correct[first].any(0))
    counts = {name: int(at.sum()) for name, at in counts.items()}
    for name, value in counts.items():
        c.same(f"{where} {name}", line[name], value)
    c.same(where + " gap closed", line["gap_closed"], closed(counts["vanilla"], counts["selected"], counts["bound"]), NINE_DIGITS)
    c.same(where + " gap to TargetFirst closed", line["target_first_gap_closed"],
           closed(int((full & g.right).sum()), int((full & right).sum()), counts["target_first"]), NINE_DIGITS)
    whole = [(None, 0, len(keys))] if line["lang"] is None else parts
    for name, baseline, both in (("vanilla_gain", g.right, there), ("coarse_gain", coarse_right, there & coarse_there)):
        wanted = g.difference(whole, np.where(both, right.astype(float) - baseline.astype(float), 0.0), both)
        wanted.pop("mcnemar")
        if not wanted["count"]:
            c.same(f"{where} {name}", line[name], None)
        else:
            c.difference(f"{where} {name}", line[name], wanted, NINE_DIGITS)


def gold_of(doc):
    return tuple(doc["gold"]) if isinstance(doc["gold"], list) else doc["gold"]


def compare_sources(c, where, g, group, keys, store, family):
    """The source prompt's own answer, scored as the same question in the source's language where there is one."""
    n = len(g.docs)
    there, right = np.zeros(n, bool), np.zeros(n, bool)
    for i, (doc, key) in enumerate(zip(g.docs, keys)):
        text = store.sources.get(key)
        if not g.scored[i] or text is None:
            continue
        same = [d for d, q in zip(g.docs, g.question) if q == g.question[i] and d["lang"] == doc["source_lang"] and d.get("gold") is not None]
        used = same[0] if g.parallel and doc["lang"] != doc["source_lang"] and same else doc
        there[i], right[i] = True, score(g.task, used.get("choices"), text, gold_of(used))
    if not there.any():
        return c.same(where + " source", (group["source"], group["oracle"]), (None, None))
    c.scores(where + " source", group["source"], g.scores(g.masked(right, there)))
    family.add(c, where + " source gain", group["source_gain"], g.compare(right, g.right, there), "vanilla")
    c.scores(where + " oracle", group["oracle"], g.scores(g.masked(right | g.right, there)))
    c.comparison(where + " oracle gain", group["oracle_gain"], g.compare(right | g.right, g.right, there))


def compare_samples(c, where, g, group, keys, store):
    wanted = {}
    for settings, samples in store.samples.items():
        counts = [(len(samples[key]), sum(score(g.task, doc.get("choices"), text, gold_of(doc)) for text in samples[key])) if g.scored[i] else (0, 0)
                  for i, (doc, key) in enumerate(zip(g.docs, keys))]
        most = max(drawn for drawn, _ in counts)
        for n in range(1, most + 1):
            if n & (n - 1) == 0 or n in (g.layers, most):
                values = [1 - math.comb(drawn - good, n) / math.comb(drawn, n) if drawn >= n else math.nan for drawn, good in counts]
                wanted[(*settings, n)] = g.scores(values, False)
    found = {(p["temperature"], p["top_p"], p["seed"], p["n"]): p for p in group["passes"]}
    c.same(where + " passes", sorted(found), sorted(wanted))
    for key in set(found) & set(wanted):
        c.scores(f"{where} pass@{key[-1]}", found[key], wanted[key])


def keys_of(g):
    return [(g.task, d["lang"], d["source_lang"], d["id"], d["source_prompt"], d["target_prompt"]) for d in g.docs]


def answers_of(tracked, gold):
    """Which answer each tracked token is of (left out: those of several answers, and the second of equal ones), and the gold answer."""
    options = any(kind in ("label", "text") for _, kind, *_ in tracked)
    of = {t: "" if kind == "gold" else answer for t, (_, kind, answer, *_) in enumerate(tracked) if (kind in ("label", "text")) == options}
    names, left_out = list(dict.fromkeys(of.values())), set()
    for t in of:
        for u in of:
            if u < t and tracked[t][0] == tracked[u][0]:
                left_out |= {t} if of[t] == of[u] else {t, u}
    gold = gold if options and gold in names else "" if not options and "" in names and gold is not None else None
    return {t: a for t, a in of.items() if t not in left_out}, names, gold, options


def together(values):
    values = list(values)
    return math.log(sum(math.exp(v) for v in values)) if values else -math.inf


def difference_of(scores, gold):
    others = [v for a, v in scores.items() if a != gold]
    return scores[gold] - max(others) if gold is not None and others and math.isfinite(max(others)) and math.isfinite(scores[gold]) else None


def likeliest(scores, means):
    """The option with the largest score less or over its mean, the first of equal ones."""
    best = None
    for name, score in scores.items():
        value = means(name, score)
        if best is None or value > best[0]:
            best = value, name
    return best[1]


def effect_maps(g, site, keys, store, add):
    """Maps of the numbers of first tokens; add(name, i, cell, numerator, denominator)."""
    shares = defaultdict(dict)
    for i, key in enumerate(keys):
        tracked = store.tracked.get(key)
        if tracked is None or not g.scored[i]:
            continue
        gold = gold_of(g.docs[i])
        of, names, gold, options = answers_of(tracked, "\x1e".join(gold) if isinstance(gold, tuple) else gold)
        scores_of = lambda numbers: {a: together(numbers[2 + t] for t in of if of[t] == a) for a in names}
        own = [store.effects.get((key, at, -1, -1)) for at in ("vanilla", "source")]
        untouched, source = (difference_of(scores_of(n), gold) if n else None for n in own)
        for c in range(g.layers**2):
            numbers = store.effects.get((key, site, c // g.layers, c % g.layers))
            if not numbers:
                continue
            scores = scores_of(numbers)
            d = difference_of(scores, gold)
            add("kl_untouched", i, c, numbers[0], 1)
            if names:
                add("tracked", i, c, min(1, sum(math.exp(v) for v in scores.values() if math.isfinite(v))), 1)
            add("kl_source", i, c, numbers[1], 1)
            if gold is not None and math.isfinite(scores[gold]):
                add("gold", i, c, math.exp(scores[gold]), 1)
                add("logprob_gold", i, c, scores[gold], 1)
            if d is not None:
                add("logit_difference", i, c, d, 1)
                if untouched is not None and source is not None:
                    add("normalised", i, c, d - untouched, source - untouched)
            for kind, answer in dict.fromkeys((kind, answer) for _, kind, answer, *_ in tracked if kind != "gold"):
                ids = {t[0]: numbers[2 + k] for k, t in reversed(list(enumerate(tracked))) if t[1] == kind and t[2] == answer}
                add(f"logprob_{kind}_{answer}", i, c, together(ids.values()), 1)
            if options and gold is not None and any(map(math.isfinite, scores.values())):
                most = max(scores.values())
                mass = sum(math.exp(v - most) for v in scores.values())
                shares[next(k for k, l in enumerate(g.languages) if l[1] <= i < l[1] + l[2]), c][i] = {a: math.exp(v - most) / mass for a, v in scores.items()}, gold
    for (_, c), batch in shares.items():
        of = defaultdict(list)
        for share, _ in batch.values():
            for a, v in share.items():
                of[a].append(v)
        for i, (share, gold) in batch.items():
            add("choice", i, c, likeliest(share, lambda a, v: v) == gold, 1)
            add("calibrated", i, c, likeliest(share, lambda a, v: v / (sum(of[a]) / len(of[a]) or math.nan)) == gold, 1)


def option_maps(g, site, add):
    """Maps of options by their likelihood."""
    scored = defaultdict(dict)
    for (i, c), row in g.lines[site].items():
        gold = gold_of(g.docs[i])
        if row["options"] and row["metrics"]["acc"] is not None and gold in row["options"]:
            add("options_generated", i, c, row["metrics"]["acc"], 1)
            scored[g.docs[i]["lang"], c][i] = row["options"], gold
    for (_, c), batch in scored.items():
        for name, norm in (("", False), ("_norm", True)):
            scores = {i: [v / (len((g.docs[i].get("choices") or {}).get(label) or label) if norm else 1) for label, v in options.items()] for i, (options, _) in batch.items()}
            most = max(map(len, scores.values()))
            means = [np.mean([s[o] for s in scores.values() if len(s) > o]) for o in range(most)]
            for i, (options, gold) in batch.items():
                labels = list(options)
                add("options_acc" + name, i, c, labels[int(np.argmax(scores[i]))] == gold, 1)
                add("options_calibrated" + name, i, c, labels[int(np.argmax(np.array(scores[i]) - means[:len(labels)]))] == gold, 1)


def compare_maps(c, where, g, got, keys, store):
    """What a site's map can be coloured by: of all languages and of each."""
    site, cells, maps = got["site"], g.layers**2, defaultdict(lambda: np.zeros((2, g.layers**2, len(keys))))

    def add(name, i, cell, numerator, denominator):
        maps[name][:, cell, i] = numerator, denominator

    there, correct = g.sites[site]
    transplant = g.sites.get(got.get("control_of"))
    for (i, cell), row in g.lines[site].items():
        text, asked = row["resps"][0][0], "en" if g.task in FROM_LANGUAGE else g.docs[i]["lang"].split("-")[0]
        add("margin", i, cell, row["margin"], 1)
        add("entropy", i, cell, row["entropy"], 1)
        if g.vanilla_lines[i]:
            add("changed", i, cell, row["ids"] != g.vanilla_lines[i]["ids"], 1)
        if row["perplexity_standalone"] is not None:
            add("perplexity", i, cell, row["perplexity_standalone"], 1)
        if row["language"] is not None:
            add("language", i, cell, bool((text or "").strip(" \t\r\n\v\f")) and row["language"] == LANGUAGE_CODES.get(asked, asked), 1)
        if there[cell, i]:
            add("accuracy", i, cell, correct[cell, i], 1)
            add("gain", i, cell, int(correct[cell, i]) - int(g.right[i]), 1)
            if transplant and transplant[0][cell, i]:
                add("control", i, cell, int(transplant[1][cell, i]) - int(correct[cell, i]), 1)
    effect_maps(g, site, keys, store, add)
    option_maps(g, site, add)
    wanted = {name: m for name, m in maps.items() if m[1].any()}
    c.same(where + " maps", sorted(m["id"] for m in got["maps"]), sorted(wanted))
    for known in got["maps"]:
        if known["id"] not in wanted:
            continue
        for name, first, count in [(None, 0, len(keys)), *g.languages]:
            values = known["all"] if name is None else known["languages"][name]
            sums = wanted[known["id"]][:, :, first:first + count].sum(2)
            for cell in range(cells):
                # lines have nine digits
                c.same(f"{where} {known['id']} {name} [{cell}]", values[cell], sums[0, cell] / sums[1, cell] if sums[1, cell] else None, 1e-7)


def compare_store(c, g, group, store, family):
    where = f"{g.task} {g.pivot}"
    keys = keys_of(g)
    compare_sources(c, where, g, group, keys, store, family)
    compare_samples(c, where, g, group, keys, store)
    compare_texts(c, where + " vanilla", group, g, [store.texts[key, "vanilla"] for key in keys])
    for got in group["sites"]:
        compare_texts(c, f"{where} {got['site']}", got, g, [store.texts[key, got["site"]] for key in keys])
        compare_strategies(c, where, g, got, keys, store, family)
        compare_maps(c, f"{where} {got['site']}", g, got, keys, store)


class Families:
    """p-values that are adjusted together, over the whole store."""

    def __init__(self):
        self.tests = defaultdict(list)

    def add(self, c, where, got, wanted, baseline):
        c.comparison(where, got, wanted)
        if not wanted["overall"]["count"]:
            return
        for part in ("languages", "levels"):
            for name, d in wanted[part].items():
                if d["p"] is not None:
                    self.tests[baseline, part].append((f"{where} {name}", got[part][name], d["p"], "holm", "bh"))
        self.tests[baseline, "overall"].append((where, got["overall"], wanted["overall"]["p"], "holm", "bh"))

    def compare(self, c):
        for tests in self.tests.values():
            p = [x[2] for x in tests]
            for (where, got, _, holm_at, bh_at), a, b in zip(tests, holm(p), bh(p)):
                c.same(where + " Holm", got[holm_at], a)
                c.same(where + " BH", got[bh_at], b)


def compare_group(c, g, group, chance, family):
    where = f"{g.task} {g.pivot}"
    c.same(where + " questions", group["questions"], len(np.unique(g.question[g.scored])))
    c.same(where + " parallel", group["parallel"], g.parallel)
    c.scores(where + " vanilla", group["vanilla"], g.scores(g.masked(g.right, g.scored)))
    scores, _, above, interval = g.above(g.right, g.scored, chance[None])
    c.scores(where + " vanilla chance", group["vanilla_chance_scores"], scores)
    for name, value in zip(("chance", "above", "above_low", "above_high"), (scores["overall"][0], above, *interval)):
        c.same(f"{where} vanilla {name}", group["vanilla_" + name], value)
    site, i, j = COARSE.get(g.task, ("ffn", 0, 0))
    cell = (i % g.layers) * g.layers + j
    for key, at in (("coarse", site), ("coarse_released", "attn-released" if site == "attn" else None)):
        if at in g.sites and g.sites[at][0][cell].any():
            there, right = (x[cell] for x in g.sites[at])
            c.scores(f"{where} {key}", group[key], g.scores(g.masked(right, there)))
            family.add(c, f"{where} {key} gain", group[key + "_gain"], g.compare(right, g.right, there), "vanilla")
        else:
            c.same(f"{where} {key}", (group[key], group[key + "_gain"]), (None, None))
    for got in group["sites"]:
        compare_site(c, f"{where} {got['site']}", g, got, chance, family)


def compare_site(c, name, g, got, chance, family):
    site, n = got["site"], len(g.docs)
    out, best, fresh, known = g.configurations(site)
    for field, values in out.items():
        for k, value in enumerate(values):
            c.same(f"{name} {field}[{k}]", got["configurations"][field][k], value)
    for k in known:
        at = {f: got["configurations"][f][k] for f in ("holm_all", "bh_all")}
        family.tests["configurations"].append((f"{name} [{k}] all", at, out["p"][k], "holm_all", "bh_all"))
    for lang, f, count in g.languages:
        for k in range(g.layers**2):
            c.same(f"{name} {lang} correct[{k}]", got["configurations"]["language_correct"][lang][k], int(g.sites[site][1][k, f:f + count].sum()))
        c.same(f"{name} {lang} tally", got["language_tallies"][lang], g.tally(site, f, count))
    c.same(name + " tally", got["tally"], g.tally(site, 0, n))
    c.same(name + " best", got.get("best"), {"source_layer": best // g.layers, "target_layer": best % g.layers})
    c.same(name + " best_fresh", got["best_fresh"], fresh)
    cells = list(range(g.layers**2))
    c.scores(name + " mean", got["mean"], g.scores(g.mean(site, cells, False), False))
    base = re.sub(r"\+(self|(shuffled|random|mean)\d*)$", "", site)
    base = base if base != site and base in g.sites else None
    family.add(c, name + " mean gain", got["mean_gain"], g.compare_sites(site, None, cells, base), "all, vanilla")
    c.same(name + " control of", got.get("control_of"), base)
    if base:
        both = g.sites[site][0] & g.sites[base][0]
        c.same(name + " shared configurations", got["shared_configurations"], int(both.any(1).sum()))
        c.scores(name + " shared mean", got["shared_mean"], g.scores(g.mean_among(site, both), False))
        c.scores(name + " transplant mean", got["transplant_mean"], g.scores(g.mean_among(base, both), False))
        family.add(c, name + " over control", got["over_control"], g.compare_sites(base, site, cells), "controls")
        at, i, j = COARSE.get(g.task, ("ffn", 0, 0))
        if at == base:
            cell = (i % g.layers) * g.layers + j
            family.add(c, name + " coarse over control", got["coarse_over_control"], g.compare_sites(base, site, [cell]), "controls")
        else:
            c.same(name + " coarse over control", got["coarse_over_control"], None)
    for source, key in ((True, "sources"), (False, "targets")):
        for layer in range(g.layers):
            compare_layer(c, f"{name} {key}[{layer}]", g, got[key][layer], site, source, layer, chance)


def compare_layer(c, where, g, got, site, source, layer, chance):
    gains = g.scores(g.mean(site, g.cells(source, layer), True), False)
    c.estimate(where + " gain", got["gain"], gains["overall"])
    for lang, e in gains["languages"].items():
        c.estimate(f"{where} gain {lang}", got["language_gains"][lang], e)
    complete, right, interval, candidates = g.bound(site, source, layer)
    c.scores(where + " bound", got["bound"], g.scores(g.masked(right, complete)))
    c.estimate(where + " vanilla", got["vanilla"], g.scores(g.masked(g.right, complete))["overall"])
    scores, chance_interval, above, above_interval = g.above(right, complete, chance[site, source, layer])
    c.scores(where + " chance", got["chance_scores"], scores)
    wanted = dict(complete=int(complete.sum()), candidates=candidates, bound_low=interval[0], bound_high=interval[1], chance=scores["overall"][0],
                  chance_low=chance_interval[0], chance_high=chance_interval[1], above=above, above_low=above_interval[0], above_high=above_interval[1])
    for field, value in wanted.items():
        c.same(f"{where} {field}", got[field], value)


# ---- tables: that each cell is the figure it should be -----------------------------------------------------------------------

def shown(e):
    if e is None or not e["count"] or e["value"] is None:
        return None
    if e["error"] == 0 and "low" in e:
        return {"value": e["value"], "low": e["low"], "high": e["high"]}
    return {"value": e["value"], **({"error": e["error"]} if e["error"] is not None else {})}


def language_row(group, scores):
    out = []
    for level in LEVELS:
        names = [l["name"] for l in group["languages"] if l["level"] == level]
        out += [shown(scores["languages"][n]) for n in names] + ([shown(scores["levels"][level])] if names else [])
    out += [shown(scores["languages"][l["name"]]) for l in group["languages"] if l["level"] is None]
    return out + [shown(scores["overall"])]


ROWS = {"": "gain", ": low": "low", ": high": "high", ": p": "p", ": p (McNemar)": "mcnemar", ": p (Holm)": "holm", ": q (BH)": "bh"}


def plain(x):
    return None if x is None else {"value": x}


def compare_rows(c, where, table, label, group, comparison):
    """The rows of a comparison under columns of languages."""
    for ending, field in ROWS.items():
        out = []
        for level in LEVELS:
            names = [l["name"] for l in group["languages"] if l["level"] == level]
            out += [comparison["languages"][n][field] for n in names] + ([comparison["levels"][level][field]] if names else [])
        out += [comparison["languages"][l["name"]][field] for l in group["languages"] if l["level"] is None] + [comparison["overall"][field]]
        c.same(f"{where} {label}{ending}", table.get(label + ending), [plain(x) for x in out])


def paper_site(group):
    site = COARSE.get(group["task"], ("ffn",))[0]
    return next((s for s in group["sites"] if s["site"] == site), group["sites"][0] if group["sites"] else None)


def compare_tables(c, report, groups):
    tables = {t["id"]: t for t in report["tables"]}
    rows = lambda t: {r["label"]: r["cells"] for r in tables[t]["rows"]}
    main = {}
    for g in groups:
        if not g["cot"] and (g["task"] not in main or g["pivot"] == "en"):
            main[g["task"]] = g
    main = [main[t] for t in ORDER if t in main]
    for g in main:
        table = rows("table3-" + g["task"] + ("" if g["pivot"] in ("", "en") else "-" + g["pivot"]))
        c.same(f"table 3 {g['task']} vanilla", table["Vanilla"], language_row(g, g["vanilla"]))
        for key, name in (("coarse", "Coarse"), ("coarse_released", "Coarse (attn-released)")):
            if g[key]:
                c.same(f"table 3 {g['task']} {name}", table[name], language_row(g, g[key]))
                compare_rows(c, f"table 3 {g['task']}", table, name + " − Vanilla", g, g[key + "_gain"])
        for s in g["sites"]:
            for strategy, scores in s["strategies"].items():
                name = f"{strategy} ({s['site']})"
                c.same(f"table 3 {g['task']} {name}", table.get(name), language_row(g, scores))
                compare_rows(c, f"table 3 {g['task']}", table, name + " − Vanilla", g, scores["against_vanilla"])
                if scores["against_coarse"]:
                    compare_rows(c, f"table 3 {g['task']}", table, f"{name} − Coarse ({s['site']})", g, scores["against_coarse"])
    table = rows("table4")
    levels = lambda pick: [shown(pick(g)["levels"][level]) if pick(g) else None for g in main for level in LEVELS]
    c.same("table 4 vanilla", table["Vanilla"], levels(lambda g: g["vanilla"]))
    c.same("table 4 vanilla by chance", table["Vanilla by chance"], levels(lambda g: g["vanilla_chance_scores"]))
    for name, key, at in (("SourceLast", "sources", -1), ("TargetFirst", "targets", 0)):
        complete = [g for g in main if paper_site(g) and paper_site(g)[key][at]["complete"]]
        if not complete:
            c.same("table 4 " + name, table.get(name), None)
            continue
        pick = lambda g, what: paper_site(g)[key][at][what] if g in complete else None
        c.same("table 4 " + name, table[name], levels(lambda g: pick(g, "bound")))
        c.same(f"table 4 {name} by chance", table[name + " by chance"], levels(lambda g: pick(g, "chance_scores")))
    for name in sorted({name for g in main for s in g["sites"] for name in s["strategies"]}):
        c.same(f"table 4 {name}", table.get(name), levels(lambda g: paper_site(g)["strategies"].get(name)))
    sites = {"Vanilla (no transplant)": "vanilla", "Transplant (Self-Attention)": "attn", "Transplant (Self-Attention as released)": "attn-released",
             "Transplant (Feed-Forward)": "ffn", "Transplant (Whole Block)": "block"}
    for row in tables["table1"]["rows"] if "table1" in tables else []:
        if row["section"]:
            continue
        site, measure, cells = sites[row["label"]], row["cells"][0], row["cells"][1:]
        for g, cell in zip(main, cells):
            of = g if site == "vanilla" else next((s for s in g["sites"] if s["site"] == site), None)
            if measure == "perplexity, median":
                wanted = plain(of["perplexity_median"]) if of else None
            else:
                wanted = shown(of[{"perplexity": "perplexity", "perplexity, geometric": "perplexity_geometric", "consistency": "consistency"}[measure]]) if of else None
            c.same(f"table 1 {measure} {site} {g['task']}", cell, wanted)
    bounds = {r["label"]: r["cells"] for r in tables["bounds"]["rows"]}
    for g in groups:
        for s in g["sites"]:
            for name, k in (("SourceLast", s["sources"][-1]), ("TargetFirst", s["targets"][0])):
                label = f"{g['title']}{'' if g['pivot'] in ('', 'en') else ', from ' + g['pivot']}{', CoT' if g['cot'] else ''}, {s['site']}, {name}"
                if not k["candidates"]:
                    continue
                rest = [shown(k["vanilla"]), shown(k["bound"]["overall"])] + [plain(k[f]) for f in ("bound_low", "bound_high", "chance", "chance_low", "chance_high", "above", "above_low", "above_high")]
                c.same("bounds " + label, bounds.get(label), [plain(k["candidates"]), k["complete"], g["scored"]] + (rest if k["complete"] else [None] * len(rest)))
    best = [r["cells"] for r in tables["best"]["rows"]]
    for cells, (g, s) in zip(best, [(g, s) for g in groups for s in g["sites"]]):
        k, n, conf = s["best"]["source_layer"] * g["layers"] + s["best"]["target_layer"], g["layers"], s["configurations"]
        value = lambda x: {"value": x}
        c.same(f"best {g['task']} {s['site']}", cells[:15], [
            value(conf["vanilla_correct"][k] / conf["count"][k]), shown(s["mean"]["overall"]), value(conf["correct"][k] / conf["count"][k]), k // n, k % n,
            value(conf["gain"][k]), value(conf["low"][k]), value(conf["high"][k]), *(value(conf[f][k]) for f in ("p", "mcnemar", "holm", "bh", "holm_all", "bh_all")),
            value(s["best_fresh"]) if s["best_fresh"] is not None else None])
        some = [x for x in range(n * n) if conf["count"][x] is not None]
        c.same(f"best {g['task']} {s['site']} counts", cells[15:], [sum(conf[a][x] < 0.05 and (conf["gain"][x] < 0) == w for x in some) for a in ("holm", "bh") for w in (False, True)])
    figure2 = [r["cells"][1:] for r in tables["figure2"]["rows"] if r["cells"][0] == report["store"]["about"]["model"]]
    wanted = []
    for g in groups:
        for s in g["sites"]:
            wanted.append(["all", *s["tally"].values(), shown(g["vanilla"]["overall"]), shown(s["mean"]["overall"])])
            wanted += [[l, *s["language_tallies"][l].values(), shown(g["vanilla"]["languages"][l]), shown(s["mean"]["languages"][l])] for l in (x["name"] for x in g["languages"])]
    c.same("figure 2", figure2, wanted)
    for g in groups:
        slug = g["task"] + ("" if g["pivot"] in ("", "en") else "-" + g["pivot"]) + ("-cot" if g["cot"] else "")
        for s in g["sites"]:
            name = f"{slug}-{s['site'].replace(':', '-').replace('+', '-')}"
            for layer, row in enumerate(tables["figure3-" + name]["rows"]):
                cells = [x for key in ("sources", "targets") for x in [shown(s[key][layer]["gain"])] + [shown(s[key][layer]["language_gains"][l["name"]]) for l in g["languages"]]]
                c.same(f"figure 3 {name} {layer}", row["cells"], cells)
            for layer, row in enumerate(tables["figure4-" + name]["rows"]):
                cells = []
                for key in ("sources", "targets"):
                    k = s[key][layer]
                    cells += [shown(k["bound"]["overall"])] + [plain(k[f]) for f in ("bound_low", "bound_high", "chance", "chance_low", "chance_high", "candidates")] \
                        + [shown(k["bound"]["levels"][level]) for level in LEVELS] if k["bound"]["overall"]["count"] else [None] * 10
                c.same(f"figure 4 {name} {layer}", row["cells"], cells)
            conf, n = s["configurations"], g["layers"]
            wanted = [[k % n, *(conf[f][k] for f in ("count", "correct", "vanilla_correct", "won", "lost")), *(plain(conf[f][k]) for f in ("gain", "low", "high", "p", "mcnemar", "holm", "bh", "holm_all", "bh_all"))]
                      for k in range(n * n) if conf["count"][k] is not None]
            c.same(f"configurations {name}", [r["cells"] for r in tables["configurations-" + name]["rows"]], wanted)


def compare_table8(c, report, groups):
    """Rows by model and pivot: English first among the columns, the mean of the languages, and the model where there are several."""
    stores = [report[name] for name in ("store", "beside") if name in report] + report.get("more", [])
    tables = {t["id"]: t for t in report["tables"]}
    for task in dict.fromkeys(g["task"] for g in groups if g["task"] not in FROM_LANGUAGE and not g["cot"]):
        of = [[g for g in s["groups"] if g["task"] == task and not g["cot"]] for s in stores]
        table = tables.get("table8-" + task)
        if sum(map(len, of)) < 2:
            c.same("table 8 " + task, table, None)
            continue
        names = [l["name"] for l in of[0][0]["languages"]]
        names = [n for n in names if n == "en"] + [n for n in names if n != "en"]
        several = sum(map(bool, of)) > 1
        wanted = []
        for s, some in zip(stores, of):
            if not some:
                continue
            model = s["about"]["model"]

            def row(label, scores):
                cells = [shown(scores["languages"].get(n)) for n in names]
                values = [x["value"] for x in cells if x]
                mean = shown(scores["average"]) if len(values) == scores["average"]["count"] else plain(sum(values) / len(values)) if values else None
                wanted.append((label, cells + [mean] + ([model] if several else [])))

            wanted.append((model, None))
            untouched = [{n: (e["value"], e["count"]) for n, e in g["vanilla"]["languages"].items() if e["count"]} for g in some]
            same = all(x == untouched[0] for x in untouched)
            for g in some[:1] if same else some:
                row("vanilla" if same else f"vanilla ({g['pivot']})", g["vanilla"])
            for g in some:
                for key, name in (("coarse", "coarse"), ("coarse_released", "coarse, attn-released")):
                    if g[key]:
                        row(f"{name} ({g['pivot']})", g[key])
                for name, scores in (paper_site(g)["strategies"] if paper_site(g) else {}).items():
                    row(f"{name} ({g['pivot']})", scores)
        c.same(f"table 8 {task} columns", [x["name"] for x in table["columns"]], names + ["Avg."] + (["model"] if several else []))
        found = [(r["label"], None if r["section"] else r["cells"]) for r in table["rows"]]
        c.same(f"table 8 {task} rows", [label for label, _ in found], [label for label, _ in wanted])
        for (label, cells), (_, right) in zip(found, wanted):
            for k, cell in enumerate(right or []):
                c.same(f"table 8 {task} {label} [{k}]", cells[k], cell)


def read_groups(path, layers, options):
    rows = defaultdict(list)
    for line in open(path, encoding="utf-8"):
        row = json.loads(line)
        rows[row["task"], "" if row["task"] in FROM_LANGUAGE else row["source_lang"], row["doc_id"].endswith("-cot")].append(row)
    groups = {key: Group(key, some, layers, options) for key, some in rows.items()}
    return {key: g for key, g in groups.items() if g.scored.any()}


def compare_one(c, name, part, groups, store):
    """One results file's figures: `part` is what the report has of it, `groups` are its lines', `store` the file itself."""
    family = Families()
    found = [(g["task"], g["pivot"], g["cot"]) for g in part["groups"]]
    c.same(name + " groups", sorted(found), sorted(groups))
    for group in part["groups"]:
        g = groups[group["task"], group["pivot"], group["cot"]]
        compare_group(c, g, group, g.chance(), family)
        if store:
            compare_store(c, g, group, store, family)
    if store:
        c.same(name + " model", part["about"]["model"], store.model)
    if store or not any(g["source"] or any(s["strategies"] for s in g["sites"]) for g in part["groups"]):
        family.compare(c)


def part_of(report, name):
    return report["more"][int(name[4:]) - 1] if name.startswith("more") else report[name]


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("lines")
    arguments.add_argument("report")
    arguments.add_argument("results", nargs="?")
    arguments.add_argument("--select", metavar="LINES", help="what `select --json` printed of the results file")
    arguments.add_argument("--store", nargs=3, action="append", default=[], metavar=("NAME", "LINES", "RESULTS"))
    a = arguments.parse_args()
    if a.select and not a.results:
        arguments.error("--select needs the results file")
    report = json.load(open(a.report, encoding="utf-8"))
    c, store = Comparison(), Store(a.results) if a.results else None
    groups = read_groups(a.lines, report["store"]["about"]["layers"], report["options"])
    compare_one(c, "store", report["store"], groups, store)
    for name, lines, results in a.store:
        part = part_of(report, name)
        compare_one(c, name, part, read_groups(lines, part["about"]["layers"], report["options"]), Store(results))
    for line in open(a.select, encoding="utf-8") if a.select else []:
        line = json.loads(line)
        g = groups[line["task"], line["pivot"], line["cot"]]
        compare_selection(c, g, line, keys_of(g), store)
    compare_tables(c, report, report["store"]["groups"])
    compare_table8(c, report, report["store"]["groups"])
    for line in c.wrong[:20]:
        print(line)
    print(f"{c.compared} figures compared, {len(c.wrong)} differ")
    sys.exit(bool(c.wrong))


if __name__ == "__main__":
    main()
