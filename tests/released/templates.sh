#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# pilotset --templates-from with the paper's released prompts: every one of them comes out to the character.
[ -z "${XT_TEST_DATA:-}" ] || XT_TEST_DATA=$(cd "$XT_TEST_DATA" && pwd) || exit 1
. "$(dirname "$0")/../cli/lib.sh"
p="$X pilotset"
data=${XT_TEST_DATA:-}/data
if [ -z "${XT_TEST_DATA:-}" ] || [ ! -d "$data/xtransplant" ]; then
  echo "ok - the released prompts # SKIP needs XT_TEST_DATA: a folder with data/xtransplant and data/xquad"
  exit
fi
release=$data/xtransplant
python3 "$here/../../tools/raw_from_release.py" "$release" rebuilt || fail "raw files rebuilt from the release"
run $p --task xquad --raw "$data/xquad" --templates-from "$release" --json -o released
same "XQuAD: 14,280 prompts" "$code $(field templates <out) $(field checked <out) $(field misfits <out)" "0 12 14280 0"
rm released/templates.json
same "XQuAD: all 28,560 lines of the release, with its own sample" "$(diff -r released "$release/XQuAD" 2>&1 | head -3) $(cat released/*/*/* | wc -l)" " 28560"
rm -r released
run $p --task globalopinionqa --raw rebuilt --templates-from "$release" --json -o released
same "GlobalOpinionQA: 3,928 prompts" "$code $(field templates <out) $(field checked <out) $(field misfits <out)" "0 1 3928 0"
sets() { cat "$1"/GlobalOpinionQA_*/split/"$2".json | sed 's/", "label.*//' | sort; }
for lang in am ar de el en es fr hi id ja pt ru sv sw tl tr uk ur vi zh-CN; do
  sets released $lang >got
  sets "$release/GlobalOpinionQA" $lang >want
  cmp -s got want || fail "GlobalOpinionQA: $lang"
done
rm -r released
run $p --task xnli --raw rebuilt --templates-from "$release" --json -n 0 -o released
same "XNLI: 14,700 prompts, the fields read off the release itself" "$code $(field templates <out) $(field checked <out) $(field misfits <out)" "0 14 14700 0"
for lang in ar bg de el en es fr hi ru sw tr ur vi zh; do
  cat "$release"/XNLI/XNLI_sample/split/$lang.json "$release"/XNLI/XNLI_unseen/split/$lang.json >want
  sed 's/\\u001D/\\u001d/g' released/XNLI_unseen/split/$lang.json | cmp -s - want || fail "XNLI: $lang"
  cmp -s released/XNLI_unseen/ans_lang/$lang.json "$release"/XNLI/XNLI_sample/ans_lang/$lang.json || fail "XNLI: option words of $lang"
done
finish
