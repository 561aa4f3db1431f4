#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The Python package: its tests, with a module that is made of the build's own objects. Where XT_TEST_WHEEL is set, also as people get
# it: a wheel, installed into a fresh environment, and its tests run there. That needs an index that pip reaches.
. "$(dirname "$0")/../cli/lib.sh"
root=$(cd "$here/../.." && pwd)

# tests_pass NAME PYTHON: python/tests, by pytest; what that skips is skipped here
tests_pass() {
  "$2" -m pytest -q -rs -c "$root/pyproject.toml" "$root/python/tests" >log 2>&1
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

finish
