/* SPDX-License-Identifier: Apache-2.0 */
'use strict';
// Two maps side by side, by one colouring and on one scale, and the difference of the two. A side is any site (a control and a plan are sites, too) of any
// task and language of any store that the page holds.
const comparison = (() => {
  const $ = id => document.getElementById(id);
  const { colourings, colours, difference, mcnemar, chance, element } = measures;
  const LEVELS = ['High', 'Mid', 'Low'], NAMES = ['Left', 'Right', 'Left minus right'];
  const sides = [{ store: 0, group: 0, site: 0, language: 'all' }, { store: 0, group: 0, site: 0, language: 'all' }];
  const at = { source: 0, target: 0 };
  let colour = 'gain', metas = [], boxes = [], drawn = null, drawing = 0, began = false, remember = () => {};
  const groupOf = side => metas[side.store].groups[side.group];
  const siteOf = side => groupOf(side).sites[side.site];

  // ---- what can be chosen --------------------------------------------------------------------------
  function languageOptions(group) {
    const out = [element('option', { value: 'all' }, group.from ? 'all cultures' : 'all languages')];
    LEVELS.forEach((name, level) => {
      const some = group.languages.filter(l => l[1] === level);
      if (!some.length) return;
      const part = element('optgroup', { label: name + '-resource' }, element('option', { value: 'v:' + level }, `all ${name}`));
      for (const l of some) part.append(element('option', { value: 'l:' + l[0] }, l[0]));
      out.push(part);
    });
    for (const l of group.languages) if (l[1] < 0) out.push(element('option', { value: 'l:' + l[0] }, l[0] || 'not given'));
    return out;
  }

  // A side whose store, task, site and language are there; names are kept where the new place has them.
  function settle(side, slug, site) {
    side.store = Math.min(side.store, metas.length - 1);
    const groups = metas[side.store].groups, same = groups.findIndex(g => g.slug === slug && g.sites.length), some = groups.findIndex(g => g.sites.length);
    side.group = same >= 0 ? same : Math.max(0, some);
    const here = groups[side.group].sites.findIndex(s => s.site === site);
    side.site = here >= 0 ? here : groups[side.group].main;
    if (!maps.languagesOf(groups[side.group], side.language).length) side.language = 'all';
  }

  // At first: what the page shows, beside its first control, else another site, task or store.
  function propose(first) {
    Object.assign(sides[0], { store: 0, group: first.group, site: first.site, language: 'all' });
    Object.assign(sides[1], sides[0]);
    const { sites } = groupOf(sides[0]), control = sites.findIndex(s => s.transplant === first.site), other = sites.findIndex((s, k) => k !== first.site);
    const task = metas[0].groups.findIndex((g, k) => k !== first.group && g.sites.length);
    if (metas.length > 1) {
      sides[1].store = 1;
      settle(sides[1], groupOf(sides[0]).slug, siteOf(sides[0]).site);
    } else if (control >= 0 || other >= 0) sides[1].site = control >= 0 ? control : other;
    else if (task >= 0) Object.assign(sides[1], { group: task, site: metas[0].groups[task].main });
  }

  const offered = () => colourings(siteOf(sides[0])).filter(k => siteOf(sides[1]).maps.some(map => map[0] === k.id));

  // ---- drawing -------------------------------------------------------------------------------------
  function buildBox(k) {
    const box = { selects: {}, cells: [], layers: 0, heat: element('div', { role: 'grid', class: 'heat' }), yticks: element('div', { class: 'yticks', 'aria-hidden': 'true' }), xticks: element('div', { class: 'xticks', 'aria-hidden': 'true' }),
      least: element('span'), most: element('span') };
    box.legend = element('div', { class: 'legend', 'aria-hidden': 'true' }, box.least, element('i'), box.most);
    const choose = element('div', { class: 'choose' });
    if (k < 2)
      for (const name of ['store', 'group', 'site', 'language']) {
        const select = box.selects[name] = element('select'), shown = { store: 'Model', group: 'Task', site: 'Site', language: 'Language' }[name];
        const label = element('label', {}, shown + ' ', select);
        select.setAttribute('aria-label', `${NAMES[k]}: ${shown.toLowerCase()}`);
        if (name === 'store' && metas.length < 2) label.hidden = true;
        select.addEventListener('change', () => {
          const side = sides[k], slug = groupOf(side).slug, site = siteOf(side).site;
          side[name] = name === 'language' ? select.value : +select.value;
          if (name === 'store') settle(side, slug, site);
          if (name === 'group') settle(side, groupOf(side).slug, site);
          changed();
        });
        choose.append(label);
      }
    box.element = element('div', { class: 'map' }, element('h3', {}, NAMES[k]), choose,
      element('div', { class: 'plot' }, element('div', { class: 'ylabel' }, 'source layer'), box.yticks, box.heat, box.xticks, element('div', { class: 'xlabel' }, 'target layer')), box.legend);
    const cell = e => e.target.dataset && e.target.dataset.c !== undefined ? +e.target.dataset.c : -1;
    const look = e => { if (cell(e) >= 0) point(Math.floor(cell(e) / box.layers), cell(e) % box.layers); };
    box.heat.addEventListener('mouseover', look);
    box.heat.addEventListener('focusin', look);
    box.heat.addEventListener('click', e => { if (cell(e) >= 0) e.target.focus(); });
    box.heat.addEventListener('keydown', e => {
      const c = cell(e), n = box.layers, i = Math.floor(c / n), j = c % n;
      const to = { ArrowRight: [i, j + 1], ArrowLeft: [i, j - 1], ArrowDown: [i + 1, j], ArrowUp: [i - 1, j], Home: [i, 0], End: [i, n - 1] }[e.key];
      if (c < 0 || !to) return;
      e.preventDefault();
      if (to[0] >= 0 && to[0] < n && to[1] >= 0 && to[1] < n) box.cells[to[0] * n + to[1]].focus();
    });
    return box;
  }

  function buildCells(box, layers, first) {
    if (box.layers === layers && box.first === first) return;
    const skip = layers <= 8 ? 1 : layers <= 24 ? 4 : 8, tracks = `repeat(${layers}, minmax(0, 1fr))`;
    Object.assign(box, { layers, first, cells: [] });
    for (const part of [box.heat, box.yticks, box.xticks]) part.replaceChildren();
    box.heat.style.gridTemplateColumns = box.heat.style.gridTemplateRows = box.yticks.style.gridTemplateRows = box.xticks.style.gridTemplateColumns = tracks;
    for (let i = 0; i < layers; i++) {
      const row = element('div', { role: 'row' });
      for (let j = 0; j < layers; j++) {
        const cell = element('div', { role: 'gridcell', tabindex: '-1' });
        cell.dataset.c = i * layers + j;
        box.cells.push(cell);
        row.append(cell);
      }
      box.heat.append(row);
      for (const ticks of [box.yticks, box.xticks]) ticks.append(element('span', {}, i % skip === 0 ? String(i + first) : ''));
    }
  }

  function paintBox(box, how, values, scale, first) {
    box.element.classList.toggle('without', !values);
    if (!values) return;
    buildCells(box, Math.round(Math.sqrt(values.length)), first);
    box.cells.forEach((cell, c) => {
      cell.className = scale.kind(values[c]);
      cell.style.setProperty('--g', scale.part(values[c]));
      const value = Number.isNaN(values[c]) ? 'nothing' : `${how.show(values[c])} ${how.unit}`.trim();
      cell.setAttribute('aria-label', `source ${Math.floor(c / box.layers) + first} → target ${c % box.layers + first}: ${value}`);
    });
    box.heat.setAttribute('aria-label', `${box.element.querySelector('h3').textContent}, by source and target layer`);
    box.least.textContent = scale.ends ? how.show(scale.ends[0]) : '';
    box.most.textContent = scale.ends ? `${how.show(scale.ends[1])} ${how.unit}`.trim() : '';
    box.legend.className = how.diverging ? 'legend' : 'legend sequential';
  }

  // The cell that all three maps mark, and what they have there.
  function point(source, target) {
    Object.assign(at, { source, target });
    for (const box of boxes)
      box.cells.forEach((cell, c) => {
        const here = source === Math.floor(c / box.layers) && target === c % box.layers;
        cell.classList.toggle('here', here);
        cell.tabIndex = here ? 0 : -1;
      });
    if (!drawn) return;
    const { values, how, gap, views } = drawn, first = metas[0].first;
    const say = (k, show) => {
      const n = views[Math.min(k, 1)].meta.layers, value = values[k] && source < n && target < n ? values[k][source * n + target] : NaN;
      return Number.isNaN(value) ? 'nothing' : `${show.show(value)} ${show.unit}`.trim();
    };
    $('compare-readout').textContent = `source ${source + first} → target ${target + first}: left ${say(0, how)}, right ${say(1, how)}` + (values[2] ? `, difference ${say(2, gap)}` : '') + paired(source, target) + '.';
  }

  // Of questions that both sides have: those that one of them alone has right, and the exact test of McNemar.
  function paired(source, target) {
    const { views, how } = drawn, [a, b] = views, c = source * a.meta.layers + target, n = a.meta.layers * a.meta.layers;
    if (!['gain', 'accuracy'].includes(how.id) || a.data !== b.data || a.g !== b.g || sides[0].language !== sides[1].language || source >= a.meta.layers || target >= a.meta.layers) return '';
    let left = 0, right = 0;
    for (const [, , first, count] of maps.languagesOf(a.group, sides[0].language))
      for (let i = first; i < first + count; i++) {
        if (a.group.instances[i][2] === 2 || a.texts[i * n + c] === maps.ABSENT || b.texts[i * n + c] === maps.ABSENT) continue;
        const [x, y] = [maps.isRight(a, i, c), maps.isRight(b, i, c)];
        left += x && !y;
        right += y && !x;
      }
    return `; right on the left alone: ${left}, on the right alone: ${right}, p (McNemar) ${chance(mcnemar(left, right))}`;
  }

  // What the numbers do not say by themselves; the weights of the normalised difference count no responses.
  function note(counts, equal) {
    const parts = [];
    const most = list => list.reduce((a, b) => Math.max(a, b), 0), [left, right] = counts.map(most);
    if (!equal) parts.push(`The models have ${drawn.views[0].meta.layers} and ${drawn.views[1].meta.layers} layers, so that there is no difference by cell.`);
    else if (drawn.how.id !== 'normalised' && counts[0].some((n, c) => n !== counts[1][c] && n && counts[1][c])) parts.push(`The maps rest on different numbers of responses (at most ${left} and ${right} in a cell): the difference is one of means.`);
    if (metas[0].large.length) parts.push(`With too many responses to be in this page: ${metas[0].large.join(', ')}.`);
    $('compare-note').textContent = parts.join(' ');
  }

  function fill() {
    const option = (value, text) => element('option', { value }, text);
    sides.forEach((side, k) => {
      const { store, group, site, language } = boxes[k].selects;
      store.replaceChildren(...metas[0].stores.map(([, label], i) => option(i, label)));
      group.replaceChildren(...metas[side.store].groups.flatMap((g, i) => g.sites.length ? [option(i, g.title)] : []));
      site.replaceChildren(...groupOf(side).sites.map((s, i) => option(i, s.title)));
      language.replaceChildren(...languageOptions(groupOf(side)));
      for (const name of ['store', 'group', 'site', 'language']) boxes[k].selects[name].value = side[name];
    });
    const colourSelect = $('compare-colour');
    colourSelect.replaceChildren(...offered().map(k => option(k.id, k.title)));
    if (!offered().some(k => k.id === colour)) colour = offered()[0].id;
    colourSelect.value = colour;
  }

  async function draw() {
    const number = ++drawing;
    fill();
    const views = await Promise.all(sides.map(side => maps.open(metas[0].stores[side.store][0], side.group, side.site)));
    if (number !== drawing) return;
    const how = offered().find(k => k.id === colour);
    const found = views.map((view, k) => maps.values(view, how.id, maps.languagesOf(view.group, sides[k].language)));
    const [left, right] = found.map(f => f.out), equal = left.length === right.length, gap = difference(how);
    const values = [left, right, equal ? left.map((v, c) => v - right[c]) : null], scale = colours(how, [left, right]);
    drawn = { views, how, gap, values };
    for (const k of [0, 1]) paintBox(boxes[k], how, values[k], scale, metas[0].first);
    paintBox(boxes[2], gap, values[2], values[2] && colours(gap, [values[2]]), metas[0].first);
    note(found.map(f => Array.from(f.weights)), equal);
    point(...[at.source, at.target].map(k => Math.min(k, Math.max(...views.map(view => view.meta.layers)) - 1)));
    $('compare-maps').dataset.drawn = number;
  }
  async function changed() {
    await draw();
    remember();
  }

  // ---- the address ---------------------------------------------------------------------------------
  // "compare/COLOUR/SOURCE/TARGET" with the cell marked, then of each side the number of its store, task, site and language; "": not open.
  function address() {
    if (!began || !$('compare-open').open) return '';
    return ['compare', colour, at.source + metas[0].first, at.target + metas[0].first, ...sides.flatMap(side => [side.store, groupOf(side).slug, siteOf(side).site, side.language])].map(encodeURIComponent).join('/');
  }
  function recall(text) {
    const parts = text.split('/').map(decodeURIComponent);
    if (parts[0] !== 'compare' || parts.length !== 12) return;
    colour = parts[1];
    for (const [k, name] of ['source', 'target'].entries()) at[name] = Math.max(0, parts[2 + k] - metas[0].first) || 0;
    sides.forEach((side, k) => {
      const [store, slug, site, language] = parts.slice(4 + 4 * k);
      Object.assign(side, { store: Math.max(0, +store) || 0, language });
      settle(side, slug, site);
    });
  }

  async function open(text, first) {
    if (!began) {
      metas = await Promise.all(metas[0].stores.map(([prefix]) => maps.store(prefix).json('meta')));
      boxes = [0, 1, 2].map(buildBox);
      $('compare-maps').replaceChildren(...boxes.map(box => box.element));
      propose(first);
      recall(text);
      began = true;
    }
    await changed();
  }

  // The page's data are there. `text` is the address's part after "&", `first` the task and site that the page shows.
  async function begin(meta, text, first, tell) {
    metas = [meta];
    remember = tell;
    $('compare').hidden = false;
    $('compare-colour').addEventListener('change', e => { colour = e.target.value; changed(); });
    $('compare-swap').addEventListener('click', () => { sides.reverse(); changed(); });
    $('compare-maps').addEventListener('focusout', () => remember());
    if (text) {
      $('compare-open').open = true;
      await open(text, first);
    }
    $('compare-open').addEventListener('toggle', () => { if ($('compare-open').open) open('', first); else remember(); });
  }

  return { begin, address, languageOptions };
})();
