# SPDX-License-Identifier: Apache-2.0
"""Responses of a results file as arrays of columns: `Results.responses`."""

from __future__ import annotations

import json
import math
from typing import Any, Callable, Optional, Union

import numpy as np
import numpy.typing as npt
import pandas

from ._library import ffi, to_str

Array = npt.NDArray[Any]

SEPARATOR = "\x1e"  # XT_GOLD_SEPARATOR
BLOCK_ROWS = 8192  # that are kept as the library has them, 300 bytes each
STRING: Any = "str" if int(pandas.__version__.partition(".")[0]) >= 3 else object

REALS = (
    "margin",
    "entropy",
    "mean_entropy",
    "mean_logprob",
    "nll_standalone",
    "nll_conditional",
)
WHOLES = ("source_layer", "target_layer", "count")
COLUMNS = (
    "id",
    "task",
    "lang",
    "source_lang",
    "question",
    "source",
    "target",
    "gold",
    "site",
    "source_layer",
    "target_layer",
    "text",
    "correct",
    "tokens",
    *REALS,
    "language",
    "kl_untouched",
    "kl_source",
    "tracked",
)

# The members of an xt_store_row that are read by numpy.
MEMBERS = {
    "id": "S32",
    "site": np.uintp,
    "source_layer": np.int32,
    "target_layer": np.int32,
    "count": np.uintp,
    **dict.fromkeys(REALS, np.float64),
    "correct": np.int32,
    "text_number": np.int64,
    "effects": np.uintp,
}
ROW = np.dtype(
    {
        "names": list(MEMBERS),
        "formats": list(MEMBERS.values()),
        "offsets": [ffi.offsetof("xt_store_row", name) for name in MEMBERS],
        "itemsize": ffi.sizeof("xt_store_row"),
    }
)


def rows_of(rows: Any, count: int) -> Array:
    """An array over an array of ``xt_store_row``, without a copy."""
    return np.frombuffer(ffi.buffer(rows, count * ROW.itemsize), ROW)


def text_at(pointer: int) -> str:
    return to_str(ffi.cast("const char *", pointer))


def gold_of(question: Any) -> Union[None, str, list[str]]:
    """The gold answer of an ``xt_question``, or a list of those that are right."""
    if not question.gold:
        return None
    answers = to_str(question.gold).split(SEPARATOR)
    return answers if len(answers) > 1 else answers[0]


class _Names:
    """Distinct texts, numbered as they come; -1 is none."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}

    def code(self, text: Optional[str]) -> int:
        return -1 if text is None else self._codes.setdefault(text, len(self._codes))

    def column(self, codes: Array) -> pandas.Categorical:
        """The texts of an array of their numbers. Categories are in the order of the alphabet, as
        pandas has them."""
        texts = list(self._codes)
        order = sorted(range(len(texts)), key=texts.__getitem__)
        places = np.full(len(texts) + 1, -1, np.int32)  # the last one is that of -1
        places[order] = np.arange(len(texts), dtype=np.int32)
        categories = pandas.Index([texts[k] for k in order], dtype=STRING)
        return pandas.Categorical.from_codes(places[codes], categories=categories)


class _Effects:
    """The numbers of first tokens: both divergences, and the tracked answers as JSON ``[[kind,
    answer, spelling, log-probability], ..]``."""

    def __init__(self) -> None:
        self.divergences: list[Array] = []
        self.tracked: list[Any] = []

    def add(self, rows: Any, pointers: Array) -> None:
        count = rows[0].tracked_count
        divergences = np.full((len(pointers), 2), math.nan)
        tracked: list[Optional[str]] = [None] * len(pointers)
        if pointers.any():
            heads = [
                json.dumps(
                    [
                        to_str(each.kind),
                        to_str(each.answer),
                        None if each.also else to_str(each.spelling),
                    ],
                    ensure_ascii=False,
                )[:-1]
                for each in (rows[0].tracked[k] for k in range(count))
            ]
            for at in np.flatnonzero(pointers).tolist():
                values = ffi.unpack(rows[at].effects, 2 + count)
                divergences[at] = values[:2]
                told = [f"{head}, {json.dumps(v)}]" for head, v in zip(heads, values[2:])]
                tracked[at] = f"[{', '.join(told)}]"
        self.divergences.append(divergences)
        self.tracked.extend(tracked)


QUESTION = ("task", "lang", "source_lang", "question", "source", "target")


class ResponseColumns:
    """Rows of a results file, gathered as arrays, a column each. Texts that repeat are numbers of
    texts.

    Args:
        full: is called with a DataFrame whenever that number of rows has been gathered; the rows
            are then dropped.
    """

    def __init__(
        self, full: Optional[tuple[int, Callable[[pandas.DataFrame], None]]] = None
    ) -> None:
        self._full = full
        self.any = False
        self._raw = ffi.new("xt_store_row[]", BLOCK_ROWS)
        self._block = rows_of(self._raw, BLOCK_ROWS)
        self._start()

    def _start(self) -> None:
        self._names = {name: _Names() for name in (*QUESTION, "site", "text", "language")}
        self._number: Any = None  # of the last question
        self._asked: list[tuple[int, ...]] = []  # the texts of each question, as QUESTION has them
        self._golds: list[Any] = []
        self._counts: list[int] = []  # of rows of each question
        self._texts: dict[int, tuple[int, int]] = {}  # by number: the text's and the language's
        self._effects = _Effects()
        self._parts: dict[str, list[Array]] = {}
        self._in_block = self._gathered = 0

    # ---- gathering

    def add(self, rows: Any, count: int) -> None:
        """Rows of one question, an array of ``xt_store_row``."""
        self.any = True
        at = 0
        while at < count:
            room = BLOCK_ROWS - self._in_block
            if self._full is not None:
                room = min(room, self._full[0] - self._gathered)
            taken = min(room, count - at)
            self._take(rows + at, taken)
            at += taken
            if self._in_block == BLOCK_ROWS:
                self._empty_block()
            if self._full is not None and self._gathered == self._full[0]:
                self._full[1](self.frame())

    def _ask(self, question: Any) -> None:
        """Notes a question, if it is another one than the last."""
        texts = [
            question.id if name == "question" else getattr(question, name) for name in QUESTION
        ]
        self._asked.append(
            tuple(self._names[name].code(to_str(text)) for name, text in zip(QUESTION, texts))
        )
        self._golds.append(gold_of(question))
        self._counts.append(0)

    def _take(self, rows: Any, count: int) -> None:
        if rows[0].question_number != self._number:
            self._number = rows[0].question_number
            self._ask(rows[0].question)
        self._counts[-1] += count
        ffi.memmove(self._raw + self._in_block, rows, count * ROW.itemsize)
        block = self._block[self._in_block : self._in_block + count]
        self._in_block += count
        self._gathered += count
        known = self._texts
        for at, number in enumerate(block["text_number"].tolist()):
            if number not in known:
                known[number] = self._read_text(rows[at])
        sites = block["site"]
        for pointer in set(sites.tolist()):
            sites[sites == pointer] = self._names["site"].code(text_at(pointer))
        self._effects.add(rows, block["effects"])

    def _read_text(self, row: Any) -> tuple[int, int]:
        text = to_str(row.text) if row.text else None
        language = to_str(row.language) if row.language else None
        return self._names["text"].code(text), self._names["language"].code(language)

    def _empty_block(self) -> None:
        """Keeps the columns of the block, each in as few bytes as it needs."""
        block = self._block[: self._in_block]
        texts = np.array(
            [self._texts[number] for number in block["text_number"].tolist()], np.int32
        )
        texts = texts.reshape(-1, 2)
        columns = {name: block[name].copy() for name in ("id", *REALS)}
        columns.update({name: block[name].astype(np.int32) for name in (*WHOLES, "site")})
        columns["correct"] = block["correct"].astype(np.int8)
        columns["text"], columns["language"] = texts[:, 0].copy(), texts[:, 1].copy()
        for name, values in columns.items():
            self._parts.setdefault(name, []).append(values)
        self._in_block = 0

    # ---- the result

    def _joined(self, name: str) -> Array:
        return np.concatenate(self._parts.pop(name))

    def _ids(self) -> Any:
        """As texts, block by block, which is when numpy has them in 128 bytes each."""
        texts = np.empty(self._gathered, object)
        at = 0
        for part in self._parts.pop("id"):
            texts[at : at + len(part)] = part.astype("U32")
            at += len(part)
        return pandas.array(texts, dtype=STRING)

    def _question_columns(self) -> dict[str, Any]:
        which = np.repeat(np.arange(len(self._counts)), self._counts)
        asked = np.array(self._asked, np.int32).reshape(-1, len(QUESTION))
        columns: dict[str, Any] = {
            name: self._names[name].column(asked[which, k]) for k, name in enumerate(QUESTION)
        }
        golds = np.empty(len(self._golds), object)
        for k, gold in enumerate(self._golds):
            golds[k] = gold
        columns["gold"] = pandas.Series(golds[which], dtype=object)
        return columns

    def frame(self) -> pandas.DataFrame:
        """All gathered rows as a DataFrame. They are dropped here."""
        self._empty_block()
        columns = {"id": self._ids(), **self._question_columns()}
        for name in ("site", "text", "language"):
            columns[name] = self._names[name].column(self._joined(name))
        for name in ("source_layer", "target_layer", *REALS):
            columns[name] = self._joined(name)
        columns["tokens"], correct = self._joined("count"), self._joined("correct")
        columns["correct"] = pandas.arrays.BooleanArray(correct == 1, correct < 0)
        divergences = np.concatenate([np.empty((0, 2)), *self._effects.divergences])
        columns["kl_untouched"], columns["kl_source"] = divergences.T.copy()
        columns["tracked"] = pandas.array(np.array(self._effects.tracked, object), dtype=STRING)
        self._start()
        return pandas.DataFrame({name: columns[name] for name in COLUMNS}, copy=False)


class Sites:
    """The sites that rows have."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def add(self, rows: Any, count: int) -> None:
        self.names.update(map(text_at, set(rows_of(rows, count)["site"].tolist())))
