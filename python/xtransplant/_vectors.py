# SPDX-License-Identifier: Apache-2.0
"""Steering vectors that a sweep writes in place of a source prompt's value."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
from typing import TYPE_CHECKING, Any, Optional

import numpy as np
import numpy.typing as npt

from ._library import Error, Status, ffi, lib, run, to_c, to_path

if TYPE_CHECKING:
    from ._model import ModelInfo


@dataclasses.dataclass
class Vector:
    """Vectors of every layer, and the label of sites that write them."""

    values: npt.NDArray[Any]  # float32 [layers, width]
    lacks: set[int]  # layers that have none
    single: bool  # whether all are one
    label: str

    @classmethod
    def of(cls, given: Any, info: ModelInfo) -> Vector:
        """Of an array, ``[width]`` or ``[layers, width]``, or a file, ``FILE`` or ``FILE:NAME``."""
        if isinstance(given, (str, os.PathLike)):
            return cls._of_file(os.fspath(given), info)
        try:
            array = np.asarray(given, np.float32)
        except (TypeError, ValueError):
            raise Error(Status.ARGUMENT, "is no array of numbers", field="vector") from None
        whole = (info.layers, info.width)
        if array.shape not in (whole, whole[1:]):
            raise Error(
                Status.ARGUMENT,
                f"has the shape {list(array.shape)}; the model's is [{info.width}] or "
                f"[{info.layers}, {info.width}]",
                field="vector",
            )
        if not np.isfinite(array).all():
            raise Error(Status.ARGUMENT, "has a value that is not finite", field="vector")
        values = np.ascontiguousarray(np.broadcast_to(array, whole))
        return cls(values, set(), array.ndim == 1, _label("vector", None, values))

    @classmethod
    def _of_file(cls, text: str, info: ModelInfo) -> Vector:
        path, name = text, None
        if not os.path.exists(text) and ":" in text:  # a file may have a colon in its name
            path, _colon, last = text.rpartition(":")
            name = last or None
        out = ffi.new("xt_vector **")
        named = ffi.NULL if name is None else ffi.new("char[]", to_c(name, "vector"))
        run(lib.xt_vector_open, to_path(path), named, info.layers, info.width, out)
        vector = ffi.gc(out[0], lib.xt_vector_free)
        values, lacks = np.zeros((info.layers, info.width), np.float32), set()
        for layer in range(info.layers):
            found = lib.xt_vector_get(vector, layer)
            if found == ffi.NULL:
                lacks.add(layer)
            else:
                values[layer] = np.frombuffer(ffi.buffer(found, 4 * info.width), np.float32)
        base = path.rpartition("/")[2]
        stem = base[: base.rfind(".")] if base.rfind(".") > 0 else base
        return cls(values, lacks, bool(lib.xt_vector_is_single(vector)), _label(stem, name, values))


def _label(stem: str, name: Optional[str], values: npt.NDArray[Any]) -> str:
    """As the program makes it of a file's name, a tensor's and the values, so that both name the
    same site."""
    encoded = os.fsencode(stem)
    if name is not None:
        encoded = encoded[:15] + b"." + os.fsencode(name)[:20]
    lower = encoded[:35].lower()
    plain = re.sub(rb"[^a-z0-9._-]", b"-", lower).decode()
    return f"{plain}.{hashlib.sha256(values.tobytes()).hexdigest()[:8]}"
