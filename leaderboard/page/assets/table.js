"use strict";
// The main table: all rows in memory, only the shown page of them in the document.
(function (robench) {
  const table = robench.table;
  const { at } = robench;
  const FILTERS = ["protocol", "dataset", "model", "defense", "compressor", "bits", "access", "level", "word"]
    .map((name) => [name, at[name]]);
  const ABOUT = [
    { key: "group", title: "group", at: at.group, number: true, hidden: true, fixed: true },
    { key: "pick", title: '<span class="hidden">choose for comparison</span>', at: at.id, plain: true, fixed: true },
    { key: "rank", title: "rank", at: at.rank, number: true },
    { key: "system", title: "system", at: at.label },
    { key: "dataset", title: "data", at: at.dataset, hidden: true },
    { key: "model", title: "model", at: at.model, telling: true },
    { key: "defense", title: "defense", at: at.defense, hidden: true },
    { key: "compressor", title: "compressor", at: at.compressor, hidden: true },
    { key: "bits", title: "bits", at: at.bits, number: true, telling: true },
    { key: "access", title: "access", at: at.access, hidden: true },
    { key: "seed", title: "seed", at: at.seed, number: true, telling: true },
    { key: "level", title: "proof", at: at.level },
    { key: "word", title: "meaning", at: at.word },
  ];
  const OPEN = "open";
  const ALL = "all";
  const filters = new Map();
  const picked = new Set();
  let chosenColumns = null;
  let board = null;

  // Cells without a number stand last in either direction.
  function nullsLast(sign) {
    return (a, b) => (a === null ? (b === null ? 0 : 1) : b === null ? -1 : sign * (a - b));
  }
  DataTable.type("cell", {
    order: { asc: nullsLast(1), desc: nullsLast(-1) },
    detect: () => false,
  });

  function aboutColumn(about) {
    const column = {
      name: about.key, title: about.title, orderable: !about.plain, searchable: !about.number && !about.plain,
      visible: !about.hidden, className: about.number ? "number" : about.key === "system" ? "system" : "",
      data: (row) => row[about.at],
    };
    if (about.number) column.type = "cell";
    if (about.key === "pick") column.render = renderPick;
    if (about.key === "rank") column.render = (v, type, row) => (type === "display" && v === null ? unranked(row) : v);
    if (about.key === "system") {
      column.cellType = "th";
      column.render = (v, type, row) => (type === "display"
        ? `<a href="rows/${robench.escape(row[at.id])}/index.html">${robench.escape(v).replaceAll("_", "_<wbr>")}</a>${notes(row)}` : v);
      column.createdCell = (cell) => cell.setAttribute("scope", "row");
    } else if (about.key === "word") {
      column.render = (v, type) => (type === "display" ? robench.wordOf(v) : v);
    } else if (about.key === "level") {
      column.render = (v, type) => (type === "display" ? robench.levelWord(v) : v);
    } else if (!about.number && !about.plain) {
      column.render = (v, type) => (type === "display" ? robench.escape(v) : v);
    }
    return column;
  }

  function unranked(row) {
    return table.protocols[row[at.protocol]].key === OPEN ? "open run" : "–";
  }

  // What moved the row's numbers, or took its rank.
  function notes(row) {
    return row[at.notes].map((note) => `<small class="note">${robench.escape(note)}</small>`).join("");
  }

  function renderPick(id, type, row) {
    if (type !== "display") return id;
    return `<input type="checkbox" value="${robench.escape(id)}"${picked.has(id) ? " checked" : ""} ` +
      `aria-label="choose ${robench.escape(row[at.label])} for comparison">`;
  }

  function valueColumn(column, place) {
    const small = column.small ? `<small>${robench.escape(column.small)}</small>` : "";
    return {
      name: column.key, title: robench.escape(column.title) + small, type: "cell", className: "number",
      searchable: false,
      orderSequence: column.better === "lower" ? ["asc", "desc"] : ["desc", "asc"],
      data: (row) => row[at.cells][place],
      render: (cell, type) => (type === "display" ? robench.cell(cell, column.unit) : cell ? cell[0] : null),
    };
  }

  // -- filters -------------------------------------------------------------------------------

  function passes(row) {
    for (const [name, place] of FILTERS) {
      const wanted = filters.get(name);
      if (wanted && said(name, row[place]) !== wanted) return false;
    }
    return true;
  }

  // A protocol is known by its name and version, all else by what the row says.
  function said(name, value) {
    return name === "protocol" ? table.protocols[value].key : String(value);
  }

  function makeTabs() {
    const tabs = document.getElementById("tabs");
    const all = { key: "", label: "all" };
    for (const tab of table.protocols.length > 1 ? [...table.protocols, all] : table.protocols) {
      const button = document.createElement("button");
      button.type = "button";
      button.value = tab.key;
      button.textContent = tab.label;
      const count = table.rows.filter((row) => !tab.key || said("protocol", row[at.protocol]) === tab.key).length;
      button.insertAdjacentHTML("beforeend", ` <small>${count}</small>`);
      button.addEventListener("click", () => { filters.set("protocol", tab.key); chosenColumns = null; refresh(); });
      tabs.append(button);
    }
    tabs.hidden = false;
  }

  // Which tab is open, and what its protocol fixes.
  function showTab() {
    const wanted = filters.get("protocol");
    for (const button of document.querySelectorAll("#tabs button")) {
      button.setAttribute("aria-pressed", String(button.value === wanted));
    }
    const place = document.getElementById("about");
    const about = (table.protocols.find((tab) => tab.key === wanted) || { about: [] }).about;
    const facts = about.map(([term, text]) => `<div><dt>${robench.escape(term)}</dt><dd>${robench.escape(text)}</dd></div>`);
    const open = "Open runs: each chose its own images, attacks and audit, so none of them has a rank.";
    const all = "All tabs, each ranked by itself.";
    place.innerHTML = facts.length ? `<dl class="about">${facts.join("")}</dl>`
      : `<p class="open">${wanted === OPEN ? open : all}</p>`;
  }

  function makeFilters() {
    const choices = document.getElementById("choices");
    for (const [name, place] of FILTERS.filter(([name]) => name !== "protocol")) {
      const values = [...new Set(table.rows.map((row) => row[place]))];
      if (values.length < 2) continue;
      values.sort((a, b) => (typeof a === "number" ? a - b : a < b ? -1 : 1));
      const label = document.createElement("label");
      const select = document.createElement("select");
      select.name = name;
      select.append(new Option("all", ""));
      for (const value of values) select.append(new Option(String(value).replace("_", " "), String(value)));
      label.append({ level: "proof", word: "meaning" }[name] || name, select);
      choices.append(label);
      select.addEventListener("change", () => { filters.set(name, select.value); refresh(); });
    }
  }

  function showFilters() {
    for (const select of document.querySelectorAll("#choices select")) {
      select.value = filters.get(select.name);
      if (select.selectedIndex < 0) { select.value = ""; filters.set(select.name, ""); }
    }
    document.getElementById("search").value = board.search();
  }

  // -- columns -------------------------------------------------------------------------------

  // Whether a column tells two rows apart; else it waits in the chooser.
  function varies(place) {
    return table.rows.some((row) => row[place] !== table.rows[0][place]);
  }

  // The columns that the groups of the shown rows show at first.
  function usualColumns() {
    const shown = new Set(table.rows.filter(passes).map((row) => row[at.group]));
    return new Set([...shown].flatMap((group) => table.groups[group].columns));
  }

  function showColumns() {
    const usual = usualColumns();
    const wanted = (key, otherwise) => (chosenColumns ? chosenColumns.has(key) : otherwise);
    ABOUT.forEach((about, place) => {
      const shown = about.fixed ? !about.hidden : wanted(about.key, !about.hidden && (!about.telling || varies(about.at)));
      board.column(place).visible(shown, false);
    });
    table.columns.forEach((column, place) => {
      const visible = wanted(column.key, usual.has(place));
      board.column(ABOUT.length + place).visible(visible, false);
    });
  }

  function makeChooser() {
    const menu = document.querySelector("#chooser .menu");
    const all = [...ABOUT.filter((a) => !a.fixed), ...table.columns];
    for (const column of all) {
      const label = document.createElement("label");
      const box = document.createElement("input");
      box.type = "checkbox";
      box.value = column.key;
      label.append(box, ` ${column.title}${column.small ? `, ${column.small}` : ""}`);
      menu.append(label);
    }
    menu.addEventListener("change", () => {
      chosenColumns = new Set([...menu.querySelectorAll("input:checked")].map((box) => box.value));
      refresh();
    });
    document.getElementById("chooser").addEventListener("toggle", markChooser);
  }

  function markChooser() {
    for (const box of document.querySelectorAll("#chooser input")) {
      box.checked = board.column(`${box.value}:name`).visible();
    }
  }

  // -- the view in the address ----------------------------------------------------------------

  function readView() {
    const view = robench.view.read();
    filters.clear();
    for (const [name] of FILTERS) {
      const value = view.has(name) ? view.get(name) : usual(name);
      filters.set(name, value === ALL ? "" : value);
    }
    if (!table.protocols.some((tab) => tab.key === filters.get("protocol"))) {
      filters.set("protocol", view.get("protocol") === ALL && table.protocols.length > 1 ? "" : usual("protocol"));
    }
    chosenColumns = view.has("columns") ? new Set(view.get("columns").split(",")) : null;
    const [key, direction] = (view.get("order") || "").split(":");
    const place = key ? board.column(`${key}:name`).index() : undefined;
    board.order(place === undefined ? [] : [[place, direction === "asc" ? "asc" : "desc"]]);
    board.search(view.get("search") || "");
  }

  function writeView() {
    const entries = [...filters]
      .filter(([name, value]) => value !== usual(name))
      .map(([name, value]) => [name, value || ALL]);
    const order = board.order()[0];
    if (order) entries.push(["order", `${names[order[0]]}:${order[1]}`]);
    entries.push(["search", board.search()]);
    if (chosenColumns) entries.push(["columns", [...chosenColumns].join(",")]);
    robench.view.write(entries);
  }

  // At first one protocol is shown: others rank by themselves.
  function usual(name) {
    return name === "protocol" ? table.protocols[0].key : "";
  }

  const names = [...ABOUT.map((a) => a.key), ...table.columns.map((c) => c.key)];

  // -- drawing ---------------------------------------------------------------------------------

  function refresh() {
    const groups = new Set(table.rows.filter(passes).map((row) => row[at.group]));
    board.rowGroup()[groups.size > 1 ? "enable" : "disable"]();
    showTab();
    showColumns();
    board.draw();
  }

  function drawn() {
    const info = board.page.info();
    const shown = info.recordsDisplay.toLocaleString("en-US");
    const tab = table.protocols.find((one) => one.key === filters.get("protocol"));
    document.getElementById("count").textContent = `${shown} rows · ${tab ? tab.label : "all tabs, each ranked by itself"}`;
    writeView();
    document.dispatchEvent(new CustomEvent("rowschange"));
  }

  function shownRows() {
    return board.rows({ search: "applied", order: "applied" }).data().toArray();
  }

  function makePicks(element) {
    const button = document.getElementById("compare");
    element.addEventListener("change", (event) => {
      if (event.target.type !== "checkbox") return;
      if (event.target.checked) picked.add(event.target.value); else picked.delete(event.target.value);
      button.disabled = picked.size !== 2;
    });
    button.addEventListener("click", () => {
      const [a, b] = picked;
      location.href = `compare.html?a=${encodeURIComponent(a)}&b=${encodeURIComponent(b)}`;
    });
  }

  function start() {
    const element = document.createElement("table");
    element.className = "board";
    const place = document.getElementById("results");
    board = new DataTable(element, {
      data: table.rows,
      columns: [...ABOUT.map(aboutColumn), ...table.columns.map(valueColumn)],
      order: [],
      orderFixed: { pre: [[0, "asc"]] },
      pageLength: 25,
      lengthMenu: [10, 25, 50, 100],
      autoWidth: false,
      layout: { topStart: null, topEnd: null, bottomStart: "pageLength", bottomEnd: "paging" },
      rowGroup: {
        dataSrc: (row) => table.groups[row[at.group]].label,
        startRender: (rows, group) => robench.escape(group),
        enable: false,
      },
    });
    board.search.fixed("filters", (text, row) => passes(row));
    makeTabs();
    makeFilters();
    makeChooser();
    makePicks(element);
    readView();
    showFilters();
    board.on("draw", drawn);
    refresh();
    document.getElementById("static").remove();
    place.append(board.table().container());
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
    document.getElementById("search").addEventListener("input", (event) => {
      board.search(event.target.value).draw();
    });
    window.addEventListener("hashchange", follow);
  }

  function follow() {
    readView();
    showFilters();
    refresh();
  }

  start();
  robench.board = { shownRows };
})(window.robench);
