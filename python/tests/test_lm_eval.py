# SPDX-License-Identifier: Apache-2.0
"""The model class of the lm-evaluation-harness, on tasks of local files: against the library's own
calls, and against the harness's own class for transformers on the same model."""

import json

import numpy as np
import pytest

import xtransplant as xt

pytest.importorskip("lm_eval", reason="needs lm_eval: pip install 'xtransplant[lm-eval]'")

from lm_eval import simple_evaluate  # noqa: E402
from lm_eval.api.instance import Instance  # noqa: E402
from lm_eval.tasks import TaskManager  # noqa: E402

from xtransplant.lm_eval import XTransplantLM, read_vector  # noqa: E402

FACTS = str(xt.DEMO / "facts-4m")
# Of log-probabilities of a token, which are below 50 here, in float32 on both sides.
TOLERANCE = 2e-5 * 50


@pytest.fixture(scope="module")
def lines():
    every = (xt.DEMO / "to-language.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in every[:: len(every) // 24]][:24]


@pytest.fixture(scope="module")
def tasks(lines, tmp_path_factory):
    """Three tasks over one file: choices, what follows, whole texts."""
    folder = tmp_path_factory.mktemp("tasks")
    golds = [line["gold"] for line in lines]
    rows = [
        {
            "source": line["source"],
            "target": line["target"],
            "gold": " " + line["gold"],
            "choices": [" " + golds[(k + n) % len(golds)] for n in range(3)],
        }
        for k, line in enumerate(lines)
    ]
    file = folder / "facts.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    common = {
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(file)}, "cache_dir": str(folder / "cache")},
        "test_split": "test",
        "doc_to_text": "{{target}}",
        "target_delimiter": "",
    }
    return [
        {
            **common,
            "task": "facts_choice",
            "output_type": "multiple_choice",
            "doc_to_choice": "{{choices}}",
            "doc_to_target": 0,
            "metric_list": [{"metric": "acc"}, {"metric": "acc_norm"}],
        },
        {
            **common,
            "task": "facts_generate",
            "output_type": "generate_until",
            "doc_to_target": "{{gold}}",
            "generation_kwargs": {"until": ["\n"], "max_gen_toks": 8, "do_sample": False},
            "metric_list": [{"metric": "exact_match"}],
        },
        {
            **common,
            "task": "facts_text",
            "output_type": "loglikelihood_rolling",
            "doc_to_text": "",
            "doc_to_target": "{{target}}{{gold}}",
            "metric_list": [{"metric": "word_perplexity"}, {"metric": "byte_perplexity"}],
        },
    ]


@pytest.fixture(scope="module", autouse=True)
def offline(tmp_path_factory):
    """The harness asks no hub, and keeps nothing of ours."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setenv("HF_DATASETS_OFFLINE", "1")
        yield


def evaluate(model, tasks, **options):
    made = simple_evaluate(
        model=model,
        tasks=tasks,
        task_manager=TaskManager(include_defaults=False),
        bootstrap_iters=0,
        verbosity="ERROR",
        **options,
    )
    return made


def numbers(made):
    return {
        (task, name): value
        for task, results in made["results"].items()
        for name, value in results.items()
        if isinstance(value, float) and "stderr" not in name
    }


def requests(kind, docs, arguments):
    return [
        Instance(kind, doc, args, k) for k, (doc, args) in enumerate(zip(docs, arguments))
    ]


@pytest.fixture(scope="module")
def plain():
    return XTransplantLM(FACTS)


def test_sites_that_say_more_than_taps(model, lines):
    """A span of heads at every token is written as Model.transplant writes it."""
    where = {"site": "attn+heads0.2+add3+span2+all", "source_layer": 1, "target_layer": 2}
    settings = {"until": ["\n"], "max_gen_toks": 8}
    asked = requests("generate_until", lines, [(line["target"], settings) for line in lines])
    runs = [
        model.transplant(line["source"], line["target"], max_new_tokens=8, **where)
        for line in lines
    ]
    answers = XTransplantLM(model, source="{{source}}", **where).generate_until(asked)
    assert answers == [run.transplanted.text.split("\n")[0] for run in runs]
    where["site"] = "attn"
    assert answers != XTransplantLM(model, source="{{source}}", **where).generate_until(asked)


@pytest.fixture(scope="module")
def theirs():
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    huggingface = pytest.importorskip("lm_eval.models.huggingface")
    return huggingface.HFLM(FACTS, dtype="float32", device="cpu", batch_size=8)


def test_requests_as_transformers_answers_them(plain, theirs, lines):
    """Contexts of any length, none, that end in spaces; continuations of several tokens."""
    pairs = [(line["target"], " " + line["gold"]) for line in lines]
    pairs += [("", "Greece, country number = 300"), ("Greece, country number = ", "300")]
    asked = requests("loglikelihood", [{}] * len(pairs), pairs)
    for ours, hf in zip(plain.loglikelihood(asked), theirs.loglikelihood(asked)):
        assert abs(ours[0] - hf[0]) <= TOLERANCE
        assert ours[1] == hf[1]
    texts = [(line["source"] + " " + line["gold"],) for line in lines] + [("",)]
    asked = requests("loglikelihood_rolling", [{}] * len(texts), texts)
    for ours, hf in zip(plain.loglikelihood_rolling(asked), theirs.loglikelihood_rolling(asked)):
        assert abs(ours - hf) <= TOLERANCE
    settings = {"until": ["0", "\n"], "max_gen_toks": 6}
    asked = requests(
        "generate_until", [{}] * len(lines), [(line["target"], settings) for line in lines]
    )
    assert plain.generate_until(asked) == theirs.generate_until(asked)


def test_long_texts_as_transformers_answers_them(theirs, lines):
    """Windows of a text, and contexts that lose their beginning."""
    huggingface = type(theirs)
    short = huggingface(FACTS, dtype="float32", device="cpu", batch_size=4, max_length=16)
    ours = XTransplantLM(FACTS, max_length=16)
    texts = [(" ".join(line["source"] for line in lines[:n]),) for n in (1, 3, 5)]
    asked = requests("loglikelihood_rolling", [{}] * 3, texts)
    for a, b in zip(ours.loglikelihood_rolling(asked), short.loglikelihood_rolling(asked)):
        assert abs(a - b) <= 4 * TOLERANCE
    asked = requests("loglikelihood", [{}] * 3, [(text, " 300") for (text,) in texts])
    for a, b in zip(ours.loglikelihood(asked), short.loglikelihood(asked)):
        assert abs(a[0] - b[0]) <= TOLERANCE
    settings = {"until": ["\n"], "max_gen_toks": 6}
    asked = requests("generate_until", [{}] * 3, [(text, settings) for (text,) in texts])
    assert ours.generate_until(asked) == short.generate_until(asked)


def test_tasks_as_with_transformers(tasks, theirs):
    ours = numbers(evaluate("xtransplant", tasks, model_args={"path": FACTS, "threads": 2}))
    hf = numbers(evaluate(theirs, tasks))
    assert len(ours) == 5 and ours.keys() == hf.keys()
    for key, value in ours.items():
        assert value == pytest.approx(hf[key], rel=1e-4), key
    assert 0 < ours["facts_generate", "exact_match,none"] <= 1


def test_a_transplant_of_each_document_s_source(model, tasks, lines):
    """What a task generates under it is what Model.transplant gives, question by question."""
    where = {"site": "ffn", "source_layer": 1, "target_layer": 2}
    lm = XTransplantLM(model, source="{{source}}", **where)
    settings = {"until": ["\n"], "max_gen_toks": 8}
    asked = requests("generate_until", lines, [(line["target"], settings) for line in lines])
    expected = [
        model.transplant(line["source"], line["target"], max_new_tokens=8, **where)
        for line in lines
    ]
    answers = lm.generate_until(asked)
    assert answers == [run.transplanted.text.split("\n")[0] for run in expected]
    assert any(run.changed for run in expected)
    # and its tokens have the probabilities that they were generated with
    pairs = [(line["target"], run.transplanted.text) for line, run in zip(lines, expected)]
    scored = lm.loglikelihood(requests("loglikelihood", lines, pairs))
    untouched = XTransplantLM(model).loglikelihood(requests("loglikelihood", lines, pairs))
    for (total, greedy), run in zip(scored, expected):
        ids = run.transplanted.ids[: len(run.transplanted.ids) - run.transplanted.stopped]
        assert total == pytest.approx(float(run.transplanted.logprobs[: len(ids)].sum()), abs=1e-5)
        assert greedy
    assert any(a[0] != b[0] for a, b in zip(scored, untouched))
    made = numbers(evaluate(lm, [tasks[1]]))
    right = [answer == " " + line["gold"] for answer, line in zip(answers, lines)]
    assert made["facts_generate", "exact_match,none"] == pytest.approx(np.mean(right))


def test_a_vector_from_a_file(model, lines, tmp_path):
    taps = model.capture(lines[0]["source"])
    np.save(tmp_path / "one.npy", taps.block[3])
    np.save(tmp_path / "all.npy", taps.block)
    where = {"tap": "block", "layer": 3, "alpha": 2.0}
    pairs = [(line["target"], " " + line["gold"]) for line in lines]
    asked = requests("loglikelihood", lines, pairs)
    change = xt.Add("block", 3, taps.block[3], alpha=2.0, position="all")
    expected = XTransplantLM(model, interventions=[change]).loglikelihood(asked)
    assert expected != XTransplantLM(model).loglikelihood(asked)
    for name in ("one.npy", "all.npy"):
        lm = XTransplantLM(model, vector=str(tmp_path / name), **where)
        assert lm.loglikelihood(asked) == expected
    pytest.importorskip("safetensors")
    taps.save(tmp_path / "taps.safetensors")
    assert np.array_equal(read_vector(f"{tmp_path}/taps.safetensors:block", 3), taps.block[3])
    with pytest.raises(xt.Error, match="it has attn, block"):
        read_vector(f"{tmp_path}/taps.safetensors:mlp", 3)


def test_the_harness_s_own_device(lines):
    """It says cuda:0 where nothing is said."""
    lm = XTransplantLM(FACTS, device="cuda:77", batch_size=4, max_batch_size=None)
    assert lm.model.info.architecture == "LlamaForCausalLM"
    with pytest.raises(xt.Error, match="no device"):
        XTransplantLM(FACTS, device="opencl:77")


def test_what_is_refused(model):
    ask = Instance("generate_until", {}, ("a", {"num_beams": 4}), 0)
    with pytest.raises(xt.Error, match="num_beams: is no setting"):
        XTransplantLM(model).generate_until([ask])
    with pytest.raises(xt.Error, match="give one of source, vector"):
        XTransplantLM(model, source="a", vector=np.zeros(4))
    with pytest.raises(xt.Error, match="layer 99 is out of range"):
        XTransplantLM(model, source="a", source_layer=99).generate_until(
            [Instance("generate_until", {}, ("a", {"max_gen_toks": 4}), 0)]
        )
    for name, value, owner in (
        ("site", "ffn", "source"),
        ("source_layer", 3, "source"),
        ("target_layer", 3, "source"),
        ("tap", "ffn", "vector"),
        ("layer", 0, "vector"),
        ("position", "last", "vector"),
        ("alpha", 2, "source or vector"),
        ("rule", "add", "source or vector"),
    ):
        others = [{}, {"interventions": xt.Add("ffn", 0, np.zeros(192))}]
        others += [{"vector": np.zeros(192)}] if owner == "source" else []
        others += [{"source": "a"}] if owner == "vector" else []
        for other in others:
            with pytest.raises(xt.Error, match=f"^{name}: is only with {owner}$") as caught:
                XTransplantLM(model, **{name: value}, **other)
            assert caught.value.field == name
    for site, message in (("ffn+self", "control"), ("ffn+vector.v", "a vector"), ("x", "not a")):
        with pytest.raises(xt.Error, match=message) as caught:
            XTransplantLM(model, source="a", site=site)
        assert caught.value.field == "site"
    with pytest.raises(xt.Error, match="give a model"):
        XTransplantLM()
    with pytest.raises(xt.Error, match="one user's message"):
        XTransplantLM(model).apply_chat_template([{"role": "assistant", "content": "a"}])


def test_draws_are_told_apart(model, lines):
    settings = {"do_sample": True, "temperature": 3.0, "max_gen_toks": 6}
    asked = requests("generate_until", [{}] * 6, [(lines[0]["target"], settings)] * 6)
    answers = XTransplantLM(model, seed=1).generate_until(asked)
    assert len(set(answers)) > 1
    assert answers == XTransplantLM(model, seed=1).generate_until(asked)
    assert answers != XTransplantLM(model, seed=2).generate_until(asked)
