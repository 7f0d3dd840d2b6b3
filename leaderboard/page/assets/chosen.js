"use strict";
// Which rows pass, what stands as one line and what is folded below it, and the order of the lines.
(function (robench) {
  const { rows } = robench;
  // What a row proves, from the most.
  const LEVELS = Object.keys(robench.data.site.levels);
  const SEARCHED = ["name", "details", "dataset", "model", "defense", "compressor", "access", "level", "word", "mark"];
  // The choice of at most eight bits.
  const SMALL = "8-";

  function passes(name, wanted) {
    if (name === "bits" && wanted === SMALL) return (value) => value <= 8;
    return (value) => String(value) === wanted;
  }

  // Rows of a tab that pass the filters; each distinct value is looked at once.
  function filtered(number, filters) {
    const { keys, first, rows: count } = rows.tabs[number];
    const tests = filters.map(([name, wanted]) => [keys[name].at, keys[name].of.map(passes(name, wanted))]);
    const found = [];
    for (let at = 0; at < count; at += 1) {
      if (tests.every(([codes, pass]) => pass[codes[at]])) found.push(first + at);
    }
    return found;
  }

  // Every word, or phrase in quotes, must stand somewhere in a row's texts.
  function searched(all, search) {
    const terms = [...search.toLowerCase().matchAll(/"([^"]+)"|([^\s"]+)/g)].map((found) => found[1] || found[2]);
    if (!terms.length) return all;
    return all.filter((at) => {
      const said = SEARCHED.map((name) => rows.field(at, name)).join("  ").toLowerCase();
      return terms.every((term) => said.includes(term));
    });
  }

  // Whether a row takes its float parent's line: what proves less hides nothing that proves more.
  function folds(at, parents) {
    const proof = (one) => LEVELS.indexOf(rows.field(one, "level"));
    return parents.has(at) && proof(at) <= proof(parents.get(at));
  }

  // Lines of a tab, best first: `rows` of networks made alike are one line where all of them pass,
  // with their means as its `entry`; float parents of rows that pass stand `under` these.
  function linesOf(number, filters, search) {
    const all = searched(filtered(number, filters), search);
    const { entries, parents } = rows.tabs[number];
    const passing = new Set(all);
    const whole = new Map();
    for (const entry of entries) {
      if (entry.rows.every((at) => passing.has(at))) entry.rows.forEach((at) => whole.set(at, entry));
    }
    const folding = all.filter((at) => folds(at, parents));
    const folded = new Set(folding.map((at) => parents.get(at)).filter((at) => passing.has(at)));
    return all.flatMap((at) => {
      const entry = whole.get(at) || null;
      const its = entry ? entry.rows : [at];
      if (its[0] !== at || its.every((one) => folded.has(one))) return [];
      const under = [...new Set(its.map((one) => parents.get(one)))].filter((one) => folded.has(one));
      return [{ at, rows: its, entry, under }];
    });
  }

  function lines(numbers, filters, search) {
    return numbers.flatMap((number) => linesOf(number, filters, search));
  }

  // -- values of a line --------------------------------------------------------------------------

  function number(line, column) {
    if (line.entry) return line.entry.cells[column]?.[0] ?? null;
    const tab = rows.tabOf(line.at);
    const value = rows.numbers(tab, column)[line.at - rows.tabs[tab].first];
    return Number.isNaN(value) ? null : value;
  }

  function headline(line) {
    const column = rows.headline(line.at);
    return column === null ? null : number(line, column);
  }

  const loss = (line) => (line.entry ? line.entry.loss : rows.loss(line.at)) || null;

  // -- order -------------------------------------------------------------------------------------

  function compare(a, b, sign) {
    if (a === null || b === null) return (a === null) - (b === null);
    return a < b ? -sign : a > b ? sign : 0;
  }

  // Protocols and groups stay apart; what has no value stands last in either direction.
  function sorted(all, value, direction) {
    const sign = direction === "asc" ? 1 : -1;
    const keyed = all.map((line) => [line, rows.groupOf(line.at), value(line)]);
    keyed.sort(([a, groupA, x], [b, groupB, y]) => groupA - groupB || compare(x, y, sign) || a.at - b.at);
    return keyed.map(([line]) => line);
  }

  robench.chosen = { SMALL, lines, sorted, number, headline, loss };
})(window.robench);
