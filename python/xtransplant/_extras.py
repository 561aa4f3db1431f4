# SPDX-License-Identifier: Apache-2.0
"""Optional packages, which an error names when they are missing; and progress."""

from __future__ import annotations

import importlib
import time
import warnings
from typing import Any, Callable, Optional, Union

from ._library import Error, Status

Progress = Union[None, bool, Callable[[float, float], None]]
"""None: a tqdm bar where tqdm is installed and it takes long. False: nothing. True: a bar at once.
A function: it is called with the amount that is done, and the total."""

BAR_AFTER = 2.0  # seconds


def need(module: str, extra: str, what: str) -> Any:
    """Imports ``module``, or says how to get it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f"{what} needs {module.split('.')[0]}: pip install 'xtransplant[{extra}]'"
        ) from error


class Bar:
    """Shows progress in the form that `Progress` describes."""

    def __init__(self, progress: Progress, what: str, unit: str) -> None:
        if not (progress is None or isinstance(progress, bool) or callable(progress)):
            raise Error(
                Status.ARGUMENT,
                f"{progress!r} is neither None, True, False nor a function of done and total",
                field="progress",
            )
        self._callback = progress if callable(progress) else None
        self._wanted = progress is None or progress is True
        self._began = time.monotonic()
        self._begin = self._began + (0 if progress else BAR_AFTER)
        self._what, self._unit = what, unit
        self._bar: Any = None
        if progress is True:
            need("tqdm", "progress", "progress=True")

    def __call__(self, done: float, total: float) -> None:
        if self._callback is not None:
            self._callback(done, total)
        elif self._wanted and time.monotonic() >= self._begin:
            if self._bar is None:
                self._bar = self._make(total)
            if self._bar is not None:
                self._bar.update(done - self._bar.n)  # tqdm draws at most twice per second

    def _make(self, total: float) -> Optional[Any]:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a notebook without widgets gets a bar of text
                tqdm = importlib.import_module("tqdm.auto").tqdm
        except ImportError:
            self._wanted = False
            return None
        shape = "{l_bar}{bar}| {n:.0f}/{total:.0f} [{elapsed}<{remaining}]"
        how = {"desc": self._what, "unit": self._unit, "bar_format": shape, "mininterval": 0.5}
        bar = tqdm(total=total, leave=False, **how)
        bar.start_t -= time.monotonic() - self._began
        return bar

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
