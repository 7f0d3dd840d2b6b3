"use strict";
// The page of a row: its document, what the table says of it, and its examples, as sections.
(function (robench) {
  const { el, verdict, wordOf, levelWord, verdictWord, facts, rowAddress } = robench.nodes;
  const { levels, units } = robench.data.site;
  const { rows } = robench;
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
    return el("section", { "aria-labelledby": id, class: name === "proof" ? "proof" : null }, el("h2", { id }, title), ...content);
  }

  // -- head --------------------------------------------------------------------------------------

  function head(row, id, at) {
    const tab = rows.tabs[rows.tabOf(at)];
    const rank = rows.rank(at);
    const standing = rank === null ? `No rank: ${row.no_rank}.` : `Rank ${rank} of ${rows.groups[rows.groupOf(at)].ranked} under this protocol.`;
    return [
      el("p", { class: "crumbs" }, el("a", { href: "index.html" }, "Leaderboard"), ` › ${tab.label}`),
      el("h1", null, rows.field(at, "label")),
      el("p", { class: "lead" }, levelWord(row.level), " ", wordOf(row.word), `\n${capital(row.sentence)}.\n${standing}\n `,
        el("a", { href: `compare.html?a=${id}` }, "Compare with another row")),
      tab.about.length ? facts(tab.about) : null,
      row.warnings.map((text) => el("p", { class: "warning" }, text)),
    ];
  }

  // -- what it proves ------------------------------------------------------------------------------

  function proof(row, id, at) {
    const { members, unfounded, attestations, aside } = row.proof;
    return section("proof", "What this row proves",
      el("p", null, levelWord(row.level), ` ${capital(levels[row.level][1])}.`),
      unfounded.length ? [el("p", null, "Nothing stored supports:"), el("ul", null, unfounded.map((text) => el("li", null, text)))] : null,
      row.level === "consistent" ? el("p", null, "This does not prove that the stored outcomes are those of this model, that the attacks were run as they are named, or that they were run as hard as they could be. Where a record keeps its model, anybody can find out:") : null,
      attestations.map((one) => attested(one, members.length > 1)),
      row.level === "verified" ? el("p", null, "To do it again:") : null,
      command(...members.map((member) => `robench verify ${member}`)),
      replicates(rows.about(at), id),
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

  // Networks trained apart from one configuration: what the others are, and how far all lie apart.
  function replicates(about, id) {
    const all = about.replicates;
    if (!all.length) return null;
    const shares = all.map(([, , , share]) => share);
    const networks = new Set(all.map(([, weights]) => weights)).size;
    const spread = `one of ${networks} replicates, ${robench.interval(Math.min(...shares), Math.max(...shares), "share")} %`;
    return [
      el("h3", null, "Replicates"),
      el("p", null, `Networks trained apart from one configuration: on another machine the same training gives other weights. Each is a row of its own; this is ${spread}.`),
      table(all.map(([one, weights, level, share]) => fact(
        one === id ? [code(one), " (this row)"] : el("a", { href: rowAddress(one) }, code(one)),
        levelWord(level), ` ${robench.number(share, "share")}${NBSP}%, weights `, code(weights)))),
    ];
  }

  // -- configuration, file, audit --------------------------------------------------------------------

  function configuration(row, at) {
    const { models } = rows.about(at);
    const chosen = Object.entries(row.chosen).map(([kind, choices]) => fact(kind,
      models[kind] || Object.keys(choices).join(" + "),
      Object.entries(choices).filter(([, options]) => Object.keys(options).length)
        .map(([choice, options]) => el("details", null, el("summary", null, `options of ${choice}`), list(options)))));
    return section("config", "Configuration",
      table(chosen, row.facts.map(([term, text]) => fact(term, text))),
      el("h3", null, "Run it again"),
      row.again.map(([line, why]) => (line ? command(line) : el("p", null, `No command: ${why}.`))));
  }

  function file(row) {
    if (!row.file.length) return null;
    const digest = (term) => term === "sha256" || term === "float parent";
    return section("file", "File", table(row.file.map(([term, text]) => fact(term, digest(term) ? code(text) : text))));
  }

  function audit(row) {
    return section("audit", "Audit", row.audits.map(audited), row.unaudited ? el("p", null, typed(row.unaudited)) : null, el("p", null, row.agreement));
  }

  function audited(one) {
    const word = one.word === "not done" ? verdict("not_audited", "", "not done") : wordOf(one.word);
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

  function values(row) {
    const head = el("tr", null, VALUES.map((name) => el("th", { scope: "col", class: NUMBERS.has(name) ? "number" : null }, name)));
    const lines = flat(row.values).map(([metric, of, value, low, high, unit, n, refuted]) => el("tr", { class: refuted ? "refuted" : null },
      el("th", { scope: "row" }, metric), el("td", null, of),
      el("td", { class: "number value" }, robench.number(value, unit)),
      el("td", { class: "number" }, robench.interval(low, high, unit)),
      el("td", null, unit === "share" ? "%" : units[unit] || unit), el("td", { class: "number" }, n === null ? "" : n.toLocaleString("en-US"))));
    return section("values", "Values",
      el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Table of all values" },
        el("table", { class: "board values" }, el("thead", null, head), el("tbody", null, lines))));
  }

  function saveValues(row, id) {
    const lines = flat(row.values).filter((one) => !one.at(-1)).map((one) => [id, ...one.slice(0, -1)]);
    robench.save(`${id}.csv`, [["record", "metric", "of", "value", "low", "high", "unit", "n"], ...lines]);
  }

  // -- provenance ----------------------------------------------------------------------------------

  function provenance(row, id) {
    const button = el("button", { type: "button", class: "quiet" }, "values.csv");
    button.addEventListener("click", () => saveValues(row, id));
    // Of a fact's texts each second one is a digest.
    const made = row.made.map(([term, ...texts]) => fact(term, texts.map((text, at) => (at % 2 ? code(text) : text))));
    return section("provenance", "Provenance", table(
      fact(row.proof.members.length > 1 ? "records" : "record", row.proof.members.flatMap((one) => [code(one), " "]), button),
      made, fact("components", list(row.versions.components)), fact("libraries", list(row.versions.libraries))));
  }

  // -- start ---------------------------------------------------------------------------------------

  async function draw() {
    const id = location.hash.slice(1);
    const row = await robench.data.ofRow("rows", id);
    const at = row ? await rows.find(row.key || "open", id) : -1;
    if (at < 0) {
      place.replaceChildren(el("h1", null, "No such row"), el("p", null, "This page has no row of the id in its address. ", el("a", { href: "index.html" }, "All rows")));
      return;
    }
    await rows.load([at]);
    document.title = `${rows.field(at, "label")} · robench`;
    place.replaceChildren(
      ...[head(row, id, at), proof(row, id, at), el("div", { class: "columns" }, configuration(row, at), file(row), audit(row)),
        examples(row), values(row), provenance(row, id)].flat(Infinity).filter(Boolean));
    await drawExamples(row, id);
    document.dispatchEvent(new CustomEvent("rowdrawn"));
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
  start();
})(window.robench);
