"use strict";
// Two rows on the same images: their outcomes are compared here.
(function (robench) {
  const { rows } = robench;
  const { el, wordOf, levelWord, rowAddress } = robench.nodes;
  const { words } = robench.data.site;
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

  // Which one the images bear out, or none.
  function better(pair) {
    return pair.p < 0.05 ? (pair.difference > 0 ? "first" : "second") : "";
  }

  const chance = (p) => (p < 0.0001 ? "< 0.0001" : p.toFixed(4));
  const ends = (pair) => `${robench.points(pair.low)} to ${robench.points(pair.high)}`;

  function line(name, pair) {
    const which = better(pair);
    const tone = { first: "better", second: "worse" }[which] || "";
    const cells = [
      [robench.number(pair.first, "share"), "number"], [robench.number(pair.second, "share"), "number"],
      [robench.points(pair.difference), `number difference ${tone}`], [ends(pair), "wide"],
      [pair.onlyFirst, "number wide"], [pair.onlySecond, "number wide"],
      [chance(pair.p), "number wide"], [which ? `${which} is better` : "not told apart", tone],
    ];
    return el("tr", null, el("th", { scope: "row" }, name), cells.map(([text, kind]) => el("td", { class: kind }, String(text))));
  }

  // The answer, in a sentence: what ranks the two, on the same images.
  function sentence(first, second) {
    const [of, n, right] = first.headline;
    if (!of || of !== second.headline[0] || n !== second.headline[1]) return "They are ranked by different numbers; what both were tried with stands below.";
    const pair = robench.paired(bits(right), bits(second.headline[2]), n);
    const which = better(pair);
    const said = which ? `The ${which} has the higher ${of}` : `The images do not tell the two apart by ${of}`;
    return `${said}: ${robench.number(pair.first, "share")} against ${robench.number(pair.second, "share")} %, ${robench.points(pair.difference)} points (${ends(pair)}), p ${pair.p < 0.0001 ? "" : "= "}${chance(pair.p)}.`;
  }

  // One of the two, with its number and its marks.
  function side(which, id) {
    const at = number.get(id);
    const [word, mark, column] = [rows.field(at, "word"), rows.field(at, "mark"), rows.headline(at)];
    const value = column === null ? null : rows.numbers(rows.tabOf(at), column)[at - rows.tabs[rows.tabOf(at)].first];
    return el("article", { class: `answer ${word}` }, el("h2", null, `${which}, ${rows.tabs[rows.tabOf(at)].label}`),
      el("p", { class: "figure" }, el("strong", null, value === null || Number.isNaN(value) ? "–" : `${robench.number(value, "share")}\u00a0%`)),
      el("p", { class: "who" }, el("a", { href: rowAddress(id) }, rows.label(at)), " ", levelWord(rows.field(at, "level")), " ", wordOf(word, mark, words[word][1])),
      el("p", { class: "said" }, `${rows.field(at, "bits")} bits a weight, seed ${rows.field(at, "seed")}`));
  }

  async function compare(a, b) {
    const [first, second] = await Promise.all([outcomes(a), outcomes(b)]);
    const table = document.getElementById("comparison");
    const same = first.data === second.data && first.subset === second.subset;
    table.hidden = !same;
    document.getElementById("sides").replaceChildren(side("First", a), side("Second", b));
    if (!same) {
      message.textContent = "These two rows were judged on different images, so they cannot be paired.";
      return;
    }
    const shared = Object.keys(first.right).filter((key) => Object.hasOwn(second.right, key));
    table.querySelector("tbody").replaceChildren(
      ...shared.map((key) => line(first.right[key][0], robench.paired(bits(first.right[key][1]), bits(second.right[key][1]), first.n))),
    );
    message.textContent = sentence(first, second);
  }

  function fill(select, chosen) {
    for (const at of all) {
      const id = rows.id(at);
      const about = `${rows.label(at)}, seed ${rows.field(at, "seed")} (${id.slice(0, 6)})`;
      if (select.lastChild?.label !== rows.tabs[rows.tabOf(at)].label) select.append(el("optgroup", { label: rows.tabs[rows.tabOf(at)].label }));
      select.lastChild.append(new Option(about, id, false, id === chosen));
    }
  }

  async function start() {
    await rows.open(rows.tabs.map((tab, place) => place));
    for (const at of all) number.set(rows.id(at), at);
    const query = new URLSearchParams(location.search);
    const form = document.getElementById("pick");
    const [first, second] = ["first", "second"].map((id) => document.getElementById(id));
    const ids = [...number.keys()];
    if (ids.length < 2) {
      message.textContent = "This page has one network; a comparison takes two.";
      return;
    }
    // An id that no row has never becomes the address of a script.
    const known = (name, other) => (number.has(query.get(name)) ? query.get(name) : other);
    fill(first, known("a", ids[0]));
    fill(second, known("b", ids.find((id) => id !== first.value) || ids[0]));
    form.hidden = false;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      location.search = `?a=${first.value}&b=${second.value}`;
    });
    if (["a", "b"].some((name) => query.has(name) && !number.has(query.get(name)))) message.textContent = "No such row: this page has none of an id in its address. Choose two above.";
    else if (query.has("a") && first.value === second.value) message.textContent = "These are one network. Choose two above.";
    else if (query.has("a") && query.has("b")) await compare(first.value, second.value);
  }

  start().catch((error) => { message.textContent = error.message; });
})(window.robench);
