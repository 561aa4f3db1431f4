# SPDX-License-Identifier: Apache-2.0
"""What changes a forward pass: interventions, and sites, which are lists of them."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Optional, Sequence, Union

import numpy as np
import numpy.typing as npt

from ._library import Error, Status, ffi, fill, lib, run, to_c

if TYPE_CHECKING:
    from ._model import ModelInfo, Taps

Array = npt.NDArray[Any]

TAPS = ("attn", "mid", "ffn", "block", "heads")  # in the order of xt_tap
RULES = ("replace", "add", "blend")  # in the order of xt_rule
POSITIONS = {
    "last": lib.XT_POSITION_LAST,
    "all": lib.XT_POSITION_ALL,
    "generated": lib.XT_POSITION_GENERATED,
}


def _choose(value: Any, known: tuple[str, ...], field: str) -> int:
    """The place of a name among those that are known."""
    if value not in known:
        raise Error(Status.ARGUMENT, f"{value!r} is none of {', '.join(known)}", field=field)
    return known.index(value)


def _position(value: Union[int, str]) -> int:
    """A position as the C library has it."""
    if isinstance(value, str):
        if value in POSITIONS:
            return int(POSITIONS[value])
        wrong = 'is neither a number nor "last", "all" or "generated"'
    elif isinstance(value, (int, np.integer)):
        if value >= 0:
            return int(value)
        wrong = 'is below 0; "last" is the prompt\'s last token'
    else:
        wrong = "is neither a whole number nor a text"
    raise Error(Status.ARGUMENT, f"{value!r} {wrong}", field="position")


@dataclasses.dataclass(frozen=True)
class Intervention:
    """One change to the forward pass: at ``tap`` of ``layer``, for the token at ``position``.

    Attributes:
        tap: ``"attn"``, ``"mid"``, ``"ffn"`` or ``"block"``; ``"heads"``: what one query head gives.
        layer: from 0.
        value: array of float32 ``[width]``, of ``"heads"`` ``[head_dim]``, in the units of the tap.
        position: ``"last"`` (the prompt's last token), ``"all"`` (every token, generated ones too),
            ``"generated"`` (the generated tokens alone), or from 0: the prompt's tokens, then those that are generated.
        rule: ``"replace"``, x becomes value; ``"add"``, x + alpha * value; ``"blend"``, (1 - alpha)
            * x + alpha * value.
        alpha: strength; unused by ``"replace"``.
        head: of ``"heads"``: the query head, from 0.

    Several at one place apply in their order.
    """

    tap: str
    layer: int
    value: Any
    position: Union[int, str] = "last"
    rule: str = "replace"
    alpha: float = 1.0
    head: int = 0

    def _fill(self, out: Any, info: ModelInfo) -> Array:
        """Writes the C struct, and returns the array that it points to."""
        size = info.head_dim if self.tap == "heads" else info.width
        fill(
            out,
            {
                "write": _choose(self.tap, TAPS, "tap"),
                "rule": _choose(self.rule, RULES, "rule"),
                "position": _position(self.position),
                "layer": self.layer,
                "alpha": self.alpha,
                "head": self.head,
            },
        )
        try:
            vector: Array = np.ascontiguousarray(self.value, np.float32)
        except (TypeError, ValueError):
            raise Error(Status.ARGUMENT, "is no array of numbers", field="value") from None
        if vector.shape != (size,):
            what = "head_dim" if self.tap == "heads" else "width"
            raise Error(
                Status.ARGUMENT,
                f"has the shape {list(vector.shape)}; the model's {what} is {size}",
                field="value",
            )
        out.value = ffi.from_buffer("float[]", vector)
        return vector


def Replace(tap: str, layer: int, value: Any, position: Union[int, str] = "last") -> Intervention:
    """x becomes ``value``, float32 ``[width]``."""
    return Intervention(tap, layer, value, position)


def Add(
    tap: str, layer: int, value: Any, alpha: float = 1.0, position: Union[int, str] = "last"
) -> Intervention:
    """x becomes x + ``alpha`` * ``value``: a steering vector, float32 ``[width]``."""
    return Intervention(tap, layer, value, position, "add", alpha)


def Blend(
    tap: str, layer: int, value: Any, alpha: float, position: Union[int, str] = "last"
) -> Intervention:
    """x becomes (1 - ``alpha``) * x + ``alpha`` * ``value``, float32 ``[width]``."""
    return Intervention(tap, layer, value, position, "blend", alpha)


Interventions = Union[Intervention, Sequence[Intervention], Sequence[Sequence[Intervention]]]


def for_each(given: Any, prompts: int) -> list[list[Intervention]]:
    """One list, for all prompts, or a list for each of them."""
    given = () if given is None else given
    several = list(given) if hasattr(given, "__iter__") else [given]
    own = any(isinstance(each, (list, tuple)) for each in several)
    lists = [list(each) if isinstance(each, (list, tuple)) else [each] for each in several]
    if own and len(lists) != prompts:
        raise Error(
            Status.ARGUMENT,
            f"there are {len(lists)} lists of them for {prompts} prompts",
            field="interventions",
        )
    for each in (each for one in lists for each in one):
        if not isinstance(each, Intervention):
            raise Error(
                Status.ARGUMENT,
                f"{each!r} is none; each is made by xt.Replace, xt.Add or xt.Blend",
                field="interventions",
            )
    return lists if own else [several]


# ---- sites

ONE_PROMPT_LACKS = {
    lib.XT_FROM_LANGS: "writes the mean of several source prompts, and a transplant has one",
    lib.XT_FROM_VECTOR: "writes a vector, which is an intervention: xt.Add",
    lib.XT_FROM_PLAN: "is a plan, which is several interventions, such as xt.Replace",
}


class Site:
    """What a transplant of one source prompt writes, by the name of its site. What such a
    transplant cannot be is refused."""

    def __init__(
        self,
        info: ModelInfo,
        site: str,
        source_layer: int,
        target_layer: int,
        rule: Optional[str] = None,
        alpha: Optional[float] = None,
    ) -> None:
        self._name, self._info, self._layers = site, info, (source_layer, target_layer)
        self._site = ffi.new("xt_site *")
        run(lib.xt_site_parse, to_c(site, "site"), self._site)
        self._check_site()
        self._check_layers()
        self._set_rule(rule, alpha)

    def _refuse(self, why: str) -> Error:
        return Error(Status.ARGUMENT, f"'{self._name}' {why}", field="site")

    def _check_site(self) -> None:
        site, heads = self._site, self._info.heads
        named = [
            64 * word + bit
            for word in range(lib.XT_SITE_HEAD_WORDS)
            for bit in range(64)
            if site.heads[word] >> bit & 1
        ]
        if site.control:
            raise self._refuse("has a control, which only sweep() runs")
        if getattr(site, "from"):
            raise self._refuse(ONE_PROMPT_LACKS[getattr(site, "from")])
        if named and (site.read, site.write) != (lib.XT_TAP_ATTN, lib.XT_TAP_ATTN):
            raise self._refuse("has heads, which only attn is made of")
        if named and named[-1] >= heads:
            raise self._refuse(f"has head {named[-1]}; the model has heads 0 to {heads - 1}")

    def _check_layers(self) -> None:
        for field, layer in zip(("source_layer", "target_layer"), self._layers):
            if not isinstance(layer, (int, np.integer)) or not 0 <= layer < self._info.layers:
                raise Error(
                    Status.ARGUMENT,
                    f"layer {layer} is out of range; the model has layers 0 to "
                    f"{self._info.layers - 1}",
                    field=field,
                )

    def _set_rule(self, rule: Optional[str], alpha: Optional[float]) -> None:
        """The rule of the arguments, where the site's name has none."""
        field = "rule" if rule is not None else "alpha"
        if rule is None and alpha is None:
            return
        if self._site.rule:
            raise Error(Status.ARGUMENT, f"the site '{self._name}' says it", field=field)
        self._site.rule = 0 if rule is None else _choose(rule, RULES, "rule")
        if self._site.rule:
            fill(self._site, {"alpha": 1.0 if alpha is None else alpha})
        elif alpha is not None:
            raise Error(Status.ARGUMENT, 'is of rule="add" or "blend"', field="alpha")

    def writes(self, taps: Taps) -> list[Intervention]:
        """The interventions, of the source prompt's taps."""
        puts: list[Any] = []
        names = {number: name for name, number in POSITIONS.items()}
        read, sizes = TAPS[self._site.read], (self._info.layers, self._info.heads)
        user = ffi.new_handle(puts)
        lib.xt_site_each_write(self._site, *sizes, *self._layers, lib.xtpy_write, user)
        return [
            Intervention(
                tap=TAPS[put.write],
                layer=put.layer,
                value=taps.heads[at, put.head] if TAPS[put.write] == "heads" else taps[read][at],
                position=names[put.position],
                rule=RULES[put.rule],
                alpha=put.alpha,
                head=put.head,
            )
            for put, at in puts
        ]
