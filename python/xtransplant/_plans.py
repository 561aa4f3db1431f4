# SPDX-License-Identifier: Apache-2.0
"""Plans: interventions by name, each of several transplants at once (``docs/FORMATS.md``)."""

from __future__ import annotations

import hashlib
import json
import os
import re
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from ._library import Error, Status, ffi, lib, run, to_c, to_str
from ._vectors import Vector

if TYPE_CHECKING:
    from ._model import ModelInfo

BASES = {"i": lib.XT_LAYER_SOURCE, "j": lib.XT_LAYER_TARGET}
KEYS = ({"name", "writes"}, {"site", "source_layer", "target_layer", "vector"})
NAME = re.compile(r"[A-Za-z0-9._-]{1,39}")
MOST = 32  # interventions


def _refuse(place: str, message: str) -> NoReturn:
    raise Error(Status.ARGUMENT, message, field=f"plan: {place}" if place else "plan")


def read(given: Any) -> list[Any]:
    """The list of a plan, or of a file of it."""
    if isinstance(given, (str, os.PathLike)):
        with open(given, encoding="utf-8") as file:
            try:
                given = json.load(file)
            except ValueError as error:
                raise Error(
                    Status.INPUT, f"is not JSON: {error}", file=os.fspath(file.name), field="plan"
                ) from None
    if not isinstance(given, (list, tuple)) or not 1 <= len(given) <= MOST:
        _refuse("", f"is not a list of 1 to {MOST} interventions")
    return list(given)


def _check_keys(place: str, given: Any, keys: set[str]) -> None:
    if not isinstance(given, dict):
        _refuse(place, f"is not a dict with {', '.join(sorted(keys))}")
    for key in given:
        if key not in keys:
            _refuse(f"{place}: {key}", f"is no key of it; it has {', '.join(sorted(keys))}")


def _layer(place: str, value: Any, layers: int) -> tuple[int, int]:
    """What a layer is counted from, and its number there."""
    found = re.fullmatch(r"([ij])([+-]\d{1,5})?", value) if isinstance(value, str) else None
    if found:
        offset = int(found[2] or 0)
        if not -layers < offset < layers:
            _refuse(place, f"is never a layer of this model, which has layers 0 to {layers - 1}")
        return BASES[found[1]], offset
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 0:
        _refuse(place, 'is neither the number of a layer, from 0 on, nor like "i+2"')
    if value >= layers:
        _refuse(place, f"layer {value} is out of range: this model has layers 0 to {layers - 1}")
    return lib.XT_LAYER_FIXED, int(value)


def _shown(base: int, layer: int) -> str:
    letter = {number: name for name, number in BASES.items()}.get(base)
    if letter is None:
        return str(layer)
    return letter if layer == 0 else f"{letter}{layer:+d}"


class Plan:
    """One intervention of a plan."""

    def __init__(self, number: int, given: Any, info: ModelInfo) -> None:
        self._info, self._kept = info, []  # type: ModelInfo, list[Any]
        place = f"intervention {number}"
        _check_keys(place, given, KEYS[0])
        self.name = given.get("name")
        if not isinstance(self.name, str) or not NAME.fullmatch(self.name):
            _refuse(f"{place}: name", "is missing, or not 1 to 39 letters, digits, '.', '_', '-'")
        writes = given.get("writes")
        most = lib.XT_PLAN_WRITES_MOST
        if not isinstance(writes, (list, tuple)) or not 1 <= len(writes) <= most:
            _refuse(f"{self.name}: writes", f"is not a list of 1 to {most} transplants")
        self.writes = ffi.new("xt_plan_write[]", len(writes))
        said = [self._fill(self.writes[k], k + 1, write) for k, write in enumerate(writes)]
        digest = hashlib.sha256("".join(f"{each}\n" for each in said).encode()).hexdigest()
        self.label = f"{self.name}.{digest[:8]}"

    def _fill(self, out: Any, number: int, given: Any) -> str:
        """Sets one write, and returns what it does, as the program says it."""
        place, layers = f"{self.name}: write {number}", self._info.layers
        _check_keys(place, given, KEYS[1])
        self._fill_site(f"{place}: site", out.site, given.get("site"))
        for key in ("target_layer", "source_layer"):
            if key not in given and (key == "target_layer" or "vector" not in given):
                _refuse(f"{place}: {key}", "is missing")
        out.target_base, out.target = _layer(
            f"{place}: target_layer", given["target_layer"], layers
        )
        source = given.get("source_layer", given["target_layer"])
        out.source_base, out.source = _layer(f"{place}: source_layer", source, layers)
        read = "target itself" if out.site.control else "source"
        if "vector" in given:
            self._fill_vector(place, out, given["vector"])
            read = "vector"
        name = to_str(lib.xt_site_format(out.site, ffi.new("char[]", lib.XT_SITE_NAME_SIZE)))
        return (
            f"{name}: layer {_shown(out.source_base, out.source)} of the {read} into layer "
            f"{_shown(out.target_base, out.target)} of the target"
        )

    def _fill_site(self, place: str, out: Any, name: Any) -> None:
        if not isinstance(name, str):
            _refuse(place, "is missing, or not the name of a site such as attn+add2")
        run(lib.xt_site_parse, to_c(name, "plan"), ffi.addressof(out))
        if getattr(out, "from"):
            _refuse(place, "names what is written; a vector has the key vector")
        if out.control > lib.XT_CONTROL_SELF:
            _refuse(place, "has a control other than self, which only sweeps draw")
        if any(out.heads) and (out.read, out.write) != (lib.XT_TAP_ATTN, lib.XT_TAP_ATTN):
            _refuse(place, "has attention heads, which only attn is made of")

    def _fill_vector(self, place: str, out: Any, given: Any) -> None:
        if out.site.control or any(out.site.heads):
            _refuse(f"{place}: vector", "cannot be with attention heads or +self")
        vector = Vector.of(given, self._info)
        layers = range(self._info.layers)
        if out.source_base == lib.XT_LAYER_FIXED:
            written = out.site.span or 1
            if out.target_base == lib.XT_LAYER_FIXED:
                written = min(written, len(layers) - out.target)
            layers = layers[out.source : out.source + written]
        for layer in layers:
            if layer in vector.lacks:
                _refuse(f"{place}: source_layer", f"the file has no vector for layer {layer}")
        setattr(out.site, "from", lib.XT_FROM_VECTOR)
        out.site.label = vector.label.encode()
        self._kept.append(vector)
        out.vector = ffi.from_buffer("float[]", vector.values)

    def counts_from(self, base: int) -> bool:
        return any(base in (write.source_base, write.target_base) for write in self.writes)


def fill(names: Any, options: Any, given: Any, info: ModelInfo) -> None:
    """Sets the plans of ``xt_job_options``. One that names no layer of a response's pair would be
    computed again for each of them."""
    plans = [names.hold(Plan(k + 1, each, info)) for k, each in enumerate(read(given))]
    options.plans = names.keep("xt_job_plan_site[]", len(plans))
    options.plan_count = len(plans)
    counts = (
        ("source", "i", options.source_layer_count or info.layers),
        ("target", "j", options.target_layer_count or info.layers),
    )
    for k, plan in enumerate(plans):
        if plan.name in [other.name for other in plans[:k]]:
            _refuse(plan.name, "is the name of another intervention, too")
        for side, letter, layers in counts:
            if layers > 1 and not plan.counts_from(BASES[letter]):
                _refuse(
                    plan.name,
                    f"counts no layer from the {side} layer, so that each gives the same; give "
                    f'one with {side}_layers, or layers such as "{letter}+1"',
                )
        site = options.plans[k]
        site.name = names.text(plan.label, "plan")
        site.writes, site.write_count = plan.writes, len(plan.writes)
