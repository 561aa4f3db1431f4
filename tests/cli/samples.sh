#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# sweep --samples: responses drawn at random beside the transplants, and what the report makes of them.
. "$(dirname "$0")/lib.sh"
export OMP_NUM_THREADS=1
"$X" init-model --like tiny-llama -o small --quiet || exit 1
for i in 1 2 3; do
  printf '{"id": "q%d", "lang": "tr", "source_lang": "en", "source": "Question %d: ", "target": "Soru %d: ", "gold": "a", "task": "xquad"}\n' $i $i $i
done >pairs.jsonl
sweep="sweep -m small --threads 1 --pairs pairs.jsonl --target-layers first -n 4"
run "$X" $sweep --samples 3 --seed 5 --dry-run --json -o new.db
same "planned" "$code $(field samples_to_run <out)" "0 9"
run "$X" $sweep -o r.db --json
same "without: none" "$code $(field samples <out)" "0 0"
run "$X" $sweep --samples 3 --seed 5 --temperature 0.7 -o r.db --json
same "added to a finished sweep" "$code $(field computed <out) $(field samples <out)" "0 0 9"
same "they are told" "$(grep -c "^r.db: 9 samples$" err)" 1
run "$X" $sweep --samples 3 --seed 5 --temperature 0.7 -o r.db --json
same "again: nothing" "$code $(field samples <out)" "0 0"
run "$X" report r.db --bootstrap 2 --permutations 2 -o report --quiet
expect "report" 0
same "pass@n" "$(grep -ohE 'pass@[0-9]+ of sampled answers \(temperature 0.7, top-p 1\)' report/*.csv | sort -u | tr '\n' '|')" \
  "pass@1 of sampled answers (temperature 0.7, top-p 1)|pass@2 of sampled answers (temperature 0.7, top-p 1)|pass@3 of sampled answers (temperature 0.7, top-p 1)|"
run "$X" $sweep --shard 1/2 --samples 2 -o one.db --quiet
run "$X" $sweep --shard 2/2 --samples 2 -o two.db --quiet
run "$X" merge both.db one.db two.db --quiet
run "$X" $sweep --samples 2 -o both.db --json
same "shards are joined" "$code $(field computed <out) $(field samples <out)" "0 0 0"
refuses "settings without samples" 2 "xtransplant sweep: --top-p: needs --samples, because nothing is drawn without it" "$X" $sweep --top-p 0.5 -o new.db
refuses_like "a temperature of 0" 2 "^xtransplant sweep: .*temperature" "$X" $sweep --samples 2 --temperature 0 -o new.db
finish
