# SPDX-License-Identifier: Apache-2.0
import gc
import os
import signal
import subprocess
import sys
import threading
import time
import weakref

import numpy as np
import pytest

import xtransplant as xt
from conftest import FACTS, public

GREECE = "Greece, country number ="


def test_generates_one_and_many(model):
    one = model.generate(GREECE)
    assert one.text == " 300" and one.stopped
    assert (
        one.ids.dtype == np.int32
        and one.margins.dtype == one.entropies.dtype == one.logprobs.dtype == np.float32
    )
    assert one.ids.shape == one.margins.shape == one.entropies.shape == one.logprobs.shape
    many = model.generate([GREECE, "Nigeria, country number =", GREECE])
    assert [each.text for each in many] == [" 300", " 566", " 300"]
    for name in (
        "ids",
        "margins",
        "entropies",
        "logprobs",
    ):  # a response does not depend on the others
        assert np.array_equal(getattr(many[0], name), getattr(one, name)) and np.array_equal(
            getattr(many[2], name), getattr(one, name)
        )
    assert model.generate([]) == []


def test_prompts_are_text_or_ids(model):
    ids = model.encode(GREECE)
    assert model.decode(ids) == GREECE
    for prompt in (ids, list(ids), tuple(int(each) for each in ids), ids.astype(np.int64)):
        assert model.generate(prompt).text == " 300"
    assert [each.text for each in model.generate([ids, list(ids)])] == [" 300", " 300"]
    assert len(model.generate([GREECE])) == 1


def test_arrays_are_the_library_s_memory(model):
    taps = model.capture(GREECE)
    layers, width = model.info.layers, model.info.width
    from xtransplant._library import ffi, lib

    for number, name in enumerate(("attn", "mid", "ffn", "block")):
        array = taps[name]
        assert (
            array.shape == (layers, width)
            and array.dtype == np.float32
            and array is getattr(taps, name)
        )
        for layer in range(layers):
            assert array[layer].ctypes.data == int(
                ffi.cast("uintptr_t", lib.xt_taps_get(taps._taps, number, layer))
            )
    assert taps.logits.shape == (model.info.vocab,) and taps.embed.shape == (width,)
    assert int(taps.logits.argmax()) == model.generate(GREECE, repetition_penalty=1).ids[0]
    with pytest.raises(ValueError):
        taps.ffn[0, 0] = 1


def test_arrays_are_read_only(model):
    el = "Ελλάδα, αριθμός χώρας ="
    scores = [model.score(GREECE, " 300"), model.score(np.array([5, 6]), np.array([7, 8]))]
    made = [*model.generate([GREECE, el], lens=True), *scores, model.capture(GREECE)]
    arrays = [each for one in made for each in vars(one).values() if isinstance(each, np.ndarray)]
    assert len(arrays) == 2 * 6 + 2 * 3 + 7
    for array in [*arrays, model.encode(GREECE), model.generate(GREECE).lens_ids]:
        assert not array.flags.writeable
        with pytest.raises(ValueError):
            array[...] = 0
    given = np.array([5, 6], np.int32)
    model.generate(given), model.score(given, given)
    given[0] = 7  # what is given stays as it is


def test_arrays_outlive_what_gave_them():
    with xt.load(FACTS, threads=1) as model:
        taps = model.capture(GREECE)
        kept, before = taps.ffn, taps.ffn.copy()
        ids = model.generate(GREECE).ids
        assert list(ids) == list(model.generate(GREECE).ids)
    del taps
    gc.collect()
    assert np.array_equal(kept, before) and len(ids) > 0


def test_handles_free_themselves():
    model = xt.load(FACTS, threads=1)
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None


CALLS = {
    "encode": lambda m: m.encode(GREECE),
    "chat": lambda m: m.chat(GREECE),
    "decode": lambda m: m.decode([5, 6]),
    "generate": lambda m: m.generate([GREECE, GREECE]),
    "score": lambda m: m.score([5, 6], [7]),
    "capture": lambda m: m.capture([5, 6]),
    "transplant": lambda m: m.transplant([5], [6], site="ffn", source_layer=0, target_layer=0),
    "lens": lambda m: m.lens(GREECE),
    "hash": lambda m: m.hash(),
    "sweep": lambda m: m.sweep([{"source": "a", "target": "b"}], output="closed.db"),
}


@pytest.mark.parametrize("name", public(xt.Model))
def test_a_closed_model_is_refused(name, tmp_path, monkeypatch):
    if name == "lens":
        pytest.importorskip("pandas")
    monkeypatch.chdir(tmp_path)
    with xt.load(FACTS, threads=1) as model:
        model.hash()
    model.close()
    with pytest.raises(xt.Error, match="this model is closed") as caught:
        CALLS[name](model)
    assert caught.value.status is xt.Status.ARGUMENT and list(tmp_path.iterdir()) == []
    assert model.info.layers == 8 and model.has_tokenizer and "Llama" in repr(model)


def test_texts_while_the_model_is_closed():
    """A thread that encodes keeps what it uses; the next call is refused."""
    model = xt.load(FACTS, threads=1)
    said, text = [], GREECE * 200

    def work():
        try:
            while True:
                said.append(len(model.encode(text)))
        except xt.Error as error:
            said.append(str(error))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    while len(said) < 6:
        time.sleep(0.001)
    model.close()
    for thread in threads:
        thread.join()
    assert sum("closed" in each for each in said if isinstance(each, str)) == 3
    assert len(set(each for each in said if isinstance(each, int))) == 1


def test_memory_is_given_back(model):
    def resident():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")

    for _ in range(20):
        model.capture(GREECE)
    before = resident()
    for _ in range(300):
        model.capture(GREECE), model.generate([GREECE] * 4, max_new_tokens=2)
    assert resident() - before < 4 << 20  # 300 captures are 60 MB


def test_interventions(model):
    el = "Ελλάδα, αριθμός χώρας ="
    taps, vanilla = model.capture(GREECE), model.generate(el, ignore_eos=True)
    run = model.transplant(GREECE, el, site="ffn", source_layer=1, target_layer=3)
    put = model.generate(el, interventions=[xt.Replace("ffn", layer=3, value=taps.ffn[1])])
    assert np.array_equal(run.transplanted.margins, put.margins) and run.source.text == " 300"
    same = model.generate(
        el, interventions=[xt.Replace("ffn", 3, model.capture(el).ffn[3])], ignore_eos=True
    )
    assert np.array_equal(same.margins, vanilla.margins)
    vector = np.linspace(-1, 1, model.info.width)  # any array of numbers
    last = model.generate(el, interventions=[xt.Add("block", 2, vector)], ignore_eos=True)
    everywhere = model.generate(
        el, interventions=[xt.Add("block", 2, vector, position="all")], ignore_eos=True
    )
    later = model.generate(
        el, interventions=[xt.Add("block", 2, vector, position="generated")], ignore_eos=True
    )
    assert later.ids[0] == vanilla.ids[0] and not np.array_equal(later.margins, vanilla.margins)
    listed = model.generate(
        el,
        ignore_eos=True,
        interventions=[
            xt.Add("block", 2, vector, position=position)
            for position in range(len(model.encode(el)) + 19)
        ],
    )
    assert np.array_equal(everywhere.margins, listed.margins) and not np.array_equal(
        everywhere.margins, last.margins
    )
    half = model.generate(el, interventions=[xt.Blend("ffn", 3, taps.ffn[1], alpha=1.0)])
    assert np.array_equal(half.margins, put.margins)
    changed = model.capture(el, interventions=[xt.Replace("ffn", 3, taps.ffn[1])])
    assert np.array_equal(changed.ffn[3], taps.ffn[1])
    own = model.generate([el, el], interventions=[[], [xt.Replace("ffn", 3, taps.ffn[1])]])
    assert np.array_equal(own[1].margins, put.margins) and np.array_equal(
        own[0].ids, model.generate(el).ids
    )


def test_heads(model):
    """The slices of all query heads are the module's output; those of one change it in part."""
    el = "Ελλάδα, αριθμός χώρας ="
    info, taps, own = model.info, model.capture(GREECE), model.capture(el)
    assert taps.heads.shape == (info.layers, info.heads, info.head_dim)

    def put(heads):
        changes = [
            xt.Intervention("heads", 2, taps.heads[2, head], head=head) for head in range(heads)
        ]
        return model.capture(el, interventions=changes)

    assert np.array_equal(put(0).attn, own.attn)
    assert np.array_equal(put(1).heads[2, 0], taps.heads[2, 0])
    assert np.array_equal(put(1).heads[2, 1:], own.heads[2, 1:])
    assert not np.array_equal(put(1).attn[2], own.attn[2])
    assert np.array_equal(put(info.heads).attn[2], taps.attn[2])


@pytest.mark.parametrize(
    "how, field, message",
    [
        ({"site": "ffn+shuffled"}, "site", "has a control"),
        ({"site": "ffn+self"}, "site", "has a control"),
        ({"site": "ffn+langs.de.fr"}, "site", "several source prompts"),
        ({"site": "ffn+vector.v"}, "site", "writes a vector"),
        ({"site": "plan.p"}, "site", "is a plan"),
        ({"site": "ffn+heads0"}, "site", "only attn is made of"),
        ({"site": "attn+heads0-12"}, "site", "has head 12; the model has heads 0 to"),
        ({"site": "ffn+more"}, "site", "not a way to write"),
        ({"site": 3}, "site", "is no text"),
        ({"site": "ffn\0+add2"}, "site", "NUL"),
        ({"site": "ffn+add2", "rule": "add"}, "rule", "the site 'ffn.add2' says it"),
        ({"site": "ffn+add2", "alpha": 3}, "alpha", "the site 'ffn.add2' says it"),
        ({"site": "ffn", "alpha": 3}, "alpha", 'rule="add" or "blend"'),
        ({"site": "ffn", "rule": "mix"}, "rule", "none of replace, add, blend"),
        ({"site": "ffn", "rule": "add", "alpha": "x"}, "alpha", "not a number"),
        ({"site": "ffn", "source_layer": 8}, "source_layer", "layers 0 to 7"),
        ({"site": "ffn", "target_layer": 8}, "target_layer", "layers 0 to 7"),
        ({"site": "ffn", "target_layer": -1}, "target_layer", "layers 0 to 7"),
    ],
)
def test_what_a_transplant_cannot_be(model, how, field, message):
    with pytest.raises(xt.Error, match=message) as caught:
        model.transplant(GREECE, GREECE, **{"source_layer": 0, "target_layer": 0, **how})
    assert caught.value.status is xt.Status.ARGUMENT and caught.value.field == field


def test_drawn_tokens_follow_the_seed(model):
    drawn = [
        model.generate(GREECE, temperature=2.0, seed=seed, ignore_eos=True).text
        for seed in (1, 1, 2)
    ]
    assert drawn[0] == drawn[1] != drawn[2]
    assert (
        drawn[0] != model.generate(GREECE, temperature=2.0, seed=1, sample=1, ignore_eos=True).text
    )


@pytest.mark.parametrize(
    "use, status, field, message",
    [
        (lambda m: m.generate(""), xt.Status.ARGUMENT, "request 0", "no tokens"),
        (lambda m: m.generate([5, 1 << 20]), xt.Status.ARGUMENT, "request 0", "ids 0 to 2999"),
        (lambda m: m.generate("x" * 4000), xt.Status.ARGUMENT, "request 0", "positions"),
        (
            lambda m: m.generate(GREECE, interventions=[xt.Replace("ffn", 8, np.zeros(192))]),
            xt.Status.ARGUMENT,
            "request 0, intervention 0",
            "layers 0 to 7",
        ),
        (
            lambda m: m.generate(GREECE, interventions=[xt.Replace("ffn", 0, np.zeros(5))]),
            xt.Status.ARGUMENT,
            "value",
            "width is 192",
        ),
        (
            lambda m: m.generate(GREECE, interventions=[xt.Replace("gate", 0, np.zeros(192))]),
            xt.Status.ARGUMENT,
            "tap",
            "none of attn, mid, ffn, block",
        ),
        (
            lambda m: m.generate(
                GREECE, interventions=[xt.Replace("ffn", 0, np.zeros(192), position=-1)]
            ),
            xt.Status.ARGUMENT,
            "position",
            "below 0",
        ),
        (
            lambda m: m.generate(GREECE, interventions=[[], []]),
            xt.Status.ARGUMENT,
            "interventions",
            "2 lists",
        ),
        (lambda m: m.generate(GREECE, chat=True), xt.Status.UNSUPPORTED, "", "chat template"),
        (lambda m: m.generate(GREECE, system="x"), xt.Status.ARGUMENT, "system", "chat=True"),
        (
            lambda m: m.transplant(GREECE, GREECE, site="ffn", source_layer=8, target_layer=0),
            xt.Status.ARGUMENT,
            "source_layer",
            "layers 0 to 7",
        ),
        (
            lambda m: m.transplant(GREECE, GREECE, site="nowhere", source_layer=0, target_layer=0),
            xt.Status.ARGUMENT,
            "site",
            "nowhere",
        ),
        (lambda m: m.generate(GREECE, temperature=-1), xt.Status.ARGUMENT, "temperature", "greedy"),
        (lambda m: m.sweep([], output="x.db", task="xnli"), xt.Status.ARGUMENT, "", "either pairs"),
        (lambda m: m.sweep([{"source": "a"}], output="x.db"), xt.Status.INPUT, "", "target"),
        (
            lambda m: m.sweep(task="nothing", data=".", output="x.db"),
            xt.Status.ARGUMENT,
            "task",
            "no task",
        ),
    ],
)
def test_errors_say_what_is_wrong(model, use, status, field, message):
    with pytest.raises(xt.Error, match=message) as caught:
        use(model)
    assert caught.value.status is status and (not field or caught.value.field == field)
    assert model.generate(GREECE).text == " 300"


WRONG = {
    "prompts": [
        (lambda m: m.generate([5.0, 6.0]), "no list of token ids"),
        (lambda m: m.generate([True, False]), "no list of token ids"),
        (lambda m: m.generate([[5], ["6"]]), "no list of token ids"),
        (lambda m: m.generate([[5], [[6], [7, 8]]]), "no list of token ids"),
        (lambda m: m.generate([5, 1 << 32]), "more than 32 bits"),
        (lambda m: m.generate([5, 1 << 70]), "whole numbers"),
        (lambda m: m.generate(np.array([1 << 33])), "more than 32 bits"),
        (lambda m: m.generate({"prompt": GREECE}), "no text, nor token ids"),
        (lambda m: m.generate(GREECE.encode()), "no text, nor token ids"),
        (lambda m: m.generate(7), "no text, nor token ids"),
        (lambda m: m.generate(None), "no text, nor token ids"),
        (lambda m: m.generate([GREECE, None]), "no list of token ids"),
    ],
    "responses": [
        (lambda m: m.score(GREECE, [" 300", " 301"]), "2 of them for one prompt"),
        (lambda m: m.score([GREECE] * 3, "abc"), "one is given for 3 prompts"),
        (lambda m: m.score([GREECE] * 3, [5, 6, 7]), "one is given for 3 prompts"),
        (lambda m: m.score(GREECE, [5.5]), "no list of token ids"),
        (lambda m: m.score([GREECE], [["300"]]), "no list of token ids"),
        (lambda m: m.score(GREECE, 300), "no text, nor token ids"),
    ],
    "prompt": [
        (lambda m: m.capture([GREECE]), "no list of token ids"),
        (lambda m: m.lens([GREECE]), "no list of token ids"),
    ],
    "source": [(lambda m: transplant(m, [GREECE], GREECE), "no list of token ids")],
    "target": [(lambda m: transplant(m, GREECE, [0.5]), "no list of token ids")],
    "ids": [
        (lambda m: m.decode(["5"]), "no list of token ids"),
        (lambda m: m.decode(5), "no list of token ids"),
    ],
    "text": [(lambda m: m.encode(5), "5 is no text"), (lambda m: m.chat([5]), "is no text")],
    "interventions": [
        (lambda m: m.generate(GREECE, interventions=[np.zeros(192)]), "xt.Add or xt.Blend"),
        (lambda m: m.generate(GREECE, interventions=5), "5 is none"),
        (lambda m: m.capture(GREECE, interventions="ffn"), "'f' is none"),
    ],
    "value": [(lambda m: generate_with(m, value=["x"] * 192), "no array of numbers")],
    "layer": [(lambda m: generate_with(m, layer="2"), "'2' is not a whole number")],
    "position": [(lambda m: generate_with(m, position=1.5), "neither a whole number")],
    "alpha": [(lambda m: generate_with(m, alpha="x"), "'x' is not a number")],
    "max_new_tokens": [
        (lambda m: m.generate(GREECE, max_new_tokens=2.5), "2.5 is not a whole number"),
        (lambda m: m.generate(GREECE, max_new_tokens=1 << 40), "out of range"),
        (lambda m: sweep(m, max_new_tokens="5"), "'5' is not a whole number"),
    ],
    "seed": [(lambda m: m.generate(GREECE, seed=-1), "out of range")],
    "temperature": [(lambda m: sweep(m, samples=1, temperature="hot"), "'hot' is not a number")],
    "ignore_eos": [(lambda m: m.generate(GREECE, ignore_eos="no"), "not True or False")],
    "stop": [(lambda m: m.generate(GREECE, stop=[5]), "5 is no text")],
    "progress": [(lambda m: m.generate(GREECE, progress="x"), "neither None, True, False nor")],
    "memory": [
        (lambda m: xt.load(FACTS, memory="4 gigabytes"), "such as '4G'"),
        (lambda m: xt.load(FACTS, memory=-1), "neither a number of bytes"),
    ],
    "threads": [(lambda m: xt.load(FACTS, threads="2"), "'2' is not a whole number")],
    "device": [(lambda m: xt.load(FACTS, device=0), "0 is no text")],
    "shard": [
        (lambda m: sweep(m, shard="auto"), "'auto' is not .k, n., the k-th part"),
        (lambda m: sweep(m, shard=3), "3 is not .k, n."),
        (lambda m: sweep(m, shard=("1", 2)), "'1' is not a whole number"),
    ],
    "source_layers": [(lambda m: sweep(m, source_layers="first"), 'neither "all", a layer')],
    "target_layers": [(lambda m: sweep(m, target_layers=[0.5]), 'neither "all", a layer')],
    "sites": [(lambda m: sweep(m, sites=[3]), "3 is no text")],
    "languages": [(lambda m: sweep(m, languages="el"), "give a list of languages")],
    "limit": [(lambda m: sweep(m, limit="2"), "'2' is not a whole number")],
    "pairs": [
        (lambda m: sweep(m, {"source": "a", "target": "b"}), "type dict; give a list of dicts"),
        (lambda m: sweep(m, ["a"]), "question 0 is 'a', and no dict"),
        (lambda m: sweep(m, 5), "type int; give a list"),
    ],
}


def transplant(model, source, target):
    return model.transplant(source, target, site="ffn", source_layer=0, target_layer=0)


def generate_with(model, **how):
    change = xt.Intervention(**{"tap": "ffn", "layer": 0, "value": np.zeros(192), **how})
    return model.generate(GREECE, interventions=[change])


def sweep(model, pairs=({"source": "a", "target": "b"},), **how):
    return model.sweep(pairs, output="wrong.db", **how)


@pytest.mark.parametrize("field", WRONG)
def test_wrong_arguments_are_named(model, field, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for use, message in WRONG[field]:
        with pytest.raises(xt.Error, match=message) as caught:
            use(model)
        assert (caught.value.status, caught.value.field) == (xt.Status.ARGUMENT, field)
    assert list(tmp_path.iterdir()) == []


def test_arguments_with_one_meaning(model, tmp_path):
    """One intervention without a list, one layer, all by name, a memory as the program has it."""
    change = xt.Add("block", 3, model.capture(GREECE).block[3], alpha=3)
    made = model.generate([GREECE] * 2, interventions=change)
    assert [each.text for each in made] == [model.generate(GREECE, interventions=[change]).text] * 2
    both = model.generate([GREECE] * 2, interventions=[change, [change]])
    assert np.array_equal(both[1].margins, made[1].margins)
    assert model.generate(GREECE, interventions=None).text == " 300"
    assert [each.text for each in model.generate(each for each in (GREECE,))] == [" 300"]
    pairs = [{"source": GREECE, "target": GREECE}]
    how = {"sites": "ffn", "max_new_tokens": 2, "output": tmp_path / "a.db"}
    with model.sweep(pairs, source_layers=2, target_layers="all", **how) as swept:
        assert swept.info.responses == model.info.layers
    with pytest.raises(xt.Error, match="memory"):
        xt.load(FACTS, memory="2.5M")
    with xt.load(FACTS, memory="4GiB", threads=1) as loaded:
        assert loaded.generate(GREECE).text == " 300"


def test_errors_name_file_field_and_offset(tmp_path):
    with pytest.raises(xt.Error) as caught:
        xt.load(tmp_path / "nothing")
    assert "nothing" in str(caught.value)
    for file in FACTS.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "config.json").write_text('{"model_type": "llama", ,}')
    with pytest.raises(xt.Error) as caught:
        xt.load(tmp_path)
    error = caught.value
    assert (
        error.status is xt.Status.INPUT
        and error.file == str(tmp_path / "config.json")
        and error.offset >= 0
    )
    assert str(error).startswith(f"{error.file}: ") and f"at byte {error.offset}" in str(error)


def test_ctrl_c_stops_after_a_step(model):
    steps = []

    def interrupt(done, total):
        steps.append(done)
        if len(steps) == 3:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        model.generate([GREECE] * 8, max_new_tokens=100, ignore_eos=True, progress=interrupt)
    assert len(steps) <= 4
    assert model.generate(GREECE).text == " 300"


def test_ctrl_c_from_outside_stops_soon(model):
    """A signal at any time, while the library computes."""
    timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        for _ in range(1000):
            model.generate([GREECE] * 256, max_new_tokens=100, ignore_eos=True)
    assert time.monotonic() - began < 30
    assert model.generate(GREECE).text == " 300"


def test_what_progress_raises_comes_out(model):
    def fail(done, total):
        raise ZeroDivisionError(done, total)

    with pytest.raises(ZeroDivisionError) as caught:
        model.generate([GREECE] * 2, max_new_tokens=100, ignore_eos=True, progress=fail)
    assert caught.value.args[1] == 2
    again = []
    model.generate([GREECE] * 2, progress=lambda done, total: again.append((done, total)))
    assert again[-1] == (2, 2) and again == sorted(again)
    with pytest.raises(xt.Error, match="in use"):
        model.generate(GREECE, progress=lambda done, total: model.generate(GREECE))


def test_threads_run_beside_python(model):
    """The interpreter goes on while the library computes, and threads may share a model."""
    counted, texts = [0], []
    done = threading.Event()

    def count():
        while not done.is_set():
            counted[0] += 1
            time.sleep(0.0005)

    def work():
        for _ in range(5):
            texts.append(model.generate([GREECE] * 32, max_new_tokens=30, ignore_eos=True)[7].text)

    counter, workers = threading.Thread(target=count), [
        threading.Thread(target=work) for _ in range(3)
    ]
    for thread in [counter, *workers]:
        thread.start()
    for thread in workers:
        thread.join()
    done.set()
    counter.join()
    assert len(texts) == 15 and len(set(texts)) == 1 and counted[0] > 20


def test_a_fork_is_refused(model):
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            model.generate(GREECE)
            said = "generated"
        except xt.Error as error:
            said = f"{error.status.name} {error}"
        except BaseException as error:
            said = repr(error)
        os.write(write, said.encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as file:
        said = file.read()
    os.waitpid(child, 0)
    assert said.startswith("UNSUPPORTED ") and "spawn" in said
    assert model.generate(GREECE).text == " 300"


SPAWN = """
import multiprocessing, sys
import xtransplant as xt
def work(prompt):
    with xt.load(xt.DEMO / "facts-4m", threads=1) as model:
        return model.generate(prompt).text
if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        print(pool.map(work, ["Greece, country number =", "Nigeria, country number ="]))
"""


def test_spawned_processes_work(tmp_path):
    (tmp_path / "spawn.py").write_text(SPAWN)
    made = subprocess.run(
        [sys.executable, tmp_path / "spawn.py"], capture_output=True, text=True, timeout=120
    )
    assert made.stdout.strip() == "[' 300', ' 566']", made.stderr
    with pytest.raises(TypeError, match="open it there"):
        import pickle

        with xt.load(FACTS, threads=1) as model:
            pickle.dumps(model)


def test_import_is_light():
    heavy = ("pandas", "matplotlib", "tqdm", "cffi", "torch")
    said = f"import sys, xtransplant; print([name for name in {heavy} if name in sys.modules])"
    assert (
        subprocess.run([sys.executable, "-c", said], capture_output=True, text=True).stdout.strip()
        == "[]"
    )


@pytest.fixture
def settled(tmp_path, monkeypatch):
    """A model whose files are old enough for their hash to be kept, and an empty cache folder."""
    latest = max(file.stat().st_ctime for file in FACTS.iterdir())
    while time.time() < latest + 4:
        time.sleep(0.1)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "xtransplant"


def test_a_hash_is_read_once(settled, model):
    """By whatever asks first; what is kept is taken, and it is the program's."""
    pairs = [{"source": GREECE, "target": GREECE}]
    how = {"source_layers": 0, "target_layers": 0, "max_new_tokens": 1}
    with xt.load(FACTS, threads=1) as swept:
        swept.sweep(pairs, output=settled.parents[1] / "a.db", **how).close()
    (kept,) = settled.glob("hash-*")
    assert kept.read_text() == model.hash()
    kept.write_text("ab" * 32)
    with xt.load(FACTS, threads=1) as again:
        assert again.hash() == "ab" * 32


def test_lens(model):
    pytest.importorskip("pandas")
    lens = model.lens(GREECE, max_new_tokens=3)
    made = model.generate(GREECE, max_new_tokens=3)
    assert (
        lens.shape == (model.info.layers, len(made.ids)) and lens.probabilities.shape == lens.shape
    )
    assert list(lens.index) == list(range(model.info.layers))[::-1]
    assert [chosen for _, chosen in lens.columns] == list(
        lens.iloc[0]
    )  # the last layer says what is generated
    assert ((lens.probabilities > 0) & (lens.probabilities <= 1)).all().all()
    pytest.importorskip("jinja2")
    page = lens._repr_html_()
    assert "rgba(31, 95, 191" in page and "300" in page


def test_scores_are_of_what_was_generated(model, pairs):
    """Under interventions too: the same bits, and the likeliest tokens."""
    value = model.capture(pairs[0]["source"]).ffn[1]
    changes = [xt.Replace("ffn", 2, value), xt.Add("block", 3, value, 0.5, position="all")]
    prompts = [pair["target"] for pair in pairs]
    for interventions in ((), changes, [changes[:k] for k in (0, 1, 2) * 2]):
        made = model.generate(
            prompts, interventions=interventions, repetition_penalty=1, max_new_tokens=6
        )
        scores = model.score(prompts, [each.ids for each in made], interventions=interventions)
        for score, each in zip(scores, made):
            assert score.greedy and np.array_equal(score.ids, each.ids)
            assert score.logprobs.tobytes() == each.logprobs.tobytes()
    alone = model.score(prompts[2], made[2].ids, interventions=changes)
    assert alone.logprobs.tobytes() == made[2].logprobs.tobytes()
    text = model.score(prompts[0], " 300")
    both = model.encode(prompts[0] + " 300")
    assert list(text.ids) == list(both[len(model.encode(prompts[0])) :])
    with pytest.raises(xt.Error, match="for 6 prompts"):
        model.score(prompts, [" 300"])
    with pytest.raises(xt.Error, match="at least one must come before"):
        model.score("", "300")


def test_stop_texts(model, pairs):
    prompts = [pair["target"] for pair in pairs]
    whole = model.generate(prompts, max_new_tokens=6, ignore_eos=True)
    ends = [each.text[2:4] for each in whole]
    some = model.generate(prompts, max_new_tokens=6, ignore_eos=True, stop=ends[0])
    assert some[0].text == whole[0].text.split(ends[0])[0] and len(some[0].ids) < 6
    for part, each in zip(some, whole):
        assert list(part.ids) == list(each.ids)[: len(part.ids)]
        assert part.text == each.text.split(ends[0])[0]
    assert model.generate(prompts, max_new_tokens=6, stop=["", "☃"])[1].ids.size > 0
