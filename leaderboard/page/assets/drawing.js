"use strict";
// Pictures, drawn from the same descriptions as the still ones: where, which one, and its points.
(function (robench) {
  const THEMES = {
    light: { axis: "#59626d", grid: "#e3e6ea" },
    dark: { axis: "#a2abb6", grid: "#2c333c" },
  };
  const { load, script } = robench.data;
  const views = new Map();
  let charts = null;

  // The library is large, so it comes only once somebody scrolls near a picture.
  async function ready() {
    [charts] = await Promise.all([load("charts"), script("vendor/vega.min.js")]);
    await script("vendor/vega-interpreter.js");
  }
  let asked = null;
  const prepare = () => { asked = asked || ready(); return asked; };

  function config() {
    const theme = THEMES[robench.dark() ? "dark" : "light"];
    const words = { labelColor: theme.axis, titleColor: theme.axis };
    const lines = { domainColor: theme.axis, tickColor: theme.axis, gridColor: theme.grid };
    return {
      background: null, axis: { ...words, ...lines, labelFontSize: 12, titleFontSize: 12 },
      legend: { ...words, labelFontSize: 12 }, title: { color: theme.axis }, group: { stroke: null },
      style: { cell: { stroke: null } }, font: "system-ui, sans-serif",
    };
  }

  // A legend is as wide as its card: one column of names where two have no room.
  function legends(spec, width) {
    for (const legend of spec.legends || []) {
      if (legend.orient !== "bottom") continue;
      legend.columns = width < 560 ? 1 : 2;
      legend.labelLimit = Math.floor(width / legend.columns) - 40;
    }
  }

  async function draw(container, name, points) {
    await prepare();
    views.get(container)?.finalize();
    views.delete(container);
    container.hidden = points.length === 0;
    if (!points.length) return;
    const spec = structuredClone(charts[name]);
    spec.data.find((one) => one.name === "points").values = points;
    legends(spec, container.clientWidth || 460);
    // Points of one threat bear the title of their axis.
    for (const axis of spec.axes) if (axis.title === "ε" && points[0].axis) axis.title = points[0].axis;
    // Interpreted, not compiled: the page's policy lets no text become code.
    const view = new vega.View(vega.parse(spec, config(), { ast: true }), {
      expr: vega.expressionInterpreter, renderer: "svg", container, hover: true, tooltip: showTip,
    });
    views.set(container, view);
    await view.runAsync();
  }

  // `task` once, when the reader comes near an element.
  function whenNear(element, task) {
    const watcher = new IntersectionObserver((entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      watcher.disconnect();
      task();
    }, { rootMargin: "300px" });
    watcher.observe(element);
  }

  // -- tooltip -------------------------------------------------------------------------------

  const tip = robench.nodes.el("div", { class: "tip" });
  tip.hidden = true;
  document.body.append(tip);

  function showTip(handler, event, item, value) {
    const { el } = robench.nodes;
    tip.hidden = !value || typeof value !== "object";
    if (tip.hidden) return;
    tip.replaceChildren(el("dl", null, Object.entries(value).map(([key, text]) => [el("dt", null, key), el("dd", null, String(text))])));
    const box = tip.getBoundingClientRect();
    tip.style.left = `${Math.min(event.clientX + 14, innerWidth - box.width - 8)}px`;
    tip.style.top = `${Math.min(event.clientY + 14, innerHeight - box.height - 8)}px`;
  }

  robench.drawing = { draw, whenNear };
})(window.robench);
