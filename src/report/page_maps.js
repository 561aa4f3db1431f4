/* SPDX-License-Identifier: Apache-2.0 */
'use strict';
// The packed data of the page (the top of page_data.c says what they are), and the maps that are made of them.
const maps = (() => {
  const ABSENT = 0xffffffff;
  const once = load => { const kept = new Map(); return name => { if (!kept.has(name)) kept.set(name, load(name)); return kept.get(name); }; };

  // The data of a store, whose names begin with `prefix`.
  const store = once(prefix => {
    async function unpack(name) {
      const text = document.getElementById('x-' + prefix + name).textContent;
      const bytes = Uint8Array.fromBase64 ? Uint8Array.fromBase64(text) : Uint8Array.from(atob(text), c => c.charCodeAt(0));
      return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream('deflate'))).arrayBuffer();
    }
    return {
      numbers: once(async name => new Uint32Array(await unpack(name))),
      floats: once(async name => new Float32Array(await unpack(name))),
      shorts: once(async name => new Uint16Array(await unpack(name))),
      json: once(async name => JSON.parse(new TextDecoder().decode(await unpack(name)))),
    };
  });

  // The responses of task g at site s, and its maps.
  async function open(prefix, g, s) {
    const data = store(prefix), meta = await data.json('meta');
    const [texts, right, packed] = await Promise.all([data.numbers(`t${g}-${s}`), data.numbers(`r${g}-${s}`), data.floats(`z${g}-${s}`)]);
    return { data, meta, g, s, group: meta.groups[g], site: meta.groups[g].sites[s], texts, right, packed, words: 2 * Math.ceil(meta.layers * meta.layers / 64) };
  }

  const isRight = (view, i, c) => view.right[i * view.words + (c >> 5)] >>> (c & 31) & 1;

  // The languages of a task by what is chosen: "all", "l:de", or "v:0" for those of a level.
  const languagesOf = (group, choice) => group.languages.filter(([name, level]) => choice === 'all' || choice === 'l:' + name || choice === 'v:' + level);

  // Scored responses of languages, per cell.
  function tally(view, languages) {
    const n = view.meta.layers * view.meta.layers, t = { there: new Int32Array(n), right: new Int32Array(n), vanilla: new Int32Array(n), won: new Int32Array(n), lost: new Int32Array(n) };
    for (const [, , first, count] of languages)
      for (let i = first; i < first + count; i++) {
        const untouched = view.group.instances[i][2];
        if (untouched === 2) continue;
        for (let c = 0; c < n; c++) {
          if (view.texts[i * n + c] === ABSENT) continue;
          const right = isRight(view, i, c);
          t.there[c]++;
          t.right[c] += right;
          t.vanilla[c] += untouched;
          if (right && !untouched) t.won[c]++;
          if (!right && untouched) t.lost[c]++;
        }
      }
    return t;
  }

  // The values of one of the site's maps in some languages, per cell (NaN: none), and of how many responses.
  function values(view, id, languages) {
    const n = view.meta.layers * view.meta.layers, places = n * view.group.languages.length, out = new Float64Array(n).fill(NaN), sums = new Float64Array(n), weights = new Float64Array(n);
    const first = 2 * places * view.site.maps.findIndex(map => map[0] === id);
    for (const language of languages) {
      const from = first + n * view.group.languages.indexOf(language);
      for (let c = 0; c < n; c++) {
        sums[c] += view.packed[from + c];
        weights[c] += view.packed[from + places + c];
      }
    }
    for (let c = 0; c < n; c++) if (weights[c]) out[c] = sums[c] / weights[c] + 0;
    return { out, weights };
  }

  return { ABSENT, store, open, isRight, languagesOf, tally, values };
})();
