#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# --chat puts prompts into the model's chat template; --no-special leaves BOS and EOS out; a BOS that stands twice is told.
. "$(dirname "$0")/lib.sh"
make_model tiny-llama
t="$X tokenize --tokenizer $model"
bos=$(printf '' | $t | tr -d '[]')

refuses "a model without a template" 3 "xtransplant tokenize: $model: the model has no chat template: neither chat_template.jinja nor chat_template in tokenizer_config.json" \
  sh -c "printf a | $t --chat"
cp -r "$model" chat
cat >chat/chat_template.jinja <<'END'
{%- for message in messages %}
    {{- '<' + message.role + '>' + message.content | trim + '\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<assistant>' ~ strftime_now('%d %b %Y') }}{% endif %}
END
c="$X tokenize --tokenizer chat"
printf '<user>Hi\n<assistant>17 May 2026' | $c --no-special >want
same "tokenize --chat" "$(printf ' Hi ' | $c --chat --date 2026-05-17)" "$(cat want)"
printf '<system>Be brief.\n<user>Hi\n<assistant>17 May 2026' | $c --no-special >system
same "--system" "$(printf '" Hi "' | $c --chat --jsonl --system 'Be brief.' --date 2026-05-17)" "$(cat system)"
ids() { field prompt_ids <out; }
run "$X" generate -m chat -n 1 --json --prompt Hi --chat --date 2026-05-17
same "generate --chat" "$(ids)" "$(cat want)"
run "$X" generate -m chat -n 1 --json --prompt '<user>Hi
<assistant>17 May 2026' --no-special
same "generate --no-special" "$(ids)" "$(cat want)"
run "$X" run -m chat -n 1 --json --source Hi --target Hi --site ffn -i 0 -j 0 --chat --date 2026-05-17
same "run --chat: both prompts" "$(grep -o '"prompt_ids": \[[^]]*\]' out | sort -u | sed 's/.*: //')" "$(cat want)"
run "$X" lens -m chat -n 1 --json --prompt Hi --chat --date 2026-05-17
expect "lens --chat" 0
run "$X" capture -m chat --prompt Hi --chat --date 2026-05-17 -o taps.safetensors
expect "capture --chat" 0

# ---- sweeps: the store holds the chats, so that raw prompts do not go into the same file
printf '{"id": "a", "lang": "sw", "source": "Hi", "target": "Jambo"}\n' >pairs.jsonl
sweep="$X sweep -m chat --pairs pairs.jsonl --site ffn --source-layers 0 --target-layers 0 -n 1 --quiet"
run $sweep --chat --date 2026-05-17 -o chat.db
expect "sweep --chat" 0
# select runs the questions in the chat template, too, and finds those that a sweep has run so
select="$X select -m chat --pairs pairs.jsonl --site ffn --strategy coarse -n 1"
cp chat.db select.db
run $select --chat --date 2026-05-17 -o select.db
expect "select --chat" 0
same "select --chat has nothing to run" "$(grep -c 'responses added' err)" 0
run $select --chat --date 2026-05-17 -o chosen.db
same "select --chat runs the same" "$("$X" export chosen.db)" "$("$X" export chat.db)"
run $select -o select.db
expect "select without --chat refuses the file" 3
refuses_like "select --chat of a file's own questions" 2 "xtransplant select: --chat: needs --task and --data, or --pairs; .*" "$X" select -m chat --strategy coarse --chat -o chat.db
run $sweep -o raw.db
printf '{"id": "a", "lang": "sw", "source": "<user>Hi\\n<assistant>17 May 2026", "target": "<user>Jambo\\n<assistant>17 May 2026"}\n' >rendered.jsonl
run $sweep --chat --date 2026-05-17 -o chat.db
expect "sweep --chat goes on" 0
run $sweep -o chat.db
expect "sweep without --chat refuses the file" 3

# ---- a BOS that is there already
printf '%s' '{"tokenizer_class": "PreTrainedTokenizerFast"}' >chat/tokenizer_config.json
if [ -n "$bos" ]; then
  text=$("$X" detokenize --tokenizer "$model" <<END | sed 's/^"//; s/"$//'
[$bos]
END
  )
  printf '%s' "${text}Hi" >doubled
  run sh -c "$t <doubled"
  same "a BOS twice is told" "$(cat err)" "warning: the text begins with its own BOS token, and the tokenizer adds another; --no-special leaves that one out"
  run sh -c "$t --no-special <doubled"
  same "--no-special: no warning" "$(cat err)" ""
fi

# ---- refusals
refuses "--system alone" 2 "xtransplant tokenize: --system: needs --chat" $c --system x
refuses "--date alone" 2 "xtransplant tokenize: --date: needs --chat" $c --date 2026-05-17
refuses "no date" 2 "xtransplant tokenize: --date: \"2026-02-30\" is not a day such as 2026-05-17" $c --chat --date 2026-02-30
refuses "--no-special with --chat" 2 "xtransplant tokenize: --no-special: cannot be combined with --chat, because the template writes all special tokens" $c --chat --no-special
refuses "--chat with --ids" 2 "xtransplant generate: --chat: cannot be combined with --ids, which uses the ids as they are" "$X" generate -m chat --prompt a --ids --chat
printf 'a\n{%% include "x" %%}' >chat/chat_template.jinja
refuses "a template that is not understood" 3 \
  'xtransplant tokenize: chat/chat_template.jinja: in the template'"'"'s line 2: the statement "include", which is not understood here' sh -c "printf a | $c --chat"
printf '{{ raise_exception("no system") }}' >chat/chat_template.jinja
refuses "a template that refuses" 3 "xtransplant tokenize: chat/chat_template.jinja: in the template's line 1: it refuses this: no system" sh -c "printf a | $c --chat"

finish
