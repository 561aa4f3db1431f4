# SPDX-License-Identifier: Apache-2.0
"""Responses as a Parquet file: `Results.to_parquet`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Union

import numpy as np
import pyarrow  # type: ignore[import-untyped,import-not-found,unused-ignore]
import pyarrow.parquet  # type: ignore[import-untyped,import-not-found,unused-ignore]

from ._responses import REALS

if TYPE_CHECKING:
    import pandas

WHOLE = ("source_layer", "target_layer", "tokens")
REAL = (*REALS, "kl_untouched", "kl_source")
UNIQUE = ("id", "tracked")
TEXTS = pyarrow.dictionary(pyarrow.int32(), pyarrow.string())  # that repeat: written once a group


def _type(name: str) -> Any:
    """The type of a column, which does not depend on what the first rows lack."""
    if name in WHOLE:
        return pyarrow.int32()
    if name in REAL:
        return pyarrow.float64()
    if name == "gold":
        return pyarrow.list_(pyarrow.string())
    if name in UNIQUE:
        return pyarrow.string()
    return pyarrow.bool_() if name == "correct" else TEXTS


def _column(name: str, values: Any) -> Any:
    """A column of a DataFrame as an array of Arrow."""
    if _type(name) == TEXTS:
        codes = values.cat.codes.to_numpy().astype(np.int32)
        texts = pyarrow.array(list(values.cat.categories), pyarrow.string())
        return pyarrow.DictionaryArray.from_arrays(pyarrow.array(codes, mask=codes < 0), texts)
    if name == "gold":
        values = [[answer] if isinstance(answer, str) else answer for answer in values]
    return pyarrow.array(values, _type(name), from_pandas=True)


class Writer:
    """Writes a Parquet file, which appears under its name when the block ends without an error."""

    def __init__(self, path: Union[str, os.PathLike[str]]) -> None:
        self._path = os.fspath(path)
        self._partial = f"{self._path}.{os.getpid()}.partial"
        self._writer: Any = None

    def __enter__(self) -> Writer:
        return self

    def add(self, frame: pandas.DataFrame) -> None:
        """Writes rows as one row group."""
        if self._writer is None:
            self._schema = pyarrow.schema([(name, _type(name)) for name in frame.columns])
            # Readers then get texts, not their dictionaries.
            self._writer = pyarrow.parquet.ParquetWriter(
                self._partial, self._schema, compression="zstd", store_schema=False
            )
        if len(frame):
            columns = [_column(name, frame[name]) for name in frame.columns]
            self._writer.write_table(pyarrow.Table.from_arrays(columns, schema=self._schema))

    def __exit__(self, kind: Any, *_exception: object) -> None:
        try:
            if self._writer is not None:
                self._writer.close()
            if kind is None:
                os.replace(self._partial, self._path)
        finally:
            if os.path.exists(self._partial):
                os.unlink(self._partial)
