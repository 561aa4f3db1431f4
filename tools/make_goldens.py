#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes tests/golden/models: tiny random models and what Hugging Face transformers computes with them.

    python tools/make_goldens.py                 # all models, into tests/golden/models
    python tools/make_goldens.py --only qwen2 -o /tmp/goldens
    python tools/make_goldens.py --search        # tries seeds until no greedy step is a near-tie; prints them

Two runs give the same bytes. See tools/README.md, and docs/FORMATS.md for reference.json.
"""

import argparse
import contextlib
import copy
import json
import os
import random
import shutil
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import safetensors
import torch
import transformers
from safetensors.torch import save_file

import golden_models
from hf_taps import SITES, TAPS, Edit, is_parallel, layers_of, capture, capture_as_released, generate_with_transformers, greedy

MIN_MARGIN = 1e-3  # a greedy step closer than this could turn on rounding
MAX_DOUBLE_DIFFERENCE = 5e-6  # of a tap's scale, between float32 and float64 runs
COUNT = 20


class NearTie(Exception):
    pass


def make_prompts(spec):
    """One token; five; thirteen that begin with those five; forty with repeats."""
    rng = random.Random(f"prompts of {spec.name}")
    draw = lambda n: [rng.randrange(3, spec.config["vocab_size"]) for _ in range(n)]
    five = [1] + draw(4)
    forty = [1] + draw(27)
    return {"p0": draw(1), "p1": five, "p2": five + draw(8), "p3": forty + rng.sample(forty, 12)}


def transplant_cases(spec, layers):
    """(source, target, site, i, j, penalty)"""
    rng = random.Random(f"transplants of {spec.name}")
    cells = [(i, j) for i in range(layers) for j in range(layers)]
    corners = [(layers - 1, 0), (0, 0), (0, layers - 1), (layers - 1, layers - 1)]
    cases = []

    def add(source, target, site, chosen, penalty):
        cases.extend((source, target, site, i, j, penalty) for i, j in sorted(chosen))

    for site in SITES:
        if spec.full:
            add("p1", "p2", site, cells, 1.0)
            add("p2", "p1", site, cells, 1.3)
            add("p3", "p0", site, rng.sample(cells, 8), 1.0)
            add("p2", "p3", site, set(corners + rng.sample(cells, 6)), 1.0)
        else:
            add("p1", "p2", site, set(corners + rng.sample(cells, 5)), 1.0)
            add("p2", "p3", site, set(corners + rng.sample(cells, 4)), 1.0)
            add("p3", "p1", site, rng.sample(cells, 6), 1.3)
            add("p3", "p0", site, rng.sample(cells, 4), 1.0)
            add("p2", "p2", site, [(1, 1), (2, 1), (0, layers - 1)], 1.0)
    return cases


def intervention_cases(layers):
    """(target, penalty, list of (source, read, source layer, write, layer, position, rule, alpha))"""
    last, middle = layers - 1, layers // 2
    return [
        ("p1", 1.0, [("p2", "ffn", 2, "ffn", 1, -1, "replace", 1.0), ("p2", "ffn", last, "ffn", 2, -1, "replace", 1.0)]),
        ("p2", 1.0, [("p0", "attn", 1, "attn", 0, 4, "replace", 1.0)]),
        ("p2", 1.0, [("p1", "block", middle, "block", middle, -1, "add", 0.5)]),
        ("p3", 1.0, [("p1", "mid", 1, "mid", 1, -1, "blend", 0.5)]),
        ("p3", 1.3, [("p2", "mid", last, "mid", 0, 0, "replace", 1.0), ("p1", "ffn", 0, "ffn", last, -1, "blend", 0.75)]),
        ("p1", 1.0, [("p2", "block", 1, "attn", 1, -1, "replace", 1.0), ("p3", "ffn", 1, "attn", 1, -1, "add", 0.25)]),
        ("p1", 1.0, [("p3", "ffn", 1, "attn", 1, -1, "add", 0.25), ("p2", "block", 1, "attn", 1, -1, "replace", 1.0)]),
        ("p0", 1.0, [("p3", "attn", 0, "ffn", 0, 0, "add", 2.0), ("p2", "mid", 1, "block", 1, -1, "blend", 0.25),
                     ("p1", "block", last, "mid", last, -1, "blend", 0.5)]),
        ("p3", 1.0, [("p1", "block", 2, "block", 1, position, "replace", 1.0) for position in (5, 6, 7, 30)]),
    ]


def choose_eos(untouched, sequences, how_many):
    """Ids that stop about a third of all generations, some untouched ones among them, none at once."""
    def share(ids):
        return sum(any(t in ids for t in s) for s in sequences) / len(sequences)

    first = {s[0] for s in untouched}
    candidates = sorted({t for s in sequences for t in s if t > 2} - first)
    late = [t for t in candidates if any(t in s[2:] for s in untouched)]
    stops_some = lambda ids: 0 < sum(any(t in ids for t in s) for s in untouched) < len(untouched)
    chosen = []
    for number in range(1, how_many + 1):
        goal = 0.3 * number / how_many
        pool = [t for t in (late if number == 1 else candidates) if t not in chosen and stops_some(chosen + [t])]
        chosen.append(min(pool, key=lambda t: (abs(share(chosen + [t]) - goal), t)))
    return chosen


def require(condition, what):
    if not condition:
        raise RuntimeError(what)


@contextlib.contextmanager
def default_double():
    """New tensors in float64: XGLM's attention makes its mask's constant so."""
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


class Bench:
    """One model in float32, its float64 copy as a check, and every prompt's taps in both."""

    def __init__(self, directory, prompts):
        self.model = golden_models.load(directory)
        self.double = copy.deepcopy(self.model).double()
        self.prompts = prompts
        self.taps = {name: capture(self.model, ids) for name, ids in prompts.items()}
        with default_double():
            self.double_taps = {name: capture(self.double, ids) for name, ids in prompts.items()}
        self.memo = {}

    def double_difference(self):
        """Largest difference of a tap between float32 and float64, relative to the tap's scale."""
        worst = 0.0
        for name in self.prompts:
            for tap, value in self.taps[name].items():
                exact = self.double_taps[name][tap]
                worst = max(worst, float((value - exact).abs().max() / exact.abs().max()))
        return worst

    def edits(self, changes, taps, dtype):
        return [Edit(write, layer, taps[source][read][source_layer].to(dtype), position, rule, alpha)
                for source, read, source_layer, write, layer, position, rule, alpha in changes]

    def run(self, target, changes, penalty):
        """20 tokens. A near-tie, or a float64 run that says otherwise, raises NearTie."""
        key = (target, tuple(changes), penalty)
        if key not in self.memo:
            ids = self.prompts[target]
            result = greedy(self.model, ids, self.edits(changes, self.taps, torch.float32), penalty, COUNT)
            if min(result.margins) <= MIN_MARGIN:
                raise NearTie(f"margin {min(result.margins):.2g}")
            with default_double():
                exact = greedy(self.double, ids, self.edits(changes, self.double_taps, torch.float64), penalty, COUNT)
            if exact.ids != result.ids:
                raise NearTie("float64 differs")
            self.memo[key] = result
        return self.memo[key]


def head_of(model, hidden):
    """Logits of the last layer's output."""
    config = model.config
    norm = {"gpt_neox": "final_layer_norm", "bloom": "ln_f", "xglm": "layer_norm"}.get(config.model_type, "norm")
    logits = model.get_output_embeddings()(getattr(model.base_model, norm)(hidden[None]))[0]
    if config.model_type in ("cohere", "cohere2"):
        return logits * config.logit_scale
    if config.model_type == "granite":
        return logits / config.logits_scaling
    cap = getattr(config, "final_logit_softcapping", None)
    return torch.tanh(logits / cap) * cap if cap else logits


def check_releases(bench):
    """The taps fit together, and the published code's aliasing gives m."""
    for name, ids in bench.prompts.items():
        taps = bench.taps[name]
        below = torch.cat([taps["embed"][None], taps["block"][:-1]])
        require(torch.equal(below + taps["attn"], taps["mid"]), "m is not h + a")
        if bench.model.config.model_type == "gpt_neox" and is_parallel(bench.model):  # (f + a) + h there
            require(torch.equal(taps["ffn"] + taps["attn"] + below, taps["block"]), "o is not f + a + h")
        else:
            require(torch.equal(taps["mid"] + taps["ffn"], taps["block"]), "o is not m + f")
        head = head_of(bench.model, taps["block"][-1])
        require(torch.allclose(head, taps["logits"], rtol=1e-5, atol=1e-5), "logits are not the head of the last o")
        if bench.model.config.model_type in ("llama", "mistral", "qwen2"):
            require(torch.equal(capture_as_released(bench.model, ids), taps["mid"]), "the released code does not give m")


def make(spec, directory, seed):
    """Builds one model and its reference; returns a line for the table."""
    golden_models.create(directory, spec, seed)
    prompts = make_prompts(spec)
    bench = Bench(directory, prompts)
    layers = len(layers_of(bench.model))
    with torch.no_grad():
        check_releases(bench)
    difference = bench.double_difference()
    require(difference < MAX_DOUBLE_DIFFERENCE, f"float64 taps differ by {difference:.2g}")

    default = (spec.generation or {}).get("repetition_penalty", 1.0)
    penalties = sorted({1.0, 1.3, default})
    greedy_runs = [(name, penalty, bench.run(name, [], penalty)) for name in prompts for penalty in penalties]
    changes = lambda source, site, i, j: [(source, SITES[site][0], i, SITES[site][1], j, -1, "replace", 1.0)]
    transplants, dropped = [], 0
    for source, target, site, i, j, penalty in transplant_cases(spec, layers):
        try:
            transplants.append((source, target, site, i, j, penalty, bench.run(target, changes(source, site, i, j), penalty)))
        except NearTie:
            if spec.full:
                raise
            dropped += 1
    interventions = [(*case, bench.run(case[0], case[2], case[1])) for case in intervention_cases(layers)
                     if not (is_parallel(bench.model) and any(change[3] == "mid" for change in case[2]))]
    for name in prompts:  # source = target and i = j changes nothing
        for site in ("attn", "ffn", "block"):
            require(bench.run(name, changes(name, site, 1, 1), 1.0).ids == bench.run(name, [], 1.0).ids, "identity")

    untouched = {(name, penalty): run for name, penalty, run in greedy_runs}
    everything = [run.ids for *_, run in greedy_runs + transplants + interventions]
    eos = choose_eos([run.ids for (name, penalty), run in untouched.items() if penalty == default], everything, spec.eos)
    golden_models.write_configs(directory, spec, eos)
    bench.model = golden_models.load(directory)
    check_generate(bench, eos, default, greedy_runs, transplants, interventions)

    cut = lambda runs: [(*run[:-1], run[-1].cut(eos)) for run in runs]
    greedy_runs, transplants, interventions = cut(greedy_runs), cut(transplants), cut(interventions)
    changed = sum(run.ids != untouched[target, penalty].cut(eos).ids for _, target, _, _, _, penalty, run in transplants)
    results = [run for *_, run in greedy_runs + transplants + interventions]
    summary = {
        "smallest_margin": shorten(min(min(run.margins) for run in results)),
        "transplants_that_change_tokens": changed,
        "stopped_by_eos": sum(run.ids[-1] in eos for run in results),
        "dropped_near_ties": dropped,
        "float64_difference": float(f"{difference:.1e}"),
    }
    write_reference(directory, spec, seed, bench, eos, default, summary, greedy_runs, transplants, interventions)
    distinct = len({tuple(run.ids) for run in results})
    return (f"{spec.name:18} seed {seed:3} transplants {len(transplants):4} changed {changed:4} distinct {distinct:4} "
            f"stopped {summary['stopped_by_eos']:4}/{len(results)} margin {summary['smallest_margin']:.4g} "
            f"dropped {dropped} double {difference:.1e} eos {eos}")


def check_generate(bench, eos, default, greedy_runs, transplants, interventions):
    """model.generate agrees: untouched runs all, transplants and interventions a sample; the model's defaults too."""
    model = bench.model

    def check(target, changes, penalty, run):
        edits = bench.edits(changes, bench.taps, torch.float32)
        ids = generate_with_transformers(model, bench.prompts[target], edits, COUNT, repetition_penalty=penalty)
        require(ids == run.cut(eos).ids, f"generate gives {ids}, the loop {run.cut(eos).ids}")

    for name, penalty, run in greedy_runs:
        check(name, [], penalty, run)
        if penalty == default:
            require(generate_with_transformers(model, bench.prompts[name]) == run.cut(eos).ids, "the model's defaults")
    for source, target, site, i, j, penalty, run in transplants[::11]:
        check(target, [(source, SITES[site][0], i, SITES[site][1], j, -1, "replace", 1.0)], penalty, run)
    for target, penalty, changes, run in interventions:
        check(target, changes, penalty, run)


def shorten(value):
    return float(f"{value:.5g}")


def write_reference(directory, spec, seed, bench, eos, default, summary, greedy_runs, transplants, interventions):
    """reference.json, one entry a line, and the taps of each prompt."""
    numbers = lambda values: [shorten(v) for v in values]
    sections = {"prompts": [], "greedy": [], "transplants": [], "interventions": []}
    for name, ids in bench.prompts.items():
        sections["prompts"].append({"name": name, "ids": ids, "taps": f"{name}.safetensors"})
        taps = {tap: value.contiguous() for tap, value in bench.taps[name].items()}
        save_file(taps, os.path.join(directory, f"{name}.safetensors"), metadata={"ids": json.dumps(ids)})
    for name, penalty, run in greedy_runs:
        sections["greedy"].append({"prompt": name, "repetition_penalty": penalty, "ids": run.ids,
                                   "margins": numbers(run.margins), "entropies": numbers(run.entropies)})
    for source, target, site, i, j, penalty, run in transplants:
        sections["transplants"].append({"source": source, "target": target, "site": site, "source_layer": i,
                                        "target_layer": j, "repetition_penalty": penalty, "ids": run.ids,
                                        "margins": numbers(run.margins)})
    names = ("source", "read", "source_layer", "write", "layer", "position", "rule", "alpha")
    for target, penalty, changes, run in interventions:
        sections["interventions"].append({"target": target, "list": [dict(zip(names, change)) for change in changes],
                                          "repetition_penalty": penalty, "ids": run.ids,
                                          "margins": numbers(run.margins)})
    versions = {"torch": torch.__version__.split("+")[0], "transformers": transformers.__version__,
                "safetensors": safetensors.__version__}
    head = {"format": 1, "versions": versions, "model": spec.name, "seed": seed, "eos": eos,
            "default_repetition_penalty": default, "max_new_tokens": COUNT, "summary": summary}
    compact = lambda value: json.dumps(value, separators=(",", ":"))
    with open(os.path.join(directory, "reference.json"), "w") as out:
        out.write("{\n" + "".join(f"{json.dumps(key)}: {compact(value)},\n" for key, value in head.items()))
        parts = [f"{json.dumps(key)}: [\n" + ",\n".join(compact(e) for e in entries) + "\n]"
                 for key, entries in sections.items()]
        out.write(",\n".join(parts) + "\n}\n")


def prepare():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    transformers.utils.logging.disable_progress_bar()


def work(name, output, search):
    prepare()
    spec = next(m for m in golden_models.MODELS if m.name == name)
    seed = spec.seed
    while True:
        with tempfile.TemporaryDirectory() as scratch:
            directory = os.path.join(scratch, name)
            try:
                line = make(spec, directory, seed)
            except NearTie as tie:
                if not search:
                    raise RuntimeError(f"{name}: seed {seed}: near-tie ({tie}); use --search") from tie
                seed += 1
                continue
            if output:
                final = os.path.join(output, name)
                shutil.rmtree(final, ignore_errors=True)
                shutil.copytree(directory, final)
            return line


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser(description="Makes the golden models and their references.")
    parser.add_argument("-o", "--output", default=os.path.join(here, "..", "tests", "golden", "models"))
    parser.add_argument("--only", action="append", choices=[m.name for m in golden_models.MODELS], help="may be repeated")
    parser.add_argument("--search", action="store_true", help="look for seeds from the table's on; write nothing")
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    names = arguments.only or [m.name for m in golden_models.MODELS]
    failed = False
    with ProcessPoolExecutor(arguments.jobs) as pool:
        for future in [pool.submit(work, name, None if arguments.search else arguments.output, arguments.search) for name in names]:
            try:
                print(future.result(), flush=True)
            except Exception as error:
                failed = True
                print(f"error: {error}", file=sys.stderr, flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
