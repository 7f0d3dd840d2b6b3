"use strict";
// The main table: of all rows the numbers that order and choose them, in the document only the
// shown page of them.
(function (robench) {
  const { rows } = robench;
  const { site } = robench.data;
  const { el, wordOf, levelWord, cell, breakable, notes, facts, rowAddress } = robench.nodes;
  const FILTERS = ["dataset", "model", "defense", "compressor", "bits", "access", "level", "word"];
  const SEARCHED = ["label", "dataset", "model", "defense", "compressor", "access", "level", "word"];
  const NAMES = { level: "proof", word: "meaning" };
  const LENGTHS = [10, 25, 50, 100];
  const OPEN = "open";
  const ALL = "all";
  const text = (name) => (at) => rows.field(at, name);
  const COLUMNS = [
    { key: "pick", title: "choose for comparison", quiet: true, fixed: true, show: pick },
    { key: "rank", title: "rank", number: rows.rank, show: (at) => rows.rank(at) ?? unranked(at) },
    { key: "system", title: "system", text: text("label"), show: system },
    { key: "dataset", title: "data", text: text("dataset"), hidden: true },
    { key: "model", title: "model", text: text("model"), telling: true },
    { key: "defense", title: "defense", text: text("defense"), hidden: true },
    { key: "compressor", title: "compressor", text: text("compressor"), hidden: true },
    { key: "bits", title: "bits", number: text("bits"), telling: true },
    { key: "access", title: "access", text: text("access"), hidden: true },
    { key: "seed", title: "seed", number: text("seed"), telling: true },
    { key: "level", title: "proof", text: text("level"), show: (at) => levelWord(rows.field(at, "level")) },
    { key: "word", title: "meaning", text: text("word"), show: (at) => wordOf(rows.field(at, "word")) },
    ...site.columns.map((column, place) => ({
      key: column.key, title: column.title, small: column.small, place, unit: column.unit,
      number: (at) => rows.numbers(rows.tabOf(at), place)[at - rows.tabs[rows.tabOf(at)].first],
      show: (at) => cell(cellOf(at, place), column.unit),
      first: column.better === "lower" ? "asc" : "desc",
    })),
  ];
  const columnOf = new Map(COLUMNS.map((column) => [column.key, column]));
  const filters = new Map();
  const picked = new Set();
  const table = el("table", { class: "board" });
  const place = document.getElementById("results");
  let search = "";
  let order = null;
  let chosenColumns = null;
  let first = 0;
  let length = 25;
  // The rows that pass, in their order.
  let shown = [];
  let turn = 0;

  // -- cells -----------------------------------------------------------------------------------

  function cellOf(at, column) {
    const about = rows.about(at);
    const found = about.columns.indexOf(column);
    return found < 0 ? null : about.cells[found];
  }

  function unranked(at) {
    return rows.tabs[rows.tabOf(at)].key === OPEN ? "open run" : "–";
  }

  function system(at) {
    return [el("a", { href: rowAddress(rows.id(at)) }, breakable(rows.field(at, "label"))), notes(rows.about(at).notes)];
  }

  function pick(at) {
    const box = el("input", { type: "checkbox", value: rows.id(at), "aria-label": `choose ${rows.field(at, "label")} for comparison` });
    box.checked = picked.has(rows.id(at));
    return box;
  }

  // -- which rows, in which order ----------------------------------------------------------------

  function openTabs() {
    const wanted = filters.get("protocol");
    return rows.tabs.map((tab, number) => number).filter((number) => !wanted || rows.tabs[number].key === wanted);
  }

  // Rows of a tab that pass the filters; each distinct value is looked at once.
  function passing(number) {
    const { keys, first: begin, rows: count } = rows.tabs[number];
    const tests = FILTERS.filter((name) => filters.get(name))
      .map((name) => [keys[name].at, keys[name].of.map((value) => String(value) === filters.get(name))]);
    const found = [];
    for (let at = 0; at < count; at += 1) {
      if (tests.every(([codes, passes]) => passes[codes[at]])) found.push(begin + at);
    }
    return found;
  }

  // Every word, or phrase in quotes, must stand somewhere in a row's texts.
  function searched(all) {
    const terms = [...search.toLowerCase().matchAll(/"([^"]+)"|([^\s"]+)/g)].map((found) => found[1] || found[2]);
    if (!terms.length) return all;
    return all.filter((at) => {
      const said = SEARCHED.map((name) => rows.field(at, name)).join("  ").toLowerCase();
      return terms.every((term) => said.includes(term));
    });
  }

  // Protocols and groups stay apart; what has no number stands last in either direction.
  function sorted(all) {
    if (!order) return all;
    const [key, direction] = order;
    const column = columnOf.get(key);
    const sign = direction === "asc" ? 1 : -1;
    const values = new Map(all.map((at) => [at, valueOf(column, at)]));
    return [...all].sort((a, b) => rows.groupOf(a) - rows.groupOf(b) || compare(values.get(a), values.get(b), sign) || a - b);
  }

  function valueOf(column, at) {
    if (column.text) return column.text(at).toLowerCase();
    const value = column.number(at);
    return value === null || Number.isNaN(value) ? null : value;
  }

  function compare(a, b, sign) {
    if (a === null || b === null) return (a === null) - (b === null);
    return a < b ? -sign : a > b ? sign : 0;
  }

  // -- columns -------------------------------------------------------------------------------

  // The columns that the groups of the shown rows show at first.
  let usualColumns = new Set();

  function visible(column) {
    if (column.fixed) return true;
    if (chosenColumns) return chosenColumns.has(column.key);
    if (column.place !== undefined) return usualColumns.has(column.place);
    return !column.hidden && (!column.telling || site.telling.includes(column.key));
  }

  function makeChooser() {
    const menu = document.querySelector("#chooser .menu");
    for (const column of COLUMNS.filter((one) => !one.fixed)) {
      const said = ` ${column.title}${column.small ? `, ${column.small}` : ""}`;
      menu.append(el("label", null, el("input", { type: "checkbox", value: column.key }), said));
    }
    menu.addEventListener("change", () => {
      chosenColumns = new Set([...menu.querySelectorAll("input:checked")].map((box) => box.value));
      refresh();
    });
    document.getElementById("chooser").addEventListener("toggle", markChooser);
  }

  function markChooser() {
    for (const box of document.querySelectorAll("#chooser input")) box.checked = visible(columnOf.get(box.value));
  }

  // -- tabs and filters --------------------------------------------------------------------------

  function makeTabs() {
    const bar = document.getElementById("tabs");
    const all = { key: "", label: "all", rows: rows.count };
    for (const tab of rows.tabs.length > 1 ? [...rows.tabs, all] : rows.tabs) {
      const button = el("button", { type: "button" }, tab.label, " ", el("small", null, tab.rows));
      button.value = tab.key;
      button.addEventListener("click", () => { filters.set("protocol", tab.key); chosenColumns = null; refresh(); });
      bar.append(button);
    }
    bar.hidden = false;
  }

  // Which tab is open, and what its protocol fixes.
  function showTab() {
    const wanted = filters.get("protocol");
    for (const button of document.querySelectorAll("#tabs button")) {
      button.setAttribute("aria-pressed", String(button.value === wanted));
    }
    const { about } = rows.tabs.find((tab) => tab.key === wanted) || { about: [] };
    const open = "Open runs: each chose its own images, attacks and audit, so none of them has a rank.";
    const said = about.length ? facts(about) : el("p", { class: "open" }, wanted === OPEN ? open : "All tabs, each ranked by itself.");
    document.getElementById("about").replaceChildren(said);
  }

  function makeFilters() {
    const choices = document.getElementById("choices");
    for (const name of FILTERS.filter((one) => site.choices[one])) {
      const select = el("select", { name }, new Option("all", ""));
      for (const value of site.choices[name]) select.append(new Option(String(value).replace("_", " "), String(value)));
      choices.append(el("label", null, NAMES[name] || name, select));
      select.addEventListener("change", () => { filters.set(name, select.value); refresh(); });
    }
  }

  function showFilters() {
    for (const select of document.querySelectorAll("#choices select")) {
      select.value = filters.get(select.name);
      if (select.selectedIndex < 0) { select.value = ""; filters.set(select.name, ""); }
    }
    document.getElementById("search").value = search;
  }

  // -- the view in the address ----------------------------------------------------------------

  // At first one protocol is shown: others rank by themselves.
  const usual = (name) => (name === "protocol" ? rows.tabs[0].key : "");

  function readView() {
    const view = robench.view.read();
    filters.clear();
    for (const name of ["protocol", ...FILTERS]) {
      const value = view.has(name) ? view.get(name) : usual(name);
      filters.set(name, value === ALL ? "" : value);
    }
    if (!rows.tabs.some((tab) => tab.key === filters.get("protocol"))) {
      filters.set("protocol", view.get("protocol") === ALL && rows.tabs.length > 1 ? "" : usual("protocol"));
    }
    chosenColumns = view.has("columns") ? new Set(view.get("columns").split(",")) : null;
    const [key, direction] = (view.get("order") || "").split(":");
    order = columnOf.has(key) && key !== "pick" ? [key, direction === "asc" ? "asc" : "desc"] : null;
    search = view.get("search") || "";
  }

  function writeView() {
    const entries = [...filters]
      .filter(([name, value]) => value !== usual(name))
      .map(([name, value]) => [name, value || ALL]);
    if (order) entries.push(["order", order.join(":")]);
    entries.push(["search", search]);
    if (chosenColumns) entries.push(["columns", [...chosenColumns].join(",")]);
    robench.view.write(entries);
  }

  // -- drawing ---------------------------------------------------------------------------------

  // Chooses and orders anew, and shows the first page.
  async function refresh() {
    const mine = turn += 1;
    place.setAttribute("aria-busy", "true");
    await rows.open(openTabs());
    if (mine !== turn) return;
    const all = openTabs().flatMap(passing);
    const groups = new Set(all.map(rows.groupOf));
    usualColumns = new Set([...groups].flatMap((group) => rows.groups[group].columns));
    shown = sorted(searched(all));
    first = 0;
    showTab();
    await drawPage(groups.size > 1);
  }

  async function drawPage(apart) {
    const mine = turn += 1;
    place.setAttribute("aria-busy", "true");
    const page = shown.slice(first, first + length);
    await rows.load(page);
    if (mine !== turn) return;
    const columns = COLUMNS.filter(visible);
    table.replaceChildren(el("thead", null, el("tr", null, columns.map(heading))), el("tbody", null, body(page, columns, apart)));
    drawPaging(apart);
    said();
    writeView();
    place.setAttribute("aria-busy", "false");
    document.dispatchEvent(new CustomEvent("rowschange"));
  }

  function body(page, columns, apart) {
    if (!page.length) return el("tr", null, el("td", { class: "none", colspan: columns.length }, "no row passes"));
    return page.flatMap((at, place) => {
      const group = rows.groupOf(at);
      const begins = apart && (!place || rows.groupOf(page[place - 1]) !== group);
      const head = begins ? el("tr", { class: "group" }, el("th", { scope: "colgroup", colspan: columns.length }, rows.groups[group].label)) : null;
      return [head, el("tr", null, columns.map((column) => drawn(column, at)))];
    });
  }

  function drawn(column, at) {
    const content = column.show ? column.show(at) : column.text ? column.text(at) : column.number(at);
    if (column.key === "system") return el("th", { scope: "row", class: "system" }, content);
    return el("td", { class: column.number ? "number" : "" }, content);
  }

  function heading(column) {
    const kind = [column.number ? "number" : "", column.key === "system" ? "system" : ""].join(" ").trim();
    if (column.quiet) return el("th", { scope: "col" }, el("span", { class: "hidden" }, column.title));
    const direction = order && order[0] === column.key ? order[1] : "";
    const small = column.small ? el("small", null, column.small) : null;
    const button = el("button", { type: "button", class: "sort" }, el("span", null, column.title, small), el("span", { class: `order ${direction}`.trim(), "aria-hidden": "true" }));
    const head = el("th", { scope: "col", class: kind, "aria-sort": direction ? `${direction}ending` : null }, button);
    head.addEventListener("click", () => { sortBy(column); });
    return head;
  }

  // One way, the other way, and for words and the row's own numbers not at all.
  async function sortBy(column) {
    const begin = column.first || "asc";
    const other = begin === "asc" ? "desc" : "asc";
    const now = order && order[0] === column.key ? order[1] : null;
    if (now === null) order = [column.key, begin];
    else if (now === begin) order = [column.key, other];
    else order = column.place === undefined ? null : [column.key, begin];
    await refresh();
    [...table.tHead.rows[0].cells].find((head, at) => COLUMNS.filter(visible)[at] === column)?.querySelector("button").focus({ preventScroll: true });
  }

  function said() {
    const tab = rows.tabs.find((one) => one.key === filters.get("protocol"));
    const of = tab ? tab.label : "all tabs, each ranked by itself";
    document.getElementById("count").textContent = `${shown.length.toLocaleString("en-US")} rows · ${of}`;
  }

  // -- pages -----------------------------------------------------------------------------------

  const paging = el("nav", { class: "paging", "aria-label": "Pages of the table" });
  const lengths = el("select", null, LENGTHS.map((one) => new Option(one, one, one === length, one === length)));

  // The first page, the last, and those beside the shown one; 0 where some are left out.
  function pagesAround(page, pages) {
    const near = [1, page - 1, page, page + 1, pages].filter((one) => one >= 1 && one <= pages);
    const all = [...new Set(near)].sort((a, b) => a - b);
    return all.flatMap((one, at) => (at && one > all[at - 1] + 1 ? [0, one] : [one]));
  }

  function drawPaging(apart) {
    const [page, pages] = [first / length + 1, Math.max(1, Math.ceil(shown.length / length))];
    const go = (to, said, label) => {
      const button = el("button", { type: "button", "aria-label": label, "aria-current": to === page && !label ? "page" : null }, said);
      button.disabled = to < 1 || to > pages || (to === page && Boolean(label));
      button.addEventListener("click", () => { first = (to - 1) * length; drawPage(apart); });
      return button;
    };
    paging.replaceChildren(
      go(page - 1, "‹", "previous page"),
      ...pagesAround(page, pages).map((to) => (to ? go(to, to.toLocaleString("en-US")) : el("span", null, "…"))),
      go(page + 1, "›", "next page"),
    );
  }

  // -- CSV ---------------------------------------------------------------------------------------

  // The rows that pass and the columns that are shown; of a value its ends and its word too.
  async function saveShown() {
    await rows.load(shown);
    const columns = COLUMNS.filter((column) => !column.quiet && visible(column));
    const head = columns.flatMap((column) => {
      const name = [column.title, column.small].filter(Boolean).join(" ");
      return column.place === undefined ? [name] : [name, `${name} low`, `${name} high`, `${name} word`];
    });
    const lines = shown.map((at) => columns.flatMap((column) => {
      if (column.place === undefined) return [(column.number || column.text)(at)];
      const [value, low, high, word] = cellOf(at, column.place) || [];
      return [value, low, high, word];
    }));
    const id = shown.map((at) => rows.id(at));
    robench.save("rows.csv", [["record", ...head], ...lines.map((line, place) => [id[place], ...line])]);
  }

  // -- start -------------------------------------------------------------------------------------

  function makePicks() {
    const button = document.getElementById("compare");
    table.addEventListener("change", (event) => {
      if (event.target.type !== "checkbox") return;
      if (event.target.checked) picked.add(event.target.value); else picked.delete(event.target.value);
      button.disabled = picked.size !== 2;
    });
    button.addEventListener("click", () => {
      const [a, b] = picked;
      location.href = `compare.html?a=${encodeURIComponent(a)}&b=${encodeURIComponent(b)}`;
    });
  }

  async function start() {
    makeTabs();
    makeFilters();
    makeChooser();
    makePicks();
    readView();
    showFilters();
    await refresh();
    const foot = el("div", { class: "foot" }, el("label", null, lengths, " rows a page"), paging);
    place.replaceChildren(table, foot);
    document.getElementById("filters").hidden = false;
    wire();
  }

  function wire() {
    const form = document.getElementById("filters");
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("reset", (event) => {
      event.preventDefault();
      robench.view.write([]);
      follow();
    });
    document.getElementById("search").addEventListener("input", (event) => { search = event.target.value; refresh(); });
    document.getElementById("csv").addEventListener("click", saveShown);
    lengths.addEventListener("change", () => { length = Number(lengths.value); refresh(); });
    window.addEventListener("hashchange", follow);
  }

  async function follow() {
    readView();
    showFilters();
    await refresh();
  }

  robench.board = { shown: () => shown };
  start();
})(window.robench);
