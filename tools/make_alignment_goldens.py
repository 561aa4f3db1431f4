#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/golden/least_squares.json: linear maps by numpy's least squares, of more rows than columns and of fewer.

The ridge is written as further rows: |W x - y|^2 + r |W|^2 is the sum over the rows and over sqrt(r) times the unit vectors, with targets of 0.
Needs numpy.

    tools/make_alignment_goldens.py
"""
import json
import pathlib

import numpy as np

rng = np.random.default_rng(20)
cases = []
for rows, width, to, ridge in ((40, 7, 5, 1e-3), (4, 9, 9, 0.5), (30, 12, 12, 1e-6)):
    x = rng.normal(size=(rows, width)).astype(np.float32)
    y = (x @ rng.normal(size=(width, to)) + 0.1 * rng.normal(size=(rows, to))).astype(np.float32)
    a = np.vstack([x.astype(float), np.sqrt(ridge) * np.eye(width)])
    b = np.vstack([y.astype(float), np.zeros((width, to))])
    solution = np.linalg.lstsq(a, b, rcond=None)[0].T
    cases.append(dict(rows=rows, width=width, to=to, ridge=ridge, x=[float(v) for v in x.ravel()], y=[float(v) for v in y.ravel()],
                      map=[float(v) for v in solution.ravel()]))
path = pathlib.Path(__file__).parent.parent / "tests/golden/least_squares.json"
path.write_text(json.dumps(cases, separators=(",", ":")) + "\n")
