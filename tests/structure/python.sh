#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The Python package as people get it: a wheel, installed into a fresh environment, and its tests
# run there. Needs Python with its headers, and an index that pip reaches.
. "$(dirname "$0")/../cli/lib.sh"
root=$(cd "$here/../.." && pwd)
what="the Python package"
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
run build/bin/pip wheel -q --no-deps -C build-dir="$XT_BUILD/python" -w wheels "$root"
expect "pip wheel ." 0
run "$python" -m venv fresh
run fresh/bin/pip install -q "$(echo wheels/*.whl)[test]"
expect "pip install the wheel" 0
run sh -c 'ls wheels/xtransplant-*-cp39-abi3-*.whl'
expect "one wheel for all versions of Python" 0
fresh/bin/python -c 'import time
began = time.perf_counter()
import numpy
between = time.perf_counter()
import xtransplant
own = time.perf_counter() - between
print("# import: %.0f ms, behind %.0f ms of numpy" % (1e3 * own, 1e3 * (between - began)))'
fresh/bin/python -m pytest -q -rs -c "$root/pyproject.toml" "$root/python/tests" >log 2>&1
same "its tests pass" $? 0
[ $failures -eq 0 ] || sed 's/^/# /' log | tail -60
sed -n 's/^SKIPPED.*: /# not run: /p; $s/^/# /p' log
finish
