#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes tests/golden/data/statistics.json with SciPy: exact McNemar tests, adjusted p-values, bootstrap intervals.

    tools/make_statistics_goldens.py > tests/golden/data/statistics.json
"""
import json

import numpy as np
import scipy
from scipy import stats

rng = np.random.default_rng(20250101)


def holm(p):
    """As R's p.adjust(p, "holm")."""
    order = np.argsort(p, kind="stable")
    adjusted = np.minimum(1, np.maximum.accumulate((len(p) - np.arange(len(p))) * p[order]))
    out = np.empty_like(p)
    out[order] = adjusted
    return out


pairs = [(0, 0), (1, 0), (0, 5), (3, 3), (10, 2), (2, 10), (25, 24), (50, 20), (0, 30), (123, 80), (700, 600), (1500, 1200), (0, 1000)]
mcnemar = [[b, c, stats.binomtest(b, b + c, 0.5).pvalue if b + c else 1.0] for b, c in pairs]
adjusted = []
for n in (1, 2, 7, 64):
    p = np.round(rng.random(n) ** 3, 4)
    if n == 7:
        p[3] = p[1]  # a tie
    adjusted.append({"p": p.tolist(), "holm": holm(p).tolist(), "bh": stats.false_discovery_control(p).tolist()})
bootstrap = []
for n, won, lost in ((60, 14, 5), (200, 30, 31), (700, 90, 40)):
    d = np.array([1.0] * won + [-1.0] * lost + [0.0] * (n - won - lost))
    interval = stats.bootstrap((d,), np.mean, n_resamples=200000, batch=2000, method="percentile", confidence_level=0.95, random_state=rng).confidence_interval
    bootstrap.append({"count": n, "won": won, "lost": lost, "low": interval.low, "high": interval.high})
print(json.dumps({"scipy": scipy.__version__, "mcnemar": mcnemar, "adjusted": adjusted, "bootstrap": bootstrap}, indent=1))
