#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What was built is hardened: position-independent, relocations read-only before main, no executable stack, stack protector,
# fortified calls, marks for the processor's control-flow protection. Read from the files themselves.
set -u
build=$(cd "${XT_BUILD:?the build folder}" && pwd)
failures=0
cache() { sed -n "s/^$1:[A-Z]*=//p" "$build/CMakeCache.txt"; }
if [ -n "$(cache XT_SANITIZE)" ] || [ "$(cache XT_HARDEN)" = OFF ]; then
  echo "ok - hardening # SKIP this build has none: XT_SANITIZE or XT_HARDEN=OFF"
  exit 0
fi
check() { # NAME COMMAND...
  what=$1
  shift
  if "$@" >/dev/null 2>&1; then echo "ok - $what"; else
    echo "not ok - $what"
    failures=$((failures + 1))
  fi
}
has() { # FILE READELF-OPTIONS REGEX
  readelf -W $2 "$1" | grep -Eq -- "$3"
}
for file in xtransplant libxtransplant.so; do
  path=$build/$file
  check "$file: position-independent" has "$path" -h 'Type: +DYN'
  check "$file: relocations are read-only" has "$path" -l 'GNU_RELRO'
  check "$file: all bound at the start" has "$path" -d '\(FLAGS(_1)?\).*NOW'
  check "$file: stack is not executable" has "$path" -l 'GNU_STACK.* RW '
  check "$file: no segment is writable and executable" sh -c "! readelf -W -l '$path' | grep -E 'LOAD.* RWE '"
  check "$file: no text relocations" sh -c "! readelf -W -d '$path' | grep TEXTREL"
  check "$file: no search path is built in" sh -c "! readelf -W -d '$path' | grep -E 'R(UN)?PATH'"
  check "$file: stack protector" has "$path" --dyn-syms '__stack_chk_fail'
  # Debug builds have none.
  [ "$(cache CMAKE_BUILD_TYPE)" = Debug ] || check "$file: fortified calls" has "$path" --dyn-syms '__[a-z]*printf_chk|__memcpy_chk|__read_chk'
done
if readelf -h "$build/xtransplant" | grep -q X86-64; then
  all=$(readelf -W -n "$build/libxtransplant_internal.a" 2>/dev/null | grep -c '^File:')
  marked=$(readelf -W -n "$build/libxtransplant_internal.a" 2>/dev/null | grep -c 'x86 feature: IBT, SHSTK')
  check "every object ($marked of $all) is marked for control-flow protection" test "$all" -gt 50 -a "$all" -eq "$marked"
fi
[ $failures -eq 0 ]
