#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Verbs, options and help, as far as they need no model.
. "$(dirname "$0")/lib.sh"

run "$X"
expect "no verb: usage error" 2
same "no verb: nothing on stdout" "$(cat out)" ""
run "$X" --help
expect "--help" 0
same "--help: nothing on stderr" "$(cat err)" ""
verbs=$(awk '/^verbs:/ {on = 1; next} /^$/ {on = 0} on {print $1}' out)
cp out overview
run "$X" help
same "help is --help" "$(cat out)" "$(cat overview)"
for verb in inspect tokenize detokenize generate run capture lens verify init-model bench help version; do
  case " $(echo $verbs) " in *" $verb "*) pass "--help lists $verb" ;; *) fail "--help lists $verb" "$verbs" ;; esac
done

# Every verb explains itself; the help has every option of the table in its source.
for verb in $verbs; do
  run "$X" "$verb" --help
  same "$verb --help: exit code, stderr" "$code $(cat err)" "0 "
  head -1 out | grep -q "^usage: xtransplant $verb" && pass "$verb --help: usage" || fail "$verb --help: usage" "$(head -1 out)"
  cp out long
  run "$X" help "$verb"
  same "help $verb is $verb --help" "$(cat out)" "$(cat long)"
  awk 'length($0) > 150 {exit 1}' out && pass "$verb --help: lines are short" || fail "$verb --help: lines are short"
done
for source in "$here"/../../src/cli/verbs/cmd_*.c; do
  verb=$(basename "$source" .c | sed 's/^cmd_//; s/_/-/g')
  [ "$verb" = tokenize ] && continue # two verbs in one file: checked below
  "$X" "$verb" --help >long 2>/dev/null
  names=$(grep -o '\.name = "[a-z-]*", \(\.letter = [^,]*, \)\?\.type' "$source" | sed 's/.name = "\([a-z-]*\)".*/\1/')
  # rows that come from the shared headers
  grep -q 'OPTION_MODEL(' "$source" && names="$names model"
  grep -q 'OPTIONS_COMPUTE(' "$source" && names="$names threads memory compute device kernels"
  grep -q 'OPTION_JSON(' "$source" && names="$names json"
  grep -q 'OPTION_PROGRESS(' "$source" && names="$names progress"
  grep -q 'OPTION_PROMPT(' "$source" && names="$names prompt"
  grep -q 'OPTION_PROMPT_FILE(' "$source" && names="$names prompt-file"
  grep -q 'OPTION_KEEP_NEWLINE(' "$source" && names="$names keep-newline"
  grep -q 'OPTIONS_TRANSPLANT(' "$source" && names="$names source source-file target target-file keep-newline site source-layer target-layer rule alpha line
    source-line target-line ids max-new-tokens repetition-penalty"
  for name in $names; do
    grep -q -- "--$name" long && pass "$verb --help has --$name" || fail "$verb --help has --$name" "missing"
  done
  grep -q '^example:' long && pass "$verb --help has an example" || fail "$verb --help has an example" "missing"
done
for name in tokenizer no-special jsonl; do
  "$X" tokenize --help | grep -q -- "--$name" && pass "tokenize --help has --$name" || fail "tokenize --help has --$name" "missing"
done
for name in tokenizer skip-special; do
  "$X" detokenize --help | grep -q -- "--$name" && pass "detokenize --help has --$name" || fail "detokenize --help has --$name" "missing"
done
"$X" generate --help | grep -q 'default 20' && pass "help tells defaults" || fail "help tells defaults" "missing"

run "$X" --version
same "--version" "$(cat out)" "$("$X" version)"
prints "version has a number" '^xtransplant [0-9]+\.[0-9]+\.[0-9]+$'

refuses "unknown verb" 2 "xtransplant: unknown verb 'generat'; did you mean generate?" "$X" generat
refuses "verb far from all" 2 "xtransplant: unknown verb 'quux-frobnicate'; see xtransplant --help" "$X" quux-frobnicate
refuses "help of an unknown verb" 2 "xtransplant: unknown verb 'lense'; did you mean lens?" "$X" help lense
refuses "option before the verb" 2 "xtransplant: unknown option '--quiet'; a verb comes first, see xtransplant --help" "$X" --quiet run
refuses "unknown option" 2 "xtransplant generate: unknown option '--promt-file'; did you mean --prompt-file?" "$X" generate --promt-file x
refuses "unknown letter" 2 "xtransplant version: unknown option '-x'; see xtransplant version --help" "$X" version -x
refuses "single dash before a long name" 2 "xtransplant generate: unknown option '-quiet'; did you mean --quiet?" "$X" generate -quiet
refuses "stray argument" 2 "xtransplant inspect: unexpected argument 'model'; see xtransplant inspect --help" "$X" inspect model
refuses "value missing" 2 "xtransplant inspect: --model: needs a value; -m, --model PATH: the model: a downloaded Hugging Face directory, a GGUF file, a folder of Hugging Face's cache, or the name of a model in that cache (required)" "$X" inspect --model
refuses "required option missing" 2 "xtransplant generate: --model: missing; -m, --model PATH: the model: a downloaded Hugging Face directory, a GGUF file, a folder of Hugging Face's cache, or the name of a model in that cache (required)" "$X" generate
refuses "flag with a value" 2 "xtransplant inspect: --json: takes no value; --json: print the result as one line of JSON" "$X" inspect -m x --json=1
run "$X" inspect -mnowhere --threads=2
same "-mPATH and --name=value" "$code $(grep -c nowhere err)" "3 1"
for bad in 0 x -1 1.5 1025 99999999999999999999 ''; do
  refuses_like "--threads '$bad'" 2 "^xtransplant inspect: --threads: '$bad' is not a whole number in range; --threads N: .*\\(1 to 1024\\)\$" \
    "$X" inspect -m x --threads "$bad"
done
for bad in 4 512 65536 1.5; do
  refuses_like "--memory $bad: the unit was forgotten" 2 "^xtransplant inspect: --memory: '$bad' is a number of bytes; with a unit it is a size, as in 4G, 512M or 100K; " \
    "$X" inspect -m x --memory "$bad"
done
for fine in 4G 4GiB 100K 1.5G 4294967296; do
  run "$X" inspect -m nowhere --memory $fine
  expect "--memory $fine is a size" 3
done
for bad in 0 x 4X -4G 4GG 1e30 0x10 99999999999T; do
  refuses_like "--memory $bad" 2 "^xtransplant inspect: --memory: '$bad' is not a size such as 4G" "$X" inspect -m x --memory "$bad"
done
refuses_like "--compute f64" 2 "'f64' is not one of the choices; --compute TYPE: .*\\(f32, bf16, f16, tf32; default f32\\)" "$X" inspect -m x --compute f64
refuses_like "--device tpu" 2 "'tpu' is not a device" "$X" inspect -m x --device tpu
refuses_like "--device cuda:" 2 "'cuda:' is not a device" "$X" inspect -m x --device cuda:
refuses_like "--alpha inf" 2 "'inf' is not a list of numbers" "$X" run -m x --source a --target b --site ffn --source-layer 0 --target-layer 0 --rule add --alpha inf
refuses_like "--seed -1" 2 "'-1' is not a whole number from 0" "$X" init-model --seed -1
run "$X" init-model --like nothing -o x
expect "unknown shape" 2
grep -q "'nothing' is not one of the choices; --like SHAPE: .*tiny-llama" err && pass "unknown shape: the line has the shapes" || fail "unknown shape: the line has the shapes" "$(cat err)"
for bad in all 0- 1x -1 ''; do
  refuses_like "--source-layer '$bad'" 2 "--source-layer: '$bad' is not a layer such as 0, first or last" "$X" run -m x --source-layer "$bad"
done
for bad in 7-3 0,,1 1- x 'all,1' 0-; do
  refuses_like "--layers '$bad'" 2 "--layers: '$bad' is not a layer list" "$X" lens -m x --layers "$bad"
done
for bad in nowhere attn: a:b m ''; do
  refuses_like "--site '$bad'" 2 "--site: '$bad' is not a site; -s, --site SITE: attn, ffn, block, attn-released" "$X" run -m x --site "$bad"
done
# Names are known in any case of letters.
refuses_like "--site ATTN is attn" 3 "^xtransplant run: nowhere: " "$X" run -m nowhere --source a --target b --site ATTN --source-layer 0 --target-layer 0
refuses_like "--site A:M,FFN is a:m,ffn" 3 "^xtransplant sweep: nowhere: " "$X" sweep -m small --task XNLI --data nowhere --site A:M,FFN -o x.db
refuses_like "a site twice, in two cases" 2 "'ffn,FFN' is not a list of different sites" "$X" sweep -m x --site ffn,FFN
refuses_like "--compute F32" 3 "^xtransplant inspect: nowhere: " "$X" inspect -m nowhere --compute F32
for bad in 0 1,0 1,,2 1,x; do
  refuses_like "--rows '$bad'" 2 "--rows: '$bad' is not a list of whole numbers" "$X" bench -m x --rows "$bad"
done

finish
