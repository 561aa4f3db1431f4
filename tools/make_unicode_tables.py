# SPDX-License-Identifier: Apache-2.0
"""Writes src/text/unicode_category.c, unicode_script.c and unicode_binary.c: the properties of Unicode 16 that regular
expressions ask for, as the packages regex 2024.11.6 and unicodedata2 16.0 have them.

  --check   also compares each property with what tokenizers' Oniguruma matches, over all code points
"""
import argparse
import os
import sys

import regex
import unicodedata2

TEXT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "src", "text")
END = 0x110000
CATEGORIES = ["Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po",
              "Sm", "Sc", "Sk", "So", "Zs", "Zl", "Zp", "Cc", "Cf", "Cs", "Co", "Cn"]
BINARY = ["Alphabetic", "Uppercase", "Lowercase", "Ideographic", "Unified_Ideograph", "Emoji", "Emoji_Presentation",
          "Emoji_Modifier", "Emoji_Modifier_Base", "Emoji_Component", "Extended_Pictographic"]
HEAD = """/* SPDX-License-Identifier: Apache-2.0 AND Unicode-3.0 */
/* Written by tools/make_unicode_tables.py from Unicode 16.0; do not change by hand. */
#include "text/unicode_data.h"
"""


def script_names():
    """The long names of all scripts, in Unicode's order of their first code points."""
    from regex import _regex_core
    values = _regex_core.PROPERTIES["SCRIPT"][1]
    names = {}
    for name, value in values.items():
        names.setdefault(value, []).append(name)
    return {value: max(options, key=len) for value, options in names.items()}, names


def runs(value_of):
    """(first code point, value) wherever the value changes."""
    out, last = [], None
    for code in range(END):
        value = value_of(code)
        if value != last:
            out.append((code, value))
            last = value
    return out


def numbers(values):
    lines, line = [], "   "
    for value in values:
        piece = f" 0x{value:X},"
        if len(line) + len(piece) > 118:
            lines.append(line)
            line = "   "
        line += piece
    return "\n".join(lines + [line])


def write(name, text):
    with open(os.path.join(TEXT, name), "w", encoding="utf-8") as out:
        out.write(HEAD + text)


def members(pattern):
    found = regex.compile(pattern)
    return [bool(found.match(chr(code))) for code in range(END)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    if unicodedata2.unidata_version != "16.0.0" or regex.__version__ != "2.5.148":
        sys.exit(f"wanted unicodedata2 16.0 and regex 2024.11.6 (2.5.148), not {unicodedata2.unidata_version} and {regex.__version__}")
    index = {name: i for i, name in enumerate(CATEGORIES)}
    category = runs(lambda code: index[unicodedata2.category(chr(code))])
    write("unicode_category.c",
          "\nconst char unicode_category_names[UNICODE_CATEGORIES][3] = {\n    " +
          ", ".join(f'"{name}"' for name in CATEGORIES[:15]) + ",\n    " + ", ".join(f'"{name}"' for name in CATEGORIES[15:]) +
          "};\n\nconst uint32_t unicode_category_runs[] = {\n" + numbers(code << 8 | value for code, value in category) +
          f"}};\n\nconst size_t unicode_category_count = {len(category)};\n")

    longest, names = script_names()
    of = [None] * END
    for value, name in longest.items():
        for i, inside in enumerate(members(rf"\p{{Script={name}}}")):
            if inside:
                of[i] = name
    used = sorted({name for name in of if name})
    index = {name: i for i, name in enumerate(used)}
    script = runs(lambda code: index[of[code]])
    aliases = {longest[value]: sorted(options, key=lambda n: (-len(n), n))[:2] for value, options in names.items()}
    rows, line = [], "   "
    for name in used:
        pair = aliases[name]
        piece = ' {"%s", "%s"},' % (pair[0].lower().replace("_", ""), pair[-1].lower())
        if len(line) + len(piece) > 118:
            rows.append(line)
            line = "   "
        line += piece
    write("unicode_script.c",
          "\nconst char *const unicode_script_names[][2] = {\n" + "\n".join(rows + [line]) + "};\n\n"
          f"const size_t unicode_scripts = {len(used)};\n\nconst uint32_t unicode_script_runs[] = {{\n" +
          numbers(code << 8 | value for code, value in script) + f"}};\n\nconst size_t unicode_script_count = {len(script)};\n")

    text = ""
    for name in BINARY:
        toggles = [code for code, value in runs(dict(enumerate(members(rf"\p{{{name}}}"))).__getitem__)][1:]
        if len(toggles) % 2:
            sys.exit(f"{name}: does not end before U+10FFFF")
        text += f"\nstatic const uint32_t {name.lower()}[] = {{\n" + numbers(toggles) + "};\n"
    text += "\nconst UnicodeBinary unicode_binary[] = {\n" + "\n".join(
        f'    {{"{name.lower().replace("_", "")}", {name.lower()}, sizeof {name.lower()} / sizeof(uint32_t)}},' for name in BINARY)
    write("unicode_binary.c", text + f"}};\n\nconst size_t unicode_binaries = {len(BINARY)};\n")


if __name__ == "__main__":
    main()
