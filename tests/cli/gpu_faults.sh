#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# GPUs that fail: lost devices, memory that runs out, drivers that lack something. A shim (tests/fault/opencl_shim.c) before a real OpenCL
# makes a call fail in the middle of a sweep. The sweep ends with one line and 1 or 3, gives back all that it made on the device, and the
# same command goes on from its results file, on either device, to the bytes of an undisturbed run.
. "$(dirname "$0")/lib.sh"
brief=${XT_TEST_BRIEF:-} # one fault of each call, for the address sanitizer to look at what it leaves
shim=$XT_BUILD/tests/libopencl_shim.so
# The address sanitizer's library has to come before it; where that is a part of the program, nothing can.
first=$(ldd "$X" | awk '/libasan/ { print $3 ":" }')
export LSAN_OPTIONS="suppressions=$here/../fault/opencl_leaks.txt:print_suppressions=0" # the driver's own
if [ ! -e "$shim" ] || ! "$X" devices --json | grep -q '"opencl:0"'; then
  skip "GPUs that fail" "an OpenCL device"
  exit 0
fi
if grep -q __tsan_init "$X" || { grep -q __asan_init "$X" && [ -z "$first" ]; }; then
  skip "GPUs that fail" "a build whose sanitizer leaves room for a preloaded library"
  exit 0
fi
make_model tiny-llama
choice_pairs 8 >pairs.jsonl
sweep="$X sweep -m $model --threads 1 --site ffn -n 3 --quiet --pairs pairs.jsonl"
memory=5200000 # too little for all questions in one pass: some are done when a later one fails

# shimmed SETTING... -- COMMAND...: the command on the shim
shimmed() {
  settings=
  while [ "$1" != -- ]; do settings="$settings $1"; shift; done
  shift
  run env LD_PRELOAD="$first$shim" XT_CL_COUNT="$work/counts" $settings "$@"
}
count_of() { sed -n "s/^$1 //p" counts; }
left_over() { awk '/^live/ && $3 != 0 { print $2, $3 }' counts; }
exported() { "$X" export "$1" | sort; }

$sweep -o cpu.db
exported cpu.db >wanted
$sweep --device opencl -o made.db # so that PoCL has compiled the kernels, whose linker would be under the sanitizer
shimmed XT_CL_MEMORY=$memory -- $sweep --device opencl -o s.db
expect "on a device of $memory bytes" 0
same "it gives the cpu's bytes" "$(exported s.db | cksum)" "$(cksum <wanted)"
same "all that was made is released" "$(left_over)" ""
cp counts clean
same "kernels are built with" "$(count_of flags)" "-cl-std=CL1.2 -cl-fp32-correctly-rounded-divide-sqrt"

# told CODE DOING: the whole line, of which DOING is a part
told() {
  case $1 in
    -4 | -6 | -61) line="ran out of memory ($2, OpenCL error $1)" ;;
    -5) line="failed ($2, OpenCL error $1): its driver is out of resources, such as memory or registers" ;;
    -14) line="failed ($2, OpenCL error $1): a command before this one failed" ;;
    -3? | -9999) line="failed ($2, OpenCL error $1): the device or its driver may have been lost" ;;
  esac
  case $1 in -30 | -38 | -4? | -5? | -63) line="failed ($2, OpenCL error $1): the driver refuses what it was asked for, an error of this program" ;; esac
  [ "$(wc -l <err)" -eq 1 ] && grep -q "opencl:0 (.*) $line\$" err
}

bad= tried=0 kept=0
# try CALL N CODE: the sweep with that fault, then again without it, on the other device than last time
try() {
  rm -f s.db
  shimmed XT_CL_MEMORY=$memory XT_CL_FAULT="$1:$2:$3" -- $sweep --device opencl -o s.db
  tried=$((tried + 1))
  case $1:$2:$(grep -c 'ran out of memory' err) in
    clEnqueueFillBuffer:1:0 | clEnqueueWriteBuffer:1:0 | clCreate[CB]*:1:0) want=3 ;; # lost while weights are loaded
    clEnqueue[NR]*) want=1 ;;                                                         # in the middle of the sweep
    *:1) want=1 ;;
    *) want=$code ;;
  esac
  case $code in 1 | 3) ;; *) want='1 or 3' ;; esac
  [ "$code" = "$want" ] || bad="$bad $1:$2:$3: exit code $code, expected $want;"
  case $1:$3 in clCreateBuffer:-61) means=-4 ;; *) means=${3%:lost} ;; esac
  told $means '.*' || bad="$bad $1:$2:$3: $(cat err);"
  [ -z "$(left_over)" ] || bad="$bad $1:$2:$3 leaves $(left_over);"
  [ -z "$brief" ] || return
  [ ! -e s.db ] || [ "$("$X" export s.db 2>/dev/null | wc -l)" -eq 0 ] || kept=$((kept + 1))
  device=cpu
  [ $((tried % 2)) -eq 0 ] || device=opencl
  $sweep --device $device -o s.db 2>err || bad="$bad $1:$2:$3, then without on $device: $(cat err);"
  exported s.db | cmp -s - wanted || bad="$bad $1:$2:$3, then without on $device: another result;"
}

for fault in clCreateBuffer:-4 clCreateBuffer:-61 clEnqueueFillBuffer:-36:lost clEnqueueWriteBuffer:-36:lost clEnqueueNDRangeKernel:-36:lost \
  clEnqueueNDRangeKernel:-5 clEnqueueReadBuffer:-14 clEnqueueReadBuffer:-9999:lost clFinish:-36:lost clCreateKernel:-5 clSetKernelArg:-38; do
  call=${fault%%:*}
  n=$(sed -n "s/^$call //p" clean)
  places="1 $((n / 2)) $((n - 1))"
  [ -z "$brief" ] || places=$((n / 2))
  for at in $places; do
    case $call:$at in clFinish:$((n - 1))) continue ;; esac # closing the device waits, and has nothing to tell any more
    [ "$at" -lt 1 ] || try $call $at "${fault#*:}"
  done
done
for call in clCreateContext clCreateCommandQueue; do try $call 1 -6; done
[ -z "$bad" ] && pass "$tried faults" || fail "$tried faults" "$bad"
[ -z "$brief" ] || finish
[ $kept -ge 5 ] && pass "responses that were done are kept" || fail "responses that were done are kept" "after $kept faults"

for code in -4 -5 -6 -14 -30 -34 -36 -38 -45 -48 -52 -54 -55 -63 -9999; do
  wanted=$code
  shimmed XT_CL_FAULT="clEnqueueNDRangeKernel:1:$wanted" -- "$X" generate -m "$model" --prompt Hello -n 2 --threads 1 --device opencl --quiet
  told "$wanted" '[a-z0-9_]*' || bad="$bad $wanted: $(cat err);"
done
[ -z "$bad" ] && pass "what each code means" || fail "what each code means" "$bad"

# Kernels that were kept and are no longer taken are built anew; a compiler that fails is told.
# A driver of the processor's keeps its own: another kind of device is pretended, whose compiled kernels are their source.
shimmed XT_CL_TYPE=gpu -- "$X" generate -m "$model" --prompt Hello -n 2 --threads 1 --device opencl --quiet
expect "kernels are compiled" 0
same "and kept" "$(count_of clCreateProgramWithSource)/$(count_of clCreateProgramWithBinary)/$(ls "$XDG_CACHE_HOME"/xtransplant/kernels-* | wc -l)" 1/0/1
shimmed XT_CL_TYPE=gpu -- "$X" generate -m "$model" --prompt Hello -n 2 --threads 1 --device opencl --quiet
expect "kept kernels" 0
same "are used" "$(count_of clCreateProgramWithSource)/$(count_of clCreateProgramWithBinary)" 0/1
shimmed XT_CL_TYPE=gpu XT_CL_LACKS=binaries -- "$X" generate -m "$model" --prompt Hello -n 2 --threads 1 --device opencl --quiet
expect "compiled kernels that the driver refuses" 0
same "are compiled again" "$(count_of clCreateProgramWithSource)" 1
shimmed XT_CL_TYPE=gpu XT_CL_LACKS=binaries XT_CL_FAULT=clBuildProgram:1:-11 -- "$X" generate -m "$model" --prompt Hello -n 2 --threads 1 --device opencl --quiet
expect "a compiler that fails" 3
same "a compiler that fails: lines" "$(grep -c 'its compiler does not build the kernels (OpenCL error -11)' err)/$(wc -l <err)" "1/1"
same "a compiler that fails: all is released" "$(left_over)" ""

# What the driver lacks. Kernels that named double or half would not build; that they are built is seen by the next call, which fails.
shimmed XT_CL_LACKS=double,half,binaries XT_CL_FAULT=clCreateKernel:1:-46 -- "$X" generate -m "$model" --prompt Hello -n 2 --threads 1 --device opencl --quiet
same "neither double nor half is needed" "$(grep -c 'OpenCL error -46' err)/$(wc -l <err)" "1/1"
bad=
for lack in denormals:"subnormal numbers" rounding:"rounding to nearest" fma:"fused multiply-add" division:"correctly rounded division and square root"; do
  shimmed XT_CL_LACKS="${lack%%:*}" -- $sweep --device opencl -o lacks.db
  [ $code -eq 3 ] && [ "$(wc -l <err)" -eq 1 ] && grep -q "does not promise ${lack#*:}," err || bad="$bad ${lack%%:*}: $code $(cat err);"
  [ ! -e lacks.db ] || bad="$bad ${lack%%:*}: leaves a results file;"
  shimmed XT_CL_LACKS="${lack%%:*}" -- "$X" devices
  grep -q "${lack#*:}" out || bad="$bad ${lack%%:*}: not listed;"
done
[ -z "$bad" ] && pass "what a driver lacks is named" || fail "what a driver lacks is named" "$bad"
shimmed XT_CL_ITEMS=255 -- "$X" devices
prints "work-groups that are too small: listed" '^ *cannot be used: its work-groups have at most 255 items, and the kernels. have 256$'
for also in "" --inexact; do
  shimmed XT_CL_ITEMS=255 -- $sweep --device opencl $also -o unfit.db
  expect "work-groups that are too small: refused $also" 3
  same "work-groups that are too small: said once $also" "$(grep -c 'opencl:0 (.*) cannot be used: its work-groups' err)/$(wc -l <err)/$([ -e unfit.db ]; echo $?)" 1/1/1
done
shimmed XT_CL_ITEMS=256 -- "$X" devices
prints "work-groups of 256 items do" 'the same bits as the CPU'
shimmed XT_CL_LACKS=library -- "$X" devices
prints "no libOpenCL" 'no OpenCL .libOpenCL.so.1 is not installed.'
shimmed XT_CL_LACKS=library -- "$X" generate -m "$model" --prompt Hello --device opencl
expect "no libOpenCL: opencl is refused" 3
shimmed XT_CL_LACKS=functions -- "$X" devices
prints "an old libOpenCL" 'libOpenCL.so.1 is too old: it lacks cl'
mkdir none
shimmed OCL_ICD_VENDORS="$work/none" -- "$X" devices
prints "no driver of OpenCL" 'OpenCL has no device .no driver is installed'
shimmed XT_CL_LACKS=denormals -- $sweep --device opencl --inexact -o inexact.db
expect "--inexact takes it" 0
# provenance NAME FILE RUNS: so many runs of the results file name the device, and that its bits are not promised
provenance() {
  if "$python" -c 'import json, sqlite3, sys
for row in sqlite3.connect(sys.argv[1]).execute("SELECT provenance FROM runs"):
    p = json.loads(row[0])["processor"]
    print(p["kernels"], "named" if p.get("device") else "not named", p.get("inexact", "exact"))' "$2" >runs 2>err; then
    same "$1" "$(grep -c "^opencl:0 named the device does not promise the cpu's bits$" runs)" "$3"
  else
    skip "$1" "Python with SQLite"
  fi
}
provenance "--inexact: the results file says so" inexact.db 1
rm inexact.db
shimmed XT_CL_LACKS=denormals -- $sweep --target-layers 0 --device opencl --inexact -o inexact.db
shimmed XT_CL_LACKS=division -- $sweep --device opencl --inexact -o inexact.db
provenance "--inexact: so do the runs that go on" inexact.db 2
same "--inexact: no division is asked for that is not there" "$(count_of flags)" "-cl-std=CL1.2"
# what such a device made is joined with nothing else, and goes on by nothing else
cpu="$X sweep -m $model --threads 1 --site ffn -n 3 --quiet --pairs pairs.jsonl"
shimmed XT_CL_LACKS=denormals -- $sweep --target-layers 0 --device opencl --inexact -o half.db
refuses_like "--inexact: the cpu does not go on" 3 'made in f32 by opencl .*, inexact, not by devices with the cpu.s bits' $cpu -o half.db
refuses_like "--inexact: nor is it joined with the cpu's" 3 'inexact.db: kernels: is by opencl .*, inexact, and cpu.db by devices with the cpu.s bits; ' "$X" merge joined.db cpu.db inexact.db --quiet
refuses_like "--inexact: in either order" 3 'cpu.db: kernels: is by devices with the cpu.s bits, and inexact.db by opencl .*, inexact; ' "$X" merge joined.db inexact.db cpu.db --quiet
$cpu --target-layers 0 -o begun.db
shimmed XT_CL_LACKS=denormals -- $sweep --device opencl --inexact -o begun.db
expect "--inexact does not go on with the cpu's" 3
cp inexact.db again.db
"$X" merge joined.db inexact.db again.db --quiet
same "--inexact: two of one device are joined" $? 0
# Devices that give less at once than they have in all: caches lie in several buffers, and less runs together.
for largest in 400000 100000; do
  shimmed XT_CL_LARGEST=$largest -- $sweep --device opencl -o "at-most-$largest.db"
  expect "buffers of at most $largest bytes" 0
  same "buffers of at most $largest bytes: the cpu's bytes" "$(exported at-most-$largest.db | cksum)" "$(cksum <wanted)"
  same "buffers of at most $largest bytes: all that was made is released" "$(left_over)" ""
done
shimmed XT_CL_LARGEST=30000 -- $sweep --device opencl -o small.db
expect "buffers that are too small for a weight" 1
same "buffers that are too small for a weight: what is said" "$(grep -c 'has no room for .* at once; it gives at most' err)/$(wc -l <err)/$([ -e small.db ]; echo $?)" 1/1/1
shimmed XT_CL_MEMORY=100000 -- $sweep --device opencl -o small.db
expect "a device that is too small" 3
same "a device that is too small: lines" "$(grep -c "the device's free memory" err)/$(wc -l <err)" "1/1"
finish
