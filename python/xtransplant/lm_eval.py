# SPDX-License-Identifier: Apache-2.0
"""A model of the lm-evaluation-harness: its tasks under a transplant or a steering vector.

``python -m xtransplant.lm_eval`` is the harness's own ``lm_eval`` with the model ``xtransplant``:

    python -m xtransplant.lm_eval --model xtransplant --tasks belebele_swh_Latn \\
      --model_args path=Qwen2.5-0.5B,vector=swahili.npy,tap=block,layer=10,alpha=4

From Python, importing this module makes the name known to ``lm_eval.simple_evaluate``, which takes
an object of `XTransplantLM` too.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import os
from collections import Counter
from typing import Any, Iterable, Optional, Sequence, Union

import numpy as np

from ._extras import need

need("lm_eval", "lm-eval", "xtransplant.lm_eval")
# The harness has no types; where it is not installed, mypy does not find it either.
from lm_eval import utils  # type: ignore  # noqa: E402
from lm_eval.api.model import TemplateLM  # type: ignore  # noqa: E402
from lm_eval.api.registry import register_model  # type: ignore  # noqa: E402

from ._interventions import Intervention, Interventions, Site, for_each  # noqa: E402
from ._library import Error, Status, ffi, lib, to_str  # noqa: E402
from ._model import Array, Model, load  # noqa: E402

# How each of the two is written, where nothing else is said.
TAKES: dict[str, dict[str, Any]] = {
    "source": {"site": "attn", "source_layer": 0, "target_layer": 0, "rule": None, "alpha": None},
    "vector": {"tap": "block", "layer": 0, "position": "all", "rule": "add", "alpha": 1.0},
}
TOGETHER = 256  # requests of one call; the harness's progress bar goes on by so many


def read_vector(name: str, layer: int) -> Array:
    """A vector, float32 ``[width]``.

    Args:
        name: a ``.npy`` file, or ``FILE.safetensors:TENSOR``; ``[width]``, or ``[layers, width]``.
        layer: the row that is taken of the latter.
    """
    path, _, tensor = name.partition(".safetensors:")
    if tensor:
        reader = need("safetensors.numpy", "lm-eval", "a vector of a safetensors file")
        tensors = reader.load_file(path + ".safetensors")
        if tensor not in tensors:
            raise Error(
                Status.INPUT,
                f"has no such tensor; it has {', '.join(sorted(tensors))}",
                file=path + ".safetensors",
                field=tensor,
            )
        array = tensors[tensor]
    else:
        array = np.load(name, allow_pickle=False)
    if array.ndim not in (1, 2) or (array.ndim == 2 and not 0 <= layer < array.shape[0]):
        raise Error(
            Status.INPUT,
            f"has the shape {list(array.shape)}; [width], or [layers, width] with layer {layer}, "
            "is needed",
            file=name,
        )
    return np.ascontiguousarray(array if array.ndim == 1 else array[layer], np.float32)


def present(device: Optional[str]) -> str:
    """The device, or the CPU in place of a CUDA device that is not there."""
    if device is None or not device.startswith("cuda"):
        return device or "cpu"
    found = ffi.new("xt_device[64]")
    count = lib.xt_devices(found, 64, ffi.NULL, 0)
    ids = [to_str(found[k].id) for k in range(min(count, 64))]
    return device if any(f"{name}:".startswith(f"{device}:") for name in ids) else "cpu"


@register_model("xtransplant")
class XTransplantLM(TemplateLM):  # type: ignore[misc]
    """A model of this library, as the harness uses models.

    Args:
        path: a model as `load` takes it, or one that is loaded (``pretrained`` is another name).
        device: as `load` has it; the harness's own ``--device``, which is ``cuda:0`` where nothing
            is said, is the CPU on a machine without such a device.
        compute, threads, memory: as `load` has them.
        source: with ``site``: the source prompt of a transplant, a Jinja template over the
            document as the harness's own ``doc_to_text``: ``{{question_en}}`` takes each document's
            own field, and a text without braces is the same for all.
        site: with ``source``, as `Model.transplant` has it; None: ``"attn"``. The activation goes
            to the last token of each context, unless the site says otherwise.
        source_layer, target_layer: with ``source``, from 0; None: 0.
        vector: in place of ``source``: what `read_vector` takes, or an array ``[width]``.
        tap, layer, position: with ``vector``, where it goes, as `Intervention` has them; None:
            ``"block"``, 0, ``"all"``.
        rule, alpha: of the transplant (None: as its site says) or the vector (None: ``"add"``, 1).
        interventions: in place of both: what `Intervention` makes, for every request.
        max_length: most tokens of context and response; None: the model's positions. Longer
            contexts lose their beginning.
        max_gen_toks: most new tokens, where a task says nothing.
        prefix_token_id: what stands before a text without a context; None: BOS, or the first EOS
            where the tokenizer adds no BOS.
        seed: of tasks that draw.
        batch_size, max_batch_size: not used; batches are made as memory allows, and no result
            depends on them.

    What is given and would not be used, such as ``site`` without ``source``, is refused.
    """

    def __init__(
        self,
        path: Union[str, os.PathLike[str], Model, None] = None,
        *,
        pretrained: Union[str, os.PathLike[str], None] = None,
        device: Optional[str] = None,
        compute: str = "f32",
        threads: int = 0,
        memory: Union[float, str] = 0,
        source: Optional[str] = None,
        site: Optional[str] = None,
        source_layer: Optional[int] = None,
        target_layer: Optional[int] = None,
        vector: Any = None,
        tap: Optional[str] = None,
        layer: Optional[int] = None,
        position: Union[int, str, None] = None,
        rule: Optional[str] = None,
        alpha: Optional[float] = None,
        interventions: Interventions = (),
        max_length: Optional[int] = None,
        max_gen_toks: int = 256,
        prefix_token_id: Optional[int] = None,
        seed: int = 0,
        batch_size: Any = None,
        max_batch_size: Any = None,
    ) -> None:
        super().__init__()
        del batch_size, max_batch_size
        place = path if path is not None else pretrained
        if place is None:
            raise Error(Status.ARGUMENT, "give a model: path=..", field="path")
        if isinstance(place, Model):
            self.model = place
        else:
            self.model = load(
                place, device=present(device), compute=compute, threads=threads, memory=memory
            )
        if not self.model.has_tokenizer:
            raise Error(Status.INPUT, "has no tokenizer", file=self.model.info.path)
        self._changes = for_each(interventions, 1)[0]
        if (source is not None) + (vector is not None) + bool(self._changes) > 1:
            raise Error(
                Status.ARGUMENT, "give one of source, vector and interventions", field="source"
            )
        written = {"source": source, "vector": vector}
        how = {
            "site": site,
            "source_layer": source_layer,
            "target_layer": target_layer,
            "tap": tap,
            "layer": layer,
            "position": position,
            "rule": rule,
            "alpha": alpha,
        }
        how = {name: value for name, value in how.items() if value is not None}
        for name in how:
            owners = [kind for kind, takes in TAKES.items() if name in takes]
            if all(written[kind] is None for kind in owners):
                raise Error(Status.ARGUMENT, f"is only with {' or '.join(owners)}", field=name)
        self.max_length = int(max_length or self.model.info.max_positions)
        self.max_gen_toks = max_gen_toks
        self._prefix, self._seed = prefix_token_id, seed
        self._source, self._taken = source, dict[str, list[Intervention]]()
        if source is not None:
            self._site = Site(self.model.info, **{**TAKES["source"], **how})
        elif vector is not None:
            change = {**TAKES["vector"], **how}
            value = read_vector(vector, change["layer"]) if isinstance(vector, str) else vector
            self._changes = [Intervention(value=value, **change)]

    # ---- what the harness asks about a model

    @property
    def eot_token_id(self) -> int:
        """The first id that ends a text."""
        if not self.model.eos_ids:
            raise Error(Status.INPUT, "names no EOS; give prefix_token_id", self.model.info.path)
        return self.model.eos_ids[0]

    @property
    def prefix_token_id(self) -> int:
        """What stands before a text without a context."""
        if self._prefix is not None:
            return self._prefix
        return self.model.bos_id if self.model.bos_id is not None else self.eot_token_id

    @property
    def tokenizer_name(self) -> str:
        """The model's path, by which the harness tells caches apart."""
        return str(self.model.info.path).replace("/", "__")

    def tok_encode(
        self, string: str, add_special_tokens: Optional[bool] = None, **_kwargs: Any
    ) -> list[int]:
        """Ids; a text that begins with BOS as the tokenizer writes it gets no second one."""
        if add_special_tokens is None:
            bos = self.model.bos_id
            text = self.model.decode([bos], skip_special=False) if bos is not None else ""
            add_special_tokens = not (text and string.startswith(text))
        ids: list[int] = self.model.encode(string, add_special=add_special_tokens).tolist()
        return ids

    def apply_chat_template(
        self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """A user's message, after a system message if there is one, in the model's template."""
        roles = [message["role"] for message in chat_history]
        if roles not in (["user"], ["system", "user"]) or not add_generation_prompt:
            raise Error(
                Status.UNSUPPORTED,
                "the chat template is of one user's message, with or without a system message "
                "before it: give no --fewshot_as_multiturn",
            )
        system = chat_history[0]["content"] if len(chat_history) == 2 else None
        return self.model.chat(chat_history[-1]["content"], system=system)

    # ---- interventions

    def _interventions(self, doc: Any) -> list[Intervention]:
        """Those of a document."""
        if self._source is None:
            return self._changes
        text = utils.apply_template(self._source, doc)
        if text not in self._taken:
            changes = self._site.writes(self.model.capture(text))
            self._taken[text] = [
                dataclasses.replace(each, value=each.value.copy()) for each in changes
            ]
        return self._taken[text]

    # ---- requests

    def _pair(self, context: str, continuation: str) -> tuple[list[int], list[int]]:
        if context:
            pair: tuple[list[int], list[int]] = self._encode_pair(context, continuation)
            return pair
        ids = self.tok_encode(continuation, add_special_tokens=False)
        if ids and ids[0] == self.prefix_token_id:
            return ids[:1], ids[1:]
        return [self.prefix_token_id], ids

    def _scores(
        self,
        pairs: Sequence[tuple[list[int], list[int]]],
        changes: Sequence[list[Intervention]],
        disable_tqdm: bool,
    ) -> list[tuple[float, bool]]:
        """Log-probability of each continuation, and whether it is the greedy one."""
        made: list[tuple[float, bool]] = []
        for at in self._steps(len(pairs), "loglikelihood", disable_tqdm):
            here = pairs[at : at + TOGETHER]
            cut = [(before + after)[-(self.max_length + 1) :] for before, after in here]
            prompts = [ids[: len(ids) - len(after)] for ids, (_, after) in zip(cut, here)]
            scores = self.model.score(
                prompts, [after for _, after in here], interventions=changes[at : at + TOGETHER]
            )
            made.extend((score.total, score.greedy) for score in scores)
        return made

    def _steps(self, count: int, what: str, disable_tqdm: bool) -> Iterable[int]:
        tqdm = need("tqdm.auto", "progress", "lm_eval").tqdm
        steps = range(0, count, TOGETHER)
        return tqdm(steps, desc=what, disable=disable_tqdm)  # type: ignore[no-any-return]

    def _loglikelihood_tokens(
        self, requests: Any, disable_tqdm: bool = False, **_kwargs: Any
    ) -> list[tuple[float, bool]]:
        if self._source is not None:
            raise Error(Status.ARGUMENT, "needs documents: call loglikelihood()", field="source")
        pairs = [(before, after) for _, before, after in requests]
        return self._scores(pairs, [self._changes] * len(pairs), disable_tqdm)

    def loglikelihood(
        self, requests: Any, disable_tqdm: bool = False
    ) -> list[tuple[float, bool]]:
        """Log-probability of each continuation, and whether it is the greedy one."""
        pairs = [self._pair(*request.args) for request in requests]
        changes = [self._interventions(request.doc) for request in requests]
        made = self._scores(pairs, changes, disable_tqdm)
        for request, answer in zip(requests, made):
            self.cache_hook.add_partial("loglikelihood", request.args, answer)
        return made

    def loglikelihood_rolling(self, requests: Any, disable_tqdm: bool = False) -> list[float]:
        """Log-probability of each whole text, in windows of the model's positions."""
        pairs, changes, owner = [], [], []
        for k, request in enumerate(requests):
            windows = utils.get_rolling_token_windows(
                token_list=self.tok_encode(request.args[0]),
                prefix_token=self.prefix_token_id,
                max_seq_len=self.max_length,
                context_len=1,
            )
            for window in windows:
                pairs.append(utils.make_disjoint_window(window))
                changes.append(self._interventions(request.doc))
                owner.append(k)
        totals = [0.0] * len(requests)
        for k, (total, _) in zip(owner, self._scores(pairs, changes, disable_tqdm)):
            totals[k] += total
        for request, total in zip(requests, totals):
            self.cache_hook.add_partial("loglikelihood_rolling", request.args, total)
        return totals

    def generate_until(self, requests: Any, disable_tqdm: bool = False) -> list[str]:
        """What follows each context, up to a text that ends it."""
        made: list[str] = [""] * len(requests)
        groups: dict[tuple[str, int], list[int]] = {}
        times: Counter[tuple[str, str]] = Counter()
        for k, request in enumerate(requests):  # a context that comes again draws anew
            settings = json.dumps(request.args[1], sort_keys=True)
            groups.setdefault((settings, times[request.args[0], settings]), []).append(k)
            times[request.args[0], settings] += 1
        for (_, sample), members in groups.items():
            options = self._options(requests[members[0]].args[1])
            room = self.max_length - options["max_new_tokens"]
            if room <= 0:
                raise Error(
                    Status.ARGUMENT,
                    f"{options['max_new_tokens']} leave no room for a context in "
                    f"{self.max_length} positions",
                    field="max_gen_toks",
                )
            for at in self._steps(len(members), "generate_until", disable_tqdm):
                here = [requests[k] for k in members[at : at + TOGETHER]]
                texts = self.model.generate(
                    [self.tok_encode(request.args[0])[-room:] for request in here],
                    interventions=[self._interventions(request.doc) for request in here],
                    sample=sample,
                    progress=False,
                    **options,
                )
                for k, text in zip(members[at : at + TOGETHER], texts):
                    made[k] = str(text)
                    self.cache_hook.add_partial("generate_until", requests[k].args, made[k])
        return made

    def _options(self, settings: dict[str, Any]) -> dict[str, Any]:
        """The harness's settings of generation, as `Model.generate` has them."""
        given = copy.deepcopy(settings)
        until = given.pop("until", None) or []
        lengths = [
            given.pop(name, None)
            for name in ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")
        ]
        temperature = float(given.pop("temperature", None) or 0)
        draws = given.pop("do_sample", temperature > 0)
        options = {
            "stop": until,
            "max_new_tokens": next((int(n) for n in lengths if n is not None), self.max_gen_toks),
            "temperature": (temperature or 1.0) if draws else 0,
            "top_p": float(given.pop("top_p", None) or 1),
            "repetition_penalty": float(given.pop("repetition_penalty", None) or 0),
            "seed": self._seed,
        }
        if given:
            raise Error(
                Status.UNSUPPORTED,
                "is no setting of generation here: until, max_gen_toks, do_sample, temperature, "
                "top_p and repetition_penalty are",
                field=", ".join(sorted(given)),
            )
        return options


def main() -> None:
    """The harness's command line."""
    from lm_eval.__main__ import cli_evaluate  # type: ignore

    cli_evaluate()


if __name__ == "__main__":
    main()
