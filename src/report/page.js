/* SPDX-License-Identifier: Apache-2.0 */
'use strict';
// The interactive part of the page.
(() => {
  const { ABSENT } = maps, PAGE = 40;
  const $ = id => document.getElementById(id);

  const { numbers, floats, shorts, json } = maps.store('');
  const { mcnemar, adjust, interval, percent, points, chance, colourings, colours, download, quote, element } = measures;

  let meta, cells = [];
  const state = { group: 0, site: 0, language: 'all', source: -1, target: -1, show: 'all', search: '', limit: PAGE, colour: 'gain', open: {} };
  const group = () => meta.groups[state.group];
  const site = () => group().sites[state.site];

  // ---- which instances, and what the cells say of them ------------------------------------------
  const languagesChosen = () => maps.languagesOf(group(), state.language);
  function chosen() {
    const out = [];
    for (const [, , first, count] of languagesChosen()) for (let i = first; i < first + count; i++) out.push(i);
    return out;
  }

  let current = null; // the responses of the site shown, as maps.open gives them
  let totals = null;  // per cell: {there, right, vanilla, won, lost}, and p-values
  let shown = null;   // per cell: what the map is coloured by; NaN: nothing is there
  // The colouring chosen; the first one of a site that does not have it.
  const colouring = () => colourings(site()).find(k => k.id === state.colour) || colourings(site())[0];
  const isRight = (i, c) => maps.isRight(current, i, c);

  function count() {
    totals = maps.tally(current, languagesChosen());
    const all = state.language === 'all';
    totals.p = all ? site().p : Array.from(totals.there, (there, c) => there ? mcnemar(totals.won[c], totals.lost[c]) : null);
    totals.holm = all ? site().holm : adjust(totals.p, true);
    totals.bh = all ? site().bh : adjust(totals.p, false);
  }
  const gain = c => (totals.right[c] - totals.vanilla[c]) / totals.there[c];

  // What the map shows, by the colouring chosen.
  const measure = () => { shown = maps.values(current, colouring().id, languagesChosen()).out; };

  // ---- heatmap -----------------------------------------------------------------------------------
  function buildGrid() {
    const n = meta.layers, heat = $('heat'), skip = n <= 16 ? 1 : n <= 40 ? 4 : 8;
    heat.style.gridTemplateColumns = heat.style.gridTemplateRows = `repeat(${n}, minmax(0, 1fr))`;
    $('yticks').style.gridTemplateRows = $('xticks').style.gridTemplateColumns = `repeat(${n}, minmax(0, 1fr))`;
    for (let i = 0; i < n; i++) {
      const row = element('div', { role: 'row' });
      for (let j = 0; j < n; j++) {
        const cell = element('div', { role: 'gridcell', tabindex: '-1' });
        cell.dataset.c = i * n + j;
        cells.push(cell);
        row.append(cell);
      }
      heat.append(row);
      for (const ticks of [$('yticks'), $('xticks')]) ticks.append(element('span', {}, i % skip === 0 ? String(i + meta.first) : ''));
    }
  }

  function say(c) {
    const n = meta.layers, i = Math.floor(c / n) + meta.first, j = c % n + meta.first;
    const at = `source ${i} → target ${j}: `, how = colouring();
    const also = how.id === 'gain' || Number.isNaN(shown[c]) ? '' : `${how.show(shown[c])} ${how.unit}`.trim() + ' ' + how.title.toLowerCase();
    if (!totals.there[c]) return at + (also || 'not in this store');
    const p = totals.p[c] === null ? '' : `, p ${chance(totals.p[c])}, Holm ${chance(totals.holm[c])}`;
    return `${at}${also}${also ? '; ' : ''}${points(gain(c))} points (${percent(totals.right[c] / totals.there[c])} against ${percent(totals.vanilla[c] / totals.there[c])}${p})`;
  }

  function paint() {
    const how = colouring(), { ends, kind, part } = colours(how, [shown]);
    cells.forEach((cell, c) => {
      const mark = !totals.there[c] || totals.p[c] === null ? '' : totals.holm[c] < 0.05 ? ' holm' : totals.bh[c] < 0.05 ? ' bh' : '';
      cell.className = kind(shown[c]) + mark;
      cell.style.setProperty('--g', part(shown[c]));
      cell.setAttribute('aria-label', say(c));
      cell.setAttribute('aria-selected', c === selected());
      cell.tabIndex = c === Math.max(selected(), 0) ? 0 : -1;
    });
    $('least').textContent = ends ? how.show(ends[0]) : '';
    $('most').textContent = ends ? `${how.show(ends[1])} ${how.unit}` : '';
    $('legend').className = how.diverging ? 'legend' : 'legend sequential';
    $('colour').value = how.id;
    $('heat').setAttribute('aria-label', how.title + ' by source and target layer');
    readout(-1);
    paintMaps();
  }

  // A small map of each language, all on one scale; to choose one is to choose the language.
  function paintMaps() {
    const languages = group().languages, how = colouring();
    $('each').hidden = languages.length < 2;
    if (!$('each').open || languages.length < 2) return;
    const each = languages.map(l => maps.values(current, how.id, [l]).out), { ends, kind, part } = colours(how, each);
    $('scale').textContent = ends ? `${how.title}, from ${how.show(ends[0])} to ${how.show(ends[1])} ${how.unit}`.trim() : '';
    $('maps').replaceChildren(...languages.map(([name], k) => {
      const map = element('span', { class: 'cells' }), button = element('button', { type: 'button', 'aria-label': `Show ${name || 'not given'}` }, map, name || 'not given');
      map.style.gridTemplateColumns = `repeat(${meta.layers}, 1fr)`;
      map.append(...Array.from(each[k], value => element('i', { class: kind(value) })));
      each[k].forEach((value, c) => map.children[c].style.setProperty('--g', part(value)));
      button.addEventListener('click', () => { $('language').value = 'l:' + name; $('language').dispatchEvent(new Event('change')); });
      return button;
    }));
  }
  const selected = () => state.source < 0 ? -1 : state.source * meta.layers + state.target;

  function readout(c) {
    const out = $('readout');
    if (c >= 0) { out.textContent = say(c) + '.'; return; }
    let win = 0, tie = 0, lose = 0;
    if (!totals.there.some(n => n)) { out.textContent = 'No response here is scored.'; return; }
    for (let k = 0; k < cells.length; k++) {
      if (!totals.there[k]) continue;
      const d = totals.right[k] - totals.vanilla[k];
      if (d > 0) win++; else if (d < 0) lose++; else tie++;
    }
    out.replaceChildren(element('b', {}, `${win} configurations win, ${tie} tie, ${lose} lose.`), best() < 0 ? '' : ` Best: ${say(best())}.`);
  }
  function best() {
    let at = -1;
    for (let k = 0; k < cells.length; k++) if (totals.there[k] && (at < 0 || gain(k) > gain(at))) at = k;
    return at;
  }

  // ---- responses ---------------------------------------------------------------------------------
  async function showDetail() {
    const panel = $('detail'), c = selected(), n2 = meta.layers * meta.layers;
    if (c < 0) {
      panel.replaceChildren(element('h3', {}, 'No configuration chosen'), element('p', { class: 'lead' }, 'Choose a cell of the map to see what the model answers with this transplant, beside its untouched answer and the gold one.'));
      return;
    }
    const [texts, vanilla, own, spoken, perplexity, margins, entropies] = await Promise.all([json('texts'), numbers('v' + state.group), $('x-o' + state.group) ? numbers('o' + state.group) : null,
      meta.language ? numbers('w') : null, meta.perplexity ? floats('q') : null, shorts(`m${state.group}-${state.site}`), shorts(`e${state.group}-${state.site}`)]);
    if (c !== selected()) return;
    const kinds = { all: () => true, fixed: k => k.right === 1 && k.untouched === 0, broken: k => k.right === 0 && k.untouched === 1, changed: k => k.text !== k.plain };
    const rows = chosen().filter(i => current.texts[i * n2 + c] !== ABSENT).map(i => ({
      i, text: current.texts[i * n2 + c], plain: vanilla[i], own: own ? own[i] : ABSENT, margin: margins[i * n2 + c], entropy: entropies[i * n2 + c], untouched: group().instances[i][2], right: group().instances[i][2] === 2 ? 2 : isRight(i, c),
    }));
    const search = state.search.toLowerCase();
    const shown = rows.filter(kinds[state.show]).filter(k => !search || [texts[k.text], texts[k.plain], group().instances[k.i][1]].some(t => t && t.toLowerCase().includes(search)));
    const head = [element('h3', {}, `Source layer ${state.source + meta.first} → target layer ${state.target + meta.first}`),
      element('p', { class: 'kicker' }, `${group().title}, ${site().title}; ${$('language').selectedOptions[0].textContent}`), figures(c), byLanguage(c), commandOf('Command for this configuration', sweepCommand())];
    const filter = element('div', { class: 'choice', role: 'radiogroup', 'aria-label': 'Which responses' });
    for (const [kind, name] of [['all', 'All'], ['fixed', 'Fixed'], ['broken', 'Broken'], ['changed', 'Changed']]) {
      const button = radio(name, state.show === kind, () => { state.show = kind; state.limit = PAGE; showDetail().then(() => $('detail').querySelector(`[data-kind=${kind}]`).focus()); });
      button.dataset.kind = kind;
      button.append(element('small', {}, String(rows.filter(kinds[kind]).length)));
      filter.append(button);
    }
    const input = element('input', { type: 'search', placeholder: 'Search responses', 'aria-label': 'Search responses', value: state.search });
    input.addEventListener('input', () => { state.search = input.value; state.limit = PAGE; list(); });
    const items = element('div', { id: 'items' });
    panel.replaceChildren(...head, element('div', { class: 'filters' }, filter, input), items);
    function list() {
      const wanted = state.search.toLowerCase();
      const some = wanted === search ? shown : rows.filter(kinds[state.show]).filter(k => !wanted || [texts[k.text], texts[k.plain], group().instances[k.i][1]].some(t => t && t.toLowerCase().includes(wanted)));
      items.replaceChildren(...some.slice(0, state.limit).map(k => item(k, texts, { spoken, perplexity })));
      if (!some.length) items.append(element('p', { class: 'lead' }, 'No response is like that.'));
      if (some.length > state.limit) {
        const more = element('button', { class: 'more', type: 'button' }, `Show more (${some.length - state.limit} left)`);
        more.addEventListener('click', () => { state.limit += 4 * PAGE; list(); });
        items.append(more);
      }
    }
    list();
  }

  function figures(c) {
    const numbersOf = (name, value) => element('div', {}, element('b', {}, value), name);
    if (!totals.there[c]) return element('p', { class: 'lead' }, 'No scored response of this configuration is in the store.');
    const out = element('div', { class: 'numbers' }, numbersOf('accuracy, %', percent(totals.right[c] / totals.there[c])),
      numbersOf('untouched, %', percent(totals.vanilla[c] / totals.there[c])), numbersOf('gain, points', points(gain(c))),
      numbersOf('fixed / broken', `${totals.won[c]} / ${totals.lost[c]}`), numbersOf('instances', String(totals.there[c])));
    const s = site(), all = state.language === 'all';
    const [low, high] = all ? [s.low[c], s.high[c]] : interval(totals.there[c], totals.won[c], totals.lost[c], meta.confidence);
    if (low !== null) out.append(numbersOf(`${Math.round(100 * meta.confidence)}% interval`, `${points(low)} to ${points(high)}`));
    out.append(numbersOf('p (by question)', chance(totals.p[c])), numbersOf('Holm', chance(totals.holm[c])), numbersOf('BH', chance(totals.bh[c])));
    return out;
  }

  // Details that stay as the reader left them when another configuration is chosen.
  function keepOpen(kind, ...children) {
    const details = element('details', { class: kind, open: state.open[kind] ? '' : null }, ...children);
    details.addEventListener('toggle', () => { state.open[kind] = details.open; });
    return details;
  }

  // The configuration in each language, with its interval (paired differences, normal) and exact McNemar test.
  function byLanguage(c) {
    const n2 = meta.layers * meta.layers, body = element('tbody'), head = element('tr');
    for (const name of ['language', 'instances', 'untouched', 'transplanted', 'gain', `${Math.round(100 * meta.confidence)}% interval`, 'p']) head.append(element('th', { scope: 'col' }, name));
    for (const [name, , first, count] of languagesChosen()) {
      let there = 0, right = 0, plain = 0, won = 0, lost = 0;
      for (let i = first; i < first + count; i++) {
        const untouched = group().instances[i][2];
        if (untouched === 2 || current.texts[i * n2 + c] === ABSENT) continue;
        const is = isRight(i, c);
        there++; right += is; plain += untouched; won += is && !untouched; lost += !is && untouched;
      }
      if (!there) continue;
      const d = (right - plain) / there, [low, high] = interval(there, won, lost, meta.confidence);
      body.append(element('tr', {}, element('th', { scope: 'row' }, name || 'not given'), ...[String(there), percent(plain / there), percent(right / there)].map(v => element('td', {}, v)),
        element('td', { class: d > 0 ? 'gain' : d < 0 ? 'loss' : null }, points(d)), element('td', {}, `${points(low)} to ${points(high)}`), element('td', {}, chance(mcnemar(won, lost)))));
    }
    if (!body.children.length) return '';
    return keepOpen('languages', element('summary', {}, 'By language'), element('div', { class: 'scroll', tabindex: '0' }, element('table', {}, element('thead', {}, head), body)));
  }

  // ---- commands ------------------------------------------------------------------------------------
  // Layers of the command line count from 0, whatever the page shows.
  const cellOptions = plural => `--site ${site().site} --source-layer${plural} ${state.source} --target-layer${plural} ${state.target} --max-new-tokens ${meta.tokens}` +
    (meta.compute === 'f32' ? '' : ` --compute ${meta.compute}`);
  const sweepCommand = () => `xtransplant sweep -m ${quote(meta.model)} ${group().benchmark ? `--task ${group().task} --data DIR` : '--pairs FILE'} ${cellOptions('s')} -o cell.db`;
  const runCommand = (source, target) => `xtransplant run -m ${quote(meta.model)} --source ${quote(source)} --target ${quote(target)} ${cellOptions('')}`;
  function commandOf(title, text, kind = 'commands') {
    const code = element('pre', { class: 'command', tabindex: '0' }, text), button = element('button', { type: 'button', class: 'plain' }, 'Copy');
    button.addEventListener('click', async () => {
      try {
        await navigator.clipboard.writeText(text);
        button.textContent = 'Copied';
      } catch { // without permission: selected, for the person to copy
        getSelection().selectAllChildren(code);
        button.textContent = 'Selected';
      }
      setTimeout(() => { button.textContent = 'Copy'; }, 2000);
    });
    return keepOpen(kind, element('summary', {}, title), code, button);
  }

  function item(k, texts, measured) {
    const [id, gold, , source, target, margin, entropy] = group().instances[k.i];
    const language = group().languages.find(([, , first, count]) => k.i >= first && k.i < first + count)[0];
    const facts = (text, sure) => {
      const parts = sure && sure[0] !== null ? [`margin ${sure[0].toFixed(2)}`, `entropy ${sure[1].toFixed(2)}`] : [];
      if (text !== ABSENT && measured.spoken && measured.spoken[text] !== ABSENT) parts.push(meta.spoken[measured.spoken[text]]);
      if (text !== ABSENT && measured.perplexity && !Number.isNaN(measured.perplexity[text])) parts.push(`perplexity ${measured.perplexity[text].toPrecision(3)}`);
      return element('small', {}, parts.join(', '));
    };
    const response = (title, text, right, sure) => element('div', { class: right === 2 ? '' : right ? 'right' : 'wrong' },
      element('span', {}, title + ' ', element('b', {}, right === 2 ? '' : right ? '✓ right' : '✗ wrong')), element('p', { dir: 'auto' }, text === ABSENT ? '' : texts[text] ?? '(no tokenizer)'), facts(text, sure));
    const prompts = element('details', {}, element('summary', {}, 'Prompts'));
    prompts.addEventListener('toggle', async () => {
      if (prompts.children.length > 1) return;
      const all = await json('prompts');
      prompts.append(element('p', {}, 'Target prompt'), element('pre', { dir: 'auto' }, all[target]), element('p', {}, 'Source prompt'), element('pre', { dir: 'auto' }, all[source]),
        commandOf('Command for this question', runCommand(all[source], all[target]), 'command-one'));
    });
    return element('article', { class: 'item' },
      element('div', { class: 'head' }, element('b', {}, language), `question ${id}`, element('span', {}, 'gold: ', element('b', { dir: 'auto' }, gold?.replaceAll('\u001e', ' | ') ?? 'not known'))),
      element('div', { class: k.own === ABSENT ? 'pair' : 'pair three' }, ...(k.own === ABSENT ? [] : [response('source prompt by itself', k.own, 2)]), response('untouched', k.plain, k.untouched, [margin, entropy]),
        response('transplanted', k.text, k.right, k.margin === 0xffff || k.entropy === 0xffff ? null : [k.margin / 100, k.entropy / 100])), prompts);
  }

  // ---- controls ----------------------------------------------------------------------------------
  function radio(name, checked, choose) {
    const button = element('button', { type: 'button', role: 'radio', 'aria-checked': checked, tabindex: checked ? '0' : '-1' }, name);
    button.addEventListener('click', choose);
    button.addEventListener('keydown', e => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[e.key];
      if (!step) return;
      e.preventDefault();
      const all = [...button.parentNode.children];
      const next = all[(all.indexOf(button) + step + all.length) % all.length];
      next.focus();
      next.click();
    });
    return button;
  }

  function buildControls() {
    const focus = document.activeElement && document.activeElement.parentNode && document.activeElement.parentNode.id;
    $('groups').replaceChildren(...meta.groups.map((g, k) => radio(g.title, k === state.group, () => {
      const same = g.sites.findIndex(s => s.site === site().site);
      Object.assign(state, { group: k, site: same < 0 ? g.main : same, language: 'all' });
      refresh();
    })));
    $('sites').replaceChildren(...group().sites.map((s, k) => radio(s.title, k === state.site, () => { state.site = k; refresh(); })));
    const select = $('language');
    select.replaceChildren(...comparison.languageOptions(group()));
    select.value = state.language;
    $('colour').replaceChildren(...colourings(site()).map(k => element('option', { value: k.id }, k.title)));
    $('colour').value = colouring().id;
    if (focus === 'groups' || focus === 'sites') $(focus).querySelector('[aria-checked=true]').focus();
  }

  function choose(c) {
    if (Number.isNaN(shown[c]) && !totals.there[c]) return;
    Object.assign(state, { source: Math.floor(c / meta.layers), target: c % meta.layers, limit: PAGE });
    paint();
    remember();
    showDetail();
  }

  // The address keeps what is shown: #task/site/language/source/target, layers as they are shown, and after "&" what is compared.
  function remember() {
    const parts = [group().slug, site().site, state.language];
    if (state.source >= 0) parts.push(state.source + meta.first, state.target + meta.first);
    const beside = comparison.address();
    history.replaceState(null, '', '#' + parts.map(encodeURIComponent).join('/') + (beside ? '&' + beside : ''));
  }
  function recall() {
    const [own] = location.hash.slice(1).split('&'), parts = own.split('/').map(decodeURIComponent);
    const g = meta.groups.findIndex(k => k.slug === parts[0]);
    if (g < 0 || parts.length < 3) return;
    state.group = g;
    state.site = Math.max(0, group().sites.findIndex(s => s.site === parts[1]));
    state.language = parts[2];
    const [i, j] = [parts[3] - meta.first, parts[4] - meta.first];
    if (i >= 0 && i < meta.layers && j >= 0 && j < meta.layers) Object.assign(state, { source: i, target: j });
  }

  async function refresh() {
    buildControls();
    const name = `${state.group}-${state.site}`;
    const view = await maps.open('', state.group, state.site);
    if (name !== `${state.group}-${state.site}`) return;
    current = view;
    count();
    measure();
    const first = best() >= 0 ? best() : shown.findIndex(v => v === Math.max(...Array.from(shown).filter(x => !Number.isNaN(x))));
    if (selected() < 0 && first >= 0) Object.assign(state, { source: Math.floor(first / meta.layers), target: first % meta.layers });
    paint();
    await showDetail();
  }

  function listen() {
    const heat = $('heat'), tip = $('tip');
    const at = e => e.target.dataset && e.target.dataset.c !== undefined ? +e.target.dataset.c : -1;
    heat.addEventListener('mousemove', e => {
      const c = at(e);
      tip.hidden = c < 0;
      if (c < 0) return;
      tip.textContent = say(c);
      tip.style.left = Math.min(e.clientX + 14, innerWidth - tip.offsetWidth - 8) + 'px';
      tip.style.top = Math.min(e.clientY + 16, innerHeight - tip.offsetHeight - 8) + 'px';
    });
    heat.addEventListener('mouseleave', () => { tip.hidden = true; });
    heat.addEventListener('click', e => { if (at(e) >= 0) choose(at(e)); });
    heat.addEventListener('focusin', e => { if (at(e) >= 0) readout(at(e)); });
    heat.addEventListener('focusout', () => readout(-1));
    heat.addEventListener('keydown', e => {
      const c = at(e), n = meta.layers, i = Math.floor(c / n), j = c % n;
      const to = { ArrowRight: [i, j + 1], ArrowLeft: [i, j - 1], ArrowDown: [i + 1, j], ArrowUp: [i - 1, j], Home: [i, 0], End: [i, n - 1] }[e.key];
      if (c < 0) return;
      if (e.key === 'Enter' || e.key === ' ') { e.preventDefault(); choose(c); cells[c].focus(); }
      if (!to) return;
      e.preventDefault();
      if (to[0] >= 0 && to[0] < n && to[1] >= 0 && to[1] < n) cells[to[0] * n + to[1]].focus();
    });
    $('language').addEventListener('change', e => { state.language = e.target.value; state.limit = PAGE; count(); measure(); paint(); remember(); showDetail(); });
    $('colour').addEventListener('change', e => { state.colour = e.target.value; measure(); paint(); });
    $('each').addEventListener('toggle', paintMaps);
    for (const kind of ['svg', 'csv']) $('map-' + kind).addEventListener('click', () => saveMap(kind));
    for (const id of ['groups', 'sites']) $(id).addEventListener('click', remember);
  }

  // ---- files -----------------------------------------------------------------------------------------
  function saveMap(kind) {
    const n = meta.layers, how = colouring(), name = ['map', group().slug, site().site, how.id].join('-').replace(/[^\w.-]/g, '-');
    if (kind === 'csv') {
      const lines = [`source layer,target layer,${how.id},count,p,holm,bh`];
      for (let c = 0; c < n * n; c++)
        if (!Number.isNaN(shown[c])) lines.push([Math.floor(c / n) + meta.first, c % n + meta.first, shown[c], totals.there[c], totals.p[c] ?? '', totals.holm[c] ?? '', totals.bh[c] ?? ''].join(','));
      return download(name + '.csv', 'text/csv', lines.join('\n') + '\n');
    }
    const side = 24, left = 48, top = 40, escape = text => text.replace(/[&<>"]/g, c => `&#${c.charCodeAt(0)};`);
    const label = (x, y, text, anchor = 'middle') => `<text x="${x}" y="${y}" text-anchor="${anchor}" fill="#60646c">${escape(text)}</text>`;
    const parts = [`<svg xmlns="http://www.w3.org/2000/svg" width="${Math.max(left + side * n + 16, 420)}" height="${top + side * n + 44}" font-family="Helvetica, Arial, sans-serif" font-size="11" stroke="none">`,
      '<rect width="100%" height="100%" fill="#ffffff"/>', label(left, 20, `${group().title}, ${site().title}: ${how.title.toLowerCase()}`, 'start')];
    const canvas = element('canvas', { width: '1', height: '1' }).getContext('2d', { willReadFrequently: true });
    cells.forEach((cell, c) => {
      if (Number.isNaN(shown[c])) return;
      canvas.fillStyle = getComputedStyle(cell).backgroundColor; // any colour space, as the page shows it
      canvas.fillRect(0, 0, 1, 1);
      const [r, g, b] = canvas.getImageData(0, 0, 1, 1).data;
      parts.push(`<rect x="${left + side * (c % n)}" y="${top + side * Math.floor(c / n)}" width="${side - 1}" height="${side - 1}" fill="rgb(${r},${g},${b})"><title>${escape(say(c))}</title></rect>`);
    });
    for (let k = 0; k < n; k++) parts.push(label(left - 6, top + side * (k + 0.5) + 4, String(k + meta.first), 'end'), label(left + side * (k + 0.5), top + side * n + 14, String(k + meta.first)));
    parts.push(label(left + side * n / 2, top + side * n + 32, 'target layer (source layer down)'), '</svg>');
    return download(name + '.svg', 'image/svg+xml', parts.join('\n') + '\n');
  }

  // Buttons for the files of each figure and table.
  async function addButtons() {
    const files = await json('files');
    for (const figure of document.querySelectorAll('figure[id]')) {
      const bar = element('div', { class: 'get' }), drawing = figure.querySelector('svg');
      const add = (name, kind, type, text) => {
        const part = name.slice(figure.id.length + 1);
        const button = element('button', { type: 'button', class: 'plain', 'aria-label': `Download ${name}.${kind}` }, part ? `${kind.toUpperCase()} ${part}` : kind.toUpperCase());
        button.addEventListener('click', () => download(`${name}.${kind}`, type, text()));
        bar.append(button);
      };
      if (drawing) add(figure.id, 'svg', 'image/svg+xml', () => '<?xml version="1.0" encoding="UTF-8"?>\n' + new XMLSerializer().serializeToString(drawing) + '\n');
      if (files[figure.id] !== undefined) add(figure.id, 'csv', 'text/csv', () => files[figure.id]);
      else if (drawing) for (const name of Object.keys(files).filter(name => name.startsWith(figure.id + '-'))) add(name, 'csv', 'text/csv', () => files[name]); // a task each
      figure.prepend(bar);
    }
  }

  $('theme').addEventListener('click', () => {
    const root = document.documentElement, dark = matchMedia('(prefers-color-scheme: dark)').matches;
    root.dataset.theme = (root.dataset.theme || (dark ? 'dark' : 'light')) === 'dark' ? 'light' : 'dark';
  });

  (async () => {
    meta = await json('meta');
    const some = meta.groups.findIndex(g => g.sites.length);
    if (some < 0) { $('loading').textContent = 'The store has no transplant.'; return; }
    Object.assign(state, { group: some, site: meta.groups[some].main });
    const [, beside = ''] = location.hash.slice(1).split('&'); // before it is written anew
    recall();
    buildGrid();
    listen();
    $('controls').hidden = $('panel').hidden = false;
    await refresh();
    await comparison.begin(meta, beside, { group: state.group, site: state.site }, remember);
    await addButtons();
    $('loading').hidden = true;
    document.documentElement.dataset.ready = 'yes';
  })().catch(e => { $('loading').textContent = 'The responses cannot be unpacked: ' + e.message; });
})();
