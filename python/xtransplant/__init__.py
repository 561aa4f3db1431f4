# SPDX-License-Identifier: Apache-2.0
"""Cross-lingual latent transplantation: activation patching between prompts in two languages, all
layer pairs at once.

>>> import xtransplant as xt
>>> model = xt.load(xt.DEMO / "facts-4m")
>>> source, target = "Greece, country number =", "Ελλάδα, αριθμός χώρας ="
>>> run = model.transplant(source, target, site="ffn", source_layer=0, target_layer=0)
>>> run.transplanted.text
' 300'

``load`` gives a `Model`, which generates, captures, transplants and sweeps; ``open`` reads the
results file of a sweep.
"""

from ._interventions import Add, Blend, Intervention, Replace
from ._library import Error, Status, git_hash, version
from ._model import (
    DEMO,
    Generation,
    Model,
    ModelInfo,
    Score,
    Taps,
    Transplant,
    load,
)
from ._results import Results, open

__version__ = version()
__all__ = [
    "DEMO",
    "Add",
    "Blend",
    "Error",
    "Generation",
    "Intervention",
    "Model",
    "ModelInfo",
    "Replace",
    "Results",
    "Score",
    "Status",
    "Taps",
    "Transplant",
    "git_hash",
    "load",
    "open",
    "version",
]
