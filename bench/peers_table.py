#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints run_peers.sh's results.jsonl as a table: tokens/s, ratio to the best llama.cpp, fraction of the peak, and of what it was meanwhile."""

import json
import sys
from collections import defaultdict

# Parameters in matrix products of TinyLlama-1.1B's shape: those of the layers, and the unembedding.
LAYERS = 22 * (2 * 2048 * 2048 + 2 * 2048 * 256 + 3 * 2048 * 5632)
HEAD = 2048 * 32000
NEW_TOKENS = 20


def main():
    best = defaultdict(dict)  # measure -> peer -> largest value
    sweep = {}  # peer -> largest FLOP/s
    then = {}  # measure, peer -> fraction of the peak that the machine gave meanwhile
    peak = 0.0

    def keep(measure, peer, value, of_peak_then=None):
        if value > best[measure].get(peer, 0.0):
            best[measure][peer], then[measure, peer] = value, of_peak_then

    with open(sys.argv[1]) as file:
        for line in file:
            entry = json.loads(line)
            peer, kind, result = entry["peer"], entry["kind"], entry["result"]
            if peer.startswith("xtransplant"):
                peak = max(peak, result.get("peak_flops_per_second", 0.0))
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

    print(f"float32 peak measured in this run: {peak / 1e9:.1f} GFLOP/s\n" if peak else "peak not measured\n")
    order = ["prefill", "decode", "responses"]
    for (what, rows), peers in sorted(best.items(), key=lambda item: (order.index(item[0][0]), item[0][1])):
        rival = max((v for p, v in peers.items() if p.startswith("llama.cpp")), default=None)
        unit = "responses/s" if what == "responses" else "tokens/s"
        print(f"{what}{f', {rows} rows' if rows else ''}")
        print(f"  {'':30} {unit:>12} {'x llama.cpp':>12} {'x transformers':>15} {'of peak':>8} {'as it was':>10}")
        for peer, value in sorted(peers.items(), key=lambda item: -item[1]):
            flops = sweep.get(peer, 0.0) if what == "responses" else 2 * (LAYERS + HEAD if what == "decode" else LAYERS) * value
            cells = [f"{value:12.3f}" if what == "responses" else f"{value:12.1f}",
                     f"{value / rival:12.2f}" if rival else f"{'-':>12}",
                     f"{value / peers['transformers']:15.2f}" if "transformers" in peers else f"{'-':>15}",
                     f"{flops / peak:8.1%}" if peak and flops else f"{'-':>8}",
                     f"{then[(what, rows), peer]:10.1%}" if then[(what, rows), peer] else f"{'-':>10}"]
            print(f"  {peer:30} " + " ".join(cells))
        print()


if __name__ == "__main__":
    main()
