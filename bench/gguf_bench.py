#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""xtransplant and llama.cpp on the same GGUF files, interleaved in one run; prints a table a file.

    gguf_bench.py [options] XTRANSPLANT BIN MODEL.gguf...     BIN: of llama_bench.sh build

load      seconds from a program's start to the end of a one-token prompt, the file in memory
memory    the most that it had resident then
decode    tokens/s of 1, 8, 64, ... rows behind one shared prompt, without the prompt's time
sweep     responses/s of a sweep of the ffn site over every (i, j), prompts included, as its
          responses agree and as if none did; llama.cpp: its best decode speed / 20, prompts free

With --processor-time everything is the processor time of one thread, which other programs of a
busy machine lengthen little; llama.cpp's decoding is that of a run of more tokens less a run of
fewer.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

NEW = 20


class Run:
    """A command's standard output, what it took in seconds, and its memory in MiB."""

    def __init__(self, command, processor_time):
        with tempfile.TemporaryFile() as out:
            begin = time.monotonic()
            child = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL)
            _, status, usage = os.wait4(child.pid, 0)
            wall = time.monotonic() - begin
            self.seconds = usage.ru_utime + usage.ru_stime if processor_time else wall
            child.returncode = os.waitstatus_to_exitcode(status)
            if child.returncode:
                sys.exit(f"failed: {' '.join(command)}")
            self.mebibytes = usage.ru_maxrss / 1024
            out.seek(0)
            self.output = out.read().decode()

    def json(self):
        return json.loads([line for line in self.output.splitlines() if line.startswith("{")][-1])


class Best:
    """The best of each measurement's rounds, by what it is of and whose."""

    def __init__(self):
        self.values = {}

    def keep(self, what, peer, value, better=max):
        old = self.values.get((what, peer))
        self.values[what, peer] = value if old is None else better(old, value)

    def get(self, what, peer):
        return self.values.get((what, peer))


def our_bench(a, model, *more):
    return [a.xtransplant, "bench", "-m", model, "--threads", str(a.threads),
            "--compute", a.compute, "-p", str(a.prompt), "--repeats", "1", "--json", "--quiet", *more]


def our_decode(a, model, rows, new):
    return our_bench(a, model, "--rows", str(rows), "-n", str(new))


def their_decode(a, model, rows, new, prompt=None):
    prompt = prompt or a.prompt
    cells = (prompt + new + 255) // 256 * 256 * rows  # each sequence's come in blocks of 256
    return [os.path.join(a.bin, "llama-batched-bench"), "-m", model, "-t", str(a.threads),
            "-c", str(cells), "-b", "2048", "-ub", "512", "-npp", str(prompt), "-ntg", str(new),
            "-npl", str(rows), "-pps", "-no-kvu", "--output-format", "jsonl",
            *["--no-repack"] * a.no_repack]


def their_load(a, model):
    if a.no_repack:  # which llama-bench does not know
        return their_decode(a, model, 1, 1, prompt=1)
    return [os.path.join(a.bin, "llama-bench"), "-m", model, "-t", str(a.threads), "-p", "1", "-n", "0",
            "-r", "1", "--no-warmup"]


def processor_speed(a, peer, model, rows):
    """Tokens/s of processor time."""
    more = max(6, min(96, 192 // rows))
    if peer == "xt":
        run = Run(our_decode(a, model, rows, more), True)
        return (more - 1) * rows / run.json()["decode"][0]["processor_seconds"]
    few, many = [Run(their_decode(a, model, rows, new), True).seconds for new in (2, 2 + more)]
    return rows * more / (many - few)


def decode(best, a, peer, command, model, rows):
    if a.processor_time:
        best.keep(rows, peer, processor_speed(a, peer, model, rows))
        return
    result = Run(command(a, model, rows, NEW), False).json()
    if peer == "llama":
        best.keep(rows, peer, result["speed_tg"])
        return
    speed = result["decode"][0]
    best.keep(rows, peer, speed["tokens_per_second"])
    best.keep("bandwidth", peer, result["memory_bytes_per_second"])
    if rows == 1:
        share = speed["fraction_of_memory_bandwidth"]
        best.keep("reads", peer,
                  share * result["memory_bytes_per_second"] / speed["tokens_per_second"])


def load(best, a, peer, command):
    run = Run(command, a.processor_time)
    best.keep("load", peer, run.seconds, min)
    best.keep("memory", peer, run.mebibytes, min)


def one_round(best, a, model):
    threads = str(a.threads)
    load(best, a, "xt", [a.xtransplant, "generate", "-m", model, "--threads", threads,
                         "--compute", a.compute, "-p", "a", "-n", "1", "--quiet"])
    load(best, a, "llama", their_load(a, model))
    for rows in a.rows:
        decode(best, a, "xt", our_decode, model, rows)
        decode(best, a, "llama", their_decode, model, rows)
    if a.sweep and not a.processor_time:
        swept = Run(our_bench(a, model, "--sweep", "ffn", "-n", str(NEW)), False).json()
        fastest = max(best.get(rows, "llama") for rows in a.rows)
        for name in ("as_responses_agree", "none_agreeing"):
            best.keep(name, "xt", swept[name]["responses_per_second"])
            best.keep(name, "llama", fastest / NEW)


def print_table(best, a, model):
    print(f"\n{os.path.basename(model)}, threads: {a.threads}\n")
    print(f"| | xtransplant {a.compute} | llama.cpp | ratio |\n|---|---|---|---|")
    names = [("load", "load, s", 2), ("memory", "memory, MiB", 0)]
    names += [(rows, f"decode, {rows} row{'s' * (rows > 1)}, tokens/s", 1) for rows in a.rows]
    names += [("as_responses_agree", "responses/s, as they agree", 2),
              ("none_agreeing", "responses/s, none agreeing", 2)]
    for what, name, digits in names:
        x, y = best.get(what, "xt"), best.get(what, "llama")
        if x is not None and y is not None:
            print(f"| {name} | {x:.{digits}f} | {y:.{digits}f} | {x / y:.2f} |")
    one, reads, bandwidth = best.get(1, "xt"), best.get("reads", "xt"), best.get("bandwidth", "xt")
    if one and reads:
        print(f"\nOne row reads {reads / 1e6:.0f} MB a token: {one * reads / 1e9:.1f} of "
              f"{bandwidth / 1e9:.1f} GB/s, {one * reads / bandwidth:.0%}.")
    sys.stdout.flush()


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("xtransplant")
    parser.add_argument("bin")
    parser.add_argument("models", nargs="+")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rows", type=lambda s: [int(x) for x in s.split(",")],
                        default=[1, 8, 64])
    parser.add_argument("--prompt", type=int, default=128, help="tokens of the prompt")
    parser.add_argument("--rounds", type=int, default=2, help="the best of each counts")
    parser.add_argument("--compute", choices=("f32", "bf16"), default="f32", help="xtransplant's products")
    parser.add_argument("--no-sweep", dest="sweep", action="store_false")
    parser.add_argument("--no-repack", action="store_true", help="llama.cpp keeps weights as they are; 0.3.36 crashes "
                        "with AMX otherwise")
    parser.add_argument("--processor-time", action="store_true")
    a = parser.parse_args()
    if a.processor_time:
        a.threads = 1
    for model in a.models:
        best = Best()
        for _ in range(a.rounds):
            one_round(best, a, model)
        print_table(best, a, model)


if __name__ == "__main__":
    main()
