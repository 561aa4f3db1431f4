# SPDX-License-Identifier: Apache-2.0
"""The same transplants by transformers with hooks: the same tokens, and how long both take."""

import json
import os
import time

import pytest

import xtransplant as xt

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

NEW = 8
# A folder of another model in place of the demo's.
FOLDER = os.environ.get("XT_ORACLE_MODEL", str(xt.DEMO / "facts-4m"))


class Oracle:
    """Transplants by forward hooks, one at a time."""

    def __init__(self, folder):
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        self.model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)

    def generate(self, prompt, hook=None, module=None):
        ids = self.tokenizer(prompt, return_tensors="pt")
        held = module.register_forward_hook(hook) if hook else None
        with torch.no_grad():
            made = self.model.generate(**ids, max_new_tokens=NEW, do_sample=False, pad_token_id=0)
        if held:
            held.remove()
        return made[0, ids["input_ids"].shape[1] :].tolist()

    def transplant(self, source, target, i, j):
        layers, kept = self.model.model.layers, []

        def take(module, given, made):
            kept.append(made[0, -1].clone())

        def put(module, given, made):
            if made.shape[1] > 1:  # the prompt
                made[0, -1] = kept[0]

        held = layers[i].mlp.register_forward_hook(take)
        with torch.no_grad():
            self.model(**self.tokenizer(source, return_tensors="pt"))
        held.remove()
        return self.generate(target, put, layers[j].mlp)


@pytest.fixture(scope="module")
def oracle():
    return Oracle(FOLDER)


@pytest.fixture(scope="module")
def model():
    with xt.load(FOLDER) as loaded:
        yield loaded


def questions(count):
    lines = (xt.DEMO / "to-language.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines[:: len(lines) // count][:count]]


def test_the_same_tokens(model, oracle, record_property):
    layers = model.info.layers
    pairs = [(i, j) for i in range(0, layers, 3) for j in range(0, layers, 2)]
    spent, differ = [0.0, 0.0], []
    for pair in questions(4):
        source, target = pair["source"], pair["target"]
        for i, j in pairs:
            began = time.perf_counter()
            theirs = oracle.transplant(source, target, i, j)
            between = time.perf_counter()
            how = {"site": "ffn", "source_layer": i, "target_layer": j, "max_new_tokens": NEW}
            ours = model.transplant(source, target, **how)
            spent[0] += between - began
            spent[1] += time.perf_counter() - between
            # A float that rounds the other way may flip a token whose margin is next to nothing.
            if list(ours.transplanted.ids) != theirs and ours.transplanted.margins.min() > 1e-4:
                differ.append((pair["id"], i, j))
        assert list(model.generate(source, max_new_tokens=NEW).ids) == oracle.generate(source)
    ratio = spent[0] / spent[1]
    print(f"one at a time: transformers {spent[0]:.2f} s, here {spent[1]:.2f} s, {ratio:.1f} times")
    assert differ == []


def test_scores_under_a_transplant(model, oracle):
    """Teacher-forced: the source's activation goes to the prompt's last token, no further."""
    pair = questions(1)[0]
    source, target, response = pair["source"], pair["target"], " " + pair["gold"]
    prompt = oracle.tokenizer(target)["input_ids"]
    whole = oracle.tokenizer(target + response, return_tensors="pt")["input_ids"]
    for i, j in ((0, 0), (1, 2), (model.info.layers - 1, 1)):
        value = model.capture(source).ffn[i]

        def put(module, given, made, value=value):
            made[0, len(prompt) - 1] = torch.from_numpy(value.copy())

        held = oracle.model.model.layers[j].mlp.register_forward_hook(put)
        with torch.no_grad():
            logits = oracle.model(whole).logits[0].log_softmax(-1)
        held.remove()
        after = whole[0, len(prompt) :]
        theirs = logits[len(prompt) - 1 : -1].gather(1, after[:, None])[:, 0].numpy()
        ours = model.score(target, response, interventions=[xt.Replace("ffn", j, value)])
        assert list(ours.ids) == after.tolist()
        assert abs(ours.logprobs - theirs).max() < 1e-4


def test_all_pairs_of_layers_at_once(model, oracle, tmp_path):
    """A sweep against a loop over hooks, of one question; the loop is timed on a part of it."""
    pair, layers = questions(1)[0], model.info.layers
    began = time.perf_counter()
    with model.sweep([pair], sites=["ffn"], output=tmp_path / "a.db", max_new_tokens=NEW) as made:
        here = time.perf_counter() - began
        frame = made.responses(site="ffn") if has_pandas() else None
    began, some = time.perf_counter(), min(layers, 4)
    theirs = [
        oracle.transplant(pair["source"], pair["target"], i, 0)
        for i in range(0, layers, layers // some)
    ]
    there = (time.perf_counter() - began) / len(theirs) * layers * layers
    print(f"{layers * layers} transplants: transformers {there:.2f} s, a sweep {here:.2f} s")
    if frame is not None:
        row = frame[(frame["source_layer"] == 0) & (frame["target_layer"] == 0)].iloc[0]
        assert row["text"] == oracle.tokenizer.decode(theirs[0], skip_special_tokens=True)


def has_pandas():
    try:
        import pandas  # noqa: F401
    except ImportError:
        return False
    return True
