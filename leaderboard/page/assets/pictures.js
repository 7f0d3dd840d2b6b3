"use strict";
// The pictures, drawn from the same descriptions as the still ones, of the rows the table shows.
(function (robench) {
  const LINES = 10;
  const SINGLE = new Set(["latency", "size", "masking", "bits"]);
  const THEMES = {
    light: { background: null, axis: "#59626d", grid: "#e3e6ea" },
    dark: { background: null, axis: "#a2abb6", grid: "#2c333c" },
  };
  const figures = [...document.querySelectorAll("figure[data-chart]")];
  const views = new Map();
  const { load, script } = robench.data;
  const rows = { ...robench.rows, shown: robench.board.shown };
  let charts = null;
  let ready = false;

  function config() {
    const theme = THEMES[robench.dark() ? "dark" : "light"];
    const words = { labelColor: theme.axis, titleColor: theme.axis };
    const lines = { domainColor: theme.axis, tickColor: theme.axis, gridColor: theme.grid };
    return {
      background: theme.background, axis: { ...words, ...lines, labelFontSize: 12, titleFontSize: 12 },
      legend: { ...words, labelFontSize: 12 }, title: { color: theme.axis }, group: { stroke: null },
      style: { cell: { stroke: null } }, font: "system-ui, sans-serif",
    };
  }

  async function draw() {
    if (!ready) return;
    // One norm and eps a picture: of several groups the first one of the table.
    const all = rows.shown();
    const group = all.length ? rows.groupOf(all[0]) : 0;
    const ids = all.filter((at) => rows.groupOf(at) === group).map(rows.id);
    const points = await load(rows.groups[group].points);
    document.getElementById("drawn").textContent = rows.groups[group].label;
    for (const figure of figures) drawOne(figure, points[figure.dataset.chart], ids);
  }

  function drawOne(figure, points, ids) {
    const name = figure.dataset.chart;
    const drawn = new Set(points.map((point) => point.id));
    const kept = new Set(ids.filter((id) => drawn.has(id)).slice(0, SINGLE.has(name) ? undefined : LINES));
    const place = new Map([...kept].map((id, index) => [id, index]));
    const chosen = points.filter((point) => kept.has(point.id));
    chosen.sort((a, b) => place.get(a.id) - place.get(b.id));
    const live = figure.querySelector(".live");
    const still = figure.querySelector(".still");
    if (still) still.hidden = true;
    figure.querySelector(".empty").hidden = chosen.length > 0;
    live.hidden = chosen.length === 0;
    views.get(name)?.finalize();
    views.delete(name);
    if (!chosen.length) return;
    const spec = structuredClone(charts[name]);
    spec.data.find((one) => one.name === "points").values = chosen;
    // Interpreted, not compiled: the page's policy lets no text become code.
    const view = new vega.View(vega.parse(spec, config(), { ast: true }), {
      expr: vega.expressionInterpreter, renderer: "svg", container: live, hover: true, tooltip: showTip,
    });
    view.run();
    views.set(name, view);
  }

  // -- tooltip -------------------------------------------------------------------------------

  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  document.body.append(tip);

  function showTip(handler, event, item, value) {
    tip.hidden = !value || typeof value !== "object";
    if (tip.hidden) return;
    const list = document.createElement("dl");
    for (const [key, text] of Object.entries(value)) {
      const term = document.createElement("dt");
      const said = document.createElement("dd");
      term.textContent = key;
      said.textContent = text;
      list.append(term, said);
    }
    tip.replaceChildren(list);
    const box = tip.getBoundingClientRect();
    tip.style.left = `${Math.min(event.clientX + 14, innerWidth - box.width - 8)}px`;
    tip.style.top = `${Math.min(event.clientY + 14, innerHeight - box.height - 8)}px`;
  }

  // -- start: only once somebody scrolls near ---------------------------------------------------

  async function prepare() {
    [charts] = await Promise.all([load("charts"), script("vendor/vega.min.js")]);
    await script("vendor/vega-interpreter.js");
    ready = true;
    await draw();
    document.dispatchEvent(new CustomEvent("picturesready"));
  }

  if (!figures.length) return;
  const watcher = new IntersectionObserver((entries) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    watcher.disconnect();
    prepare();
  }, { rootMargin: "300px" });
  watcher.observe(document.getElementById("pictures"));
  document.addEventListener("rowschange", draw);
  document.addEventListener("themechange", draw);
})(window.robench);
