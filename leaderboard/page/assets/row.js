"use strict";
// The page of a row: its number and what to believe of it, its curve, its examples; all else folded.
(function (robench) {
  const { el, verdict, wordOf, levelWord, verdictWord, facts, rowAddress } = robench.nodes;
  const { columns, levels, units, words, called } = robench.data.site;
  const { rows, drawing } = robench;
  const NBSP = "\u00a0";
  const place = document.getElementById("row");
  const code = (text) => el("code", null, text);
  const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
  // What stands between backticks is typed.
  const typed = (text) => text.split("`").map((part, at) => (at % 2 ? code(part) : part));
  const command = (...lines) => el("pre", { class: "command" }, code(lines.map((line) => `${line}\n`).join("").trimEnd()));
  const fact = (term, ...content) => el("tr", null, el("th", { scope: "row" }, term), el("td", null, ...content));
  const table = (...lines) => el("table", { class: "facts" }, el("tbody", null, ...lines));
  const list = (all) => el("dl", { class: "options" }, Object.entries(all).flatMap(([name, text]) => [el("dt", null, name), el("dd", null, text)]));

  function section(name, title, ...content) {
    const id = `${name}-title`;
    return el("section", { "aria-labelledby": id }, el("h2", { id }, title), ...content);
  }

  // A section that one opens: what stands in it is for those who look closer.
  function folded(name, title, ...content) {
    return el("details", { class: `fold ${name}`, id: name }, el("summary", null, el("h2", { id: `${name}-title` }, title)), ...content);
  }

  // -- head --------------------------------------------------------------------------------------

  function head(row, id, at) {
    const tab = rows.tabs[rows.tabOf(at)];
    const details = rows.field(at, "details");
    return [
      el("p", { class: "crumbs" }, el("a", { href: `index.html#protocol=${encodeURIComponent(tab.key)}` }, tab.label), " › network"),
      el("h1", null, rows.field(at, "name"), details ? [" ", el("small", null, details)] : null),
      el("div", { class: `answer ${row.word}` },
        el("h2", null, headed(at)), figure(at),
        el("p", { class: "who" }, levelWord(row.level), " ", wordOf(row.word, rows.field(at, "mark"), row.sentence)),
        el("p", { class: "believe" }, row.believe)),
      costs(row, at),
      el("p", { class: "links" }, el("a", { href: `compare.html?a=${id}` }, "Compare with another"), el("a", { href: "#cite", class: "inside" }, "Cite this row"),
        row.sources.filter(([, , address]) => address.startsWith("https://")).map(([name, what, address]) => el("a", { href: address, rel: "noopener noreferrer" }, `${name}: ${what}`))),
      row.warnings.map((text) => el("p", { class: "warning" }, text)),
    ];
  }

  function headed(at) {
    const column = rows.headline(at);
    if (column === null) return "Not attacked";
    const { key, title, small } = columns[column];
    return key.startsWith("certified") ? `${capital(title)}, ${small}` : `Robust accuracy, ${small}`;
  }

  function figure(at) {
    const column = rows.headline(at);
    const [value, low, high] = (column === null ? null : rows.cell(at, column)) || [null];
    const number = value === null ? "–" : `${robench.number(value, "share")}${NBSP}%`;
    return el("p", { class: "figure" }, el("strong", null, number), " ", el("span", null, robench.interval(low, high, "share")));
  }

  // Where it stands, and what it costs.
  function costs(row, at) {
    const rank = rows.rank(at);
    const shown = (key) => { const column = columns.findIndex((one) => one.key === key || one.key.startsWith(`${key}.`)); return column < 0 ? null : rows.cell(at, column); };
    const [clean, size] = [shown("clean_accuracy"), shown("file_bytes") || shown("size")];
    const parent = rows.parent(at);
    const told = [
      ["rank", rank === null ? `none: ${row.no_rank}` : `${rank} of ${rows.groups[rows.groupOf(at)].ranked}${rows.tabs[rows.tabOf(at)].parents.size ? ", float parents among them" : ""}`],
      clean ? ["on clean images", `${robench.number(clean[0], "share")}${NBSP}%`] : null,
      ["bits a weight", String(rows.field(at, "bits"))],
      size ? ["size", `${robench.number(size[0], "bytes")} kB`] : null,
      parent === undefined ? null : ["against its float parent", [`${robench.points(rows.loss(at)[0])} points (${robench.points(rows.loss(at)[1])} to ${robench.points(rows.loss(at)[2])}) `, el("a", { href: rowAddress(rows.id(parent)) }, "its row")]],
      rows.alike(at).length ? ["networks made alike", el("a", { href: "#alike", class: "inside" }, `${rows.alike(at).length}`)] : null,
    ];
    return el("dl", { class: "about" }, told.filter(Boolean).map(([term, said]) => el("div", null, el("dt", null, term), el("dd", null, said))));
  }

  // -- curve -------------------------------------------------------------------------------------

  const TITLES = { eps: "Accuracy against ε", radius: "Certified accuracy against radius" };

  function curve(row) {
    if (!row.curves.length) return null;
    return section("curve", "How it falls", el("div", { class: "pictures" }, row.curves.map(({ chart, points }) => el("figure", { "data-chart": chart },
      el("figcaption", null, el("h3", null, TITLES[chart])), el("div", { class: "live", role: "img", "aria-label": spoken(points) })))));
  }

  // A curve for the ear.
  function spoken(points) {
    return points.map((point) => `at ${robench.short(point.eps ?? point.radius)} ${robench.number(point.value, "share")} %`).join(", ");
  }

  // The row's curve, and its float parent's in the same norm.
  async function drawCurve(row, at) {
    const parent = rows.parent(at);
    const its = parent === undefined ? null : await robench.data.ofRow("rows", rows.id(parent));
    const named = (points, name) => points.map((point) => ({ id: name, name, ...point }));
    const figures = [...place.querySelectorAll("figure[data-chart]")];
    await Promise.all(row.curves.map(({ chart, points }, i) => {
      const other = its?.curves.find((one) => one.chart === chart && one.points[0].axis === points[0].axis);
      const all = [...named(points, "this network"), ...(other ? named(other.points, "its float parent") : [])];
      return drawing.draw(figures[i].querySelector(".live"), chart, all);
    }));
  }

  // -- what it proves ------------------------------------------------------------------------------

  function proof(row) {
    const { members, unfounded, attestations, aside } = row.proof;
    return folded("proof", "What this row proves",
      el("p", null, levelWord(row.level), ` ${capital(levels[row.level][1])}.`),
      unfounded.length ? [el("p", null, "Nothing stored supports:"), el("ul", null, unfounded.map((text) => el("li", null, text)))] : null,
      row.level === "consistent" ? el("p", null, "This does not prove that the stored outcomes are those of this model, that the attacks were run as they are named, or that they were run as hard as they could be. Where a record keeps its model, anybody can find out:") : null,
      attestations.map((one) => attested(one, members.length > 1)),
      row.level === "verified" ? el("p", null, "To do it again:") : null,
      command(...members.map((member) => `robench verify ${member}`)),
      aside.length ? [el("h3", null, "Set aside"), el("ul", null, aside.map(([one, level, why]) => el("li", null, code(one), ` (${level}): ${why}.`)))] : null);
  }

  function attested(one, several) {
    const skipped = one.steps.filter(([outcome]) => outcome === "not done").map(([, name]) => name).join(", ");
    const kinds = { pass: "pass", fail: "fail" };
    return [
      el("h3", null, `${one.verified ? "Verified" : "Tried and not verified"} on ${one.date}`),
      el("p", null, one.by, several ? [", record ", code(one.record)] : null, "."),
      el("ul", { class: "findings" }, one.steps.map(([outcome, name, text]) => el("li", null,
        verdict(kinds[outcome] || "not_audited", "", outcome), " ", el("strong", null, name), text ? `: ${text}` : null))),
      skipped ? el("p", null, `Not repeated: ${skipped}.`) : null,
    ];
  }

  // The other networks that were made alike, whose mean is one line of the table.
  function alike(at) {
    const all = rows.alike(at);
    if (!all.length) return null;
    const share = (one) => robench.number(rows.numbers(rows.tabOf(one), rows.headline(one))[one - rows.tabs[rows.tabOf(one)].first], "share");
    return folded("alike", `${all.length} networks made alike`,
      el("p", null, "Trained and deployed from one configuration, under other seeds or on other machines. The table shows their mean."),
      table(all.map((one) => fact(
        one === at ? [`seed ${rows.field(one, "seed")}`, " (this row)"] : el("a", { href: rowAddress(rows.id(one)) }, `seed ${rows.field(one, "seed")}, `, code(rows.id(one))),
        `${share(one)}${NBSP}%`))));
  }

  // -- configuration, file, audit --------------------------------------------------------------------

  function configuration(row, at) {
    const { models } = rows.about(at);
    const chosen = Object.entries(row.chosen).map(([kind, choices]) => fact(kind,
      models[kind] || Object.keys(choices).join(" + "),
      Object.entries(choices).filter(([, options]) => Object.keys(options).length)
        .map(([choice, options]) => el("details", null, el("summary", null, `options of ${choice}`), list(options)))));
    return folded("config", "Configuration, and how to run it again",
      table(chosen, row.facts.map(([term, text]) => fact(term, text))),
      el("h3", null, "Run it again"),
      row.again.map(([line, why]) => (line ? command(line) : el("p", null, `No command: ${why}.`))),
      row.again.some(([line]) => line) ? el("p", null, "The same numbers come out on the same kind of processor, with the versions and threads that stand below. A training elsewhere gives other bits: ", code("robench verify"), " judges the kept model instead, where the record has one.") : null);
  }

  function file(row) {
    if (!row.file.length) return null;
    const digest = (term) => term === "sha256" || term === "float parent";
    return folded("file", "The shipped file", table(row.file.map(([term, text]) => fact(term, digest(term) ? code(text) : text))));
  }

  function audit(row) {
    return folded("audit", "What the audit found", row.audits.map(audited), row.unaudited ? el("p", null, typed(row.unaudited)) : null, el("p", null, row.agreement));
  }

  function audited(one) {
    const word = one.word === "not done" ? verdict("not_audited", "", "not done") : wordOf(one.word, called[one.word] || one.word.replace("_", " "), words[one.word][1]);
    return [
      el("h3", null, `${one.threat}: `, word),
      one.missing ? el("p", null, one.missing) : null,
      el("p", null, one.about),
      el("ul", { class: "findings" }, one.findings.map(([found, check, text]) => el("li", null, verdictWord(found), " ", el("strong", null, check), text))),
      one.weak ? el("p", null, one.weak) : null,
    ];
  }

  // -- examples ------------------------------------------------------------------------------------

  function examples(row) {
    if (!row.strips.length) return null;
    return section("examples", "Examples",
      el("p", null, "From top to bottom: clean image, adversarial example, difference (grey where nothing changed, scaled to the largest change). Images that the attack turned come first; below stand the labels that the model gives."),
      el("div", { class: "examples" }, row.strips.map(([title, captions]) => el("figure", null,
        el("figcaption", null, el("h3", null, title)),
        el("div", { class: "strip" },
          el("canvas", { class: "window", role: "img", "aria-label": `Clean images, what ${title} made of them, and the differences` }),
          el("ol", null, captions.map(caption)))))));
  }

  function caption([label, clean, attacked]) {
    const turned = clean === label && attacked !== label;
    return el("li", { class: turned ? "turned" : null, title: `class ${label}` }, `${clean}→${attacked >= 0 ? attacked : "abstains"}`);
  }

  async function drawExamples(row, id) {
    if (!row.strips.length) return;
    const sprite = await robench.data.ofRow("pictures", id);
    await robench.examples.drawAll([...place.querySelectorAll("canvas")], sprite, row.strips);
  }

  // -- values --------------------------------------------------------------------------------------

  const VALUES = ["metric", "of", "value", "95 % interval", "unit", "n"];
  const NUMBERS = new Set(["value", "95 % interval", "n"]);

  // One line a value: metric, what it is of, value, ends, unit, n, and whether it was refuted.
  function flat({ of, groups }) {
    return groups.flatMap(([metric, unit, n, refuted, its]) => its.map(([at, value, low, high]) => [metric, of[at], value, low, high, unit, n, refuted]));
  }

  // How far compression moved each layer: many lines, which few read.
  const isNorm = ([metric]) => metric.startsWith("weight perturbation");

  function values(row, id) {
    const all = flat(row.values);
    const [norms, others] = [all.filter(isNorm), all.filter((one) => !isNorm(one))];
    const button = el("button", { type: "button", class: "quiet" }, "Save as CSV");
    button.addEventListener("click", () => saveValues(row, id));
    return [
      folded("values", `All ${others.length} values`, button, valueTable(others, "Table of all values")),
      norms.length ? folded("norms", `${norms.length} norms of what compression changed`, valueTable(norms, "Table of norms")) : null,
    ];
  }

  function valueTable(all, label) {
    const head = el("tr", null, VALUES.map((name) => el("th", { scope: "col", class: NUMBERS.has(name) ? "number" : null }, name)));
    const lines = all.map(([metric, of, value, low, high, unit, n, refuted]) => el("tr", { class: refuted ? "refuted" : null },
      el("th", { scope: "row" }, metric), el("td", null, of),
      el("td", { class: "number value" }, robench.number(value, unit)),
      el("td", { class: "number" }, robench.interval(low, high, unit)),
      el("td", null, unit === "share" ? "%" : units[unit] || unit), el("td", { class: "number" }, n === null ? "" : n.toLocaleString("en-US"))));
    return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label },
      el("table", { class: "board values" }, el("thead", null, head), el("tbody", null, lines)));
  }

  function saveValues(row, id) {
    const lines = flat(row.values).filter((one) => !one.at(-1)).map((one) => [id, ...one.slice(0, -1)]);
    robench.save(`${id}.csv`, [["record", "metric", "of", "value", "low", "high", "unit", "n"], ...lines]);
  }

  // -- provenance ----------------------------------------------------------------------------------

  function provenance(row, tab) {
    // Of a fact's texts each second one is a digest.
    const made = row.made.map(([term, ...texts]) => fact(term, texts.map((text, at) => (at % 2 ? code(text) : text))));
    return folded("provenance", "Where it comes from", table(
      fact(row.proof.members.length > 1 ? "records" : "record", row.proof.members.flatMap((one) => [code(one), " "])),
      made, fact("components", list(row.versions.components)), fact("libraries", list(row.versions.libraries))),
    tab.about.length ? el("h3", null, "What its protocol fixes") : null, tab.about.length ? facts(tab.about) : null);
  }

  function cite(row) {
    const text = row.cite;
    const button = el("button", { type: "button", class: "quiet" }, "Copy");
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(text);
        button.textContent = "Copied";
      } catch {
        // A page from disk may not copy everywhere: the text is chosen, a key copies it.
        getSelection().selectAllChildren(place.querySelector("#cite pre"));
      }
    });
    return folded("cite", "Cite this row", el("pre", { class: "command" }, code(text)), button);
  }

  // Draws the curves in the colours of a theme.
  let redraw = () => {};

  // -- start ---------------------------------------------------------------------------------------

  function absent(longer) {
    const all = el("a", { href: "index.html" }, "All rows");
    if (!longer.length) return [el("h1", null, "No such row"), el("p", null, "This page has no row of the id in its address. ", all)];
    const said = "Rows whose id begins as the one in the address; where records of one id speak of several networks, each has a longer one:";
    return [el("h1", null, "Which row?"), el("p", null, said), el("ul", null, longer.map((one) => el("li", null, el("a", { href: `#${one}` }, one)))), el("p", null, all)];
  }

  async function draw() {
    const id = location.hash.slice(1);
    const row = await robench.data.ofRow("rows", id);
    if (row?.row) { location.replace(`#${row.row}`); return; }
    const at = row ? await rows.find(row.key || "open", id) : -1;
    if (at < 0) {
      place.replaceChildren(...absent(await robench.data.longer("rows", id)));
      return;
    }
    await rows.load([at]);
    document.title = `${rows.label(at)} · robench`;
    const sections = [head(row, id, at), curve(row), examples(row), proof(row), audit(row), values(row, id), alike(at), configuration(row, at), file(row),
      provenance(row, rows.tabs[rows.tabOf(at)]), cite(row)];
    place.replaceChildren(...sections.flat(Infinity).filter(Boolean));
    for (const link of place.querySelectorAll("a.inside")) link.addEventListener("click", (event) => { event.preventDefault(); unfold(link.hash.slice(1)); });
    redraw = () => drawCurve(row, at);
    await Promise.all([redraw(), drawExamples(row, id)]);
    document.dispatchEvent(new CustomEvent("rowdrawn"));
  }

  // A fragment is the row's id, so that a link inside the page opens what it names by itself.
  function unfold(name) {
    const part = document.getElementById(name);
    part.open = true;
    part.scrollIntoView();
    part.querySelector("summary").focus({ preventScroll: true });
  }

  async function start() {
    try {
      await draw();
    } catch (error) {
      place.replaceChildren(el("h1", null, "This row cannot be shown"), el("p", { role: "status" }, error.message));
      throw error;
    }
  }

  window.addEventListener("hashchange", start);
  document.addEventListener("themechange", () => redraw());
  start();
})(window.robench);
