#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The Python package as people get it: a wheel, installed into a fresh environment, and its tests run there. Needs Python with its
# headers, and an index that pip reaches.
. "$(dirname "$0")/../cli/lib.sh"
root=$(cd "$here/../.." && pwd)
what="the Python package"
for python in ${XT_PYTHON:-python3 /usr/bin/python3} none; do
  [ "$python" != none ] || { skip "$what" "needs Python 3.9 with venv and headers (python3-venv, python3-dev)"; finish; }
  "$python" -c 'import ensurepip, os, sys, sysconfig
sys.exit(sys.version_info < (3, 9) or not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' 2>/dev/null && break
done
pip() { environment=$1; shift; "$environment/bin/python" -m pip --disable-pip-version-check "$@"; }
run "$python" -m venv build
expect "a fresh environment" 0
if ! timeout 60 build/bin/python -m pip --disable-pip-version-check download -q --retries 0 --timeout 15 --no-deps -d reached cffi >/dev/null 2>&1; then
  skip "$what" "needs an index that pip reaches"
  finish
fi
# The folder is kept, so that the same sources are not compiled twice.
run pip build wheel -q --no-deps -C build-dir="$XT_BUILD/python" -w wheels "$root"
expect "pip wheel ." 0
run "$python" -m venv fresh
run pip fresh install -q "$(echo wheels/*.whl)[test]" nbclient ipykernel
expect "pip install the wheel" 0
case $(ls wheels) in xtransplant-*-cp39-abi3-*.whl) pass "one wheel for all versions of Python" ;; *) fail "one wheel for all versions of Python" "$(ls wheels)" ;; esac
fresh/bin/python -c 'import time
began = time.perf_counter()
import numpy
between = time.perf_counter()
import xtransplant
print("# import: %.0f ms, behind %.0f ms of numpy" % (1e3 * (time.perf_counter() - between), 1e3 * (between - began)))'
fresh/bin/python -m pytest -q -rs --rootdir "$root" -c "$root/pyproject.toml" "$root/python/tests" >"$work/log" 2>&1
same "its tests pass" $? 0
[ $failures -eq 0 ] || sed 's/^/# /' "$work/log" | tail -60
sed -n 's/^SKIPPED.*: /# not run: /p; $s/^/# /p' "$work/log"
finish
