# SPDX-License-Identifier: Apache-2.0
import inspect
import json
import signal

import pytest

import xtransplant as xt

FACTS = xt.DEMO / "facts-4m"

# A shell starts what runs in its background without Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)




def public(kind):
    """The names of a class's public methods and properties but ``close``."""
    return sorted(
        name
        for name, value in vars(kind).items()
        if (inspect.isfunction(value) or isinstance(value, property))
        and not name.startswith("_")
        and name != "close"
    )


@pytest.fixture(scope="session")
def model():
    with xt.load(FACTS, threads=2) as loaded:
        yield loaded


@pytest.fixture(scope="session")
def pairs():
    """Three questions in each of two languages."""
    lines = [
        json.loads(line)
        for line in (xt.DEMO / "to-language.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    return [
        line
        for lang in ("el", "tr")
        for line in [each for each in lines if each["lang"] == lang][:3]
    ]


@pytest.fixture(scope="session")
def results(model, pairs, tmp_path_factory):
    made = model.sweep(
        pairs,
        sites=["ffn", "attn"],
        output=tmp_path_factory.mktemp("sweep") / "results.db",
        max_new_tokens=5,
    )
    yield made
    made.close()
