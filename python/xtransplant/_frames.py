# SPDX-License-Identifier: Apache-2.0
"""Functions that need pandas or matplotlib."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, Callable, Optional, Union

import numpy as np
import pandas

from ._library import to_str

if TYPE_CHECKING:
    from ._model import Generation, Model


class LensFrame(pandas.DataFrame):  # type: ignore[misc,unused-ignore]
    """`Model.lens`: a DataFrame of tokens that a notebook colours by probability."""

    _metadata = ["probabilities"]
    probabilities: pandas.DataFrame

    @property
    def _constructor(self) -> Any:
        return pandas.DataFrame

    @classmethod
    def of(cls, model: Model, made: Generation) -> LensFrame:
        def token(number: int) -> str:
            return (
                model.decode([number], skip_special=False) if model.has_tokenizer else str(number)
            )

        layers = range(made.lens_ids.shape[1])
        known = {
            int(number): token(int(number))
            for number in np.unique(np.append(made.lens_ids.ravel(), made.ids))
        }
        columns = pandas.MultiIndex.from_arrays(
            [range(1, len(made.ids) + 1), [known[int(number)] for number in made.ids]],
            names=["token", "chosen"],
        )
        frame = cls(
            [[known[int(number)] for number in made.lens_ids[:, layer]] for layer in layers],
            index=layers,
            columns=columns,
        )
        frame.index.name = "layer"
        frame = cls(frame.iloc[::-1])
        chances = np.exp(made.lens_logprobs.T[::-1])
        frame.probabilities = pandas.DataFrame(chances, index=frame.index, columns=columns)
        return frame

    def _repr_html_(self) -> str:
        def colours(_frame: Any) -> Any:
            shade = np.array(
                [
                    [
                        f"background-color: rgba(31, 95, 191, {chance:.2f})"
                        + ("; color: #fff" if chance > 0.6 else "")
                        for chance in row
                    ]
                    for row in self.probabilities.to_numpy()
                ],
                dtype=object,
            )
            return pandas.DataFrame(shade, index=self.index, columns=self.columns)

        styled = (
            pandas.DataFrame(self)
            .style.apply(colours, axis=None)
            .format(lambda text: str(text).replace("\n", "\\n"), escape="html")
        )
        return str(
            styled.set_table_styles(
                [{"selector": "td", "props": "white-space: pre; text-align: center"}]
            ).to_html()
        )


QUESTION = ("task", "lang", "source_lang", "source", "target", "gold")
NUMBERS = (
    "source_layer",
    "target_layer",
    "margin",
    "entropy",
    "mean_entropy",
    "mean_logprob",
    "nll_standalone",
    "nll_conditional",
)
EFFECTS = ("kl_untouched", "kl_source", "tracked")


SEPARATOR = "\x1e"  # XT_GOLD_SEPARATOR


def gold_of(question: Any) -> Union[None, str, list[str]]:
    """The gold answer of an ``xt_question``, or a list of those that are right."""
    if not question.gold:
        return None
    answers = to_str(question.gold).split(SEPARATOR)
    return answers if len(answers) > 1 else answers[0]


def effects_of(row: Any) -> tuple[float, float, Optional[str]]:
    """The numbers of an ``xt_store_row``'s first token: both divergences, and the tracked answers'
    as JSON ``[[kind, answer, spelling, log-probability], ..]``."""
    if not row.effects:
        return math.nan, math.nan, None
    tracked = [
        [
            to_str(row.tracked[k].kind),
            to_str(row.tracked[k].answer),
            to_str(row.tracked[k].spelling),
            float(row.effects[2 + k]),
        ]
        for k in range(row.tracked_count)
    ]
    return row.effects[0], row.effects[1], json.dumps(tracked, ensure_ascii=False)


class ResponseColumns:
    """Rows of a results file, gathered by column. Equal texts share one object.

    Args:
        site, lang, task: the rows that are wanted; None: all.
        full: is called with a DataFrame whenever that number of rows has been gathered; the rows
            are then dropped.
    """

    def __init__(
        self,
        site: Optional[str],
        lang: Optional[str],
        task: Optional[str],
        full: Optional[tuple[int, Callable[[pandas.DataFrame], None]]] = None,
    ) -> None:
        self._wanted = (site, lang, task)
        self._full = full
        self._number: Any = None
        self._question: Any = None
        self._texts: dict[int, Optional[str]] = {}
        self.sites: dict[str, str] = {}  # that were seen, whether wanted or not
        self._rows: list[tuple[Any, ...]] = []

    def _read_question(self, question: Any) -> Optional[tuple[Any, ...]]:
        _site, lang, task = self._wanted
        if lang not in (None, to_str(question.lang)) or task not in (None, to_str(question.task)):
            return None
        return (
            to_str(question.id),
            *(to_str(getattr(question, name)) for name in QUESTION if name != "gold"),
            gold_of(question),
        )

    def add(self, row: Any) -> None:
        """One ``xt_store_row``."""
        if row.question_number != self._number:
            self._number, self._question = row.question_number, self._read_question(row.question)
        site = to_str(row.site)
        site = self.sites.setdefault(site, site)
        if self._question is None or self._wanted[0] not in (None, site):
            return
        text = self._texts.get(row.text_number)
        if text is None and row.text:
            text = self._texts[row.text_number] = to_str(row.text)
        self._rows.append(
            (
                to_str(row.id),
                *self._question,
                site,
                text,
                row.count,
                row.correct,
                to_str(row.language) if row.language else None,
                *(getattr(row, name) for name in NUMBERS),
                *effects_of(row),
            )
        )
        if self._full is not None and len(self._rows) == self._full[0]:
            self._full[1](self.frame())
            self._rows, self._texts = [], {}

    def frame(self) -> pandas.DataFrame:
        """All gathered rows as a DataFrame."""
        names = [
            "id",
            "question",
            *QUESTION,
            "site",
            "text",
            "tokens",
            "correct",
            "language",
            *NUMBERS,
            *EFFECTS,
        ]
        frame = pandas.DataFrame.from_records(self._rows, columns=names)
        frame["correct"] = frame["correct"].map({0: False, 1: True}).astype("boolean")
        order = [
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
            "margin",
            "entropy",
            "mean_entropy",
            "mean_logprob",
            "nll_standalone",
            "nll_conditional",
            "language",
            *EFFECTS,
        ]
        return frame[order]


def layer_frame(values: Any) -> pandas.DataFrame:
    """Makes a DataFrame from an array [source layer, target layer]."""
    frame = pandas.DataFrame(values)
    frame.index.name, frame.columns.name = "source layer", "target layer"
    return frame


def heatmap(gain: Any, title: str, ax: Any) -> Any:
    """`Results.heatmap`: blue is better than the untouched model, red is worse."""
    from matplotlib import pyplot

    if ax is None:
        ax = pyplot.subplots()[1]
    values = 100 * gain.to_numpy()
    most = np.nanmax(np.abs(values)) if np.isfinite(values).any() else math.nan
    bound = most if most > 0 else 1.0
    drawn = ax.imshow(values, cmap="RdBu", vmin=-bound, vmax=bound)
    ax.set(xlabel="target layer", ylabel="source layer", title=title)
    ax.figure.colorbar(drawn, ax=ax, label="gain, percentage points")
    return ax
