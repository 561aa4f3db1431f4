#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints what run_peers.sh measured as a table: tokens/s, ratio to the best llama.cpp, fraction of the peak of
the type that products are computed in, and of what it was meanwhile.

usage: peers_table.py RESULTS.jsonl CONFIG.json"""

import json
import sys
from collections import defaultdict

NEW_TOKENS = 20


def parameters(path):
    """Those in matrix products: of the layers, and of the unembedding."""
    with open(path) as file:
        c = json.load(file)
    width, heads = c["hidden_size"], c["num_attention_heads"]
    kv = width // heads * (c.get("num_key_value_heads") or heads)
    return c["num_hidden_layers"] * width * (2 * width + 2 * kv + 3 * c["intermediate_size"]), width * c["vocab_size"]


def main():
    best = defaultdict(dict)  # measure -> peer -> largest value
    sweep = {}  # peer -> largest FLOP/s
    then = {}  # measure, peer -> fraction of the peak that the machine gave meanwhile
    peak = defaultdict(float)  # peer -> FLOP/s
    layers, head = parameters(sys.argv[2])

    def keep(measure, peer, value, of_peak_then=None):
        if value > best[measure].get(peer, 0.0):
            best[measure][peer], then[measure, peer] = value, of_peak_then

    with open(sys.argv[1]) as file:
        for line in file:
            entry = json.loads(line)
            peer, kind, result = entry["peer"], entry["kind"], entry["result"]
            if peer.startswith("xtransplant"):
                peak[peer] = max(peak[peer], result.get("peak_flops_per_second", 0.0))
                if kind == "prefill":
                    keep(("prefill", 0), peer, result["prefill"]["tokens_per_second"], result["prefill"]["fraction_of_peak_then"])
                elif kind == "decode":
                    for decode in result["decode"]:
                        keep(("decode", decode["rows"]), peer, decode["tokens_per_second"], decode["fraction_of_peak_then"])
                else:
                    for name, speed in (("", result["as_responses_agree"]), (", none agree", result["none_agreeing"])):
                        keep(("responses", 0), peer + name, speed["responses_per_second"], speed["fraction_of_peak_then"])
                        sweep[peer + name] = max(sweep.get(peer + name, 0.0), speed["flops"] / speed["seconds"])
            elif peer.startswith("llama.cpp"):
                if kind == "prefill":
                    keep(("prefill", 0), peer, result["avg_ts"])
                else:
                    keep(("decode", result["pl"]), peer, result["speed_tg"])
                    keep(("responses", 0), peer, result["speed_tg"] / NEW_TOKENS)
            elif result["what"] == "transplant":
                keep(("responses", 0), peer, result["responses_per_second"])
            else:
                keep((result["what"], result.get("rows", 0)), peer, result["tokens_per_second"])

    for peer, flops in sorted(peak.items()):
        print(f"peak measured in this run, {peer}: {flops / 1e9:.1f} GFLOP/s")
    print()
    order = ["prefill", "decode", "responses"]
    for (what, rows), peers in sorted(best.items(), key=lambda item: (order.index(item[0][0]), item[0][1])):
        rival = max((v for p, v in peers.items() if p.startswith("llama.cpp")), default=None)
        unit = "responses/s" if what == "responses" else "tokens/s"
        print(f"{what}{f', {rows} rows' if rows else ''}")
        print(f"  {'':30} {unit:>12} {'x llama.cpp':>12} {'x transformers':>15} {'of peak':>8} {'as it was':>10}")
        for peer, value in sorted(peers.items(), key=lambda item: -item[1]):
            flops = sweep.get(peer, 0.0) if what == "responses" else 2 * (layers + head if what == "decode" else layers) * value
            most = peak.get(peer.removesuffix(", none agree"), peak.get("xtransplant f32", 0.0))
            cells = [f"{value:12.3f}" if what == "responses" else f"{value:12.1f}",
                     f"{value / rival:12.2f}" if rival else f"{'-':>12}",
                     f"{value / peers['transformers']:15.2f}" if "transformers" in peers else f"{'-':>15}",
                     f"{flops / most:8.1%}" if most and flops else f"{'-':>8}",
                     f"{then[(what, rows), peer]:10.1%}" if then[(what, rows), peer] else f"{'-':>10}"]
            print(f"  {peer:30} " + " ".join(cells))
        print()


if __name__ == "__main__":
    main()
