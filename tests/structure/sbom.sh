#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The software bill of materials names every library that the shared library is linked with, each with a version and a licence.
set -u
build=$(cd "${XT_BUILD:?the build folder}" && pwd)
sbom=$build/xtransplant.spdx.json
failures=0
say() { # NAME PROBLEM
  if [ -z "$2" ]; then echo "ok - $1"; else
    echo "not ok - $1: $2"
    failures=$((failures + 1))
  fi
}
# SONAME's part -> the name in the bill; what comes with the compiler is not listed.
for library in $(readelf -d "$build/libxtransplant.so" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'); do
  case $library in
    libc.so* | libm.so* | libpthread.so* | libgcc_s.so* | libstdc++.so* | ld-linux*) continue ;;
    libasan.so* | libubsan.so* | libtsan.so*) continue ;;
    libjansson.so*) name=jansson ;; libpcre2-8.so*) name=libpcre2-8 ;; libsqlite3.so*) name=sqlite3 ;; libnettle.so*) name=nettle ;;
    libz.so*) name=zlib ;; libicuuc.so* | libicudata.so*) name=icu-uc ;; libfasttext.so*) name=fastText ;;
    *) name=$library ;;
  esac
  say "$library is in the bill, with a version and a licence" \
    "$(tr -d '\n' <"$sbom" | grep -Eq "\"name\": \"$name\", \"versionInfo\": \"[^\"]+\"[^}]*\"licenseDeclared\": \"[^\"]+\"" || echo "$name is missing")"
done
commit=$(cd "$(dirname "$0")/../.." && git rev-parse HEAD 2>/dev/null)
[ -z "$commit" ] || say "it names the commit" "$(grep -q "commit $commit" "$sbom" || echo "not $commit")"
if python3 -c '' 2>/dev/null; then
  say "it is JSON, and its relationships are of its packages" "$(python3 - "$sbom" 2>&1 <<'PYTHON'
import json, sys
bill = json.load(open(sys.argv[1]))
ids = [p["SPDXID"] for p in bill["packages"]]
assert bill["spdxVersion"] == "SPDX-2.3" and bill["dataLicense"] == "CC0-1.0" and len(set(ids)) == len(ids) > 5, ids
assert sorted(r["relatedSpdxElement"] for r in bill["relationships"]) == sorted(ids)
assert all(r["relationshipType"] in ("DESCRIBES", "DYNAMIC_LINK") for r in bill["relationships"])
PYTHON
)"
else echo "ok - it is JSON # SKIP needs python3"; fi
[ $failures -eq 0 ]
