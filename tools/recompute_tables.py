#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Computes the figures of report.json anew, from the lines of `xtransplant export`, and compares them digit by digit.

Nothing is shared with the C code but what the documentation says: the definitions, and the order in which random
numbers are drawn (docs/FORMATS.md). Scoring against permuted answers is done here as well.

    xtransplant export results.db > results.jsonl
    xtransplant report results.db -o out
    tools/recompute_tables.py results.jsonl out/report.json results.db

Needs numpy. Strategies, perplexities and languages are not in the lines: they are compared where the results file is given.
"""
import json
import math
import sqlite3
import sys
from collections import defaultdict

import numpy as np

LEVELS = {"High": "ar de en es fr ja zh", "Mid": "hi it ko pt ru sv tr vi", "Low": "am bg el fi he ht hu id ms nl no pl ro sw ta th tl uk ur"}
FROM_LANGUAGE = {"globalopinionqa", "culturalbench"}
CONTAINS = {"xquad", "mkqa"}
LETTERS = {"globalopinionqa", "culturalbench"}
COARSE = {"xnli": ("attn", -1, 0), "xcopa": ("attn", -1, 0)}  # the others: ffn, first, first
ORDER = ["xnli", "xquad", "globalopinionqa", "xcopa", "mkqa", "culturalbench"]


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


def names_option(text, label):
    return f"({label})" in text or text.strip() == label


def score(task, choices, response, gold):
    """As the released evaluation has it."""
    if task in CONTAINS:
        return gold.lower() in response.lower()
    if task in LETTERS:
        text = response.upper()
        named = {c: names_option(text, c) for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}
    else:
        text = response.replace("（", "(").replace("）", ")")
        named = {c: names_option(text, c) or bool(word and word in text) for c, word in choices.items()}
    return named[gold] and not any(v for c, v in named.items() if c != gold)


def estimate(values):
    n = len(values)
    if n == 0:
        return (None, None, 0)
    total, squares = float(sum(values)), float(sum(v * v for v in values))
    mean = total / n
    return (mean, math.sqrt(max(squares - total * mean, 0) / (n - 1) / n) if n > 1 else None, n)


def quantile(values, p):
    values = sorted(values)
    at = p * (len(values) - 1)
    below = int(at)
    return values[-1] if below + 1 >= len(values) else values[below] + (at - below) * (values[below + 1] - values[below])


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
        at = {}
        for row in rows:
            doc = json.dumps(row["doc"])
            if doc not in at:
                at[doc] = len(self.docs)
                self.docs.append(row["doc"])
                self.vanilla.append(None)
            i = at[doc]
            if row["site"] == "vanilla":
                self.vanilla[i] = (row["resps"][0][0], row["metrics"]["acc"])
            else:
                self.site_rows[row["site"]][i, row["source_layer"] * layers + row["target_layer"]] = (row["resps"][0][0], row["metrics"]["acc"])
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
        self.sample()

    def sample(self):
        rng, n = Random(self.options["seed"]), len(self.docs)
        self.weights = np.zeros((self.options["bootstrap"], n), np.int64)
        pools = [np.flatnonzero(self.scored[f:f + c]) + f for _, f, c in self.languages]
        for b in range(self.options["bootstrap"]):
            for pool in pools:
                if len(pool):
                    np.add.at(self.weights[b], pool[(rng.take(len(pool)) % np.uint64(len(pool))).astype(np.int64)], 1)

    def scores(self, values):
        """values: a number an instance, NaN where there is none."""
        of = lambda f, c: estimate([float(v) for v in values[f:f + c] if not math.isnan(v)])
        languages = {name: of(f, c) for name, f, c in self.languages}
        levels = {}
        for level in LEVELS:
            parts = [e for name, e in languages.items() if level_of(name) == level and e[2]]
            errors = [e[1] for e in parts]
            levels[level] = (sum(e[0] for e in parts) / len(parts), None if None in errors else math.sqrt(sum(e * e for e in errors)) / len(parts), len(parts)) if parts else (None, None, 0)
        return {"overall": of(0, len(self.docs)), "levels": levels, "languages": languages}

    def masked(self, correct, there):
        return np.where(there, correct.astype(float), math.nan)

    def interval(self, values):
        tail = (1 - self.options["confidence"]) / 2
        return (quantile(values, tail), quantile(values, 1 - tail)) if len(values) else (None, None)

    def configurations(self, site):
        there, correct = self.sites[site]
        out = {k: [] for k in ("count", "correct", "vanilla_correct", "won", "lost", "gain", "low", "high", "p")}
        left = self.weights == 0
        gains = np.full((self.layers**2, len(self.weights)), math.nan)
        fresh = gains.copy()
        for c in range(self.layers**2):
            if not there[c].any():
                for k in out:
                    out[k].append(None)
                continue
            won, lost = correct[c] & ~self.right, self.right & there[c] & ~correct[c]
            difference = won.astype(int) - lost.astype(int)
            size, outside = self.weights @ there[c].astype(int), left @ there[c].astype(int)
            with np.errstate(invalid="ignore", divide="ignore"):
                gains[c] = (self.weights @ difference) / size
                fresh[c] = (left @ difference) / outside
            low, high = self.interval([g for g in gains[c] if not math.isnan(g)])
            counts = dict(count=there[c].sum(), correct=correct[c].sum(), vanilla_correct=(self.right & there[c]).sum(), won=won.sum(), lost=lost.sum())
            for k, v in counts.items():
                out[k].append(int(v))
            out["gain"].append((out["correct"][-1] - out["vanilla_correct"][-1]) / out["count"][-1])
            out["low"].append(low)
            out["high"].append(high)
            out["p"].append(mcnemar(out["won"][-1], out["lost"][-1]))
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
        any_there, any_right = there.any(0), correct.any(0)
        scores = self.scores(self.masked(any_right, any_there))
        size = self.weights @ any_there.astype(int)
        drawn = [int(r) / int(s) for r, s in zip(self.weights @ any_right.astype(int), size) if s]
        candidates = int(there.sum()) / int(any_there.sum()) if any_there.any() else 0.0
        return scores, self.interval(drawn), candidates

    def chance(self):
        """{None: the untouched run's; (site, source, layer): (mean, low, high)}"""
        wanted = any(self.bound(s, src, k)[2] > 1 for s in self.sites for src in (True, False) for k in range(self.layers))
        if not wanted:
            return {}
        rng, count = Random(self.options["seed"]), self.options["permutations"]
        hits = defaultdict(lambda: np.zeros(count))
        texts = {(site, i): {} for site in self.sites for i in range(len(self.docs))}
        for site in self.sites:
            for (i, c), (text, _) in self.site_rows[site].items():
                texts[site, i].setdefault(text, []).append(c)
        for _, first, size in self.languages:
            pool = [i for i in range(first, first + size) if self.scored[i]]
            golds = [self.docs[i]["gold"] for i in pool]
            permuted = {i: [] for i in pool}
            for _ in range(count):
                shuffled = list(golds)
                numbers = rng.take(max(len(pool) - 1, 0))
                for k, i in enumerate(range(len(pool) - 1, 0, -1)):
                    j = int(numbers[k] % np.uint64(i + 1))
                    shuffled[i], shuffled[j] = shuffled[j], shuffled[i]
                for i, gold in zip(pool, shuffled):
                    permuted[i].append(gold)
            for i in pool:
                choices, memory = self.docs[i].get("choices"), {}

                def mask(text):
                    if text not in memory:
                        right = {g: text is not None and score(self.task, choices, text, g) for g in set(permuted[i])}
                        memory[text] = np.array([right[g] for g in permuted[i]])
                    return memory[text]
                hits[None] += mask(self.vanilla[i][0])
                for site in self.sites:
                    any_of = defaultdict(lambda: np.zeros(count, bool))
                    for text, cells in texts[site, i].items():
                        for c in cells:
                            any_of[True, c // self.layers] |= mask(text)
                            any_of[False, c % self.layers] |= mask(text)
                    for (source, layer), m in any_of.items():
                        hits[site, source, layer] += m
        out = {}
        for key, h in hits.items():
            n = int(self.scored.sum()) if key is None else self.bound(*key)[0]["overall"][2]
            values = [float(x) / n for x in h]
            out[key] = (sum(values) / len(values), *self.interval(values))
        return out


class Comparison:
    def __init__(self):
        self.compared, self.wrong = 0, []

    def same(self, where, got, wanted):
        self.compared += 1
        wanted = None if isinstance(wanted, float) and math.isnan(wanted) else wanted
        numbers = isinstance(got, (int, float)) and isinstance(wanted, (int, float))
        # twelve digits: sums of thousands of terms may be taken in another order
        if not (math.isclose(got, wanted, rel_tol=1e-11, abs_tol=1e-13) if numbers else got == wanted):
            self.wrong.append(f"{where}: report has {got}, recomputed {wanted}")

    def estimate(self, where, got, wanted):
        for k, name in enumerate(("value", "error", "count")):
            self.same(f"{where} {name}", got[name], wanted[k])

    def scores(self, where, got, wanted):
        self.estimate(where, got["overall"], wanted["overall"])
        for part in ("levels", "languages"):
            for name, e in wanted[part].items():
                self.estimate(f"{where} {name}", got[part][name], e)


class Store:
    """Of a results file: what strategies chose, and what is known of each response's text."""

    def __init__(self, path):
        db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        self.chosen, self.texts, self.vanilla = defaultdict(dict), defaultdict(list), {}
        instances = {k: rest for k, *rest in db.execute("SELECT id, task, lang, source_lang, doc_id, source, target FROM instances")}
        known = defaultdict(dict)
        for text, name, value in db.execute("SELECT text, name, value FROM text_metrics"):
            known[text][name] = value
        for strategy, site, k, i, j in db.execute("SELECT strategy, site, instance, source_layer, target_layer FROM selections"):
            self.chosen[tuple(instances[k]), site][strategy] = (i, j)
        for k, text in db.execute("SELECT instance, text FROM vanilla"):
            self.texts[tuple(instances[k]), "vanilla"].append(known[text])
        for k, site, text in db.execute("SELECT instance, site, text FROM responses"):
            self.texts[tuple(instances[k]), site].append(known[text])


LANGUAGE_CODES = {"nb": "no", "iw": "he", "fil": "tl"}  # that lid.176 has under another code


def compare_store(c, g, group, store):
    where = f"{g.task} {g.pivot}"
    keys = [(g.task, d["lang"], d["source_lang"], d["id"], d["source_prompt"], d["target_prompt"]) for d in g.docs]
    for got, site in [(group, "vanilla")] + [(s, s["site"]) for s in group["sites"]]:
        perplexities, consistent = [], []
        for key in keys:
            asked = "en" if g.task in FROM_LANGUAGE else key[1].split("-")[0]
            for known in store.texts[key, site]:
                if known.get("nll_standalone") is not None:
                    perplexities.append(math.exp(known["nll_standalone"]))
                if "lang" in known:
                    consistent.append(float(known["lang"] == LANGUAGE_CODES.get(asked, asked)))
        for name, values in (("perplexity", perplexities), ("consistency", consistent)):
            c.estimate(f"{where} {site} {name}", got[name], estimate(values))
        if site == "vanilla":
            continue
        names = sorted({s for key in keys for s in store.chosen[key, site]})
        c.same(f"{where} {site} strategies", sorted(got["strategies"]), names)
        for strategy, scores in got["strategies"].items():
            right = np.full(len(keys), math.nan)
            for n, key in enumerate(keys):
                at = store.chosen[key, site].get(strategy)
                if at is None or not g.scored[n]:
                    continue
                right[n] = g.right[n] if at[0] < 0 else g.sites[site][1][at[0] * g.layers + at[1], n]
            c.scores(f"{where} {site} {strategy}", scores, g.scores(right))


def compare_group(c, g, group, chance):
    where = f"{g.task} {g.pivot}"
    vanilla = g.scores(g.masked(g.right, g.scored))
    c.scores(where + " vanilla", group["vanilla"], vanilla)
    c.same(where + " vanilla chance", group["vanilla_chance"], chance[None][0] if None in chance else None)
    site, i, j = COARSE.get(g.task, ("ffn", 0, 0))
    cell = (i % g.layers) * g.layers + j
    if site in g.sites and g.sites[site][0][cell].any():
        c.scores(where + " coarse", group["coarse"], g.scores(g.masked(g.sites[site][1][cell], g.sites[site][0][cell])))
    else:
        c.same(where + " coarse", group["coarse"], None)
    for got in group["sites"]:
        site = got["site"]
        name = f"{where} {site}"
        out, best, fresh, _ = g.configurations(site)
        for field, values in out.items():
            for k, value in enumerate(values):
                c.same(f"{name} {field}[{k}]", got["configurations"][field][k], value)
        for lang, f, n in g.languages:
            for k in range(g.layers**2):
                c.same(f"{name} {lang} correct[{k}]", got["configurations"]["language_correct"][lang][k], int(g.sites[site][1][k, f:f + n].sum()))
            c.same(f"{name} {lang} tally", got["language_tallies"][lang], g.tally(site, f, n))
        c.same(name + " tally", got["tally"], g.tally(site, 0, len(g.docs)))
        c.same(name + " best", got.get("best"), {"source_layer": best // g.layers, "target_layer": best % g.layers})
        c.same(name + " best_fresh", got["best_fresh"], fresh)
        c.scores(name + " mean", got["mean"], g.scores(g.mean(site, list(range(g.layers**2)), False)))
        for source, key in ((True, "sources"), (False, "targets")):
            for layer in range(g.layers):
                compare_layer(c, f"{name} {key}[{layer}]", g, got[key][layer], site, source, layer, chance)


def compare_layer(c, where, g, got, site, source, layer, chance):
    gains = g.scores(g.mean(site, g.cells(source, layer), True))
    c.estimate(where + " gain", got["gain"], gains["overall"])
    for lang, e in gains["languages"].items():
        c.estimate(f"{where} gain {lang}", got["language_gains"][lang], e)
    scores, (low, high), candidates = g.bound(site, source, layer)
    c.scores(where + " bound", got["bound"], scores)
    c.same(where + " low", got["bound_low"], low)
    c.same(where + " high", got["bound_high"], high)
    c.same(where + " candidates", got["candidates"], candidates)
    for k, field in enumerate(("chance", "chance_low", "chance_high")):
        c.same(f"{where} {field}", got[field], chance[site, source, layer][k] if (site, source, layer) in chance else None)


# ---- tables: that each cell is the figure it should be -----------------------------------------------------------------------

def shown(e):
    if e is None or not e["count"] or e["value"] is None:
        return None
    return {"value": e["value"], **({"error": e["error"]} if e["error"] is not None else {})}


def language_row(group, scores):
    out = []
    for level in LEVELS:
        names = [l["name"] for l in group["languages"] if l["level"] == level]
        out += [shown(scores["languages"][n]) for n in names] + ([shown(scores["levels"][level])] if names else [])
    out += [shown(scores["languages"][l["name"]]) for l in group["languages"] if l["level"] is None]
    return out + [shown(scores["overall"])]


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
        if g["coarse"]:
            c.same(f"table 3 {g['task']} coarse", table["Coarse"], language_row(g, g["coarse"]))
            a, b = language_row(g, g["vanilla"]), language_row(g, g["coarse"])
            c.same(f"table 3 {g['task']} difference", table["Coarse − Vanilla"], [{"value": y["value"] - x["value"]} if x and y else None for x, y in zip(a, b)])
    table = rows("table4")
    levels = lambda pick: [shown(pick(g)["levels"][level]) if pick(g) else None for g in main for level in LEVELS]
    c.same("table 4 vanilla", table["Vanilla"], levels(lambda g: g["vanilla"]))
    c.same("table 4 SourceLast", table["SourceLast"], levels(lambda g: paper_site(g) and paper_site(g)["sources"][-1]["bound"]))
    c.same("table 4 TargetFirst", table["TargetFirst"], levels(lambda g: paper_site(g) and paper_site(g)["targets"][0]["bound"]))
    for name in sorted({name for g in main for s in g["sites"] for name in s["strategies"]}):
        c.same(f"table 4 {name}", table.get(name), levels(lambda g: paper_site(g)["strategies"].get(name)))
    first = tables["table1"]["rows"] if "table1" in tables else []
    for at, row in enumerate(first):
        site = {"Vanilla (no transplant)": "vanilla", "Transplant (Self-Attention)": "attn", "Transplant (Feed-Forward)": "ffn", "Transplant (Whole Block)": "block"}.get(row["label"])
        if row["section"]:
            continue
        figure = "perplexity" if at < [r["label"] for r in first].index("Language consistency (%)") else "consistency"
        of = lambda g: g[figure] if site == "vanilla" else next((s[figure] for s in g["sites"] if s["site"] == site), None)
        c.same(f"table 1 {figure} {site}", row["cells"], [shown(of(g)) for g in main])
    best = [r["cells"] for r in tables["best"]["rows"]]
    for cells, (g, s) in zip(best, [(g, s) for g in groups for s in g["sites"]]):
        k, n, conf = s["best"]["source_layer"] * g["layers"] + s["best"]["target_layer"], g["layers"], s["configurations"]
        value = lambda x: {"value": x}
        c.same(f"best {g['task']} {s['site']}", cells[:12], [
            value(conf["vanilla_correct"][k] / conf["count"][k]), shown(s["mean"]["overall"]), value(conf["correct"][k] / conf["count"][k]), k // n, k % n,
            value(conf["gain"][k]), value(conf["low"][k]), value(conf["high"][k]), value(conf["p"][k]), value(conf["holm"][k]), value(conf["bh"][k]),
            value(s["best_fresh"]) if s["best_fresh"] is not None else None])
        some = [x for x in range(n * n) if conf["count"][x] is not None]
        c.same(f"best {g['task']} {s['site']} counts", cells[12:], [sum(conf[a][x] < 0.05 and (conf["gain"][x] < 0) == w for x in some) for a in ("holm", "bh") for w in (False, True)])
    figure2 = [r["cells"] for r in tables["figure2"]["rows"]]
    wanted = []
    for g in groups:
        for s in g["sites"]:
            wanted.append(["all", *s["tally"].values(), shown(g["vanilla"]["overall"]), shown(s["mean"]["overall"])])
            wanted += [[l, *s["language_tallies"][l].values(), shown(g["vanilla"]["languages"][l]), shown(s["mean"]["languages"][l])] for l in (x["name"] for x in g["languages"])]
    c.same("figure 2", figure2, wanted)
    for g in groups:
        slug = g["task"] + ("" if g["pivot"] in ("", "en") else "-" + g["pivot"]) + ("-cot" if g["cot"] else "")
        for s in g["sites"]:
            name = f"{slug}-{s['site'].replace(':', '-')}"
            for layer, row in enumerate(tables["figure3-" + name]["rows"]):
                cells = [x for key in ("sources", "targets") for x in [shown(s[key][layer]["gain"])] + [shown(s[key][layer]["language_gains"][l["name"]]) for l in g["languages"]]]
                c.same(f"figure 3 {name} {layer}", row["cells"], cells)
            for layer, row in enumerate(tables["figure4-" + name]["rows"]):
                cells = []
                for key in ("sources", "targets"):
                    k = s[key][layer]
                    plain = lambda x: None if x is None else {"value": x}
                    cells += [shown(k["bound"]["overall"])] + [plain(k[f]) for f in ("bound_low", "bound_high", "chance", "chance_low", "chance_high", "candidates")] \
                        + [shown(k["bound"]["levels"][level]) for level in LEVELS] if k["bound"]["overall"]["count"] else [None] * 10
                c.same(f"figure 4 {name} {layer}", row["cells"], cells)
            conf, n = s["configurations"], g["layers"]
            wanted = [[k % n, *(conf[f][k] for f in ("count", "correct", "vanilla_correct", "won", "lost")), *({"value": conf[f][k]} for f in ("gain", "low", "high", "p", "holm", "bh"))]
                      for k in range(n * n) if conf["count"][k] is not None]
            c.same(f"configurations {name}", [r["cells"] for r in tables["configurations-" + name]["rows"]], wanted)


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    store = Store(sys.argv[3]) if len(sys.argv) == 4 else None
    report = json.load(open(sys.argv[2], encoding="utf-8"))
    layers = report["store"]["about"]["layers"]
    rows = defaultdict(list)
    for line in open(sys.argv[1], encoding="utf-8"):
        row = json.loads(line)
        rows[row["task"], "" if row["task"] in FROM_LANGUAGE else row["source_lang"], row["doc_id"].endswith("-cot")].append(row)
    groups = {key: Group(key, some, layers, report["options"]) for key, some in rows.items()}
    groups = {key: g for key, g in groups.items() if g.scored.any()}
    c = Comparison()
    found = [(g["task"], g["pivot"], g["cot"]) for g in report["store"]["groups"]]
    c.same("groups", sorted(found), sorted(groups))
    for group in report["store"]["groups"]:
        g = groups[group["task"], group["pivot"], group["cot"]]
        compare_group(c, g, group, g.chance())
        if store:
            compare_store(c, g, group, store)
    compare_tables(c, report, report["store"]["groups"])
    for line in c.wrong[:20]:
        print(line)
    print(f"{c.compared} figures compared, {len(c.wrong)} differ")
    sys.exit(bool(c.wrong))


if __name__ == "__main__":
    main()
