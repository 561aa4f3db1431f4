#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The library writes and reads numbers by base/number.h alone, whatever the host program's locale.
cd "$(dirname "$0")/../../src" || exit 1
found=$(grep -rnE '\b(strto(d|f|ld)|atof|json_dump[a-z]*|json_load[a-z]*|strerror|setlocale|localeconv|is(alpha|digit|alnum|space|upper|lower|punct|print)|to(upper|lower)|strn?casecmp|strcoll|strftime)\(' \
  --include='*.c' --include='*.cpp' --include='*.h' --include='*.inc' . | grep -vE '^\./(cli/|base/number\.|base/json\.c:[0-9]+: +json_t \*value = json_loadb)' | grep -v "sqlite\|\"INSERT")
scanned=$(grep -rnE 'scanf\(.*%[^ "]*[aefgEFG]' --include='*.c' . | grep -v '^\./cli/')
printed=$(grep -rnE '\b(v?s?n?printf|fprintf)\(.*%[-+ 0#]*[0-9*]*(\.[0-9*]+)?l?[aefgEFG]' --include='*.c' --include='*.h' . | grep -vE '^\./cli/|number_v?print|__attribute__')
[ -z "$found$scanned$printed" ] && echo "ok - numbers do not depend on the locale" || { printf '%s\n' "not ok - numbers do not depend on the locale" "$found" "$scanned" "$printed"; exit 1; }
