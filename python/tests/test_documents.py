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


def test_types(tmp_path):
    """What mypy says of the package in its strict mode."""
    api = pytest.importorskip("mypy.api")
    said, errors, code = api.run(["--strict", "--cache-dir", str(tmp_path), "-p", "xtransplant"])
    assert (code, errors) == (0, ""), said


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
