# SPDX-License-Identifier: Apache-2.0
"""Models: generation under interventions, captures, transplants, sweeps."""

from __future__ import annotations

import dataclasses
import math
import os
import pathlib
import re
import time
from typing import TYPE_CHECKING, Any, Mapping, Optional, Sequence, Union, overload

import numpy as np
import numpy.typing as npt

from ._extras import Bar, Progress, need
from ._interventions import TAPS, Intervention, Interventions, Site, for_each
from ._library import (
    Call,
    Error,
    Handle,
    Status,
    ffi,
    fill,
    lib,
    locked,
    owned,
    run,
    to_bytes,
    to_c,
    to_facts,
    to_ids,
    to_path,
    to_str,
    to_texts,
    view,
)

if TYPE_CHECKING:
    import pandas
    from typing_extensions import TypedDict, Unpack

    from ._results import Results

    class GenerateOptions(TypedDict, total=False):
        """The keywords of `Model.generate`."""

        max_new_tokens: int
        interventions: Interventions
        chat: bool
        system: Optional[str]
        add_special: bool
        ignore_eos: bool
        repetition_penalty: float
        temperature: float
        top_p: float
        seed: int
        sample: int
        stop: Union[str, Sequence[str]]
        lens: bool
        progress: Progress

    class ScoreOptions(TypedDict, total=False):
        """The keywords of `Model.score`."""

        interventions: Interventions
        add_special: bool

Array = npt.NDArray[Any]
Prompt = Union[str, Sequence[int], Array]
Prompts = Union[list[str], tuple[str, ...], Sequence[Union[Sequence[int], Array]]]
Path = Union[str, "os.PathLike[str]"]
Layers = Union[None, str, int, Sequence[int]]

DEMO = pathlib.Path(__file__).parent / "demo"
"""Folder of the small model that ships with the package, ``facts-4m``, and its questions,
``to-language.jsonl`` and ``from-language.jsonl``."""


def _one_or_many(prompts: Any, field: str) -> tuple[bool, list[Any]]:
    """Whether the argument is one prompt, a text or a sequence of ids; and a list of all."""
    if isinstance(prompts, str):
        return True, [prompts]
    if isinstance(prompts, (bytes, Mapping)) or not hasattr(prompts, "__iter__"):
        raise Error(
            Status.ARGUMENT,
            f"{prompts!r} is no text, nor token ids, nor a list of those",
            field=field,
        )
    listed = list(prompts)
    one = bool(listed) and np.ndim(listed[0]) == 0 and not isinstance(listed[0], str)
    return one, [prompts] if one else listed


# ---- what a model gives


class Generation:
    """What one prompt generated. Arrays are read-only views of the library's memory.

    Attributes:
        text: special tokens left out, and what begins with a text of ``stop``; None of a model
            without a tokenizer.
        ids: int32 ``[tokens]``, the end-of-text token included where one was produced.
        margins: float32 ``[tokens]``, best minus second-best logit.
        entropies: float32 ``[tokens]``, nats, of the distribution that the token was chosen from.
        logprobs: float32 ``[tokens]``, natural logarithm of the chosen token's probability.
        lens_ids: int32 ``[tokens, layers]``, each layer's most likely token; ``[tokens, 0]``
            without ``lens=True``.
        lens_logprobs: float32 ``[tokens, layers]``, its log-probability.
        stopped: it ended with an end-of-text token.
    """

    def __init__(self, model: Model, filled: Any, stop: Sequence[str] = ()) -> None:
        owner = ffi.gc(ffi.new("xt_generation *", filled), lib.xt_generation_deinit)
        count, layers = owner.count, owner.layers
        self.ids: Array = view(owner.ids, (count,), np.int32, owner)
        self.margins: Array = view(owner.margins, (count,), np.float32, owner)
        self.entropies: Array = view(owner.entropies, (count,), np.float32, owner)
        self.logprobs: Array = view(owner.logprobs, (count,), np.float32, owner)
        self.lens_ids: Array = view(owner.lens_ids, (count, layers), np.int32, owner)
        self.lens_logprobs: Array = view(owner.lens_logprobs, (count, layers), np.float32, owner)
        self.stopped = bool(owner.stopped)
        self.text: Optional[str] = None
        if model.has_tokenizer:
            text = model.decode(self.ids)
            ends = [text.index(each) for each in stop if each in text]
            self.text = text[: min(ends)] if ends else text

    def __str__(self) -> str:
        return self.text if self.text is not None else " ".join(map(str, self.ids))

    def __repr__(self) -> str:
        ended = ", stopped" if self.stopped else ""
        return f"Generation({str(self)!r}, {len(self.ids)} tokens{ended})"


@dataclasses.dataclass(frozen=True)
class Score:
    """How probable a response is. Arrays are read-only."""

    ids: Array
    """int32 ``[tokens]``, of the response."""
    logprobs: Array
    """float32 ``[tokens]``, the natural logarithm of each token's probability, given all before."""
    best: Array
    """int32 ``[tokens]``, the most likely token at each place."""

    @property
    def total(self) -> float:
        """The logarithm of the whole response's probability."""
        return float(self.logprobs.sum(dtype=np.float64))

    @property
    def greedy(self) -> bool:
        """Whether greedy generation gives this response: each token is the most likely one."""
        return np.array_equal(self.ids, self.best)


class Taps:
    """A prompt's last token at every layer. Arrays are read-only views of the library's memory.

    Attributes:
        attn: float32 ``[layers, width]``, what the attention module adds to the residual stream.
        mid: float32 ``[layers, width]``, the residual stream between the modules.
        ffn: float32 ``[layers, width]``, what the feed-forward module adds to the residual stream.
        block: float32 ``[layers, width]``, the layer's output.
        heads: float32 ``[layers, heads, head_dim]``, what each query head gives, before the output
            projection makes ``attn`` of it.
        embed: float32 ``[width]``, the input of layer 0.
        logits: float32 ``[vocab]``, of the next token.
    """

    def __init__(self, taps: Any, info: ModelInfo) -> None:
        self._taps = owner = ffi.gc(taps, lib.xt_taps_free)
        shapes = [(info.layers, info.width)] * 4 + [(info.layers, info.heads, info.head_dim)]
        self.attn, self.mid, self.ffn, self.block, self.heads = (
            view(lib.xt_taps_get(owner, tap, 0), shape, np.float32, owner)
            for tap, shape in enumerate(shapes)
        )
        self.embed = view(lib.xt_taps_embed(owner), (info.width,), np.float32, owner)
        self.logits = view(lib.xt_taps_logits(owner), (info.vocab,), np.float32, owner)

    def __getitem__(self, tap: str) -> Array:
        """``taps["ffn"]`` is ``taps.ffn``."""
        if tap not in TAPS:
            raise KeyError(tap)
        return getattr(self, tap)  # type: ignore[no-any-return]

    def save(self, path: Path) -> None:
        """Writes a safetensors file: ``embed``, ``attn``, ``mid``, ``ffn``, ``block``,
        ``logits``."""
        run(lib.xt_taps_save, self._taps, to_path(path))


@dataclasses.dataclass(frozen=True)
class Transplant:
    """The response to a transplant, and the two responses that it is compared with."""

    source: Generation
    """The response to the source prompt."""
    vanilla: Generation
    """The response to the untouched target prompt."""
    transplanted: Generation
    """The response to the target prompt with the source's activation."""

    @property
    def changed(self) -> bool:
        """Whether the transplant changed the response."""
        return not np.array_equal(self.vanilla.ids, self.transplanted.ids)


@dataclasses.dataclass(frozen=True)
class ModelInfo:
    """Facts about a model, as ``xt_model_info`` has them."""

    path: str
    architecture: str
    weight_dtype: str
    weight_format: str
    kernels: str
    layers: int
    width: int
    heads: int
    kv_heads: int
    head_dim: int
    feed_forward: int
    vocab: int
    max_positions: int
    trained_positions: int
    parameters: int
    file_bytes: int
    weight_bytes: int


# ---- loading


def _cache() -> Optional[bytes]:
    """The folder of the Hugging Face cache."""
    for name, rest in (
        ("HF_HUB_CACHE", ""),
        ("HUGGINGFACE_HUB_CACHE", ""),
        ("HF_HOME", "/hub"),
        ("XDG_CACHE_HOME", "/huggingface/hub"),
        ("HOME", "/.cache/huggingface/hub"),
    ):
        if os.environ.get(name):
            return to_path(os.environ[name] + rest)
    return None


def _memory(given: Union[float, str]) -> int:
    """Bytes, of a number or of a text as the program's ``--memory`` has it."""
    if isinstance(given, str):
        found = re.fullmatch(r"(\d+(?:\.\d*)?)(?:([KMGT])i?B?)?", given)
        if found:
            return int(float(found[1]) * 1024 ** " KMGT".index(found[2] or " "))
    elif isinstance(given, (int, float)) and 0 <= given < math.inf:
        return int(given)
    raise Error(
        Status.ARGUMENT,
        f"{given!r} is neither a number of bytes nor a text such as '4G', in powers of 1024",
        field="memory",
    )


def load(
    path: Path,
    *,
    device: str = "cpu",
    compute: str = "f32",
    threads: int = 0,
    memory: Union[float, str] = 0,
    inexact: bool = False,
) -> Model:
    """Loads a model.

    Args:
        path: a directory as downloaded, a .gguf file, or a name in the Hugging Face cache
            ("org/name"). Nothing is downloaded.
        device: ``"cpu"``, or a GPU: ``"opencl"``, ``"opencl:1"``, ``"cuda"``.
        compute: ``"f32"``, the reference, or ``"bf16"``, the fast mode; on CUDA devices
            ``"f16"`` and ``"tf32"``, too.
        threads: 0: one per processor that the process may use.
        memory: bytes that weights and runs may take, or a text such as ``"4G"``; 0: what the
            machine has free.
        inexact: take a GPU, too, that does not promise the CPU's bits.

    >>> load(DEMO / "facts-4m", threads=1)
    <xtransplant.Model LlamaForCausalLM, 8 layers of width 192, ...>
    """
    computes = {
        "f32": lib.XT_COMPUTE_F32,
        "bf16": lib.XT_COMPUTE_BF16,
        "f16": lib.XT_COMPUTE_F16,
        "tf32": lib.XT_COMPUTE_TF32,
    }
    if compute not in computes:
        raise Error(
            Status.ARGUMENT, f"'{compute}' is none of {', '.join(computes)}", field="compute"
        )
    cache_home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    cache = to_path(os.path.join(cache_home, "xtransplant"))
    named = [ffi.new("char[]", to_c(device, "device")), ffi.new("char[]", cache)]
    options = ffi.new(
        "xt_model_options *",
        {
            "memory_limit": _memory(memory),
            "device": named[0],
            "kernel_cache": named[1],
            "compute": computes[compute],
        },
    )
    fill(options, {"threads": threads, "inexact": inexact})
    found, model = ffi.new("char **"), ffi.new("xt_model **")
    run(lib.xt_model_locate, to_path(path), _cache() or ffi.NULL, found)
    located = ffi.gc(found[0], lib.xt_free)
    run(lib.xt_model_open, located, options, model)
    return Model(model[0], cache)


class Model(Handle):
    """A loaded model (`load`). Used by one thread at a time; others wait."""

    _what = "model"

    def __init__(self, model: Any, cache: bytes) -> None:
        """Takes over an ``xt_model``, whose hash is kept in a folder."""
        super().__init__()
        session, self._model = ffi.new("xt_session **"), owned(model, lib.xt_model_close)
        run(lib.xt_session_create, model, session)
        self._session = owned(session[0], lib.xt_session_free, self._model)
        tokenizer = lib.xt_model_tokenizer(model)
        self.has_tokenizer: bool = tokenizer != ffi.NULL
        """Whether prompts may be text; else they are ids."""
        self._tokenizer = (
            owned(tokenizer, lambda _: None, self._model) if self.has_tokenizer else tokenizer
        )
        self._hash: Optional[Any] = None
        self._cache = cache
        facts = ffi.new("xt_model_info *")
        lib.xt_model_get_info(self._model, facts)
        self.info = to_facts(ModelInfo, facts)
        self.eos_ids: tuple[int, ...] = tuple(facts.eos[0 : facts.eos_count])
        """Ids that end a text."""
        bos = lib.xt_tokenizer_bos(tokenizer) if self.has_tokenizer else -1
        self.bos_id: Optional[int] = bos if bos >= 0 else None
        """The id that `encode` begins with; None: it adds none."""

    def _free(self) -> None:
        # A thread that is within encode() or decode() keeps the tokenizer, and with it the model.
        self._session = self._tokenizer = self._model = None

    def __repr__(self) -> str:
        return (
            f"<xtransplant.Model {self.info.architecture}, {self.info.layers} layers of width "
            f"{self.info.width}, {self.info.kernels}>"
        )

    # ---- text

    def encode(
        self,
        text: str,
        *,
        chat: bool = False,
        system: Optional[str] = None,
        add_special: bool = True,
    ) -> Array:
        """Token ids of a text, int32 ``[tokens]``.

        Args:
            chat: put it into the model's chat template, as the user's message.
            system: the system message before it; with ``chat``.
            add_special: add BOS and EOS as the model's own tokenizer does. A chat template has its
                own.
        """
        if system is not None and not chat:
            raise Error(Status.ARGUMENT, "is only with chat=True", field="system")
        if chat:
            text = self.chat(text, system=system)
        tokenizer, encoded = self._text(), to_bytes(text, "text")
        ids, count = ffi.new("int32_t **"), ffi.new("size_t *")
        run(
            lib.xt_tokenizer_encode,
            tokenizer,
            encoded,
            len(encoded),
            add_special and not chat,
            ids,
            count,
        )
        owner = ffi.gc(ids[0], lib.xt_free)
        return view(owner, (count[0],), np.int32, owner)

    def chat(self, text: str, *, system: Optional[str] = None) -> str:
        """A text as the user's message in the model's chat template, after a system message if
        there is one, up to where the assistant begins. It contains its special tokens."""
        tokenizer, encoded = self._text(), to_bytes(text, "text")
        out, length = ffi.new("char **"), ffi.new("size_t *")
        run(
            lib.xt_tokenizer_chat,
            tokenizer,
            ffi.NULL if system is None else to_c(system, "system"),
            encoded,
            len(encoded),
            int(time.time()),
            out,
            length,
        )
        return bytes(ffi.buffer(ffi.gc(out[0], lib.xt_free), length[0])).decode()

    def _text(self) -> Any:
        """The tokenizer. Several threads may use it, also while the model runs."""
        tokenizer = self._tokenizer
        self._need_open()
        if not self.has_tokenizer:
            raise Error(
                Status.ARGUMENT, "the model has no tokenizer; give token ids", file=self.info.path
            )
        return tokenizer

    def decode(self, ids: Union[Sequence[int], Array], *, skip_special: bool = True) -> str:
        """Text of token ids."""
        tokenizer, array = self._text(), to_ids(ids, "ids")
        out, length = ffi.new("char **"), ffi.new("size_t *")
        run(
            lib.xt_tokenizer_decode,
            tokenizer,
            ffi.from_buffer("int32_t[]", array),
            array.size,
            skip_special,
            out,
            length,
        )
        return bytes(ffi.buffer(ffi.gc(out[0], lib.xt_free), length[0])).decode()

    def _ids(self, prompt: Prompt, how: Mapping[str, Any], field: str) -> Array:
        return self.encode(prompt, **how) if isinstance(prompt, str) else to_ids(prompt, field)

    # ---- running

    def _fill(self, requests: Any, prompts: Sequence[Array], interventions: Interventions) -> Any:
        """Gives C requests their ids and interventions. Returns the objects that have to be
        kept while the requests are used."""
        keep: list[Any] = []
        lists: list[Any] = []
        for each in for_each(interventions, len(prompts)):
            filled = ffi.new("xt_intervention[]", len(each))
            keep.extend(change._fill(filled[k], self.info) for k, change in enumerate(each))
            lists.append((filled, len(each)))
        for k, ids in enumerate(prompts):
            filled, count = lists[k if len(lists) > 1 else 0]
            requests[k].ids, requests[k].count = ffi.from_buffer("int32_t[]", ids), ids.size
            requests[k].interventions, requests[k].intervention_count = filled, count
        return [keep, lists, prompts]

    def _generate(
        self,
        prompts: Sequence[Array],
        interventions: Interventions,
        options: Mapping[str, Any],
        sample: int = 0,
        stop: Sequence[str] = (),
        progress: Progress = None,
    ) -> list[Generation]:
        requests = ffi.new("xt_request[]", len(prompts))
        _keep = self._fill(requests, prompts, interventions)
        for k in range(len(prompts)):
            fill(requests[k], {"sample": sample})
        if stop:
            self._text()
        callbacks = {"cancel": lib.xtpy_cancel, "progress": lib.xtpy_generate_progress}
        how = ffi.new("xt_generate_options *", callbacks)
        fill(how, options)
        how.stop = lib.xtpy_stop if stop else ffi.NULL
        out = ffi.new("xt_generation[]", max(len(prompts), 1))
        bar = Bar(progress, "generating", "prompt")
        call = Call(
            progress=lambda done: bar(done, len(prompts)),
            stop=lambda ids: any(each in self.decode(ids) for each in stop),
        )
        try:
            with self._use():
                call.run(lib.xt_session_generate, self._session, requests, len(prompts), how, out)
                return [Generation(self, out[k], stop) for k in range(len(prompts))]
        finally:
            bar.close()

    @overload
    def generate(self, prompts: Prompt, **options: Unpack[GenerateOptions]) -> Generation: ...

    @overload
    def generate(
        self, prompts: Prompts, **options: Unpack[GenerateOptions]
    ) -> list[Generation]: ...

    def generate(
        self,
        prompts: Any,
        *,
        max_new_tokens: int = 20,
        interventions: Interventions = (),
        chat: bool = False,
        system: Optional[str] = None,
        add_special: bool = True,
        ignore_eos: bool = False,
        repetition_penalty: float = 0,
        temperature: float = 0,
        top_p: float = 1,
        seed: int = 0,
        sample: int = 0,
        stop: Union[str, Sequence[str]] = (),
        lens: bool = False,
        progress: Progress = None,
    ) -> Any:
        """Generates, greedily unless ``temperature`` is above 0.

        Args:
            prompts: one prompt, a text or ids; or many, which run as one batch. A response does not
                depend on the others.
            max_new_tokens: most tokens of a response.
            interventions: changes to every prompt's run; or, for many prompts, a list for each.
            chat, system, add_special: as `encode` has them.
            ignore_eos: go on behind the end of text.
            repetition_penalty: 0: the model's.
            temperature: 0: greedy. Else each token is drawn from softmax(logits / temperature).
            top_p: draw from the fewest likeliest tokens that make up this share.
            seed, sample: what is drawn depends on these, the prompt and the position, and on
                nothing else.
            stop: texts that end a response: its text ends before the first of them.
            lens: keep each layer's most likely token (`Generation.lens_ids`).
            progress: None: a tqdm bar when it takes long; False: none; or what is called with
                prompts done and in all.

        Returns:
            A `Generation`; of many prompts a list, in their order.

        >>> model = load(DEMO / "facts-4m")
        >>> model.generate("Greece, country number =", max_new_tokens=4)
        Generation(' 300', 2 tokens, stopped)
        >>> prompts = ["Greece, country number =", "Nigeria, country number ="]
        >>> [made.text for made in model.generate(prompts)]
        [' 300', ' 566']
        """
        one, given = _one_or_many(prompts, "prompts")
        how = {"chat": chat, "system": system, "add_special": add_special}
        ids = [self._ids(prompt, how, "prompts") for prompt in given]
        options = {
            "max_new_tokens": max_new_tokens,
            "ignore_eos": ignore_eos,
            "repetition_penalty": repetition_penalty,
            "lens": lens,
            "temperature": temperature,
            "top_p": top_p,
            "seed": seed,
        }
        ends = [each for each in to_texts(stop, "stop") if each]
        made = self._generate(ids, interventions, options, sample, ends, progress)
        return made[0] if one else made

    @overload
    def score(
        self, prompts: Prompt, responses: Prompt, **options: Unpack[ScoreOptions]
    ) -> Score: ...

    @overload
    def score(
        self, prompts: Prompts, responses: Prompts, **options: Unpack[ScoreOptions]
    ) -> list[Score]: ...

    def score(
        self,
        prompts: Any,
        responses: Any,
        *,
        interventions: Interventions = (),
        add_special: bool = True,
    ) -> Any:
        """How probable given responses are.

        Args:
            prompts: one prompt, a text or ids; or a list of many, which run together. A score does
                not depend on the others.
            responses: one response to each, a text or ids. A text is what follows the prompt in
                the ids of both together.
            interventions: changes to every prompt's run, as if the model generated the response:
                ``"last"`` is the prompt's last token. Or, for many prompts, a list for each.
            add_special: as `encode` has it, for the prompt.

        Returns:
            A `Score`; of many prompts a list, in their order.

        >>> model = load(DEMO / "facts-4m")
        >>> scores = model.score(["Greece, country number ="] * 2, [" 300", " 301"])
        >>> [score.greedy for score in scores], scores[0].total > scores[1].total
        ([True, False], True)
        """
        one, before = _one_or_many(prompts, "prompts")
        alone, after = _one_or_many(responses, "responses")
        if one and not after:  # a response without tokens
            alone, after = True, [responses]
        if one != alone or len(before) != len(after):
            found = "one is given" if alone else f"there are {len(after)} of them"
            wanted = "one prompt" if one else f"{len(before)} prompts"
            raise Error(
                Status.ARGUMENT,
                f"{found} for {wanted}; for a list of prompts give a list of as many",
                field="responses",
            )
        how = {"add_special": add_special}
        whole, firsts = [], []
        for prompt, response in zip(before, after):
            ids = self._ids(prompt, how, "prompts")
            if isinstance(prompt, str) and isinstance(response, str):
                both = self.encode(prompt + response, add_special=add_special)
            else:
                bare = {"add_special": False}
                both = np.concatenate([ids, self._ids(response, bare, "responses")])
            whole.append(both)
            firsts.append(min(ids.size, both.size))
        made = self._score(whole, firsts, interventions)
        return made[0] if one else made

    def _score(
        self, whole: Sequence[Array], firsts: Sequence[int], interventions: Interventions
    ) -> list[Score]:
        requests = ffi.new("xt_score_request[]", max(len(whole), 1))
        _keep = self._fill(requests, whole, interventions)
        sizes = [ids.size - first for ids, first in zip(whole, firsts)]
        logprobs = [ffi.new("float[]", size) for size in sizes]
        best = [ffi.new("int32_t[]", size) for size in sizes]
        for k, first in enumerate(firsts):
            requests[k].first, requests[k].logprobs, requests[k].best = first, logprobs[k], best[k]
        with self._use():
            Call().run(
                lib.xt_session_score, self._session, requests, len(whole), lib.xtpy_cancel, ffi.NULL
            )
        return [
            Score(
                locked(ids[first:]),
                view(logprobs[k], (sizes[k],), np.float32, logprobs[k]),
                view(best[k], (sizes[k],), np.int32, best[k]),
            )
            for k, (ids, first) in enumerate(zip(whole, firsts))
        ]

    def capture(
        self,
        prompt: Prompt,
        *,
        interventions: Sequence[Intervention] = (),
        chat: bool = False,
        system: Optional[str] = None,
        add_special: bool = True,
    ) -> Taps:
        """Runs a prompt and keeps every tap of its last token.

        >>> load(DEMO / "facts-4m").capture("Greece, country number =").ffn.shape
        (8, 192)
        """
        how = {"chat": chat, "system": system, "add_special": add_special}
        ids = self._ids(prompt, how, "prompt")
        requests = ffi.new("xt_request[1]")
        _keep = self._fill(requests, [ids], interventions)
        out = ffi.new("xt_taps **")
        with self._use():
            run(lib.xt_session_capture, self._session, requests, out)
        return Taps(out[0], self.info)

    def transplant(
        self,
        source: Prompt,
        target: Prompt,
        *,
        site: str,
        source_layer: int,
        target_layer: int,
        rule: Optional[str] = None,
        alpha: Optional[float] = None,
        max_new_tokens: int = 20,
        chat: bool = False,
        system: Optional[str] = None,
        add_special: bool = True,
        repetition_penalty: float = 0,
    ) -> Transplant:
        """Takes the site's activation of the source's last token at ``source_layer``, and puts it
        at the target's last token at ``target_layer``: what `sweep` does at the same site.

        Args:
            site: ``"attn"``, ``"ffn"``, ``"block"``, ``"attn-released"``, or ``"READ:WRITE"`` with
                each of a, m, f, o; what is not the default follows, in this order: ``"+heads0.3"``
                (of ``"attn"``, these query heads alone), ``"+add2"`` or ``"+blend0.5"`` (the rule
                and its alpha), ``"+span3"`` (layers i + k into j + k, for k below 3), ``"+all"`` or
                ``"+generated"`` (the tokens at which it is written).
            source_layer, target_layer: from 0.
            rule, alpha: as `Intervention` has them, where the site does not say it.

        >>> model = load(DEMO / "facts-4m")
        >>> source, target = "Nigeria, country number =", "نيجيريا, رقم البلد ="
        >>> run = model.transplant(source, target, site="ffn", source_layer=0, target_layer=0)
        >>> run.source.text, run.changed
        (' 566', False)
        """
        how = {"chat": chat, "system": system, "add_special": add_special}
        where = Site(self.info, site, source_layer, target_layer, rule, alpha)
        taken, ids = self._ids(source, how, "source"), self._ids(target, how, "target")
        changes = where.writes(self.capture(taken))
        options = {"max_new_tokens": max_new_tokens, "repetition_penalty": repetition_penalty}
        return Transplant(*self._generate([taken, ids, ids], [[], [], changes], options))

    def lens(
        self,
        prompt: Prompt,
        *,
        max_new_tokens: int = 20,
        interventions: Sequence[Intervention] = (),
        chat: bool = False,
        system: Optional[str] = None,
        add_special: bool = True,
    ) -> pandas.DataFrame:
        """What every layer would say at each generated token: final norm and unembedding of its
        output.

        Returns:
            A DataFrame of tokens, with a row per layer (the last on top) and a column per
            generated token; a notebook shows it coloured by probability. Its ``probabilities`` is a
            DataFrame of the same shape.
        """
        need("pandas", "pandas", "Model.lens()")
        from ._frames import LensFrame

        how = {"chat": chat, "system": system, "add_special": add_special}
        made = self.generate(
            [self._ids(prompt, how, "prompt")],
            lens=True,
            max_new_tokens=max_new_tokens,
            interventions=interventions,
        )[0]
        return LensFrame.of(self, made)

    # ---- sweeps

    def hash(self) -> str:
        """SHA-256 of the model's content, by which results know their model. It is kept in the
        user's cache folder, where the program keeps it too: only the first call for these files
        reads all of them."""
        with self._use():
            return to_str(self._find_hash())

    def _find_hash(self) -> Any:
        """The hash as a C string, while the model is in use."""
        if self._hash is None:
            out = ffi.new("char[]", lib.XT_MODEL_HASH_SIZE)
            run(lib.xt_model_hash_kept, self._model, self._cache, out)
            self._hash = out
        return self._hash

    def sweep(
        self,
        pairs: Any = None,
        *,
        output: Path,
        task: Optional[str] = None,
        data: Optional[Path] = None,
        sites: Union[None, str, Sequence[str]] = None,
        controls: Union[str, Sequence[str]] = (),
        vector: Any = None,
        plan: Any = None,
        source_langs: Union[str, Sequence[str]] = (),
        track: Union[str, Sequence[str]] = "answers",
        languages: Optional[Sequence[str]] = None,
        pivot: Optional[str] = None,
        source_layers: Layers = None,
        target_layers: Layers = None,
        limit: int = 0,
        shard: Optional[tuple[int, int]] = None,
        cot: bool = False,
        chat: bool = False,
        system: Optional[str] = None,
        max_new_tokens: int = 0,
        ignore_eos: bool = False,
        repetition_penalty: float = 0,
        samples: int = 0,
        temperature: float = 0,
        top_p: float = 0,
        seed: int = 0,
        skip_long: bool = False,
        replace: bool = False,
        progress: Progress = None,
    ) -> Results:
        """Runs every transplant of every question into a results file. The same call resumes a
        sweep that was stopped.

        Args:
            pairs: the questions: an iterable of dicts, a pandas DataFrame or a datasets.Dataset
                with ``source`` and ``target`` (texts) and, where they exist, ``gold``, ``id``,
                ``lang``, ``source_lang``, ``task``; or the path of a file of such JSON lines.
            output: the results file, made where it is not there.
            task, data: in place of ``pairs``: a benchmark, and the folder of it as released.
            sites: as `transplant` has them; None: the paper's for the task, ``"attn"`` where it has
                none.
            controls: also run each site with what is written exchanged: ``"self"`` (the target
                prompt's own value), ``"shuffled"`` (that of another question's source prompt),
                ``"random"`` (a vector of random direction, as long as the value), ``"mean"``
                (that of other questions' source prompts); the last three with a seed if a number
                follows, ``"random2"``. They are sites of their own: ``"attn+shuffled"``.
            vector: sites write this steering vector in place of the source prompt's value: an
                array ``[width]`` or ``[layers, width]``, or a file, ``"FILE"`` or ``"FILE:NAME"``,
                as ``--vector`` has it. A source layer is then the layer whose vector is written.
            plan: interventions of several transplants each, as ``docs/FORMATS.md`` has them: a list
                of dicts (a ``vector`` may be an array), or a JSON file. They are sites of their
                own, beside ``sites``, or alone where those are None.
            source_langs: sites write the mean of the values that the question's source prompts
                have in these languages; pairs have them as ``sources``, a dict.
            track: words whose log-probability as the first token is stored for every response,
                besides the answers'; ``"none"``: not even those are, nor divergences.
            languages: None: all.
            pivot: language of the source prompts of a task that goes to a language; None: ``"en"``.
            source_layers, target_layers: layers from 0, or one; None or ``"all"``: all.
            limit: the first so many questions of each language; 0: all.
            shard: (k, n): the k-th, from 1, of n parts that take about as long as one another.
            cot: end each prompt with "Let's think step by step." in its language.
            chat, system: put the prompts into the model's chat template.
            max_new_tokens: 0: 20, or 200 with ``cot``.
            samples, temperature, top_p, seed: draw so many responses to each untouched target
                prompt at random, too.
            skip_long: leave out questions for which the model has too few positions.
            replace: questions that were edited take the place of the file's.
            progress: None: a tqdm bar when it takes long; False: none; or what is called with work
                done and in all, in responses.

        Raises:
            KeyboardInterrupt: after the current token. What was computed is in the file.
        """
        from ._results import open as open_results
        from ._sweep import sweep

        sweep(
            self,
            pairs,
            output,
            progress,
            dataset={"languages": languages, "pivot": pivot, "limit": limit, "cot": cot},
            benchmark=(task, data),
            chat=chat,
            system=system,
            sites=sites,
            controls=controls,
            layers={"source_layers": source_layers, "target_layers": target_layers},
            shard=shard,
            sampling={"temperature": temperature, "top_p": top_p, "seed": seed},
            job={
                "max_new_tokens": max_new_tokens,
                "ignore_eos": ignore_eos,
                "repetition_penalty": repetition_penalty,
                "samples": samples,
                "skip_long": skip_long,
                "replace": replace,
            },
            written={"vector": vector, "plan": plan, "source_langs": source_langs},
            track=track,
        )
        return open_results(output)
