# SPDX-License-Identifier: Apache-2.0
"""Runs the notebooks of python/notebooks and keeps what they show: execute_notebooks.py

It needs the package with its extras "all", and nbclient and ipykernel.
"""

import pathlib
import tempfile

import nbclient
import nbformat

FOLDER = pathlib.Path(__file__).parents[1] / "python" / "notebooks"

for path in sorted(FOLDER.glob("*.ipynb")):
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as work:
        client = nbclient.NotebookClient(
            notebook, timeout=300, resources={"metadata": {"path": work}}
        )
        client.execute()
    for cell in notebook.cells:  # what changes from run to run
        cell.metadata.pop("execution", None)
    nbformat.write(notebook, path)
    print(path.name)
