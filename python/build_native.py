# SPDX-License-Identifier: Apache-2.0
"""Writes the C source of the extension module: build_native.py INCLUDE OUTPUT

The public headers are what the module is made of, so that a declaration stands in one place. cffi
reads plain C: comments, includes and what is for C++ are taken out, and of the macros the numbers
stay.
"""

import pathlib
import re
import sys

import cffi

# In an order in which each finds the types of those before it.
HEADERS = (
    "api",
    "error",
    "version",
    "tokenizer",
    "model",
    "engine",
    "score",
    "sweep",
    "vector",
    "tasks",
    "langid",
    "store",
    "job",
    "metrics",
    "analysis",
    "select",
    "report",
)

# What the library calls back.
CALLBACKS = """
extern "Python" {
bool xtpy_cancel(void *user);
bool xtpy_stop(void *user, size_t request, const int32_t *ids, size_t count);
void xtpy_generate_progress(void *user, double requests);
void xtpy_job_progress(void *user, const xt_job_progress *progress);
void xtpy_warn(void *user, const char *message);
bool xtpy_store_wait(void *user, const xt_store_wait *wait);
void xtpy_write(void *user, const xt_intervention *put, int source_layer);
xt_status xtpy_rows(void *user, const xt_store_row *rows, size_t count, xt_error *error);
}
"""


def declarations(header: str) -> str:
    """A header as cffi reads it."""
    text = re.sub(r"/\*.*?\*/", "", header, flags=re.DOTALL).replace("\\\n", "")
    text = re.sub(r"#ifdef __cplusplus.*?#endif", "", text, flags=re.DOTALL)
    numbers = re.findall(r"^#define +(\w+) +\(?(-?\d+)\)? *$", text, flags=re.MULTILINE)
    text = re.sub(r"^#.*$", "", text, flags=re.MULTILINE)
    text = re.sub(r"\bXT_API\b", "", text)
    return "".join(f"#define {name} {value}\n" for name, value in numbers) + text


def main() -> None:
    include, output = map(pathlib.Path, sys.argv[1:])
    builder = cffi.FFI()
    for name in HEADERS:
        builder.cdef(
            declarations((include / "xtransplant" / f"{name}.h").read_text(encoding="utf-8"))
        )
    builder.cdef(CALLBACKS)
    builder.set_source(
        "xtransplant._native",
        "#include <stdlib.h>\n#include <xtransplant/xt.h>\n",
        py_limited_api=True,
    )
    builder.emit_c_code(str(output))


main()
