#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# baseline: what the four methods write, against run with the same intervention; figures; refusals.
. "$(dirname "$0")/lib.sh"
make_model tiny-llama # 6 layers
small="-m $model --threads 1 --quiet --max-new-tokens 4"
for i in 0 1 2 3 4 5; do
  for lang in sw tr; do
    printf '{"id": "q%d", "lang": "%s", "source": "Question %d: what is it?\\nAnswer:", "target": "%s swali la %d:\\nJibu:", "gold": "%s", "task": "xquad"}\n' \
      $i $lang $i $lang $i "$(echo e a t i o n | cut -d' ' -f$((i + 1)))"
  done
done >pairs.jsonl
sed 's/Question/Statement/; s/swali/taarifa/' pairs.jsonl >parallel.jsonl

# ---- the same layer: the diagonal of a sweep of the block
"$X" sweep -m "$model" --threads 1 --quiet --max-new-tokens 4 --pairs pairs.jsonl --site block -o sweep.db
"$X" export sweep.db >sweep.jsonl
run "$X" baseline $small --method same-layer --pairs pairs.jsonl --json
expect "same-layer" 0
is_json "baseline --json is JSON" out
same "same-layer: a line for each layer and language, and all" "$(wc -l <out | tr -d ' ')" 18
right() { grep "\"site\": \"$1\"" sweep.jsonl | grep "$2" | grep -c '"acc": 1'; }
for layer in 0 3 5; do
  count=$(right block "\"source_layer\": $layer, \"target_layer\": $layer,")
  same "same-layer $layer: as right as the sweep's" "$(grep "\"layer\": $layer, .*\"lang\": null" out | field accuracy | awk '{ printf "%.6f", $1 }')" "$(awk -v n=$count 'BEGIN { printf "%.6f", n / 12 }')"
done
same "same-layer: untouched" "$(grep '"layer": 0, .*"lang": null' out | field untouched | awk '{ printf "%.6f", $1 }')" "$(awk -v n="$(right vanilla '')" 'BEGIN { printf "%.6f", n / 12 }')"
same "same-layer: six questions in two languages" "$(grep '"layer": 0, .*"lang": null' out | sed 's/.*"count": \([0-9]*\), "questions": \([0-9]*\),.*/\1 \2/')" "12 6"

# ---- learned ones: nothing is added with alpha 0, something with 1
for method in incline arithmetic forcing; do
  run "$X" baseline $small --method $method --parallel parallel.jsonl --pairs pairs.jsonl --layers 2 --alpha 0 --json
  expect "$method" 0
  same "$method: alpha 0 changes nothing" "$(grep -c '"gain": 0.0, "low": 0.0, "high": 0.0, "p": 1.0' out)" 3
  run "$X" baseline $small --method $method --parallel parallel.jsonl --pairs pairs.jsonl --layers 1,2 --alpha 30
  prints "$method: table" '^    2 all  *12 +[0-9.]+ +[0-9.]+ +-?[0-9.]+ +-?[0-9.]+ +-?[0-9.]+ +- +- +- +[0-9.e-]+$'
done

# ---- stored: sites of a results file, with the responses that the figures are of
cp sweep.db stored.db
run "$X" baseline $small --method same-layer --pairs pairs.jsonl -o stored.db --json
same "stored: same-layer" "$code $(field computed <out) $(field present_before <out)" "0 84 12"
run "$X" baseline $small --method same-layer --pairs pairs.jsonl -o stored.db --json
same "stored: again" "$code $(field computed <out) $(field present_before <out)" "0 0 84"
"$X" export stored.db >stored.jsonl
cells() { grep "$1" stored.jsonl | awk -F'"target_layer": ' '{ split($2, j, ","); split($1, i, "\"source_layer\": "); if ('"$2"') print }' | sed 's/.*"doc_id": \("[^"]*"\), "lang": \("[^"]*"\).*"target_layer": \([0-9]*\).*"ids": \(\[[^]]*\]\).*"effects": \(.*\), "options".*/\1 \2 \3 \4 \5/' | sort; }
same "stored: same-layer is the diagonal, effects and all" "$(cells '"site": "plan.same-layer-block\.' 1)" "$(cells '"site": "block"' 'i[2] + 0 == j[1]')"
for method in incline arithmetic forcing; do
  learn="--method $method --parallel parallel.jsonl --pairs pairs.jsonl --layers 1,4 --alpha 3"
  "$X" baseline $small $learn --json >figures
  run "$X" baseline $small $learn -o stored.db
  expect "stored: $method" 0
  site=$(sed -n 's/^site  *//p' out)
  "$X" export stored.db >stored.jsonl
  for layer in 1 4; do
    for lang in sw tr; do
      at="\"lang\": \"$lang\".*\"site\": \"$site\", \"source_layer\": 0, \"target_layer\": $layer,"
      same "stored: $method, layer $layer, $lang: the figure" "$(grep "$at" stored.jsonl | wc -l | tr -d ' ') $(awk -v n="$(grep "$at" stored.jsonl | grep -c '"acc": 1')" 'BEGIN { printf "%.6f", n / 6 }')" \
        "6 $(grep "\"layer\": $layer, .*\"lang\": \"$lang\"" figures | field accuracy | awk '{ printf "%.6f", $1 }')"
    done
  done
done
# ---- by hand: what a method writes is made by capture (of means; incline's by numpy's solution), and written by run
cat >by_hand.py <<'EOF'
import json, struct, subprocess, sys
program, model, method = sys.argv[1:]
RIDGE = 0.001  # the default
questions, parallel = ([json.loads(line) for line in open(name)] for name in ("pairs.jsonl", "parallel.jsonl"))
stored = {}
for line in map(json.loads, open("stored.jsonl")):
    if line["site"].startswith(f"plan.{method}-"):
        stored[line["doc_id"], line["lang"], line["target_layer"]] = line


def call(*arguments):
    done = subprocess.run([program, arguments[0], "-m", model, "--threads", "1", "--quiet", *arguments[1:]], capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return done.stdout


def run(question, layer, *how):
    layers = ("--source-layer", str(layer), "--target-layer", str(layer))
    return json.loads(call("run", "--max-new-tokens", "4", "--json", "--site", "block", *layers, "--target", question["target"], *how))["transplanted"]


def shift(lang, mean, minus):
    """The mean of one side of the parallel prompts minus that of the other."""
    for side in (mean, minus):
        open(side, "w").writelines(json.dumps(p[side]) + "\n" for p in parallel if p["lang"] == lang)
    call("capture", "--mean", mean, "--minus", minus, "--tap", "block", "-o", f"{mean}.npy")
    return "--vector", f"{mean}.npy", "--rule", "add", "--alpha", "3", "--positions", "all" if method == "forcing" else "last"


def block(prompt):
    call("capture", "-p", prompt, "-o", "taps.safetensors")
    data = open("taps.safetensors", "rb").read()
    size = struct.unpack("<Q", data[:8])[0]
    tensor = json.loads(data[8:8 + size])["block"]
    begin, end = (8 + size + k for k in tensor["data_offsets"])
    return numpy.frombuffer(data[begin:end], "<f4").reshape(tensor["shape"]).astype(float)


def maps_of(lang):
    """Of each layer W = S' T (T' T + ridge m 1)^-1."""
    sources, targets = (numpy.array([block(p[side]) for p in parallel if p["lang"] == lang]) for side in ("source", "target"))
    pairs = zip(sources.swapaxes(0, 1), targets.swapaxes(0, 1))
    return [s.T @ t @ numpy.linalg.inv(t.T @ t + RIDGE * (t * t).sum() / len(t) * numpy.eye(t.shape[1])) for s, t in pairs]


def mapped(maps, question):
    numpy.save("mapped.npy", numpy.array([w @ x for w, x in zip(maps, block(question["target"]))]).astype("<f4"))
    return "--vector", "mapped.npy", "--rule", "add", "--alpha", "3"


if method == "incline":
    import numpy
count = opposite = 0
for lang in ("sw", "tr"):
    other = None
    if method == "same-layer":
        how = lambda question: ("--source", question["source"])
    elif method == "incline":
        maps = maps_of(lang)
        how = lambda question: mapped(maps, question)
    else:
        towards, away = ("source", "target") if method == "arithmetic" else ("target", "source")
        learned, other = shift(lang, towards, away), shift(lang, away, towards)
        how = lambda question: learned
    for question in [q for q in questions if q["lang"] == lang][:3]:
        for layer in (1, 4):
            line, got = stored[question["id"], lang, layer], run(question, layer, *how(question))
            wanted = [line["margin"], line["entropy"], line["mean_logprob"]]
            values = [min(got["margins"]), got["entropies"][0], sum(got["logprobs"]) / len(got["logprobs"])]
            # what is written is summed in another order, in float32
            if line["ids"] != got["ids"] or any(abs(a - b) > 2e-4 for a, b in zip(wanted, values)):
                sys.exit(f"{lang} {question['id']} {layer}: {line['ids']} {wanted}, by hand {got['ids']} {values}")
            opposite += other is not None and abs(run(question, layer, *other)["entropies"][0] - wanted[1]) > 0.01
            count += 1
print(f"{count} as by hand, {opposite} otherwise with the opposite sign")
EOF
hand() { # METHOD OTHERWISE
  run "$python" by_hand.py "$X" "$model" "$1"
  same "by hand: $1" "$(cat out err)" "12 as by hand, $2 otherwise with the opposite sign"
}
if "$python" -c '' 2>/dev/null; then
  hand same-layer 0
  hand arithmetic 12
  hand forcing 12
else skip "by hand: same-layer, arithmetic, forcing" "no Python"; fi
if "$python" -c 'import numpy' 2>/dev/null; then hand incline 0; else skip "by hand: incline" "needs numpy"; fi

run "$X" baseline $small --method arithmetic --parallel pairs.jsonl --pairs pairs.jsonl --layers 1,4 --alpha 3 -o stored.db
same "stored: learned from other prompts, another site" "$code $("$X" export stored.db | grep -o '"site": "plan.arithmetic-[^"]*"' | sort -u | wc -l | tr -d ' ')" "0 2"
run "$X" report stored.db --quiet -o stored-report
same "stored: report has them beside the sweep's site" "$code $(for s in block plan.same-layer-block plan.incline-block-add3 plan.arithmetic-block-add3 plan.forcing-block-add3-all; do grep -l "$s" stored-report/best.csv; done | wc -l)" "0 5"
refuses "stored: no language identification" 2 "xtransplant baseline: --lid: has no effect with --output; the metrics verb then measures" "$X" baseline $small --method same-layer --pairs pairs.jsonl --lid x -o stored.db

# ---- several layers together: as a plan of these writes; learned ones, stored and printed
printf '[{"name": "two", "writes": [{"site": "block", "source_layer": 1, "target_layer": 1}, {"site": "block", "source_layer": 4, "target_layer": 4}]}]' >plan.json
"$X" sweep -m "$model" --threads 1 --quiet --max-new-tokens 4 --pairs pairs.jsonl --plan plan.json --source-layers 0 --target-layers 0 -o plan.db
run "$X" baseline $small --method same-layer --pairs pairs.jsonl --layers 1,4 --together -o plan.db
same "together: stored" "$code $(sed -n 's/[.][0-9a-f]*$//; s/^site  *//p' out)" "0 plan.same-layer-block-2x"
"$X" export plan.db >plan.jsonl
ids_of() { grep "\"site\": \"plan.$1" plan.jsonl | sed 's/.*"doc_id": \("[^"]*"\), "lang": \("[^"]*"\).*"ids": \(\[[^]]*\]\).*/\1 \2 \3/' | sort; }
same "together: the plan's tokens" "$(ids_of same-layer | cksum)" "$(ids_of two | cksum)"
for method in incline arithmetic forcing; do
  learn="--method $method --parallel parallel.jsonl --pairs pairs.jsonl --layers 1,4 --together --alpha 3"
  "$X" baseline $small $learn --json >figures
  same "together: $method, one row for each language and all" "$(grep -c '"layer": null, "layers": "1,4"' figures) $(wc -l <figures | tr -d ' ')" "3 3"
  run "$X" baseline $small $learn -o plan.db
  site=$(sed -n 's/^site  *//p' out)
  same "together: $method, the figure of what is stored" "$("$X" export plan.db | grep "\"site\": \"$site\"" | grep -c '"acc": 1' | awk '{ printf "%.6f", $1 / 12 }')" \
    "$(grep '"lang": null' figures | field accuracy | awk '{ printf "%.6f", $1 }')"
done
"$X" baseline $small --method forcing --parallel parallel.jsonl --pairs pairs.jsonl --layers 1,4 --alpha 3 -o plan.db >out
"$X" export plan.db >plan.jsonl
same "together: not what one layer gives" "$([ "$(ids_of 'forcing-block-add3-all-2x' | cksum)" = "$(ids_of 'forcing-block-add3-all[.].*"target_layer": 4' | cksum)" ] && echo same)" ""

# ---- prompts as a sweep has them: in a chat template, with a request to reason, too long
cp -r "$model" chat
printf '%s' "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{% endfor %}<answer>" >chat/chat_template.jinja
ways="--chat --system Brief. --date 2026-05-17 --repetition-penalty 1.2 --skip-long"
awk 'BEGIN { printf "{\"id\": \"long\", \"lang\": \"sw\", \"source\": \"a\", \"target\": \""; while (n++ < 9000) printf "a b "; print "\", \"gold\": \"a\", \"task\": \"xquad\"}" }' >long.jsonl
sed 's/"lang"/"source_lang": "en", "lang"/' pairs.jsonl long.jsonl >asked.jsonl
for ways in "$ways" "--skip-long --cot"; do
  rm -f sweep.db stored.db
  "$X" sweep -m chat --threads 1 --quiet --max-new-tokens 4 $ways --pairs asked.jsonl --site block --source-layers 2 --target-layers 2 -o sweep.db
  run "$X" baseline -m chat --threads 1 --max-new-tokens 4 $ways --method same-layer --pairs asked.jsonl --layers 2 -o stored.db
  same "$ways: what is left out is told once" "$code $(grep -c 'sw, line 13.* is too long' err)" "0 1"
  for db in sweep stored; do "$X" export $db.db 2>/dev/null | sed 's/"site": "[^"]*"/"site": ""/; s/"source_layer": [0-9]*/"source_layer": 0/; s/"id": "[^"]*"//' | sort >$db.jsonl; done
  same "$ways: the sweep's prompts and responses" "$(cksum <stored.jsonl)" "$(cksum <sweep.jsonl)"
  right=$("$X" export sweep.db 2>/dev/null | grep '"site": "block"' | grep -c '"acc": 1')
  run "$X" baseline -m chat --threads 1 --quiet --max-new-tokens 4 $ways --method same-layer --pairs asked.jsonl --layers 2 --json
  same "$ways: the sweep's accuracy" "$(grep '"lang": null' out | field accuracy | awk '{ printf "%.6f", $1 }')" "$(awk -v n="$right" 'BEGIN { printf "%.6f", n / 12 }')"
done
run "$X" baseline -m chat --threads 1 --quiet --max-new-tokens 4 --skip-long --chat --method forcing --parallel parallel.jsonl --pairs asked.jsonl --layers 2 --json
expect "parallel prompts in the template" 0

# ---- refusals
refuses "a date without a chat" 2 "xtransplant baseline: --date: needs --chat" "$X" baseline $small --method same-layer --pairs pairs.jsonl --date 2026-05-17
grep -v '"tr"' parallel.jsonl >sw.jsonl
refuses "no parallel prompts" 2 "xtransplant baseline: --parallel: missing; incline learns from parallel prompts" "$X" baseline $small --method incline --pairs pairs.jsonl
refuses "a language without parallel prompts" 3 "xtransplant baseline: sw.jsonl: lang: has no prompts in tr, in which questions are asked" \
  "$X" baseline $small --method arithmetic --parallel sw.jsonl --pairs pairs.jsonl
refuses "no questions" 2 "xtransplant baseline: --task: missing; give --task and --data, or --pairs" "$X" baseline $small --method same-layer
refuses "no list of layers" 2 "xtransplant baseline: --layers: 'x' is not a list of layers" "$X" baseline $small --method same-layer --pairs pairs.jsonl --layers x
refuses "a layer that the model does not have" 3 "xtransplant baseline: --layers: layer 9 is out of range: this model has layers 0 to 5" "$X" baseline $small --method same-layer --pairs pairs.jsonl --layers 9
finish
