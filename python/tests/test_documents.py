# SPDX-License-Identifier: Apache-2.0
import doctest
import importlib
import inspect
import pathlib
import pkgutil
import re
import sys

import pytest

import xtransplant as xt


@pytest.mark.parametrize("name", ["xtransplant", "xtransplant._model"])
def test_docstrings_run(name):
    module = importlib.import_module(name)
    outcome = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert outcome.attempted > 0 and outcome.failed == 0


def test_the_document_s_code_runs(tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib").use("Agg")
    document = pathlib.Path(__file__).parents[2] / "docs" / "PYTHON.md"
    blocks = re.findall(
        r"^```python\n(.*?)^```$",
        document.read_text(encoding="utf-8"),
        flags=re.DOTALL | re.MULTILINE,
    )
    assert len(blocks) >= 4
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in blocks:
        exec(block, names)
    assert capsys.readouterr().out.splitlines() == [
        " 300  300  300",
        "Status.IO no/such/folder no/such/folder: "
        "cannot open the model's folder: No such file or directory",
    ]


def test_everything_public_is_documented_and_typed():
    bare = []
    for name in xt.__all__:
        thing = getattr(xt, name)
        if not callable(thing):
            continue
        members = [(name, thing)]
        if inspect.isclass(thing):
            members += [
                (f"{name}.{key}", value)
                for key, value in vars(thing).items()
                if inspect.isfunction(value) and not key.startswith("_")
            ]
        for path, member in members:
            signature = inspect.signature(member) if inspect.isfunction(member) else None
            if not member.__doc__:
                bare.append(path)
            if signature and any(
                p.annotation is p.empty for key, p in signature.parameters.items() if key != "self"
            ):
                bare.append(f"{path}: types")
            if signature and signature.return_annotation is signature.empty:
                bare.append(f"{path}: type")
    assert bare == []


@pytest.fixture(scope="module")
def mypy(tmp_path_factory):
    """What mypy says in its strict mode, and its exit code."""
    api = pytest.importorskip("mypy.api")
    cache = str(tmp_path_factory.mktemp("mypy"))

    def check(*what):
        said, errors, code = api.run(["--strict", "--cache-dir", cache, *what])
        assert errors == ""
        return said, code

    return check


def test_types(mypy):
    said, code = mypy("-p", "xtransplant")
    assert code == 0, said


USED = """
import numpy as np
import xtransplant as xt

with xt.load("m", memory="4G") as model, xt.open("r.db") as results:
    reveal_type(model)
    reveal_type(results)
reveal_type(model.generate("a", max_new_tokens=5, stop="b"))
reveal_type(model.generate([5, 6]))
reveal_type(model.generate(("a", "b"), interventions=xt.Add("ffn", 1, [0.5])))
reveal_type(model.generate([np.zeros(2, np.int32)]))
reveal_type(model.score("a", [5]))
reveal_type(model.score(["a"], ["b"], add_special=False))
model.generate("a", max_tokens=5)
model.generate("a", max_new_tokens="5")
model.score("a", "b", chat=True)
model.score(["a", "b"], "c")
"""


def test_types_of_calls(mypy, tmp_path):
    """What a user's type checker knows: each result, and arguments that are wrong."""
    (tmp_path / "used.py").write_text(USED)
    said, _ = mypy(str(tmp_path / "used.py"))
    kinds = re.findall(r'Revealed type is "(.*)"', said)
    assert [re.sub(r"builtins\.|xtransplant\._\w+\.", "", kind) for kind in kinds] == [
        "Model",
        "Results",
        "Generation",
        "Generation",
        "list[Generation]",
        "list[Generation]",
        "Score",
        "list[Score]",
    ], said
    wrong = {int(number) for number in re.findall(r"used\.py:(\d+): error", said)}
    lines = enumerate(USED.splitlines(), 1)
    assert wrong == {number for number, line in lines if line.startswith("model.")}, said


def test_all_modules_are_in_the_wheel():
    assert {module.name for module in pkgutil.iter_modules(xt.__path__)} >= {
        "_extras",
        "_frames",
        "_interventions",
        "_library",
        "_model",
        "_native",
        "_parquet",
        "_results",
        "_sweep",
        "lm_eval",
    }


def test_bars(capsys):
    pytest.importorskip("tqdm")
    from xtransplant._extras import Bar

    for progress, seen in ((True, True), (None, False), (False, False)):
        bar = Bar(progress, "sweep", "response")
        for done in (1.5, 7):
            bar(done, 10)
        bar.close()
        assert ("sweep" in capsys.readouterr().err) is seen


@pytest.mark.parametrize(
    "module, call, extra",
    [
        ("lm_eval", "import xtransplant.lm_eval", "lm-eval"),
        ("pyarrow", "xtransplant.Results.to_parquet(None, 'a.parquet')", "parquet"),
        ("pandas", "xtransplant.Results.responses(None)", "pandas"),
    ],
)
def test_what_is_missing_is_asked_for_by_name(module, call, extra, monkeypatch):
    if module == "pyarrow":
        pytest.importorskip("pandas")
    for name in [key for key in sys.modules if key.split(".")[0] == module]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(sys.modules, "xtransplant.lm_eval", raising=False)
    with pytest.raises(ImportError, match=re.escape(f"pip install 'xtransplant[{extra}]'")):
        exec(call, {"xtransplant": xt})
