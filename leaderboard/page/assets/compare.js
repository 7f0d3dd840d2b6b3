"use strict";
// Two rows on the same images: their outcomes are compared here.
(function (robench) {
  const { rows } = robench;
  const { el, rowAddress } = robench.nodes;
  const NORMS = { linf: "L∞", l2: "L2" };
  const message = document.getElementById("message");
  const all = Array.from({ length: rows.count }, (_, at) => at);
  const number = new Map();

  async function outcomes(id) {
    const found = await robench.data.ofRow("rows", id);
    if (!found) throw new Error(`cannot read the outcomes of ${id}`);
    return found.outcomes;
  }

  function bits(text) {
    return Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  }

  function points(share) {
    return `${share >= 0 ? "+" : "−"}${Math.abs(100 * share).toFixed(1)}`;
  }

  function line(key, pair) {
    const [attack, access, norm, eps] = key.split("|");
    const threat = norm ? `${NORMS[norm] || norm} ${eps === "" ? "any" : robench.short(Number(eps))}` : "";
    const separated = pair.p < 0.05;
    const verdict = separated ? (pair.difference > 0 ? "first is better" : "second is better") : "not told apart";
    const tone = separated ? (pair.difference > 0 ? "better" : "worse") : "";
    const cells = [
      [robench.number(pair.first, "share"), "number"], [robench.number(pair.second, "share"), "number"],
      [points(pair.difference), `number difference ${tone}`], [`${points(pair.low)} to ${points(pair.high)}`, ""],
      [pair.onlyFirst, "number"], [pair.onlySecond, "number"],
      [pair.p < 0.0001 ? "< 0.0001" : pair.p.toFixed(4), "number"], [verdict, tone],
    ];
    const name = [attack, ["transfer", "parent"].includes(access) ? access : "", threat].filter(Boolean).join(", ");
    return el("tr", null, el("th", { scope: "row" }, name), cells.map(([text, kind]) => el("td", { class: kind }, String(text))));
  }

  async function compare(a, b) {
    const [first, second] = await Promise.all([outcomes(a), outcomes(b)]);
    const table = document.getElementById("comparison");
    const same = first.data === second.data && first.subset === second.subset;
    table.hidden = !same;
    if (!same) {
      message.textContent = "These two rows were judged on different images, so they cannot be paired.";
      return;
    }
    const shared = Object.keys(first.right).filter((key) => Object.hasOwn(second.right, key));
    table.querySelector("tbody").replaceChildren(
      ...shared.map((key) => line(key, robench.paired(bits(first.right[key]), bits(second.right[key]), first.n))),
    );
    const name = (id) => el("a", { href: rowAddress(id) }, rows.field(number.get(id), "label"));
    message.replaceChildren("First: ", name(a), ". Second: ", name(b), `. ${first.n.toLocaleString("en-US")} images.`);
  }

  function fill(select, chosen) {
    for (const at of all) {
      const id = rows.id(at);
      const about = `${rows.field(at, "label")}, ${rows.field(at, "model")}, seed ${rows.field(at, "seed")} (${id.slice(0, 6)})`;
      select.append(new Option(about, id, false, id === chosen));
    }
  }

  async function start() {
    await rows.open(rows.tabs.map((tab, place) => place));
    for (const at of all) number.set(rows.id(at), at);
    const query = new URLSearchParams(location.search);
    const form = document.getElementById("pick");
    const [first, second] = ["first", "second"].map((id) => document.getElementById(id));
    const ids = [...number.keys()];
    // An id that no row has never becomes the address of a script.
    const known = (name, other) => (number.has(query.get(name)) ? query.get(name) : other);
    fill(first, known("a", ids[0]));
    fill(second, known("b", ids.find((id) => id !== first.value) || ids[0]));
    form.hidden = false;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      location.search = `?a=${first.value}&b=${second.value}`;
    });
    if (query.has("a") && query.has("b")) await compare(first.value, second.value);
  }

  start().catch((error) => { message.textContent = error.message; });
})(window.robench);
