#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What is nearly right is taken, or told what would be: names of models, cache folders, adapters, data folders, cases of letters; and work
# that would fail at its end is refused at its begin.
. "$(dirname "$0")/lib.sh"
make_model tiny-llama
unset HF_HOME HUGGINGFACE_HUB_CACHE XDG_CACHE_HOME
HF_HUB_CACHE=$work/hub
export HF_HUB_CACHE
commit=0123456789abcdef0123456789abcdef01234567

# ---- the Hugging Face cache
folder=hub/models--org--tiny-model
mkdir -p $folder/refs $folder/snapshots $folder/blobs
cp -r "$model" $folder/snapshots/$commit
printf %s $commit >$folder/refs/main
run "$X" inspect -m org/tiny-model --json
same "a hub id is found in the cache" "$code $(field path <out)" "0 \"$work/$folder/snapshots/$commit\""
run "$X" inspect -m $folder --json
same "a folder of the cache" "$code $(field path <out)" "0 \"$folder/snapshots/$commit\""
run "$X" inspect -m $folder/snapshots/$commit --json
same "a snapshot" "$code $(field path <out)" "0 \"$folder/snapshots/$commit\""
cp -r "$model" $folder/snapshots/older
run "$X" inspect -m org/tiny-model --json
same "refs/main decides" "$code $(field path <out)" "0 \"$work/$folder/snapshots/$commit\""
rm $folder/refs/main
refuses_like "two snapshots, no refs/main" 3 "^xtransplant inspect: $work/$folder/snapshots: holds 2 snapshots and refs/main names none of them; give one of them: .*older" \
  "$X" inspect -m org/tiny-model
rm -r $folder/snapshots/older
run "$X" inspect -m org/tiny-model --json
same "the only snapshot" "$code $(field path <out)" "0 \"$work/$folder/snapshots/$commit\""
mkdir -p hub/models--gpt/snapshots
refuses "no snapshot" 3 "xtransplant inspect: hub/models--gpt/snapshots: holds no snapshot: the download is not complete" "$X" inspect -m hub/models--gpt
refuses "a hub id that is not there" 3 "xtransplant inspect: org/other: there is no such folder, and the Hugging Face cache, $work/hub, has no model of that name; download the model (hf download org/other), or give the folder that it is in" \
  "$X" inspect -m org/other
refuses "a name that is nothing" 3 "xtransplant inspect: nowhere: cannot open the model's folder: No such file or directory" "$X" inspect -m nowhere
run env -u HF_HUB_CACHE HF_HOME="$work/home" "$X" inspect -m org/tiny-model
same "HF_HOME is another cache" "$code $(grep -c "$work/home/hub, has no model" err)" "3 1"
mkdir -p home && mv hub home/hub
run env -u HF_HUB_CACHE HF_HOME="$work/home" "$X" inspect -m org/tiny-model
expect "HF_HOME" 0
run env -u HF_HUB_CACHE XDG_CACHE_HOME="$work/none" HOME="$work" "$X" inspect -m org/tiny-model
same "XDG_CACHE_HOME" "$code $(grep -c "$work/none/huggingface/hub, has no" err)" "3 1"
mkdir -p .cache/huggingface && mv home/hub .cache/huggingface/hub
run env -u HF_HUB_CACHE HOME="$work" "$X" inspect -m org/tiny-model
expect "the cache at home" 0
HF_HUB_CACHE=$work/.cache/huggingface/hub
printf 'Jibu:' >prompt
run "$X" generate -m org/tiny-model -f prompt -n 1
expect "generate from the cache" 0
run sh -c "\"$X\" tokenize -t org/tiny-model <prompt"
same "tokenize from the cache" "$(cat out)" "$("$X" tokenize -t "$model" <prompt)"
printf '{"id": "a", "lang": "sw", "source": "a", "target": "b", "gold": "c", "task": "xquad"}\n' >pairs.jsonl
one="--source-layers 0 --target-layers 0 -n 1 --quiet"
run "$X" sweep -m org/tiny-model --pairs pairs.jsonl --site ffn $one -o hub.db
expect "sweep from the cache" 0
"$X" export hub.db --results results.json >/dev/null
same "its results have the model's name, not the commit's" "$(field model <results.json)" '"tiny-model"'
run "$X" init-model --like tiny-llama --tokenizer org/tiny-model --quiet -o adopted
expect "init-model --tokenizer from the cache" 0
printf '{"prompt": "a b", "response": "c d"}\n' >train.jsonl
run "$X" train -m org/tiny-model -d train.jsonl --steps 1 --quiet -o trained
expect "train from the cache" 0

# ---- files in place of a folder, adapters
: >model.gguf
refuses "an empty GGUF file" 3 "xtransplant inspect: model.gguf: at byte 0: is not a GGUF file: it does not begin with \"GGUF\"" "$X" inspect -m model.gguf
refuses "a file of weights" 3 "xtransplant inspect: $model/model.safetensors: is a file of weights; give the folder that holds it, with config.json and the weights" \
  "$X" inspect -m "$model/model.safetensors"
refuses "config.json" 3 "xtransplant inspect: $model/config.json: is one file of a model; give the folder that holds it, with config.json and the weights" \
  "$X" inspect -m "$model/config.json"
mkdir lora && echo '{"base_model_name_or_path": "org/base", "peft_type": "LORA"}' >lora/adapter_config.json
line='xtransplant inspect: lora/adapter_config.json: the folder holds a LoRA adapter of org/base, not a whole model; merge it into its base model (PEFT: merge_and_unload(), save_pretrained(..)) and give that folder'
refuses "a LoRA adapter" 3 "$line" "$X" inspect -m lora
cp "$model"/* lora
refuses "a LoRA adapter beside a model, which transformers would apply" 3 "$line" "$X" inspect -m lora

# ---- data folders
mkdir -p XNLI/XNLI_sample/split XNLI/XNLI_unseen/split XNLI/other
sweep="$X sweep -m $model $one -o new.db"
refuses "the folder above the data" 3 "xtransplant sweep: XNLI: has no folder split itself; below it there are: XNLI/XNLI_sample, XNLI/XNLI_unseen" $sweep --task xnli --data XNLI
refuses_like "no data" 3 "^xtransplant sweep: XNLI/other: no such folder, or it has no folder split; XNLI is read from a folder with split and ans$" $sweep --task xnli --data XNLI/other

# ---- case of letters
refuses_like "--task XNLI" 3 "^xtransplant sweep: nowhere: no such folder" $sweep --task XNLI --data nowhere
refuses "--lang SW" 3 "xtransplant sweep: lang: 'SW' is written sw" $sweep --task xnli --data XNLI/XNLI_sample --lang SW
refuses "--lang zh-cn" 3 "xtransplant sweep: lang: 'zh-cn' is written zh-CN" $sweep --task globalopinionqa --data nowhere --lang zh-cn
refuses "--pivot ZH" 3 "xtransplant sweep: pivot: 'ZH' is written zh" $sweep --task xnli --data XNLI/XNLI_sample --pivot ZH
refuses "--lang of other pairs" 3 "xtransplant sweep: pairs.jsonl: has no line of these languages; it has sw" $sweep --pairs pairs.jsonl --lang SW
sed 's/"xquad"/"XQuAD"/' pairs.jsonl >upper.jsonl
refuses "a task of pairs" 3 "xtransplant sweep: upper.jsonl: line 1: \"task\": 'XQuAD' is written \"xquad\"" $sweep --pairs upper.jsonl

# ---- select checks before it runs anything
select="$X select -m $model --threads 1 --quiet --pairs pairs.jsonl -o new.db"
refuses "learning from too few" 3 "xtransplant select: pairs.jsonl: 1 questions have a gold answer; learning needs 20, or another file with --train" $select --strategy entropy,stumps
refuses "--train of no file" 3 "xtransplant select: nowhere.db: cannot open: No such file or directory" $select --strategy entropy,stumps --train nowhere.db
"$X" init-model --like tiny-llama --seed 9 --quiet -o second
"$X" sweep -m second --pairs pairs.jsonl --site ffn --target-layers first -n 1 --quiet -o second.db
refuses "--train of another model" 3 "xtransplant select: second.db: model: has responses of another model (second) than new.db ($model)" $select --strategy entropy,stumps --train second.db
refuses_like "--train with too few" 3 "^xtransplant select: hub.db: 0 questions with a gold answer have all their candidates; learning needs 20$" $select --strategy entropy,stumps --train hub.db
same "nothing was run" "$(ls new.db* 2>/dev/null)" ""
# from what is there: choices of all strategies, or of none
"$X" sweep -m "$model" --pairs pairs.jsonl --site ffn --source-layers first,last --target-layers first -n 1 --quiet -o some.db
refuses_like "the second strategy lacks candidates" 3 "^xtransplant select: some.db: no question has the responses that vote:target-first chooses among" \
  "$X" select --strategy entropy,vote -o some.db
same "no choice of the first was kept" "$("$X" export some.db --selections | wc -l | tr -d ' ')" 0

finish
