#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes tests/golden/data/statistics.json with SciPy and statsmodels: exact McNemar and sign-flip tests, adjusted p-values,
quantiles, Wilson's intervals, standard errors by cluster, bootstrap intervals.

    tools/make_statistics_goldens.py > tests/golden/data/statistics.json
"""
import json

import numpy as np
import scipy
import statsmodels
import statsmodels.api as sm
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar as sm_mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

rng = np.random.default_rng(20250101)


pairs = [(0, 0), (1, 0), (0, 5), (3, 3), (10, 2), (2, 10), (25, 24), (50, 20), (0, 30), (123, 80), (700, 600), (1500, 1200), (0, 1000)]
for b, c in pairs:
    if b + c:
        assert np.isclose(sm_mcnemar([[0, b], [c, 0]], exact=True).pvalue, stats.binomtest(b, b + c, 0.5).pvalue)
mcnemar = [[b, c, stats.binomtest(b, b + c, 0.5).pvalue if b + c else 1.0] for b, c in pairs]
adjusted = []
for n in (1, 2, 7, 64):
    p = np.round(rng.random(n) ** 3, 4)
    if n == 7:
        p[3] = p[1]  # a tie
    adjusted.append({"p": p.tolist(), "holm": multipletests(p, method="holm")[1].tolist(), "bh": stats.false_discovery_control(p).tolist()})
flips = []  # exact: every pattern of signs
for d in ([1, 2, 3, 4], [3, -1, 2, 2, 0, 0, -1, 4, 1, 1], [5, 5, -3, 2, 1, 1, -1, 2], [0.5, 1.25, -0.75, 2, 0.1, 0.1], [0.5, 1 / 3, 0.25, -0.2, 1 / 3, -1, 0.5, 0.5, 0.2, 0.25, 1, -0.5]):
    test = stats.permutation_test((np.array(d, float),), np.sum, permutation_type="samples", n_resamples=np.inf, alternative="two-sided", vectorized=False)
    sums = np.array([(np.array(d) * (1 - 2 * (k >> np.arange(len(d)) & 1))).sum() for k in range(2 ** len(d))])
    p = float((np.abs(sums) >= abs(sum(d)) - 1e-9).mean())
    assert np.isclose(p, test.pvalue)  # SciPy doubles the smaller tail, which is the same of a symmetric distribution
    flips.append({"differences": d, "p": p})
student = [[p, n, stats.t.ppf(p, n)] for n in (1, 2, 3, 10, 49, 50, 999) for p in (0.001, 0.025, 0.2, 0.975)]
normal = [[p, stats.norm.ppf(p)] for p in (1e-6, 0.005, 0.025, 0.3, 0.5, 0.975)]
wilson = [[x, n, *proportion_confint(x, n, 0.05, "wilson")] for x, n in ((0, 2), (3, 3), (1, 9), (40, 50), (615, 700))]
clusters = []  # 0 or 1 in languages by clusters: the mean's standard error by cluster, with statsmodels' n / (n - 1) and nothing else
for questions, langs in ((12, 5), (50, 3)):
    x = (rng.random((langs, questions)) < 0.2 + 0.6 * rng.random(questions)).astype(int)
    group = np.tile(np.arange(questions), langs)
    fit = sm.OLS(x.ravel(), np.ones(x.size)).fit(cov_type="cluster", cov_kwds={"groups": group, "use_correction": False})
    clusters.append({"right": x.tolist(), "mean": float(fit.params[0]), "error": float(fit.bse[0] * np.sqrt(questions / (questions - 1)))})
bootstrap = []
for n, won, lost in ((60, 14, 5), (200, 30, 31), (700, 90, 40)):
    d = np.array([1.0] * won + [-1.0] * lost + [0.0] * (n - won - lost))
    tail = stats.norm.sf(stats.t.isf(0.025, n - 1) * np.sqrt(n / (n - 1)))  # expanded percentiles
    interval = stats.bootstrap((d,), np.mean, n_resamples=200000, batch=2000, method="percentile", confidence_level=1 - 2 * tail, random_state=rng).confidence_interval
    bootstrap.append({"count": n, "won": won, "lost": lost, "low": interval.low, "high": interval.high})
print(json.dumps({"scipy": scipy.__version__, "statsmodels": statsmodels.__version__, "flips": flips, "student": student, "normal": normal, "wilson": wilson,
                  "clusters": clusters, "mcnemar": mcnemar, "adjusted": adjusted, "bootstrap": bootstrap}, indent=1))
