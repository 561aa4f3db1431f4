/* SPDX-License-Identifier: Apache-2.0 */
'use strict';
// Statistics of a configuration against the untouched model, what the map can be coloured by, and files made in the browser.
const measures = (() => {
  // ---- statistics ----------------------------------------------------------------------------------
  const logs = [0]; // logarithms of factorials
  function logFactorial(n) {
    while (logs.length <= n) logs.push(logs[logs.length - 1] + Math.log(logs.length));
    return logs[n];
  }
  // Two-sided exact McNemar test, as xt_mcnemar_exact.
  function mcnemar(won, lost) {
    const n = won + lost;
    let sum = 0;
    for (let k = 0; k <= Math.min(won, lost); k++) sum += Math.exp(logFactorial(n) - logFactorial(k) - logFactorial(n - k) - n * Math.LN2);
    return Math.min(1, 2 * sum);
  }
  // Adjusts p-values (null: none) for there being many: Holm (1979), or Benjamini and Hochberg (1995).
  function adjust(p, holm) {
    const order = p.map((value, i) => i).filter(i => p[i] !== null).sort((a, b) => p[a] - p[b]), out = p.map(() => null), n = order.length;
    let last = holm ? 0 : 1;
    for (let k = 0; k < n; k++) {
      const at = order[holm ? k : n - 1 - k], rank = holm ? n - k : n / (n - k);
      last = holm ? Math.max(last, Math.min(1, p[at] * rank)) : Math.min(last, p[at] * rank);
      out[at] = last;
    }
    return out;
  }
  // The normal distribution's quantile on both sides, by halving; its function after Abramowitz and Stegun 26.2.17.
  function quantile(confidence) {
    const above = x => {
      const t = 1 / (1 + 0.2316419 * x);
      return Math.exp(-x * x / 2) / Math.sqrt(2 * Math.PI) * t * (0.319381530 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
    };
    let low = 0, high = 8;
    for (let k = 0; k < 60; k++) if (2 * above((low + high) / 2) > 1 - confidence) low = (low + high) / 2; else high = (low + high) / 2;
    return low;
  }
  // Of the mean of paired differences +1, 0, -1.
  function interval(n, won, lost, confidence) {
    const gain = (won - lost) / n, error = Math.sqrt(Math.max(0, ((won + lost) / n - gain * gain) / n)), z = quantile(confidence);
    return [gain - z * error, gain + z * error];
  }

  // ---- what is shown, and how ----------------------------------------------------------------------
  const percent = x => (100 * x).toFixed(1);
  const points = x => (x >= 0.0005 ? '+' : x > -0.0005 ? '' : '−') + Math.abs(100 * x).toFixed(1);
  const chance = p => p === null ? '–' : p < 0.0001 ? p.toExponential(1) : p.toFixed(4);

  const signed = x => (x < 0 ? '−' : '+') + Math.abs(x).toFixed(2);
  const number = x => (x < 0 ? '−' : '') + (Math.abs(x) < 1000 ? Math.abs(x).toFixed(2) : Math.abs(x).toPrecision(3));

  // How the values of a map are shown and drawn, by what meta calls its scale.
  const scales = {
    share: { show: percent }, points: { show: points, diverging: true }, signed: { show: signed, diverging: true }, number: { show: number },
    logarithm: { show: x => x < 1000 ? x.toFixed(1) : x.toPrecision(3), logarithmic: true },
  };
  // What a site's map can be coloured by: its maps, in the order that the program gives them.
  const colourings = site => site.maps.map(([id, title, unit, scale]) => ({ id, title, unit, ...scales[scale] }));

  // How values are drawn: the ends of the scale, and of each value a class and the share of its colour.
  function colours(how, maps) {
    const there = maps.flatMap(map => Array.from(map).filter(v => !Number.isNaN(v))), scale = how.logarithmic ? Math.log : x => x;
    const least = there.reduce((a, b) => Math.min(a, b), Infinity), largest = there.reduce((a, b) => Math.max(a, b), -Infinity);
    const low = scale(least), high = scale(largest), most = Math.max(Math.abs(low), Math.abs(high));
    return {
      ends: !there.length ? null : how.diverging ? [-most, most] : [least, largest],
      kind: value => Number.isNaN(value) ? 'none' : !how.diverging ? 'q' : value > 0 ? 'p' : value < 0 ? 'n' : '',
      part: value => Number.isNaN(value) ? 0 : how.diverging ? (most ? Math.abs(value) / most : 0) : high > low ? (scale(value) - low) / (high - low) : 0,
    };
  }

  // A map of the differences of two: of shares in points, of other values with their sign.
  const difference = how => ({ unit: how.unit === '%' ? 'points' : how.unit, diverging: true, show: how.show === percent ? points : how.diverging ? how.show : x => (x > 0 ? '+' : x < 0 ? '−' : '') + how.show(Math.abs(x)) });

  const element = (tag, attributes = {}, ...children) => {
    const e = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) if (value !== null) e.setAttribute(key, value);
    e.append(...children);
    return e;
  };

  // ---- files ---------------------------------------------------------------------------------------
  function download(name, type, text) {
    const link = document.createElement('a');
    link.href = URL.createObjectURL(new Blob([text], { type }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }
  // For a POSIX shell; bash's $'..' where there are control characters.
  function quote(text) {
    if (/^[\w./:=,+-]+$/.test(text)) return text;
    // eslint-disable-next-line no-control-regex
    if (!/[\x00-\x08\x0b-\x1f\x7f]/.test(text)) return `'${text.replaceAll("'", "'\\''")}'`;
    return "$'" + [...text].map(c => c === "'" || c === '\\' ? '\\' + c : c < ' ' || c === '\x7f' ? '\\x' + c.charCodeAt(0).toString(16).padStart(2, '0') : c).join('') + "'";
  }

  return { mcnemar, adjust, interval, percent, points, chance, colourings, colours, difference, element, download, quote };
})();
