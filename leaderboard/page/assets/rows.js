"use strict";
// All rows by number, tab by tab, best first: what orders and chooses them is loaded a tab at a
// time, what a shown row says besides a block at a time.
(function (robench) {
  const { site } = robench.data;
  const tabs = site.tabs;
  const groups = [];
  let count = 0;
  tabs.forEach((tab, number) => {
    tab.first = count;
    tab.groups.forEach((group, place) => {
      groups.push({ ...group, tab: number, points: `${tab.key}-points${place}` });
      count += group.rows;
    });
    tab.rows = count - tab.first;
  });
  const tabAt = new Uint16Array(count);
  const groupAt = new Uint32Array(count);
  let row = 0;
  groups.forEach((group, number) => {
    tabAt.fill(group.tab, row, row + group.rows);
    groupAt.fill(number, row, row + group.rows);
    row += group.rows;
  });

  async function open(numbers) {
    await Promise.all(numbers.map(async (number) => {
      const tab = tabs[number];
      if (tab.keys) return;
      const keys = await robench.data.load(`${tab.key}-keys`);
      const at = (place) => tab.first + place;
      tab.parents = new Map(keys.children.map((child, i) => [at(child), at(keys.parents[i])]));
      tab.losses = new Map(keys.children.map((child, i) => [at(child), keys.losses[i]]));
      tab.entries = keys.entries.map((entry) => ({ ...entry, rows: entry.rows.map(at) }));
      tab.keys = keys;
    }));
  }

  const keysOf = (at) => tabs[tabAt[at]].keys;
  const placeOf = (at) => at - tabs[tabAt[at]].first;
  const id = (at) => keysOf(at).id[placeOf(at)];
  const rank = (at) => keysOf(at).rank[placeOf(at)];

  function field(at, name) {
    const coded = keysOf(at)[name];
    return coded.of[coded.at[placeOf(at)]];
  }

  // A column's numbers of a tab, row by row, NaN where a row has none.
  function numbers(number, column) {
    const tab = tabs[number];
    tab.numbers = tab.numbers || new Map();
    if (!tab.numbers.has(column)) {
      const found = new Float64Array(tab.rows).fill(NaN);
      const listed = tab.keys.numbers[column] || { of: [] };
      listed.of.forEach((value, place) => { if (value !== null) found[listed.rows ? listed.rows[place] : place] = value; });
      tab.numbers.set(column, found);
    }
    return tab.numbers.get(column);
  }

  // What rows say besides; it is there once this is done.
  async function load(all) {
    const names = new Set(all.map((at) => `${tabs[tabAt[at]].key}-${Math.floor(placeOf(at) / site.block)}`));
    await Promise.all([...names].map(async (name) => { blocks.set(name, await robench.data.load(name)); }));
  }
  const blocks = new Map();

  function about(at) {
    const [tab, place] = [tabs[tabAt[at]], placeOf(at)];
    const block = blocks.get(`${tab.key}-${Math.floor(place / site.block)}`);
    const [set, cells, notes, models] = block[place % site.block];
    return { columns: tab.keys.sets[set], cells, notes, models };
  }

  // A row's own cell of a column; null where it has none.
  function cell(at, column) {
    const { columns, cells } = about(at);
    const found = columns.indexOf(column);
    return found < 0 ? null : cells[found];
  }

  const label = (at) => [field(at, "name"), field(at, "details")].filter(Boolean).join(" · ");
  const headline = (at) => groups[groupAt[at]].headline;
  const parent = (at) => tabs[tabAt[at]].parents.get(at);
  const loss = (at) => tabs[tabAt[at]].losses.get(at);
  // The rows of networks that were made alike, itself among them; none where it is alone.
  const alike = (at) => tabs[tabAt[at]].entries.find((entry) => entry.rows.includes(at))?.rows || [];

  // The number of a row of a tab, whose keys are loaded then; -1 where it has none of that id.
  async function find(key, wanted) {
    const number = tabs.findIndex((tab) => tab.key === key);
    if (number < 0) return -1;
    await open([number]);
    const place = tabs[number].keys.id.indexOf(wanted);
    return place < 0 ? -1 : tabs[number].first + place;
  }

  robench.rows = { tabs, groups, count, open, id, rank, field, label, numbers, load, about, cell, headline, parent, loss, alike, find, tabOf: (at) => tabAt[at], groupOf: (at) => groupAt[at] };
})(window.robench);
