"use strict";
// Two rows on the same images: loads each row's outcomes and compares them here.
(function (robench) {
  const { at } = robench;
  const rows = new Map(robench.table.rows.map((row) => [row[at.id], row]));
  const message = document.getElementById("message");

  function load(id) {
    return new Promise((done, fail) => {
      const element = document.createElement("script");
      element.src = `rows/${id}/outcomes.js`;
      element.onload = () => done(robench[`outcomes_${id}`]);
      element.onerror = () => fail(new Error(`cannot read the outcomes of ${id}`));
      document.head.append(element);
    });
  }

  function bits(text) {
    return Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  }

  function points(share) {
    return `${share >= 0 ? "+" : "−"}${Math.abs(100 * share).toFixed(1)}`;
  }

  function line(key, pair) {
    const [attack, access, norm, eps] = key.split("|");
    const norms = { linf: "L∞", l2: "L2" };
    const threat = norm ? `${norms[norm] || norm} ${eps === "" ? "any" : robench.short(Number(eps))}` : "";
    const separated = pair.p < 0.05;
    const verdict = separated ? (pair.difference > 0 ? "first is better" : "second is better") : "not told apart";
    const tone = separated ? (pair.difference > 0 ? "better" : "worse") : "";
    const cells = [
      [robench.number(pair.first, "share"), "number"], [robench.number(pair.second, "share"), "number"],
      [points(pair.difference), `number difference ${tone}`], [`${points(pair.low)} to ${points(pair.high)}`, ""],
      [pair.onlyFirst, "number"], [pair.onlySecond, "number"],
      [pair.p < 0.0001 ? "< 0.0001" : pair.p.toFixed(4), "number"], [verdict, tone],
    ];
    const name = robench.escape([attack, ["transfer", "parent"].includes(access) ? access : "", threat].filter(Boolean).join(", "));
    const rest = cells.map(([text, kind]) => `<td class="${kind}">${robench.escape(text)}</td>`).join("");
    return `<tr><th scope="row">${name}</th>${rest}</tr>`;
  }

  async function compare(a, b) {
    const [first, second] = await Promise.all([load(a), load(b)]);
    const table = document.getElementById("comparison");
    const same = first.data === second.data && first.subset === second.subset;
    table.hidden = !same;
    if (!same) {
      message.textContent = "These two rows were judged on different images, so they cannot be paired.";
      return;
    }
    const shared = Object.keys(first.right).filter((key) => key in second.right);
    table.querySelector("tbody").innerHTML = shared
      .map((key) => line(key, robench.paired(bits(first.right[key]), bits(second.right[key]), first.n))).join("");
    const name = (id) => `<a href="rows/${id}/index.html">${robench.escape(rows.get(id)[at.label])}</a>`;
    message.innerHTML = `First: ${name(a)}. Second: ${name(b)}. ${first.n.toLocaleString("en-US")} images.`;
  }

  function fill(select, chosen) {
    for (const row of rows.values()) {
      const about = `${row[at.label]}, ${row[at.model]}, seed ${row[at.seed]} (${row[at.id].slice(0, 6)})`;
      select.append(new Option(about, row[at.id], false, row[at.id] === chosen));
    }
  }

  function start() {
    const query = new URLSearchParams(location.search);
    const form = document.getElementById("pick");
    const [first, second] = ["first", "second"].map((id) => document.getElementById(id));
    const ids = [...rows.keys()];
    // An id that no row has never becomes the address of a script.
    const known = (name, other) => (rows.has(query.get(name)) ? query.get(name) : other);
    fill(first, known("a", ids[0]));
    fill(second, known("b", ids.find((id) => id !== first.value) || ids[0]));
    form.hidden = false;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      location.search = `?a=${first.value}&b=${second.value}`;
    });
    if (query.has("a") && query.has("b")) {
      compare(first.value, second.value).catch((error) => { message.textContent = error.message; });
    }
  }

  start();
})(window.robench);
