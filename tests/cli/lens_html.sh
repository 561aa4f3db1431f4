#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# lens --html: the page has what the JSON has, needs nothing else, and appears whole or not at all.
. "$(dirname "$0")/lib.sh"
make_model tiny-llama # 6 layers, a token a byte
printf 'A <b>bold</b> & "quoted" question?' >en
printf 'Swali?' >sw
at="-m $model --threads 1 --source-file en --target-file sw --site ffn --source-layer 4 --target-layer 1 -n 7"
run "$X" lens $at --html page.html
expect "page" 0
same "page: nothing is printed but the last tokens" "$(cat out) $(grep -c '^\(source\|target\): last token [0-9]* "?"$' err) $(wc -l <err)" " 2 2"
"$X" lens $at --json >json
tokens() { object_field "$1" ids <json | tr ',' '\n' | wc -l; }
cells=$((6 * ($(tokens source) + $(tokens vanilla) + $(tokens transplanted))))
same "page: a cell a layer and token" "$(grep -o '<td ' page.html | wc -l) $(grep -c '<table>' page.html)" "$cells 3"
# the cell of layer 2, token 3 of the source: probability as in the JSON
p=$(sed 's/.*"source": {.*"lens": {\(.*\)}}, "vanilla".*/\1/; s/.*"logprobs": \[\[//; s/\]\].*//' json | sed 's/\], \[/\n/g' | sed -n 3p | cut -d, -f3 | awk '{ printf "%.1f p%.0f", 100 * exp($1), 100 * exp($1) }')
same "page: probability" "$(grep -o 'class="p[0-9]*[a-z ]*" title="layer 2, token 3: [0-9.]*' page.html | head -1 | sed 's/.*"\(p[0-9]*\).* \([0-9.]*\)$/\2 \1/')" "$p"
same "page: the policy" "$(sed -n "s/^<meta http-equiv=\"Content-Security-Policy\" content=\"\(.*\)\">$/\1/p" page.html | sed "s/sha256-[^']*/sha256-HASH/")" \
  "default-src 'none'; style-src 'sha256-HASH'; base-uri 'none'; form-action 'none'"
# the policy's hash, from base64 to hexadecimal, is that of what stands between the tags
same "page: no style but its own" "$(grep -c " style=" page.html) $(sed -n "s/.*style-src 'sha256-\([^']*\)'.*/\1/p" page.html | base64 -d | od -An -v -tx1 | tr -d ' \n')" "0 $(sed -n '/<style>/,/<\/style>/p' page.html | sed 's/^<style>//; s/<\/style>.*//' | awk '{ printf "%s%s", sep, $0; sep = "\n" }' | sha256sum | cut -c1-64)"
same "page: marked layers" "$(grep -o '<tr class="marked"><th scope="row">[0-9]*' page.html | sed 's/.*>//' | tr '\n' ' ')" "4 1 "
same "page: text is escaped" "$(grep -c '&lt;b&gt;bold&lt;/b&gt; &amp; &quot;quoted&quot;' page.html) $(grep -c '<b>bold' page.html)" "1 0"
same "page: nothing from elsewhere" "$(grep -cE 'https?:|<script|<link|<img|url\(|@import|unsafe' page.html)" 0
same "page: both colour schemes" "$(grep -c 'prefers-color-scheme:dark' page.html)" 2
run "$X" lens $at --layers 0,5 --html two.html --json
same "page and JSON, some layers" "$code $(grep -o '<tr><th scope="row">[0-9][0-9]*' two.html | sed 's/.*>//' | sort -u | tr '\n' ' ') $(grep -c transplanted out)" "0 0 5  1"
run "$X" lens -m "$model" --threads 1 -f sw -n 3 --html one.html
same "page of one prompt" "$code $(grep -c '<table>' one.html)" "0 1"
refuses "a folder that is not there" 3 "xtransplant lens: none/page.html: cannot write: No such file or directory" "$X" lens $at --html none/page.html
if (ulimit -f 2) 2>/dev/null; then
  before=$(cksum <page.html)
  (ulimit -f 2 && "$X" lens $at --html page.html >out 2>err)
  same "a file that may not grow: one line, the page of before" "$? $(cat err) $(cksum <page.html)" "3 xtransplant lens: page.html: cannot write: File too large $before"
  same "and nothing beside it" "$(ls page.html.* 2>/dev/null)" ""
fi
finish
