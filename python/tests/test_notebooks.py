# SPDX-License-Identifier: Apache-2.0
import pathlib

import pytest

nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")
for extra in ("ipykernel", "pandas", "matplotlib", "jinja2"):
    pytest.importorskip(extra)

FOLDER = pathlib.Path(__file__).parents[1] / "notebooks"


def said(notebook):
    """What the cells show as text, but for the model's and the file's line, and pictures."""
    shown = [each for cell in notebook.cells for each in cell.get("outputs", [])]
    assert not [each for each in shown if each.output_type == "error"]
    texts = [each.get("text") or each.get("data", {}).get("text/plain", "") for each in shown]
    return [text for text in texts if not text.startswith("<")]


@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.glob("*.ipynb")))
def test_notebooks_run_and_show_what_is_in_them(name, tmp_path):
    notebook = nbformat.read(FOLDER / name, as_version=4)
    before = said(notebook)
    where = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=300, resources=where).execute()
    assert len(before) > 2 and said(notebook) == before


def test_there_are_three():
    assert len(list(FOLDER.glob("*.ipynb"))) == 3
