"use strict";
// The pictures of the rows that the table shows.
(function (robench) {
  const LINES = 10;
  const SINGLE = new Set(["latency", "size", "masking", "bits"]);
  const { load } = robench.data;
  const { rows, board, drawing } = robench;
  const place = document.getElementById("pictures");
  const figures = [...document.querySelectorAll("figure[data-chart]")];
  let near = false;

  async function draw() {
    if (!near) return;
    // One norm and eps a picture: of several groups the first one of the table.
    const all = board.shown().flatMap((line) => [...line.rows, ...line.under]);
    const group = all.length ? rows.groupOf(all[0]) : 0;
    const ids = all.filter((at) => rows.groupOf(at) === group).map(rows.id);
    const points = await load(rows.groups[group].points);
    document.getElementById("drawn").textContent = rows.groups[group].label;
    const drawn = await Promise.all(figures.map((figure) => drawOne(figure, points[figure.dataset.chart], ids)));
    place.querySelector(".empty").hidden = drawn.some(Boolean);
  }

  // Of a picture without points nothing is shown.
  async function drawOne(figure, points, ids) {
    const name = figure.dataset.chart;
    const known = new Set(points.map((point) => point.id));
    const kept = new Set(ids.filter((id) => known.has(id)).slice(0, SINGLE.has(name) ? undefined : LINES));
    const order = new Map([...kept].map((id, index) => [id, index]));
    const chosen = points.filter((point) => kept.has(point.id));
    chosen.sort((a, b) => order.get(a.id) - order.get(b.id));
    const still = figure.querySelector(".still");
    if (still) still.hidden = true;
    figure.hidden = chosen.length === 0;
    await drawing.draw(figure.querySelector(".live"), name, chosen);
    return chosen.length > 0;
  }

  if (!figures.length) return;
  drawing.whenNear(place, async () => {
    near = true;
    await draw();
    document.dispatchEvent(new CustomEvent("picturesready"));
  });
  document.addEventListener("rowschange", draw);
  document.addEventListener("themechange", draw);
})(window.robench);
