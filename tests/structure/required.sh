#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# tests/run.sh: what XT_TEST_REQUIRE names has to be there, so that a machine where kernels cannot run is not told to be well.
set -u
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat >"$work/test_some" <<'END'
#!/bin/sh
echo '# needs an OpenCL device'
echo 'not ok 1 # SKIP test_products'
echo 'ok - kernels # SKIP needs oclgrind'
echo 'ok - another # SKIP needs a balloon'
echo 'ok - OpenCL devices are listed'
END
chmod +x "$work/test_some"
# told NAME WORDS FAILED: so many of these tests fail where the words are required
told() {
  XT_TEST_REQUIRE=$2 "$here/../run.sh" --one "$work" 1 "$work" 0 "$work/test_some" >"$work/said"
  failed=$(grep -c '^not ok' "$work/1.out")
  if [ "$failed" = "$3" ]; then echo "ok - $1"; else
    echo "not ok - $1"
    echo "# $failed failed, expected $3"
    sed 's/^/# /' "$work/1.out"
  fi
}
told "nothing is required: skips are skips" "" 0
told "OpenCL is required" opencl 1
told "OpenCL and Oclgrind are required" opencl,oclgrind 2
told "something that no test needs is required" nvrtc 0
grep -q '^export XT_TEST_REQUIRE=.*opencl,oclgrind' "$here/../../.ci/run" && echo "ok - continuous integration requires both" || echo "not ok - continuous integration requires both"
