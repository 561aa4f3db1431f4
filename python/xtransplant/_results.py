# SPDX-License-Identifier: Apache-2.0
"""Results files: responses, gains, heatmaps, reports."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import pathlib
from typing import TYPE_CHECKING, Any, Optional, Sequence, Union

import numpy as np

from ._extras import need
from ._library import Call, Error, Handle, Status, ffi, lib, run, to_c, to_facts, to_path, to_str

if TYPE_CHECKING:
    import pandas

    from ._responses import ResponseColumns

Path = Union[str, "os.PathLike[str]"]

SHOWN_MOST = 32 << 20  # bytes of a page in a notebook
GROUP_ROWS = 100_000  # of a Parquet file


@dataclasses.dataclass(frozen=True)
class ResultsInfo:
    """Facts about a results file, as ``xt_store_info`` has them."""

    path: str
    model_hash: str
    model_name: str
    compute: str
    layers: int
    max_new_tokens: int
    repetition_penalty: float
    ignore_eos: bool
    questions: int
    responses: int
    vanilla: int
    texts: int
    runs: int
    bytes: int


def open(path: Path) -> Results:
    """Opens a results file for reading. No model is needed."""
    return Results(path)


class Results(Handle):
    """A results file (`open`). In a notebook it shows its report."""

    _what = "results file"

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._open = False
        out = ffi.new("xt_store **")
        run(lib.xt_store_open, to_path(path), lib.XT_STORE_READ, out)
        self.path = path
        self._store = out[0]
        self._analysis: Any = None
        self._open = True

    def _free(self) -> None:
        lib.xt_analysis_free(self._analysis if self._analysis is not None else ffi.NULL)
        lib.xt_store_close(self._store)

    def __repr__(self) -> str:
        if not self._open:
            return f"<xtransplant.Results {self.path}, closed>"
        info = self.info
        return (
            f"<xtransplant.Results {info.path}: {info.responses} responses of {info.questions} "
            f"questions, {info.layers} layers, {info.model_name}>"
        )

    @property
    def info(self) -> ResultsInfo:
        """Facts about the file."""
        facts = ffi.new("xt_store_info *")
        with self._use():
            run(lib.xt_store_get_info, self._store, facts)
            return to_facts(ResultsInfo, facts)

    # ---- responses

    def responses(
        self, site: Optional[str] = None, *, lang: Optional[str] = None, task: Optional[str] = None
    ) -> pandas.DataFrame:
        """The responses, a row each, in an order that depends on content alone.

        Args:
            site: ``"vanilla"`` are the untouched runs, ``"source"`` the source prompts' own
                responses; None: all but the latter. One that the file does not have is refused.
            lang, task: None: all.

        Returns:
            A DataFrame with the columns ``id``, ``task``, ``lang``, ``source_lang``, ``question``,
            ``source``, ``target``, ``gold`` (a list where several answers are right), ``site``, ``source_layer`` and ``target_layer`` (-1:
            no transplant), ``text``, ``correct`` (missing where there is no gold), ``tokens``,
            ``margin`` (the smallest of the response), ``entropy`` (nats, of the first token's
            distribution), ``mean_entropy``, ``mean_logprob``, and where they were measured
            ``nll_standalone``, ``nll_conditional`` (nats per token) and ``language``; of the first
            token, where the sweep stored it, ``kl_untouched`` and ``kl_source`` (divergences, nats)
            and ``tracked`` (JSON: kind, answer, spelling and log-probability of each answer; a
            spelling of ``null`` is a word directly and after a space).
        """
        need("pandas", "pandas", "Results.responses()")
        from ._responses import ResponseColumns

        columns = ResponseColumns()
        self._read(columns, site, lang, task)
        return columns.frame()

    def _read(
        self,
        columns: ResponseColumns,
        site: Optional[str],
        lang: Optional[str],
        task: Optional[str],
    ) -> None:
        """Gives the columns the rows that are wanted; the library reads no others. A site that the
        file does not have is refused."""
        from ._responses import Sites

        wanted = {"site": site, "lang": lang, "task": task}
        kept = {k: ffi.new("char[]", to_c(v, k)) for k, v in wanted.items() if v is not None}
        read, only = lib.xt_store_read_questions, ffi.new("xt_store_read_options *", kept)
        with self._use():
            Call(rows=columns.add).run(read, self._store, only, lib.xtpy_rows, ffi.NULL)
            if columns.any or site in (None, "vanilla", "source"):
                return
            has = Sites()  # nothing was found; does the file have such a site at all?
            Call(rows=has.add).run(read, self._store, ffi.NULL, lib.xtpy_rows, ffi.NULL)
        if site not in has.names:
            raise Error(
                Status.ARGUMENT,
                f"has no responses at site '{site}'; it has {', '.join(sorted(has.names))}",
                file=str(self.path),
                field="site",
            )

    def to_parquet(
        self,
        path: Path,
        site: Optional[str] = None,
        *,
        lang: Optional[str] = None,
        task: Optional[str] = None,
    ) -> None:
        """Writes `responses` as a Parquet file, for Arrow, DuckDB, polars or Spark: in groups of
        100,000 rows, so that a file of any size takes little memory. The file is written
        completely or not at all; one that is there is replaced.

        Args:
            path: of the file. In it ``gold`` is always a list.
            site, lang, task: as `responses` has them.
        """
        need("pandas", "parquet", "Results.to_parquet()")
        need("pyarrow.parquet", "parquet", "Results.to_parquet()")
        from ._parquet import Writer
        from ._responses import ResponseColumns

        with Writer(path) as writer:
            columns = ResponseColumns((GROUP_ROWS, writer.add))
            self._read(columns, site, lang, task)
            writer.add(columns.frame())

    # ---- scores

    def _groups(self) -> list[Any]:
        """The tasks with scored questions, as ``xt_group``, while the results file, which holds
        them, is in use."""
        if self._analysis is None:
            out = ffi.new("xt_analysis **")
            run(lib.xt_analysis_create, self._store, ffi.NULL, out)
            self._analysis = out[0]
        return [
            lib.xt_analysis_get(self._analysis, k)
            for k in range(lib.xt_analysis_count(self._analysis))
        ]

    def _site(self, site: str, task: Optional[str], pivot: Optional[str]) -> tuple[Any, Any]:
        """The one group of a task and pivot that has the site, and the site in it."""
        found = [
            (group, group.sites[k])
            for group in self._groups()
            for k in range(group.site_count)
            if to_str(group.sites[k].site) == site
            and task in (None, to_str(group.task))
            and pivot in (None, to_str(group.pivot))
        ]
        if not found:
            raise Error(
                Status.ARGUMENT,
                f"has no scored responses at site '{site}'"
                + (f" of task '{task}'" if task else ""),
                file=str(self.path),
            )
        if len(found) > 1:
            several = ", ".join(
                f"{to_str(group.task)} from {to_str(group.pivot) or 'its languages'}"
                + (", cot" if group.cot else "")
                for group, _ in found
            )
            raise Error(
                Status.ARGUMENT,
                f"has several: {several}; name task= and pivot=",
                file=str(self.path),
                field="task",
            )
        return found[0]

    def gain(
        self,
        site: str,
        *,
        lang: Optional[str] = None,
        task: Optional[str] = None,
        pivot: Optional[str] = None,
    ) -> pandas.DataFrame:
        """Accuracy with each transplant minus the untouched model's, over the questions that have
        both.

        Args:
            site: of the transplants.
            lang: None: all together.
            task, pivot: where the file has several.

        Returns:
            A DataFrame of fractions, not per cent: a row a source layer, a column a target layer,
                both from 0; missing where there is
            no response.
        """
        need("pandas", "pandas", "Results.gain()")
        from ._frames import layer_frame

        with self._use():
            group, found = self._site(site, task, pivot)
            layers = group.layers
            if lang is None:
                cells = [found.configurations[k] for k in range(layers * layers)]
                values = np.array([cell.gain if cell.count else math.nan for cell in cells])
            else:
                values = self._language_gain(group, found, lang)
        return layer_frame(values.reshape(layers, layers))

    def _language_gain(self, group: Any, found: Any, lang: str) -> Any:
        names = [to_str(group.languages[k].name) for k in range(group.language_count)]
        if lang not in names:
            raise Error(
                Status.ARGUMENT,
                f"has no language '{lang}'; it has {', '.join(names)}",
                file=str(self.path),
                field="lang",
            )
        size = group.layers * group.layers
        at = names.index(lang) * size
        correct, vanilla, count = (
            np.frombuffer(ffi.buffer(pointer + at, size * 4), np.int32).astype(float)
            for pointer in (found.language_correct, found.language_vanilla, found.language_count)
        )
        with np.errstate(invalid="ignore"):
            return (correct - vanilla) / np.where(count > 0, count, math.nan)

    def heatmap(
        self,
        site: str,
        *,
        lang: Optional[str] = None,
        task: Optional[str] = None,
        pivot: Optional[str] = None,
        ax: Any = None,
    ) -> Any:
        """Draws `gain` as a heatmap, in percentage points, and returns the matplotlib Axes."""
        need("pandas", "plot", "Results.heatmap()")
        need("matplotlib", "plot", "Results.heatmap()")
        from ._frames import heatmap

        return heatmap(
            self.gain(site, lang=lang, task=task, pivot=pivot),
            f"{site}{', ' + lang if lang else ''}",
            ax,
        )

    def coverage(self) -> Any:
        """The share of the planned responses that is there, in the form of ``docs/FORMATS.md``."""
        out, text = ffi.new("xt_coverage **"), ffi.new("char **")
        with self._use():
            run(lib.xt_coverage_create, self._store, out)
        coverage = ffi.gc(out[0], lib.xt_coverage_free)
        run(lib.xt_coverage_json, coverage, text)
        return json.loads(to_str(ffi.gc(text[0], lib.xt_free)))

    # ---- reports

    def _report(self, one_based: bool, others: Sequence[Path]) -> Any:
        out = ffi.new("xt_report **")
        paths = [ffi.new("char[]", to_path(path)) for path in others]
        more = ffi.new("char *[]", paths)
        options = ffi.new(
            "xt_report_options *",
            {"one_based": one_based, "more": more, "more_count": len(paths)},
        )
        with self._use():
            run(lib.xt_report_create, to_path(self.path), options, out)
        return ffi.gc(out[0], lib.xt_report_free)

    def report(
        self,
        directory: Path,
        *,
        png: bool = False,
        pdf: bool = False,
        one_based: bool = False,
        others: Sequence[Path] = (),
    ) -> pathlib.Path:
        """Writes the paper's tables and figures, and one page with every response.

        Args:
            directory: made where it is not there.
            png, pdf: each figure so too.
            one_based: layers count from 1 in everything that is shown.
            others: results files of other models, or of other tasks or sites of this one: a table
                compares them, another names what they lack.

        Returns:
            The path of the page, ``report.html``.
        """
        how = ffi.new("xt_report_write_options *", {"png": png, "pdf": pdf})
        run(lib.xt_report_write, self._report(one_based, others), to_path(directory), how)
        return pathlib.Path(directory) / "report.html"

    def text(self, table: Optional[str] = None, *, others: Sequence[Path] = ()) -> str:
        """The report as text for a terminal: ``"summary"``, a table by its name, which is that of
        its .csv file in `report`'s folder (``"table4"``), or everything. With ``others``, as in
        `report`, also ``"models"`` and ``"models-lacks"``. A table that the report does not have
        is refused."""
        named = ffi.new("char[]", to_c(table, "table")) if table is not None else ffi.NULL
        out, length = ffi.new("char **"), ffi.new("size_t *")
        run(
            lib.xt_report_text,
            self._report(False, others),
            ffi.new("xt_report_text_options *", {"table": named}),
            out,
            length,
        )
        text = bytes(ffi.buffer(ffi.gc(out[0], lib.xt_free), length[0])).decode()
        if table is not None and not text:
            raise Error(
                Status.ARGUMENT,
                f"its report has no table '{table}'; their names are those of the .csv files that "
                "report() writes",
                file=str(self.path),
                field="table",
            )
        return text

    def _repr_html_(self) -> str:
        import html
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            page = self.report(pathlib.Path(folder) / "report").read_text(encoding="utf-8")
        if len(page) > SHOWN_MOST:
            said = f"{self!r}: its page is too large to be shown here; write it with report()"
            return f"<p>{html.escape(said)}</p>"
        style = "width:100%;height:720px;border:1px solid #ccc"
        return f'<iframe srcdoc="{html.escape(page)}" style="{style}"></iframe>'
