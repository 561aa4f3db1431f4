# SPDX-License-Identifier: Apache-2.0
"""A dataset swept into a results file: `Model.sweep`."""

from __future__ import annotations

import json
import math
import os
import time
from typing import TYPE_CHECKING, Any, Iterable, Mapping, Optional, Sequence, Union

from . import _plans
from ._extras import Bar, Progress
from ._library import Call, Error, Status, ffi, fill, lib, run, to_c, to_path, to_texts
from ._vectors import Vector

if TYPE_CHECKING:
    from ._model import Model


def _records(pairs: Any) -> Iterable[Mapping[str, Any]]:
    """Dicts of a DataFrame, a datasets.Dataset, or any iterable of dicts."""
    frame = hasattr(pairs, "to_dict") and hasattr(pairs, "columns")
    if isinstance(pairs, Mapping) or not hasattr(pairs, "__iter__"):
        raise Error(
            Status.ARGUMENT,
            f"is of the type {type(pairs).__name__}; give a list of dicts with source and target, "
            "a DataFrame, a datasets.Dataset, or the path of a file of JSON lines",
            field="pairs",
        )
    for number, record in enumerate(pairs.to_dict("records") if frame else pairs):
        if not isinstance(record, Mapping):
            raise Error(
                Status.ARGUMENT,
                f"question {number} is {record!r}, and no dict with source and target",
                field="pairs",
            )
        yield record


def _plain(value: Any) -> Any:
    """What json does not know: numpy's numbers and arrays."""
    return value.tolist() if hasattr(value, "tolist") else str(value)


def _lines(pairs: Any) -> bytes:
    """JSON lines of pairs; what is missing in a DataFrame is left out."""
    lines = []
    for record in _records(pairs):
        there = {
            key: value
            for key, value in record.items()
            if value is not None and not (isinstance(value, float) and math.isnan(value))
        }
        lines.append(json.dumps(there, ensure_ascii=False, default=_plain))
    return ("\n".join(lines) + "\n").encode()


class _Names:
    """C strings and arrays that stay as long as this does."""

    def __init__(self) -> None:
        self._kept: list[Any] = []

    def keep(self, kind: str, value: Any) -> Any:
        self._kept.append(ffi.new(kind, value))
        return self._kept[-1]

    def hold(self, value: Any) -> Any:
        self._kept.append(value)
        return value

    def text(self, value: Optional[str], field: str) -> Any:
        return ffi.NULL if value is None else self.keep("char[]", to_c(value, field))


def _open_dataset(
    names: _Names, pairs: Any, benchmark: tuple[Any, Any], settings: Mapping[str, Any]
) -> Any:
    languages = settings["languages"]
    if isinstance(languages, str):
        raise Error(Status.ARGUMENT, "is one text; give a list of languages", field="languages")
    options = ffi.new("xt_dataset_options *")
    options.pivot = names.text(settings["pivot"], "pivot")
    fill(options, {name: settings[name] for name in ("limit", "cot", "others")})
    if languages is not None:
        listed = [names.text(each, "languages") for each in to_texts(languages, "languages")]
        options.languages = names.keep("const char *[]", listed + [ffi.NULL])
        options.language_count = len(listed)
    langs = to_texts(settings["source_langs"], "source_langs")
    options.source_langs = names.keep(
        "const char *[]", [names.text(each, "source_langs") for each in langs] + [ffi.NULL]
    )
    options.source_lang_count = len(langs)
    task, data = benchmark
    out = ffi.new("xt_dataset **")
    if (pairs is None) == (task is None):
        raise Error(Status.ARGUMENT, "give either pairs, or task and data")
    if task is not None:
        found = lib.xt_task_find(to_c(task, "task"))
        if found == ffi.NULL or data is None:
            raise Error(
                Status.ARGUMENT,
                (
                    f"'{task}' is no task"
                    if data is not None
                    else "is missing: the benchmark's folder"
                ),
                field="task" if data is not None else "data",
            )
        run(lib.xt_dataset_open, found, to_path(data), options, out)
    elif isinstance(pairs, (str, os.PathLike)):
        run(lib.xt_dataset_open_pairs, to_path(pairs), options, out)
    else:
        lines = _lines(pairs)
        run(lib.xt_dataset_parse_pairs, lines, len(lines), b"pairs", options, out)
    return ffi.gc(out[0], lib.xt_dataset_close)


def _sites(names: _Names, given: Sequence[str], parse: Any) -> Any:
    """An array of ``xt_site``."""
    parsed = names.keep("xt_site[]", len(given))
    for k, name in enumerate(given):
        run(parse, name.encode(), ffi.addressof(parsed, k))
    return parsed


def _layers(names: _Names, given: Any, field: str) -> tuple[Any, int]:
    """An array of layers and their number; of all layers none."""
    if given is None or (isinstance(given, str) and given == "all"):
        return ffi.NULL, 0
    try:
        listed = list(given) if hasattr(given, "__iter__") else [given]
        return names.keep("int[]", listed), len(listed)
    except (TypeError, OverflowError):
        wrong = f'{given!r} is neither "all", a layer from 0 nor a list of layers'
        raise Error(Status.ARGUMENT, wrong, field=field) from None


def _command(
    pairs: Any, benchmark: tuple[Any, Any], settings: Mapping[str, Any], options: Any
) -> bytes:
    """For the record of the run, as the program's own: `merge` reads which shard it was."""
    said: dict[str, Any] = {"verb": "sweep", "from": "python"}
    name, given = ("pairs", pairs) if benchmark[1] is None else ("data", benchmark[1])
    if isinstance(given, (str, os.PathLike)):
        said[name] = os.fsdecode(given)
    if settings["languages"] is not None:
        said["lang"] = ",".join(settings["languages"])
    for name in ("pivot", "limit"):
        if settings[name]:
            said[name] = settings[name]
    if options.shards > 1:
        said.update(shard=f"{options.shard}/{options.shards}", deal="lengths")
    return json.dumps(said).encode()


def _track(names: _Names, options: Any, given: Any) -> None:
    """The words whose log-probabilities are stored besides the answers'."""
    if isinstance(given, str) and given in ("answers", "none"):
        options.no_effects = given == "none"
        return
    words = [names.text(each, "track") for each in to_texts(given, "track")]
    options.words, options.word_count = names.keep("const char *[]", words), len(words)


def _write(names: _Names, options: Any, written: int, label: str, field: str) -> None:
    """Makes all sites write something else than the source prompt's value."""
    if len(label.encode()) >= lib.XT_LABEL_SIZE:
        raise Error(Status.ARGUMENT, f"is longer than {lib.XT_LABEL_SIZE - 1} letters", field=field)
    if options.sites == ffi.NULL:  # the task's, in this way
        options.variants, options.variant_count = names.keep("xt_site[]", 1), 1
    sites = options.sites if options.site_count else options.variants
    for k in range(options.site_count or 1):
        site = sites[k]
        if getattr(site, "from"):
            raise Error(Status.ARGUMENT, "a site says what it writes itself", field=field)
        setattr(site, "from", written)
        site.label = label.encode()


def _write_vector(names: _Names, options: Any, vector: Vector) -> None:
    _write(names, options, lib.XT_FROM_VECTOR, vector.label, "vector")
    options.vector = ffi.from_buffer("float[]", names.hold(vector.values))
    if vector.single and not options.source_layer_count:
        options.source_layers, options.source_layer_count = names.keep("int[]", [0]), 1
    every = range(vector.values.shape[0])
    listed = [options.source_layers[k] for k in range(options.source_layer_count)] or every
    for layer in listed:
        if layer in vector.lacks:
            raise Error(
                Status.ARGUMENT,
                f"has no vector for layer {layer}; choose others with source_layers",
                field="vector",
            )


def _job_options(
    names: _Names,
    sites: Optional[list[str]],
    controls: list[str],
    layers: Mapping[str, Any],
    shard: Any,
    sampling: Mapping[str, Any],
    job: Mapping[str, Any],
) -> Any:
    options = ffi.new(
        "xt_job_options *",
        {
            "warn": lib.xtpy_warn,
            "progress": lib.xtpy_job_progress,
            "cancel": lib.xtpy_cancel,
        },
    )
    fill(options, job)
    fill(options.sampling, sampling)
    if sites is not None:
        options.sites, options.site_count = _sites(names, sites, lib.xt_site_parse), len(sites)
    options.controls = _sites(names, controls, lib.xt_control_parse)
    options.control_count = len(controls)
    options.source_layers, options.source_layer_count = _layers(
        names, layers["source_layers"], "source_layers"
    )
    options.target_layers, options.target_layer_count = _layers(
        names, layers["target_layers"], "target_layers"
    )
    if shard is not None:
        if not isinstance(shard, (tuple, list)) or len(shard) != 2:
            raise Error(
                Status.ARGUMENT,
                f"{shard!r} is not (k, n), the k-th part, from 1, of n; (2, 8) is such",
                field="shard",
            )
        fill(options, {"shard": shard[0], "shards": shard[1]})
    return options


def sweep(
    model: Model,
    pairs: Any,
    output: Any,
    progress: Progress,
    *,
    dataset: Mapping[str, Any],
    benchmark: tuple[Any, Any],
    chat: bool,
    system: Optional[str],
    sites: Union[None, str, Sequence[str]],
    controls: Union[str, Sequence[str]],
    layers: Mapping[str, Any],
    shard: Any,
    sampling: Mapping[str, Any],
    job: Mapping[str, Any],
    written: Mapping[str, Any],
    track: Union[str, Sequence[str]],
) -> None:
    """What `Model.sweep` says."""
    model._need_open()
    vector, langs = written["vector"], to_texts(written["source_langs"], "source_langs")
    if vector is not None and langs:
        raise Error(Status.ARGUMENT, "cannot be combined with source_langs", field="vector")
    plan = written["plan"]
    if plan is not None and sites is None and (vector is not None or langs):
        raise Error(
            Status.ARGUMENT,
            "is by itself; vector and source_langs are of sites, give them too",
            field="plan",
        )
    names, controlled = _Names(), to_texts(controls, "controls")
    questions = _open_dataset(
        names, pairs, benchmark, {**dataset, "others": bool(controlled), "source_langs": langs}
    )
    if system is not None and not chat:
        raise Error(Status.ARGUMENT, "is only with chat=True", field="system")
    options = _job_options(
        names,
        None if sites is None else to_texts(sites, "sites"),
        controlled,
        layers,
        shard,
        sampling,
        job,
    )
    options.command = names.keep("char[]", _command(pairs, benchmark, dataset, options))
    _track(names, options, track)
    if langs:
        _write(names, options, lib.XT_FROM_LANGS, ".".join(langs), "source_langs")
    if vector is not None:
        _write_vector(names, options, Vector.of(vector, model.info))
    if plan is not None:
        _plans.fill(names, options, plan, model.info)
    bar = Bar(progress, "sweep", "response")
    call = Call(progress=lambda now: bar(now.share * now.responses_in_all, now.responses_in_all))
    made, store = ffi.new("xt_job **"), ffi.new("xt_store **")
    try:
        with model._use():
            if chat:
                said = names.text(system, "system")
                run(lib.xt_dataset_chat, questions, model._tokenizer, said, int(time.time()))
            call.run(lib.xt_job_create, model._model, questions, options, made)
            planned, content = ffi.gc(made[0], lib.xt_job_free), model._find_hash()
            run(lib.xt_store_open, to_path(output), lib.XT_STORE_WRITE, store)
            try:
                lib.xt_store_on_wait(store[0], lib.xtpy_store_wait, ffi.NULL)
                call.run(lib.xt_job_plan, planned, store[0], content)
                call.run(lib.xt_job_run, planned, model._session, store[0], ffi.NULL)
            finally:
                lib.xt_store_close(store[0])
    finally:
        bar.close()
