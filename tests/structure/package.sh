#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The Debian package: what it says of itself, what it holds, and that it runs where it was unpacked.
. "$(dirname "$0")/../cli/lib.sh"
command -v dpkg-deb >/dev/null && command -v dpkg-shlibdeps >/dev/null || { echo "not ok - the Debian package # SKIP needs dpkg-dev"; exit 0; }
(cd "$XT_BUILD" && cpack -G DEB -B "$work/package") >log 2>&1 && pass "cpack" || fail "cpack" "$(tail -5 log)"
deb=$(ls package/*.deb 2>/dev/null | head -1)
[ -n "$deb" ] || { fail "a package" "$(tail -5 log)"; finish; }
version=$("$X" version | cut -d' ' -f2)
same "its file's name" "$(basename "$deb")" "xtransplant_${version}_$(dpkg --print-architecture).deb"
dpkg-deb -f "$deb" >control
for line in 'Package: xtransplant' "Version: $version" 'Section: science' 'Description: cross-lingual latent'; do
  grep -q "^$line" control && pass "control: $line" || fail "control: $line" "$(cat control)"
done
missing=
for library in libc6 libjansson4 libpcre2-8-0 libsqlite3-0 libnettle8 zlib1g; do grep -q "^Depends: .*$library" control || missing="$missing $library"; done
same "control: the libraries it needs" "$missing" ""
dpkg-deb -x "$deb" root
missing=
for path in bin/xtransplant include/xtransplant/xt.h lib/libxtransplant.a lib/libxtransplant.so lib/pkgconfig/xtransplant.pc \
  share/man/man1/xtransplant.1 share/man/man1/xtransplant-sweep.1 share/bash-completion/completions/xtransplant \
  share/zsh/vendor-completions/_xtransplant share/fish/vendor_completions.d/xtransplant.fish share/xtransplant/demo/facts-4m/model.safetensors \
  share/xtransplant/demo/to-language.jsonl share/doc/xtransplant/README.md share/doc/xtransplant/copyright share/doc/xtransplant/docs/FORMATS.md; do
  ls root/usr/$path >/dev/null 2>&1 || missing="$missing $path"
done
same "it holds program, library, headers, manual, completions, demo and documents" "$missing" ""
same "nothing outside /usr" "$(ls root)" usr
run root/usr/bin/xtransplant demo --help
expect "the program runs" 0
run root/usr/bin/xtransplant demo --limit 1 --site ffn --no-tuning --quiet -o demo-out
expect "its demo finds its files" 0
if command -v man >/dev/null; then
  MANPATH=$work/root/usr/share/man LC_ALL=C.UTF-8 man xtransplant-demo >text 2>&1
  grep -q 'xtransplant demo' text && pass "man finds its pages" || fail "man finds its pages" "$(head -3 text)"
fi
same "pkg-config's prefix is where the package lies" "$(PKG_CONFIG_PATH=root/usr/lib/pkgconfig pkg-config --variable=includedir xtransplant | xargs realpath)" "$work/root/usr/include"
finish
