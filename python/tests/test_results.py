# SPDX-License-Identifier: Apache-2.0
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

import xtransplant as xt
from conftest import FACTS, public

pandas = pytest.importorskip("pandas")
import xtransplant._responses  # noqa: E402


def test_a_sweep_has_every_response(model, results, pairs):
    layers = model.info.layers
    info = results.info
    assert (info.questions, info.responses, info.vanilla, info.layers) == (
        6,
        6 * 2 * layers * layers,
        6,
        layers,
    )
    assert info.model_hash == model.hash()
    frame = results.responses(site="ffn")
    assert (
        len(frame) == 6 * layers * layers
        and set(frame["site"]) == {"ffn"}
        and set(frame["lang"]) == {"el", "tr"}
    )
    assert len(results.responses()) == info.responses + info.vanilla
    assert len(results.responses(site="ffn", lang="tr")) == 3 * layers * layers
    assert (
        len(results.responses("vanilla", task="facts")) == 6
        and len(results.responses("vanilla", task="xnli")) == 0
    )
    assert len(results.responses(site="source")) == 6


def test_responses_are_those_of_single_transplants(model, results, pairs):
    frame = results.responses(site="ffn").set_index(["question", "source_layer", "target_layer"])
    for pair, i, j in ((pairs[0], 0, 0), (pairs[2], 3, 1), (pairs[5], 7, 7)):
        run = model.transplant(
            pair["source"],
            pair["target"],
            site="ffn",
            source_layer=i,
            target_layer=j,
            max_new_tokens=5,
        )
        row = frame.loc[(pair["id"], i, j)]
        assert row["text"] == run.transplanted.text and row["tokens"] == len(run.transplanted.ids)
        assert (
            row["margin"] == run.transplanted.margins.min()
            and row["entropy"] == run.transplanted.entropies[0]
        )
        assert row["correct"] == (pair["gold"] in row["text"]) and row["gold"] == pair["gold"]
        assert (row["source"], row["target"]) == (pair["source"], pair["target"])


SITES = [
    "ffn",
    "attn-released",
    "ffn+add2",
    "block+blend0.3",
    "block+span2",
    "block+all",
    "ffn+generated",
    "attn+heads0.2-3",
    "attn+heads1+add1.5+span3+all",
]


def test_a_site_is_what_it_is_in_a_sweep(model, pairs, tmp_path):
    """With all that its name says: a transplant has the bits of the sweep's response."""
    layers = {"source_layers": [2, 6], "target_layers": [3, 7]}
    how = {"sites": SITES, "output": tmp_path / "a.db", "max_new_tokens": 5, **layers}
    with model.sweep(pairs[:2], **how) as made:
        frame = made.responses().set_index(["question", "site", "source_layer", "target_layer"])
    margins = {}
    for pair in pairs[:2]:
        for site in SITES:
            for i, j in ((2, 3), (6, 7), (2, 7)):
                run = model.transplant(
                    pair["source"],
                    pair["target"],
                    site=site,
                    source_layer=i,
                    target_layer=j,
                    max_new_tokens=5,
                ).transplanted
                row = frame.loc[(pair["id"], site, i, j)]
                assert (row["text"], row["tokens"]) == (run.text, len(run.ids))
                assert row["margin"] == run.margins.min() and row["entropy"] == run.entropies[0]
                margins.setdefault((i, j), set()).add(row["margin"])
    assert len(frame) == 2 * (1 + 4 * len(SITES))
    assert len(margins[2, 3]) > len(SITES)  # no two sites do the same


def test_controls(model, pairs, tmp_path):
    """A control by itself is the transplant of what it says, at a site of its own."""
    how = {"source_layers": [1], "target_layers": [2], "max_new_tokens": 5}
    with model.sweep(
        pairs, sites="ffn", controls=["self", "random7"], output=tmp_path / "a.db", **how
    ) as made:
        assert made.info.responses == 6 * 3
        rows = made.responses(site="ffn+self").set_index("question")
        assert len(made.responses(site="ffn+random7")) == 6
        assert "ffn+self" in made.text("controls")
    for pair in pairs[:2]:
        own = model.transplant(
            pair["target"],
            pair["target"],
            site="ffn",
            source_layer=1,
            target_layer=2,
            max_new_tokens=5,
        )
        row = rows.loc[pair["id"]]
        assert row["text"] == own.transplanted.text
        assert row["margin"] == own.transplanted.margins.min()
    # another question is looked for among all of the language, whatever the limit
    with model.sweep(
        pairs, sites="ffn", controls="shuffled", output=tmp_path / "b.db", limit=1, **how
    ) as made:
        assert len(made.responses(site="ffn+shuffled")) == 2
    with pytest.raises(xt.Error, match="'selves' is not a control") as caught:
        model.sweep(pairs, sites="ffn", controls="selves", output=tmp_path / "c.db", **how)
    assert caught.value.field == "control" and not (tmp_path / "c.db").exists()


def program():
    """The program: XT_PROGRAM, or what PATH has."""
    found = os.environ.get("XT_PROGRAM") or shutil.which("xtransplant")
    if not found:
        pytest.skip("needs the program: XT_PROGRAM or PATH")
    return found


def test_a_sweep_is_the_program_s(model, pairs, tmp_path):
    """With a vector, means of languages and tracked words: the export, byte for byte."""
    xtransplant_program = program()
    generator = np.random.default_rng(1)
    own = generator.normal(size=(model.info.layers, model.info.width)).astype(np.float32)
    np.save(tmp_path / "vector.npy", own)
    np.save(tmp_path / "One Vector.npy", own[0])
    questions = [{**p, "sources": {"de": p["source"] + " ", "fr": "a"}} for p in pairs[:2]]
    file = tmp_path / "pairs.jsonl"
    file.write_text("\n".join(map(json.dumps, questions)))
    cases = [
        (
            {"vector": own, "sites": "block"},
            ["--vector", tmp_path / "vector.npy", "--site", "block"],
        ),
        (
            {"vector": tmp_path / "One Vector.npy", "sites": ["ffn+add2", "attn+add2"]},
            [
                "--vector",
                tmp_path / "One Vector.npy",
                "--site",
                "ffn,attn",
                "--rule",
                "add",
                "--alpha",
                "2",
            ],
        ),
        ({"vector": own}, ["--vector", tmp_path / "vector.npy"]),
        (
            {"source_langs": ["de", "fr"], "sites": "ffn"},
            ["--source-langs", "de,fr", "--site", "ffn"],
        ),
        ({"track": ["yes", "no"], "sites": "ffn"}, ["--track", "yes,no", "--site", "ffn"]),
        ({"track": "none", "sites": "ffn"}, ["--track", "none", "--site", "ffn"]),
    ]
    plan = [
        {
            "name": "Both",
            "writes": [
                {"site": "attn+add2", "source_layer": 3, "target_layer": "j-1"},
                {"site": "ffn+span3+self", "source_layer": "i", "target_layer": "j+2"},
                {
                    "site": "block+add0.5+generated",
                    "target_layer": "j",
                    "vector": str(tmp_path / "vector.npy"),
                },
            ],
        },
        {"name": "one", "writes": [{"site": "block", "source_layer": "i+1", "target_layer": "j"}]},
    ]
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    cases += [
        ({"plan": plan}, ["--plan", tmp_path / "plan.json"]),
        (
            {"plan": tmp_path / "plan.json", "sites": "ffn"},
            ["--plan", tmp_path / "plan.json", "--site", "ffn"],
        ),
    ]
    seen = set()
    for k, (how, options) in enumerate(cases):
        mine, its = tmp_path / f"mine{k}.db", tmp_path / f"its{k}.db"
        layers = {"source_layers": [1, 5], "target_layers": [2]}
        if k == 1:  # one vector for all layers has one source layer
            layers = {"target_layers": [2]}
        model.sweep(questions, output=mine, max_new_tokens=3, **layers, **how).close()
        run = ["sweep", "-m", FACTS, "--pairs", file, "-o", its, "--max-new-tokens", "3"]
        run += ["--target-layers", "2", *([] if k == 1 else ["--source-layers", "1,5"]), *options]
        subprocess.run([xtransplant_program, *run], check=True, capture_output=True)
        exports = [
            subprocess.run(
                [xtransplant_program, "export", path], check=True, capture_output=True
            ).stdout
            for path in (mine, its)
        ]
        assert exports[0] == exports[1] and exports[0]
        seen.add(exports[0])
    assert len(seen) == len(cases)  # each does something else


def test_vectors_that_are_none(model, pairs, tmp_path):
    for vector, message in (
        (np.zeros(3), r"has the shape \[3\]"),
        ("abc.npy", "abc.npy"),
        ([["x"]], "no array of numbers"),
        (np.full(model.info.width, np.nan), "not finite"),
    ):
        with pytest.raises(xt.Error, match=message):
            model.sweep(pairs, sites="ffn", output=tmp_path / "a.db", vector=vector)
    one = np.ones(model.info.width)
    with pytest.raises(xt.Error, match="combined with source_langs"):
        model.sweep(pairs, output=tmp_path / "a.db", vector=one, source_langs="de")
    with pytest.raises(xt.Error, match="says what it writes itself"):
        model.sweep(pairs, sites="ffn+langs.de", output=tmp_path / "a.db", vector=one)
    assert not (tmp_path / "a.db").exists()


@pytest.mark.parametrize(
    "plan, message",
    [
        ({}, "not a list"),
        ([{"name": "a b", "writes": []}], "intervention 1: name"),
        ([{"name": "a", "writes": []}], "a: writes"),
        ([{"name": "a", "writes": [{"site": "attn"}]}], "a: write 1: target_layer"),
        ([{"name": "a", "wrong": 1}], "intervention 1: wrong"),
        (
            [{"name": "a", "writes": [{"site": "attn+shuffled", "target_layer": 1}]}],
            "a: write 1: site",
        ),
        (
            [{"name": "a", "writes": [{"site": "attn", "source_layer": 8, "target_layer": 1}]}],
            "layer 8 is out of range",
        ),
        (
            [{"name": "a", "writes": [{"site": "attn", "source_layer": 0, "target_layer": "j"}]}],
            "counts no layer from the source layer",
        ),
    ],
)
def test_plans_that_are_none(model, pairs, tmp_path, plan, message):
    with pytest.raises(xt.Error, match=message) as caught:
        model.sweep(pairs, plan=plan, output=tmp_path / "a.db")
    assert caught.value.field.startswith("plan") and not (tmp_path / "a.db").exists()


def test_controls_of_plans(model, pairs, tmp_path):
    """A plan of one transplant has what the site has; one without the source prompt has no mean."""
    write = {"site": "attn", "source_layer": "i", "target_layer": "j"}
    plan = [{"name": "a", "writes": [write]}]
    how = {"controls": ["shuffled", "random"], "sites": "attn", "max_new_tokens": 3}
    with model.sweep(pairs, plan=plan, output=tmp_path / "a.db", **how) as made:
        frame = made.responses().sort_values(["question", "source_layer", "target_layer"])
        for control in ("shuffled", "random"):
            texts = [
                frame[frame["site"].astype(str).str.fullmatch(rf"{site}\+{control}")]["text"]
                for site in ("attn", r"plan\.a\.[0-9a-f]+")
            ]
            assert len(texts[0]) > 0 and list(texts[0]) == list(texts[1])
    vector = {**write, "vector": np.ones(model.info.width)}
    with pytest.raises(xt.Error, match="have mean, which stands for") as caught:
        model.sweep(
            pairs, plan=[{"name": "a", "writes": [vector]}], controls="mean", output=tmp_path / "b.db"
        )
    assert caught.value.field == "controls" and not (tmp_path / "b.db").exists()


def test_effects_of_first_tokens(results):
    """Divergences, and the log-probabilities of tracked answers as JSON."""
    for site in ("ffn", "vanilla"):
        frame = results.responses(site)
        assert (frame["kl_untouched"] >= 0).all() and (frame["kl_source"] >= 0).all()
        assert (frame["kl_untouched"] == 0).all() == (site == "vanilla")
        for tracked in frame["tracked"]:
            assert all(len(entry) == 4 and entry[3] <= 0 for entry in json.loads(tracked))


def test_words_have_one_number_for_both_spellings(model, pairs, tmp_path):
    output = tmp_path / "words.db"
    with model.sweep(
        pairs[:2], sites="ffn", track=["b", "c"], output=output, max_new_tokens=1
    ) as results:
        for tracked in results.responses("ffn")["tracked"]:
            words = [entry for entry in json.loads(tracked) if entry[0] == "word"]
            assert [entry[1:3] for entry in words] == [["b", None], ["c", None]]
            assert all(entry[3] < 0 for entry in words)


def test_the_same_sweep_again_does_nothing(model, results, pairs):
    before = results.path.stat().st_mtime_ns
    with model.sweep(pairs, sites=["ffn", "attn"], output=results.path, max_new_tokens=5) as again:
        assert again.info == results.info
    assert results.path.stat().st_mtime_ns == before


@pytest.mark.parametrize("given", ["frame", "file", "generator", "dataset"])
def test_pairs_come_in_many_forms(model, results, pairs, tmp_path, given):
    if given == "frame":
        questions = pandas.DataFrame(
            [*pairs, {"source": "a", "target": "b"}]
        )  # what is missing is NaN
    elif given == "file":
        questions = tmp_path / "pairs.jsonl"
        questions.write_text("\n".join(map(json.dumps, pairs)))
    elif given == "dataset":
        questions = pytest.importorskip("datasets").Dataset.from_list(pairs)
    else:
        questions = ({**pair, "id": pair["id"]} for pair in pairs)
    with model.sweep(
        questions,
        sites=["ffn"],
        output=tmp_path / "results.db",
        max_new_tokens=5,
        source_layers=[0, 7],
        target_layers=[0],
        limit=2,
        languages=["tr"],
    ) as made:
        frame = made.responses(site="ffn")
    wanted = results.responses(site="ffn", lang="tr")
    wanted = wanted[
        wanted["source_layer"].isin([0, 7])
        & (wanted["target_layer"] == 0)
        & wanted["question"].isin([p["id"] for p in pairs[3:5]])
    ]
    assert len(frame) == 4
    pandas.testing.assert_frame_equal(frame, wanted.reset_index(drop=True), check_categorical=False)


def test_ctrl_c_keeps_what_is_done(model, pairs, tmp_path):
    told = []

    def interrupt(done, total):
        told.append((done, total))
        if done > 0.5 * total and len(told) < 1000:
            told.extend([told[-1]] * 1000)
            os.kill(os.getpid(), signal.SIGINT)

    path = tmp_path / "results.db"
    how = {"sites": ["ffn"], "output": path, "max_new_tokens": 5}
    with pytest.raises(KeyboardInterrupt):
        model.sweep(pairs, progress=interrupt, **how)
    with xt.open(path) as part:
        assert part.info.responses < 6 * 64
        assert part.coverage()["whole"] is False
    with model.sweep(pairs, **how) as whole:
        assert whole.info.responses == 6 * 64 and whole.coverage()["whole"]
        frame = whole.responses(site="ffn")
    assert told[-1][1] == 6 * 65 and len(frame) == 6 * 64


def test_warnings_are_python_s(model, pairs, tmp_path):
    with pytest.warns(UserWarning, match="line 2 is the same question as line 1"):
        model.sweep(
            [*pairs[:1], *pairs[:1]],
            sites=["ffn"],
            output=tmp_path / "a.db",
            source_layers=[0],
            target_layers=[0],
            max_new_tokens=2,
        ).close()


def test_gains(results):
    gain = results.gain("ffn")
    frame = results.responses()
    vanilla = frame[frame["site"] == "vanilla"].set_index("question")["correct"].astype(float)
    ffn = frame[frame["site"] == "ffn"]
    correct = ffn.assign(correct=ffn["correct"].astype(float)).pivot_table(
        index="source_layer", columns="target_layer", values="correct"
    )
    assert np.allclose(gain.to_numpy(), correct.to_numpy() - vanilla.mean())
    tr = ffn[ffn["lang"] == "tr"]
    correct = tr.assign(correct=tr["correct"].astype(float)).pivot_table(
        index="source_layer", columns="target_layer", values="correct"
    )
    of_tr = vanilla[frame[frame["lang"] == "tr"]["question"].unique()].mean()
    assert np.allclose(results.gain("ffn", lang="tr").to_numpy(), correct.to_numpy() - of_tr)
    for wrong, message in (
        ({"site": "block"}, "site 'block'"),
        ({"site": "ffn", "lang": "zz"}, "it has el, tr"),
        ({"site": "ffn", "task": "xnli"}, "'xnli'"),
    ):
        with pytest.raises(xt.Error, match=message):
            results.gain(**wrong)


def test_heatmap(results):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    axes = results.heatmap("ffn", lang="tr")
    assert axes.get_xlabel() == "target layer" and "tr" in axes.get_title()
    drawn = axes.images[0].get_array()
    assert np.allclose(drawn, 100 * results.gain("ffn", lang="tr").to_numpy())
    assert results.heatmap("attn", ax=axes) is axes


def test_report(results, tmp_path):
    page = results.report(tmp_path / "out")
    assert (
        page.read_text(encoding="utf-8").startswith("<!doctype html>")
        and (tmp_path / "out" / "report.json").exists()
    )
    shown = results._repr_html_()
    assert shown.startswith("<iframe srcdoc=") and "&lt;!doctype html&gt;" in shown
    assert "facts" in results.text("summary").lower()


def test_several_gold_answers(model, pairs, tmp_path):
    """Are a list, of which each is right; one is a text, and none is missing."""
    golds = ["300", ["299", "300"], None]
    questions = [
        {
            "source": pairs[0]["source"],
            "target": f"{pairs[0]['source']}{' ' * k}",
            "task": "mkqa",
            "lang": "en",
            "gold": gold,
        }
        for k, gold in enumerate(golds)
    ]
    layers = {"source_layers": [0], "target_layers": [0]}
    with model.sweep(questions, sites="ffn", output=tmp_path / "a.db", **layers) as made:
        frame = made.responses("ffn")
        assert [None if pandas.isna(each) is True else each for each in frame["gold"]] == golds
        again = frame[["source", "target", "task", "lang", "gold"]]
        with model.sweep(again, sites="ffn", output=tmp_path / "b.db", **layers) as same:
            assert same.responses("ffn")["gold"].tolist()[:2] == golds[:2]
        parquet = pytest.importorskip("pyarrow.parquet")
        made.to_parquet(tmp_path / "a.parquet", "ffn")
    read = parquet.read_table(tmp_path / "a.parquet")["gold"].to_pylist()
    assert read == [["300"], ["299", "300"], None]


def test_what_a_file_does_not_have(results):
    with pytest.raises(xt.Error, match="no responses at site 'nope'; it has attn, ffn") as caught:
        results.responses("nope")
    assert caught.value.field == "site" and caught.value.file == str(results.path)
    assert len(results.responses("attn", lang="xx")) == 0
    with pytest.raises(xt.Error, match="no table 'nope'") as caught:
        results.text("nope")
    assert caught.value.field == "table" and caught.value.file == str(results.path)


TEXTS = ["task", "lang", "source_lang", "question", "source", "target", "site", "text", "language"]
STRING = "str" if int(pandas.__version__.partition(".")[0]) >= 3 else "object"


def test_dtypes(results):
    """Those that the documentation has, however few rows there are."""
    for frame in (results.responses(), results.responses("ffn", lang="xx")):
        types = {name: str(kind) for name, kind in frame.dtypes.items()}
        assert types == {
            **dict.fromkeys(TEXTS, "category"),
            **dict.fromkeys(("id", "tracked"), STRING),
            "gold": "object",
            "correct": "boolean",
            **dict.fromkeys(("source_layer", "target_layer", "tokens"), "int32"),
            **{name: "float64" for name in types if name.endswith(("entropy", "margin"))},
            **dict.fromkeys(("mean_logprob", "nll_standalone", "nll_conditional"), "float64"),
            **dict.fromkeys(("kl_untouched", "kl_source"), "float64"),
        }
        for name in TEXTS:
            assert list(frame[name].cat.categories) == sorted(set(frame[name].dropna()))


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A results file of 29,440 responses to questions with long prompts."""
    path = tmp_path_factory.mktemp("large") / "large.db"
    tool = pathlib.Path(__file__).parents[2] / "tools" / "simulate_store.py"
    size = [
        "--layers",
        "48",
        "--per-language",
        "2",
        "--tasks",
        "xnli",
        "--lang",
        "sw,de,zh,tr,el,bg",
    ]
    subprocess.run([sys.executable, tool, "-o", path, *size], check=True)
    with xt.open(path) as made:
        yield made


def test_responses_take_little_memory(large, tmp_path):
    """The peak is a few times what the columns have; a file takes what a group of rows does."""
    large.responses("vanilla")  # imports
    rows = large.info.responses + large.info.vanilla
    assert rows > 25_000
    tracemalloc.start()
    try:
        frame = large.responses()
        peak = tracemalloc.get_traced_memory()[1]
        assert len(frame) == rows and peak < 400 * rows
    finally:
        tracemalloc.stop()
    assert frame.memory_usage(deep=True).sum() < 300 * rows


def test_only_what_is_wanted_is_read(large, monkeypatch):
    """The rows of other languages, tasks and sites do not come to Python."""
    seen = []
    add = xtransplant._responses.ResponseColumns.add

    def count(self, rows, number):
        seen.append(number)
        add(self, rows, number)

    monkeypatch.setattr("xtransplant._responses.ResponseColumns.add", count)
    for how, wanted in (
        ({"lang": "sw"}, 2 * (1 + 48 * 48)),
        ({"lang": "sw", "site": "attn"}, 2 * 48 * 48),
        ({"site": "vanilla"}, 12),
        ({"task": "xquad"}, 0),
    ):
        seen.clear()
        assert len(large.responses(**how)) == sum(seen) == wanted
        assert not wanted or len(seen) == (2 if "lang" in how else 12)  # a call a question


def test_parquet(results, tmp_path, monkeypatch):
    """The same rows and columns as responses(), in groups, whole or not at all."""
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr("xtransplant._results.GROUP_ROWS", 300)
    for site, name in ((None, "all.parquet"), ("ffn", "ffn.parquet"), ("source", "none.parquet")):
        results.to_parquet(tmp_path / name, site)
        file = parquet.ParquetFile(tmp_path / name)
        frame = results.responses(site)
        assert file.metadata.num_rows == len(frame)
        assert file.metadata.num_row_groups == -(-len(frame) // 300)
        read = file.read().to_pandas()
        assert list(read.columns) == list(frame.columns)
        assert read["correct"].astype("boolean").tolist() == frame["correct"].tolist()
        for column in ("id", "text", "source_layer", "tokens", "margin", "mean_logprob"):
            assert read[column].tolist() == frame[column].tolist()
    types = {str(each.type) for each in parquet.read_schema(tmp_path / "none.parquet")}
    assert types == {"string", "int32", "double", "bool", "list<element: string>"}
    with pytest.raises(xt.Error, match="no responses at site 'nope'"):
        results.to_parquet(tmp_path / "nope.parquet", "nope")
    assert not (tmp_path / "nope.parquet").exists()

    def fail(*_):
        raise OSError("full")

    before = (tmp_path / "all.parquet").read_bytes()
    monkeypatch.setattr("pyarrow.parquet.ParquetWriter.write_table", fail)
    with pytest.raises(OSError, match="full"):
        results.to_parquet(tmp_path / "all.parquet")
    assert (tmp_path / "all.parquet").read_bytes() == before
    assert [each.name for each in tmp_path.iterdir() if "partial" in each.name] == []


def test_report_of_several(results, tmp_path):
    """The same store twice is two rows, told apart by their files."""
    shutil.copy(results.path, tmp_path / "other.db")
    results.report(tmp_path / "out", others=[tmp_path / "other.db"])
    rows = (tmp_path / "out" / "models.csv").read_text(encoding="utf-8").splitlines()
    assert rows[0].startswith("Model,figure,")
    assert [row.split(",")[0] for row in rows if ",accuracy," in row] == [
        f"facts-4m ({path})" for path in (results.path, tmp_path / "other.db")
    ]
    assert results.text("models", others=[tmp_path / "other.db"]).startswith("Models.")
    with pytest.raises(xt.Error, match="no table 'models'"):
        results.text("models")


def test_what_is_no_results_file_is_refused(tmp_path, model, pairs, results):
    with pytest.raises(xt.Error) as caught:
        xt.open(tmp_path / "nothing.db")
    assert caught.value.file.endswith("nothing.db")
    (tmp_path / "text.db").write_text("no results")
    with pytest.raises(xt.Error) as caught:
        xt.open(tmp_path / "text.db")
    assert caught.value.status is xt.Status.INPUT
    with pytest.raises(xt.Error, match="max_new_tokens|new tokens"):
        model.sweep(pairs, sites=["ffn"], output=results.path, max_new_tokens=6)


CALLS = {
    "info": lambda r: r.info,
    "responses": lambda r: r.responses(),
    "to_parquet": lambda r: r.to_parquet("a.parquet"),
    "gain": lambda r: r.gain("ffn"),
    "heatmap": lambda r: r.heatmap("ffn"),
    "coverage": lambda r: r.coverage(),
    "report": lambda r: r.report("out"),
    "text": lambda r: r.text("summary"),
}


@pytest.mark.parametrize("name", public(xt.Results))
def test_a_closed_results_file_is_refused(results, name, tmp_path, monkeypatch):
    for module in {"to_parquet": ["pyarrow"], "heatmap": ["matplotlib"]}.get(name, []):
        pytest.importorskip(module)
    path = results.path.resolve()
    monkeypatch.chdir(tmp_path)
    with xt.open(path) as other:
        other.gain("ffn")
    assert "closed" in repr(other)
    with pytest.raises(xt.Error, match="this results file is closed"):
        CALLS[name](other)
    assert list(tmp_path.iterdir()) == []
