#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# pilotset --templates-from: templates read off released prompts, and every prompt compared; XCOPA's English.
. "$(dirname "$0")/lib.sh"
p="$X pilotset"

# ---- XQuAD's layout: words of our own around the texts, in two languages, six questions
mkdir -p raw release/XQuAD/XQuAD_sample/split release/XQuAD/XQuAD_unseen/split
for lang in en de; do
  {
    printf '{"data": [{"paragraphs": ['
    for c in 0 1; do
      printf '%s{"context": "%s text %d says \\"why\\" and\\nmore {x}.", "qas": [' "$([ $c -gt 0 ] && echo ', ')" $lang $c
      for q in 0 1 2; do printf '%s{"id": "q%d", "question": "%s %d why?", "answers": [{"text": "why"}]}' "$([ $q -gt 0 ] && echo ', ')" $((3 * c + q)) $lang $((3 * c + q)); done
      printf ']}'
    done
    printf ']}]}'
  } >raw/xquad.$lang.json
done
line() { # LANG QUESTION
  if [ "$1" = en ]; then begin='Say why:\n' middle='\nAsked: ' end='\nSo:'; else begin='Warum?\n' middle='\nFrage: ' end=' \nAlso:'; fi
  printf '"%s%s text %d says \\"why\\" and\\nmore {x}.%s%s %d why?%s"\n' "$begin" "$1" $(($2 / 3)) "$middle" "$1" "$2" "$end" | sed 's/\n/\\n/g'
}
for lang in en de; do
  for q in 0 1; do line $lang $q; done >release/XQuAD/XQuAD_sample/split/xquad.$lang.json
  for q in 2 3 4 5; do line $lang $q; done >release/XQuAD/XQuAD_unseen/split/xquad.$lang.json
done
run $p --task xquad --raw raw --lang en,de -n 2 --json --templates-from release -o plain
same "every prompt comes out" "$code $(field templates <out) $(field checked <out) $(field misfits <out)" "0 2 12 0"
same "and is told" "$(grep -c '^release: 2 templates, which reproduce 12 of 12 released prompts exactly$' err)" 1
same "the templates" "$(tr -d '\n' <plain/templates.json)" '{ "de": "Warum?\n{context}\nFrage: {question} \nAlso:", "en": "Say why:\n{context}\nAsked: {question}\nSo:"}'
cat release/XQuAD/XQuAD_*/split/xquad.de.json | sort >want
cat plain/XQuAD_*/split/xquad.de.json | sort >got
same "the prompts" "$(cmp want got 2>&1)" ""
for where in release/XQuAD release/XQuAD/XQuAD_unseen; do
  run $p --task xquad --raw raw --lang en --json --templates-from $where -n 2 -o "$(basename $where).out"
  same "also from $where" "$code $(field misfits <out)" "0 0"
done
run $p --task xquad --raw raw --lang en,de -n 2 --templates plain/templates.json --quiet -o again
same "the file of templates gives the same" "$code $(diff -r plain/XQuAD_sample again/XQuAD_sample)" "0 "

# ---- what does not fit
cp -r release other
sed -i '2s/Asked/Askt/; 3s/en 4/en 44/' other/XQuAD/XQuAD_unseen/split/xquad.en.json
run $p --task xquad --raw raw --lang en,de -n 2 --json --templates-from other -o misfit
same "prompts that do not fit are counted" "$code $(field checked <out) $(field misfits <out)" "0 12 2"
unseen=other/XQuAD/XQuAD_unseen/split/xquad.en.json
same "and named" "$(grep unseen/split err)" "$unseen: line 2: begins and ends as the others do, and no question of the raw data has the texts between
$unseen: line 3: begins and ends as the others do, and no question of the raw data has the texts between"
sed -i '1s/Say why/Tell why/' $unseen
run $p --task xquad --raw raw --lang en -n 2 --templates-from other -o misfit2
same "other words" "$code $(grep -c "^$unseen: line 1: has other words around its texts than the others$" err)" "0 1"
refuses "other data" 3 "xtransplant pilotset: alien: en: none of its first prompts holds the texts of a question of the raw data; are both the same benchmark and part?" \
  sh -c "mkdir -p alien/split; echo '\"x\"' >alien/split/xquad.en.json; $p --task xquad --raw raw --lang en --templates-from alien -o new"
refuses "no release" 3 "xtransplant pilotset: raw: en: has no released prompts of this language; expected the folder XQuAD_sample or XQuAD_unseen, or a folder split, with its file" \
  $p --task xquad --raw raw --lang en --templates-from raw -o new
printf '{"no": "prompt"}\n' >alien/split/xquad.en.json
refuses "a line that is no prompt" 3 "xtransplant pilotset: alien/split/xquad.en.json: line 1: is nothing, expected a prompt: a JSON string" \
  $p --task xquad --raw raw --lang en --templates-from alien -o new
refuses "two sources" 2 "xtransplant pilotset: --templates-from: cannot be combined with --templates" $p --task xquad --raw raw --templates-from release --templates plain/templates.json -o new
same "nothing is written" "$(ls -d new* 2>/dev/null)" ""

# ---- GlobalOpinionQA's: one English template of all cultures; options and countries that stand elsewhere too
cat >opinions.csv <<'CSV'
question,selections,options,source
"Is Germany, ""really"", so?","defaultdict(<class 'list'>, {'Germany': [0.9, 0.06, 0.04], 'India (Non-national sample)': [0.1, 0.1, 0.8]})","['Yes', ""Don't know"", 'No']",GAS
"Two
lines?","defaultdict(<class 'list'>, {'Austria': [0.1, 0.9], 'India (Non-national sample)': [0.8, 0.2]})","['A lot', 'A little']",WVS
CSV
mkdir -p culture/split
o1='Options:\n(A) Yes\n(B) Don'"'"'t know\n(C) No\nSo:' o2='Options:\n(A) A lot\n(B) A little\nSo:'
printf '{"input_text": "In %s: %s\\n%s", "label": [1], "country": "x"}\n' Germany 'Is Germany, \"really\", so?' "$o1" Austria 'Two\nlines?' "$o2" >culture/split/de.json
printf '{"input_text": "In %s: %s\\n%s", "label": [1], "country": "x"}\n' 'India (Non-national sample)' 'Is Germany, \"really\", so?' "$o1" 'India (Non-national sample)' 'Two\nlines?' "$o2" >culture/split/hi.json
run $p --task globalopinionqa --raw opinions.csv --lang de,hi -n 1 --json --templates-from culture -o culture.out
same "cultures" "$code $(field templates <out) $(field checked <out) $(field misfits <out) $(tr -d '\n' <culture.out/templates.json)" '0 1 4 0 { "en": "In {country}: {question}\nOptions:\n{options}\nSo:"}'

# ---- XNLI's
mkdir -p nli/XNLI_unseen/split
{
  printf 'language\tgold_label\tsentence1\tsentence2\tpairID\n'
  for q in 0 1 2; do printf 'fr\tneutral\tUn %d.\tUn %d. Deux.\t%d\n' $q $q $q; done
} >xnli.tsv
for q in 0 1 2; do printf '"Un mot.\\nA: Un %d.\\nB: Un %d. Deux.\\n(1) Oui\\n(2) Peut-\\u00eatre\\n(3) Non\\nDonc:"\n' $q $q; done >nli/XNLI_unseen/split/fr.json
run $p --task xnli --raw xnli.tsv --lang fr -n 1 --json --templates-from nli -o nli.out
same "xnli, and the words of its options" "$code $(field misfits <out) $(cat nli.out/XNLI_sample/ans_lang/fr.json)" '0 0 {"1": "Oui", "2": "Peut-être", "3": "Non"}'

# ---- XCOPA: the repository's folders, English from the translation of one language's file
for lang in it zh; do
  mkdir -p xcopa/data/$lang xcopa/data-gmt/$lang
  for q in 0 1 2; do
    printf '{"premise": "%s %d", "choice1": "one", "choice2": "two", "question": "cause", "label": 1, "idx": %d, "changed": false}\n' $lang $q $q >>xcopa/data/$lang/test.$lang.jsonl
    printf '{"premise": "%s in English %d", "choice1": "one", "choice2": "two", "question": "cause", "label": 1, "idx": %d, "changed": false}\n' $lang $q $q >>xcopa/data-gmt/$lang/test.$lang.jsonl
  done
done
run $p --task xcopa --raw xcopa --lang en,it,zh --english zh -n 1 --quiet -o XCOPA
same "xcopa: English is the translation of the Chinese file" "$code $(cat XCOPA/XCOPA_*/split/en.json | grep -c '^"zh in English') $(cat XCOPA/XCOPA_unseen/split/it.json | wc -l) $(ls XCOPA/XCOPA_sample | tr '\n' ' ')" "0 3 2 ans split "
mkdir xcopa/data/en
cp xcopa/data-gmt/zh/test.zh.jsonl xcopa/data/en/test.en.jsonl
run $p --task xcopa --raw xcopa --lang en,it,zh -n 1 --quiet -o XCOPA2
same "xcopa: the file copied by hand" "$code $(cmp XCOPA/XCOPA_unseen/split/en.json XCOPA2/XCOPA_unseen/split/en.json) $(cat XCOPA2/XCOPA_*/en/it.json | grep -c '^"it in English')" "0  3"
refuses "xcopa: no such translation" 3 "xtransplant pilotset: xcopa: has no data-gmt/qu/test.qu.jsonl with the English of that language's file" $p --task xcopa --raw xcopa --lang en --english qu -o new
refuses "xcopa: its prompts were not released" 3 "xtransplant pilotset: templates_from: XCOPA's prompts were not released, and each has words for cause or effect that are no text of its question" \
  $p --task xcopa --raw xcopa --lang en --templates-from xcopa -o new
refuses "--english of another task" 2 "xtransplant pilotset: --english: only xcopa uses it; XQuAD has an English file or is English" $p --task xquad --raw raw --english zh -o new

finish
