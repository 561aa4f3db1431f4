# SPDX-License-Identifier: Apache-2.0
"""Functions that need pandas or matplotlib."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas

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
