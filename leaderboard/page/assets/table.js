"use strict";
// The main table: a line a network, or a line several that were made alike; it grows as one scrolls.
(function (robench) {
  const { rows, chosen } = robench;
  const { site } = robench.data;
  const { el, wordOf, levelWord, cell, share, difference, breakable, notes, facts, answer, rowAddress } = robench.nodes;
  // The first ones stand beside the search, the others behind "more".
  const FILTERS = Object.keys(site.choices);
  const NEAR = ["bits", "level", "word"];
  const NAMES = { level: "proof", word: "audit" };
  const STEP = 50;
  const OPEN = "open";
  const ALL = "all";
  const OPEN_RUNS = site.open_runs;
  const none = (why) => el("span", { class: "none", title: why }, "·");
  const text = (name) => (line) => String(rows.field(line.at, name));
  const COLUMNS = [
    { key: "pick", title: "choose for comparison", kind: "pick", fixed: true, show: pick },
    { key: "rank", title: "rank", kind: "number rank", number: (line) => rows.rank(line.at), show: (line) => rows.rank(line.at) ?? unranked(line) },
    { key: "network", title: "network", kind: "system", fixed: true, text: (line) => rows.label(line.at), show: network },
    { key: "headline", title: "robust", kind: "number headline", fixed: true, number: chosen.headline, first: "desc", show: headline },
    { key: "word", title: "audit", text: (line) => wordAt(line).mark, show: mark },
    { key: "level", title: "proof", kind: "trust", text: text("level"), show: (line) => levelWord(rows.field(line.at, "level")) },
    { key: "bits", title: "bits", kind: "number", number: (line) => rows.field(line.at, "bits") },
    { key: "against_float", title: "against float", kind: "number wide", number: (line) => chosen.loss(line)?.[0] ?? null, first: "desc", show: loss },
    { key: "dataset", title: "data", text: text("dataset"), hidden: true },
    { key: "model", title: "model", text: text("model"), hidden: true },
    { key: "defense", title: "defense", text: text("defense"), hidden: true },
    { key: "compressor", title: "compressor", text: text("compressor"), hidden: true },
    { key: "access", title: "access", text: text("access"), hidden: true },
    { key: "seed", title: "seed", kind: "number", text: (line) => line.rows.map((at) => rows.field(at, "seed")).join(", "), hidden: true },
    ...site.columns.map((column, place) => ({
      key: column.key, title: column.title, small: column.small, place, unit: column.unit, kind: "number wide",
      number: (line) => chosen.number(line, place),
      show: (line) => cell(cellOf(line, place), column.unit),
      first: column.better === "lower" ? "asc" : "desc",
    })),
  ];
  const columnOf = new Map(COLUMNS.map((column) => [column.key, column]));
  const filters = new Map();
  const picked = new Set();
  const unfolded = new Set();
  const body = el("tbody");
  const table = el("table", { class: "board" }, el("thead"), body);
  const place = document.getElementById("results");
  const end = el("div", { class: "end" });
  let search = "";
  let order = null;
  let chosenColumns = null;
  // The lines that pass, in their order, and how many of them are drawn.
  let shown = [];
  let drawn = 0;
  let turn = 0;

  // -- cells -----------------------------------------------------------------------------------

  const single = (at) => ({ at, rows: [at], entry: null, under: [] });

  function cellOf(line, column) {
    return line.entry ? line.entry.cells[column] || null : rows.cell(line.at, column);
  }

  function ranked(line) {
    const rank = rows.rank(line.at);
    return rank === null ? unranked(line) : `rank ${rank}`;
  }

  function unranked(line) {
    return rows.tabs[rows.tabOf(line.at)].key === OPEN ? "open run" : "–";
  }

  // The word of a line's number, what it is called, and why.
  function wordAt(line) {
    if (line.entry) return line.entry;
    const [word, called] = [rows.field(line.at, "word"), rows.field(line.at, "mark")];
    const column = rows.headline(line.at);
    return { word, mark: called, get sentence() { return (column === null ? null : rows.cell(line.at, column))?.[4] || site.words[word][1]; } };
  }

  function headline(line) {
    const column = rows.headline(line.at);
    const found = column === null ? null : cellOf(line, column);
    return found ? share(wordAt(line).word, found) : none("not measured");
  }

  function mark(line) {
    const { word, mark: called, sentence } = wordAt(line);
    return [wordOf(word, called, sentence), el("span", { class: "also" }, levelWord(rows.field(line.at, "level")))];
  }

  function loss(line) {
    const found = chosen.loss(line);
    return found ? difference(found) : none("no float parent here");
  }

  function network(line, role) {
    const several = line.rows.length > 1;
    const id = rows.id(line.at);
    const details = rows.field(line.at, "details");
    const name = role.startsWith("seed") ? role : breakable(rows.field(line.at, "name"));
    return [
      el("a", { href: rowAddress(id) }, name),
      el("span", { class: "also" }, ranked(line)),
      role === PARENT ? el("small", null, [PARENT, details].filter(Boolean).join(" · ")) : !role && details ? el("small", null, details) : null,
      several ? el("small", { class: "networks" }, `mean of ${line.rows.length} networks`) : null,
      several ? null : notes(rows.about(line.at).notes),
      several || line.under.length ? unfold(line) : null,
    ];
  }

  const PARENT = "float parent";

  // What a line holds: its networks, and their float parents.
  function unfold(line) {
    const said = [line.rows.length > 1 ? `${line.rows.length} networks` : "", line.under.length ? (line.under.length > 1 ? `${PARENT}s` : PARENT) : ""];
    const button = el("button", { type: "button", class: "unfold", "aria-expanded": String(unfolded.has(line.at)) }, said.filter(Boolean).join(" and "));
    button.addEventListener("click", () => { toggle(line, button); });
    return button;
  }

  async function toggle(line, button) {
    const open = !unfolded.has(line.at);
    if (open) unfolded.add(line.at); else unfolded.delete(line.at);
    button.setAttribute("aria-expanded", String(open));
    const head = button.closest("tr");
    if (!open) {
      while (head.nextSibling?.classList.contains("folded")) head.nextSibling.remove();
      return;
    }
    await rows.load([...line.rows, ...line.under]);
    head.after(...inside(line));
  }

  // Whether a line holds below it the row that answers a question above the table.
  function answers(line) {
    const its = rows.groups[rows.groupOf(line.at)].answers.map((one) => one.id);
    return line.under.some((at) => its.includes(rows.id(at)));
  }

  // The rows that lines show when they are drawn first.
  const seen = (lines) => lines.flatMap((line) => (answers(line) ? [...line.rows, ...line.under] : line.rows));

  // The rows below an unfolded line.
  function inside(line) {
    const columns = COLUMNS.filter(visible);
    const members = line.rows.length > 1 ? line.rows : [];
    const roles = [...members.map((at) => [at, seedName(at, members)]), ...line.under.map((at) => [at, PARENT])];
    return roles.map(([at, role]) => el("tr", { class: "folded" }, columns.map((column) => drawCell(column, single(at), role))));
  }

  // Networks of one seed, made on several machines, differ by the beginning of their ids.
  function seedName(at, members) {
    const seed = rows.field(at, "seed");
    const alone = members.filter((one) => rows.field(one, "seed") === seed).length === 1;
    return alone ? `seed ${seed}` : `seed ${seed}, ${rows.id(at).slice(0, 6)}`;
  }

  // A mean has no images to compare; its networks have.
  function pick(line) {
    if (line.rows.length > 1) return null;
    const id = rows.id(line.at);
    const box = el("input", { type: "checkbox", value: id, "aria-label": `choose ${rows.label(line.at)} for comparison` });
    box.checked = picked.has(id);
    return box;
  }

  // -- columns -------------------------------------------------------------------------------

  // The columns that the groups of the shown lines show at first, and all that their tabs have.
  let usualColumns = new Set();

  // Kinds of columns for which a narrow window has no room until they are chosen, as page.css has it.
  const NARROW = [["wide", "1000px"], ["rank", "560px"], ["trust", "560px"]].map(([kind, width]) => [kind, matchMedia(`(max-width: ${width})`)]);

  function visible(column) {
    if (column.fixed) return true;
    if (chosenColumns) return chosenColumns.has(column.key);
    if (NARROW.some(([kind, window]) => window.matches && column.kind?.split(" ").includes(kind))) return false;
    return column.place === undefined ? !column.hidden : usualColumns.has(column.place);
  }

  function showChooser() {
    const has = new Set(openTabs().flatMap((number) => Object.keys(rows.tabs[number].keys.numbers).map(Number)));
    const offered = COLUMNS.filter((one) => !one.fixed && (one.place === undefined || has.has(one.place)));
    const menu = document.querySelector("#chooser .menu");
    const boxes = new Map([...menu.querySelectorAll("input")].map((box) => [box.value, box]));
    // Boxes that stay are not drawn anew: one of them has the focus.
    if (boxes.size !== offered.length || offered.some((column) => !boxes.has(column.key))) {
      menu.replaceChildren(...offered.map((column) => {
        const box = el("input", { type: "checkbox", value: column.key });
        boxes.set(column.key, box);
        return el("label", null, box, ` ${column.title}`, column.small ? el("small", null, ` ${column.small}`) : null);
      }));
    }
    for (const column of offered) boxes.get(column.key).checked = visible(column);
  }

  // -- tabs and filters --------------------------------------------------------------------------

  function openTabs() {
    const wanted = filters.get("protocol");
    return rows.tabs.map((tab, number) => number).filter((number) => !wanted || rows.tabs[number].key === wanted);
  }

  function makeTabs() {
    const bar = document.getElementById("tabs");
    const all = { key: "", label: "all", rows: rows.count };
    for (const tab of rows.tabs.length > 1 ? [...rows.tabs, all] : rows.tabs) {
      const button = el("button", { type: "button" }, tab.label);
      button.value = tab.key;
      button.addEventListener("click", () => { filters.set("protocol", tab.key); chosenColumns = null; choose(); });
      bar.append(button);
    }
    bar.hidden = false;
  }

  // Which tab is open, what answers its first questions, and what its protocol fixes.
  function showTab() {
    const wanted = filters.get("protocol");
    for (const button of document.querySelectorAll("#tabs button")) {
      button.setAttribute("aria-pressed", String(button.value === wanted));
    }
    document.querySelector("#tabs [aria-pressed=true]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
    const number = rows.tabs.findIndex((tab) => tab.key === wanted);
    const { about } = rows.tabs[number] || { about: [] };
    const its = rows.groups.filter((group) => group.tab === number);
    document.getElementById("answers").replaceChildren(...its.flatMap((group) => group.answers.map(answer)));
    const said = about.length ? facts(about) : el("p", { class: "open" }, wanted === OPEN ? OPEN_RUNS : "All tabs, each ranked by itself.");
    document.getElementById("about").replaceChildren(said);
  }

  function makeFilters() {
    for (const name of FILTERS) {
      const title = NAMES[name] || name;
      const near = NEAR.includes(name);
      const select = el("select", { name, "aria-label": title }, new Option(near ? `any ${title}` : "any", ""));
      document.getElementById(near ? "choices" : "others").append(near ? select : el("label", null, title, select));
      select.addEventListener("change", () => { filters.set(name, select.value); choose(); });
    }
  }

  // What a filter may ask of the open tabs: values that occur there, and what is asked already.
  function offered(name) {
    const has = new Set(openTabs().flatMap((number) => rows.tabs[number].keys[name].of));
    const all = site.choices[name].map((value) => [String(value), has.has(value)]);
    if (name === "bits") all.unshift([chosen.SMALL, [...has].some((bits) => bits <= 8)]);
    return all.filter(([value, occurs]) => occurs || value === filters.get(name)).map(([value]) => value);
  }

  function showFilters() {
    for (const select of document.querySelectorAll("#filters select")) {
      const [any, ...before] = select.options;
      const values = offered(select.name);
      if (values.join() !== before.map((one) => one.value).join()) {
        select.replaceChildren(any, ...values.map((value) => new Option(said(select.name, value), value)));
      }
      select.value = filters.get(select.name);
    }
  }

  function said(name, value) {
    if (value === chosen.SMALL) return "at most 8 bits";
    if (name === "bits") return `${value} bits`;
    return name === "word" ? site.called[value] || value.replace("_", " ") : value.replace("_", " ");
  }

  // How many filters are at work behind "more".
  function countMore() {
    const hidden = FILTERS.filter((name) => !NEAR.includes(name) && filters.get(name)).length + (chosenColumns ? 1 : 0);
    document.querySelector("#more summary").textContent = hidden ? `More (${hidden})` : "More";
  }

  // -- the view in the address ----------------------------------------------------------------

  // At first one protocol is shown: others rank by themselves.
  const usual = (name) => (name === "protocol" ? rows.tabs[0].key : "");

  const known = (name, value) => (name === "bits" && value === chosen.SMALL) || site.choices[name].some((one) => String(one) === value);

  function readView() {
    const view = robench.view.read();
    filters.clear();
    for (const name of ["protocol", ...FILTERS]) {
      const value = view.has(name) ? view.get(name) : usual(name);
      filters.set(name, name === "protocol" || known(name, value) ? value : "");
    }
    if (!rows.tabs.some((tab) => tab.key === filters.get("protocol"))) {
      filters.set("protocol", view.get("protocol") === ALL && rows.tabs.length > 1 ? "" : usual("protocol"));
    }
    chosenColumns = view.has("columns") ? new Set(view.get("columns").split(",")) : null;
    const [key, direction] = (view.get("order") || "").split(":");
    order = columnOf.has(key) && key !== "pick" ? [key, direction === "asc" ? "asc" : "desc"] : null;
    search = view.get("search") || "";
    document.getElementById("search").value = search;
  }

  function viewed() {
    const entries = [...filters]
      .filter(([name, value]) => value !== usual(name))
      .map(([name, value]) => [name, value || ALL]);
    if (order) entries.push(["order", order.join(":")]);
    entries.push(["search", search]);
    if (chosenColumns) entries.push(["columns", [...chosenColumns].join(",")]);
    return entries;
  }

  // -- drawing ---------------------------------------------------------------------------------

  let apart = false;

  // What a reader chose is a step in the history; Back undoes it.
  function choose() {
    robench.view.push(viewed());
    return refresh();
  }

  // Chooses and orders anew, and shows the first lines.
  async function refresh() {
    const mine = turn += 1;
    place.setAttribute("aria-busy", "true");
    await rows.open(openTabs());
    if (mine !== turn) return;
    showFilters();
    const passing = chosen.lines(openTabs(), [...filters].filter(([name, value]) => value && name !== "protocol"), search);
    const groups = new Set(passing.map((line) => rows.groupOf(line.at)));
    apart = groups.size > 1;
    usualColumns = new Set([...groups].flatMap((group) => rows.groups[group].columns));
    shown = ordered(passing);
    drawn = 0;
    unfolded.clear();
    const first = shown.slice(0, STEP);
    await rows.load(seen(first));
    if (mine !== turn) return;
    showTab();
    showChooser();
    countMore();
    drawHead([...groups]);
    body.replaceChildren(...(shown.length ? [] : [nothing()]));
    place.scrollTop = 0;
    place.classList.toggle("long", shown.length > STEP);
    append(first);
    told();
    robench.view.write(viewed());
    place.setAttribute("aria-busy", "false");
    document.dispatchEvent(new CustomEvent("rowschange"));
  }

  function ordered(passing) {
    if (!order) return passing;
    const column = columnOf.get(order[0]);
    const value = column.text ? (line) => column.text(line).toLowerCase() : column.number;
    return chosen.sorted(passing, value, order[1]);
  }

  // The next lines, when the end of the drawn ones comes near.
  async function more() {
    if (drawn >= shown.length || place.getAttribute("aria-busy") === "true") return;
    const mine = turn;
    const next = shown.slice(drawn, drawn + STEP);
    place.setAttribute("aria-busy", "true");
    await rows.load(seen(next));
    if (mine !== turn) return;
    append(next);
    place.setAttribute("aria-busy", "false");
    // Still in sight, the end says nothing by itself.
    watcher.unobserve(end);
    watcher.observe(end);
  }

  const watcher = new IntersectionObserver((seen) => { if (seen.some((one) => one.isIntersecting)) more(); }, { root: place, rootMargin: "0px 0px 800px 0px" });

  function append(lines) {
    const columns = COLUMNS.filter(visible);
    body.append(...lines.flatMap((line, at) => {
      const group = rows.groupOf(line.at);
      const before = shown[drawn + at - 1];
      const begins = apart && (!before || rows.groupOf(before.at) !== group);
      const head = begins ? [el("tr", { class: "group" }, el("th", { scope: "colgroup", colspan: columns.length }, rows.groups[group].label))] : [];
      if (answers(line)) unfolded.add(line.at);
      const row = el("tr", null, columns.map((column) => drawCell(column, line, "")));
      return [...head, row, ...(unfolded.has(line.at) ? inside(line) : [])];
    }));
    drawn += lines.length;
  }

  function nothing() {
    return el("tr", null, el("td", { class: "none", colspan: COLUMNS.filter(visible).length }, "no network passes"));
  }

  // `role` says what a row below another one is: its seed, or a float parent.
  function drawCell(column, line, role) {
    const content = column.show ? column.show(line, role) : column.text ? column.text(line) : column.number(line);
    if (column.key === "network") return el("th", { scope: "row", class: "system" }, content);
    return el("td", { class: column.kind || "" }, content);
  }

  function drawHead(groups) {
    table.className = chosenColumns ? "board" : "board usual";
    table.tHead.replaceChildren(el("tr", null, COLUMNS.filter(visible).map((column) => heading(column, groups))));
  }

  function heading(column, groups) {
    if (column.key === "pick") return el("th", { scope: "col", class: "pick" }, el("span", { class: "hidden" }, column.title));
    const direction = order && order[0] === column.key ? order[1] : "";
    const { title, small } = column.key === "headline" ? ranking(groups) : column;
    const button = el("button", { type: "button", class: "sort" }, el("span", null, title, small ? el("small", null, small) : null), el("span", { class: `order ${direction}`.trim(), "aria-hidden": "true" }));
    const head = el("th", { scope: "col", class: column.kind, "aria-sort": direction ? `${direction}ending` : null }, button);
    head.addEventListener("click", () => { sortBy(column); });
    return head;
  }

  // What the headline is about, where all shown lines are about the same.
  function ranking(groups) {
    const all = [...new Set(groups.map((group) => rows.groups[group].headline))];
    return all.length === 1 && all[0] !== null ? site.columns[all[0]] : { title: "robust", small: "" };
  }

  // One way, the other way, and for words and the row's own numbers not at all.
  async function sortBy(column) {
    const begin = column.first || "asc";
    const other = begin === "asc" ? "desc" : "asc";
    const now = order && order[0] === column.key ? order[1] : null;
    if (now === null) order = [column.key, begin];
    else if (now === begin) order = [column.key, other];
    else order = column.place === undefined ? null : [column.key, begin];
    await choose();
    [...table.tHead.rows[0].cells].find((head, at) => COLUMNS.filter(visible)[at] === column)?.querySelector("button").focus({ preventScroll: true });
  }

  function told() {
    const tab = rows.tabs.find((one) => one.key === filters.get("protocol"));
    const networks = new Set(shown.flatMap((line) => [...line.rows, ...line.under])).size;
    const count = (n, what) => `${n.toLocaleString("en-US")} ${what}${n === 1 ? "" : "s"}`;
    const rest = networks > shown.length ? `, ${count(networks, "network")}` : "";
    const parents = shown.some((line) => line.under.length && rows.rank(line.at) !== null) ? " · ranks count folded float parents, too" : "";
    document.getElementById("count").textContent = `${count(shown.length, "row")}${rest} · ${tab ? tab.label : "all tabs, each ranked by itself"}${parents}`;
    table.setAttribute("aria-rowcount", shown.length + 1);
  }

  // -- CSV ---------------------------------------------------------------------------------------

  // Each network of the lines that pass, and the columns that are shown; of a value its ends too.
  async function saveShown() {
    const all = shown.flatMap((line) => [...line.rows, ...line.under]);
    await rows.load(all);
    const columns = COLUMNS.filter((column) => column.key !== "pick" && visible(column));
    const placed = (column, at) => (column.key === "headline" ? rows.headline(at) : column.place);
    const ended = (column) => column.key === "headline" || column.place !== undefined;
    const head = columns.flatMap((column) => {
      const name = [column.title, column.small].filter(Boolean).join(" ");
      return ended(column) ? [name, `${name} low`, `${name} high`, `${name} word`] : [name];
    });
    const lines = all.map((at) => columns.flatMap((column) => {
      if (!ended(column)) return [(column.number || column.text)(single(at))];
      const found = placed(column, at);
      const [value, low, high, word] = (found === null ? null : rows.cell(at, found)) || [];
      return [value, low, high, word];
    }));
    robench.save("rows.csv", [["record", ...head], ...lines.map((line, at) => [rows.id(all[at]), ...line])]);
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
    makePicks();
    readView();
    await refresh();
    place.replaceChildren(table, end);
    watcher.observe(end);
    document.getElementById("filters").hidden = false;
    wire();
  }

  function wire() {
    const form = document.getElementById("filters");
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("reset", (event) => {
      event.preventDefault();
      robench.view.push([]);
      follow();
    });
    document.getElementById("search").addEventListener("input", (event) => { search = event.target.value; choose(); });
    document.querySelector("#chooser .menu").addEventListener("change", (event) => {
      chosenColumns = new Set([...event.currentTarget.querySelectorAll("input:checked")].map((box) => box.value));
      choose();
    });
    document.getElementById("csv").addEventListener("click", saveShown);
    const panel = document.getElementById("more");
    document.addEventListener("click", (event) => { if (!panel.contains(event.target) && event.target.isConnected) panel.open = false; });
    panel.addEventListener("keydown", (event) => { if (event.key === "Escape") { panel.open = false; panel.querySelector("summary").focus(); } });
    window.addEventListener("hashchange", follow);
    NARROW.forEach(([, window]) => window.addEventListener("change", () => refresh()));
  }

  async function follow() {
    readView();
    await refresh();
  }

  robench.board = { shown: () => shown };
  start();
})(window.robench);
