# SPDX-License-Identifier: Apache-2.0
"""A dataset swept into a results file: `Model.sweep`."""

from __future__ import annotations

import json
import math
import os
import time
from typing import TYPE_CHECKING, Any, Iterable, Mapping, Optional, Sequence, Union

from ._extras import Bar, Progress
from ._library import Call, Error, Status, ffi, lib, run, to_path

if TYPE_CHECKING:
    from ._model import Model


def _records(pairs: Any) -> Iterable[Mapping[str, Any]]:
    """Dicts of a DataFrame, a datasets.Dataset, or any iterable of dicts."""
    frame = hasattr(pairs, "to_dict") and hasattr(pairs, "columns")
    records: Iterable[Mapping[str, Any]] = pairs.to_dict("records") if frame else pairs
    return records


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

    def text(self, value: Optional[str]) -> Any:
        return ffi.NULL if value is None else self.keep("char[]", value.encode())


def _open_dataset(
    names: _Names, pairs: Any, benchmark: tuple[Any, Any], settings: Mapping[str, Any]
) -> Any:
    languages = settings["languages"]
    if isinstance(languages, str):
        raise Error(Status.ARGUMENT, "is one text; give a list of languages", field="languages")
    options = ffi.new(
        "xt_dataset_options *",
        {
            "pivot": names.text(settings["pivot"]),
            "limit": settings["limit"],
            "cot": settings["cot"],
            "others": settings["others"],
        },
    )
    if languages is not None:
        options.languages = names.keep(
            "const char *[]", [names.text(each) for each in languages] + [ffi.NULL]
        )
        options.language_count = len(languages)
    task, data = benchmark
    out = ffi.new("xt_dataset **")
    if (pairs is None) == (task is None):
        raise Error(Status.ARGUMENT, "give either pairs, or task and data")
    if task is not None:
        found = lib.xt_task_find(task.encode())
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


def _listed(given: Union[str, Sequence[str]]) -> list[str]:
    return [given] if isinstance(given, str) else list(given)


def _job_options(
    names: _Names,
    sites: Optional[list[str]],
    controls: list[str],
    layers: tuple[Any, Any],
    shard: Optional[tuple[int, int]],
    job: Mapping[str, Any],
) -> Any:
    options = ffi.new(
        "xt_job_options *",
        {
            **job,
            "command": names.text(json.dumps({"verb": "sweep", "from": "python"})),
            "warn": lib.xtpy_warn,
            "progress": lib.xtpy_job_progress,
            "cancel": lib.xtpy_cancel,
        },
    )
    if sites is not None:
        options.sites, options.site_count = _sites(names, sites, lib.xt_site_parse), len(sites)
    options.controls = _sites(names, controls, lib.xt_control_parse)
    options.control_count = len(controls)
    for name, chosen in zip(("source_layers", "target_layers"), layers):
        if chosen is not None:
            setattr(options, name, names.keep("int[]", list(chosen)))
            setattr(options, name[:-1] + "_count", len(chosen))
    if shard is not None:
        options.shard, options.shards = shard
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
    layers: tuple[Any, Any],
    shard: Optional[tuple[int, int]],
    replace: bool,
    job: Mapping[str, Any],
) -> None:
    """What `Model.sweep` says."""
    model._need_open()
    names, controlled = _Names(), _listed(controls)
    questions = _open_dataset(names, pairs, benchmark, {**dataset, "others": bool(controlled)})
    if system is not None and not chat:
        raise Error(Status.ARGUMENT, "is only with chat=True", field="system")
    options = _job_options(
        names,
        None if sites is None else _listed(sites),
        controlled,
        layers,
        shard,
        {**job, "replace": replace},
    )
    bar = Bar(progress, "sweep", "response")
    call = Call(progress=lambda now: bar(now.share * now.responses_in_all, now.responses_in_all))
    made, store = ffi.new("xt_job **"), ffi.new("xt_store **")
    try:
        with model._use():
            if chat:
                said = names.text(system)
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
