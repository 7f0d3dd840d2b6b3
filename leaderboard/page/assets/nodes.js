"use strict";
// Pieces of pages as nodes: what data say becomes text, never markup.
(function (robench) {
  const { words: WORDS, verdicts: VERDICTS, levels: LEVELS } = robench.data.site;

  function el(tag, attributes, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) {
      if (value === true) node.setAttribute(name, "");
      else if (value !== false && value !== null && value !== undefined && value !== "") node.setAttribute(name, value);
    }
    node.append(...children.flat(Infinity).filter((one) => one !== null && one !== undefined && one !== ""));
    return node;
  }

  // A sign is not for the ear: its word, or a sentence, stands beside it.
  function sign(mark) {
    return el("span", { "aria-hidden": "true" }, mark);
  }

  function badge(word, sentence) {
    if (!word) return null;
    return el("span", { class: `badge ${word}`, title: sentence }, sign(WORDS[word][0]), el("span", { class: "hidden" }, sentence));
  }

  function verdict(kind, mark, text, title) {
    return el("span", { class: `verdict ${kind}`, title }, mark ? sign(mark) : null, mark ? " " : null, text);
  }

  const wordOf = (word, mark, sentence) => verdict(word, WORDS[word][0], mark, sentence);
  const levelWord = (level) => verdict(`level ${level}`, LEVELS[level][0], level, LEVELS[level][1]);
  const verdictWord = (found) => verdict(found, VERDICTS[found], found);

  // [value, low, high, word, sentence], the last ones where something is to be said.
  function cell(data, unit) {
    if (!data) return [el("span", { class: "none", title: "not measured" }, "·")];
    const [value, low, high, word = "", sentence = ""] = data;
    // A number that a better search refutes, or that has no interval, is explained below it.
    const small = word === "weak" || (!word && sentence) ? sentence : robench.interval(low, high, unit);
    return [
      el("span", { class: `value ${word}`.trim() }, robench.number(value, unit)), badge(word, sentence),
      small ? el("small", null, small) : null,
    ];
  }

  // A share with its ends below it: what ranks a network, whose word stands beside it.
  function share(word, [value, low, high]) {
    const small = robench.interval(low, high, "share");
    return [el("span", { class: `value ${word}` }, robench.number(value, "share")), small ? el("small", null, small) : null];
  }

  function difference([value, low, high]) {
    return [el("span", { class: "value" }, robench.points(value)), el("small", null, `${robench.points(low)} to ${robench.points(high)}`)];
  }

  // A name that a narrow column may break after an underscore.
  function breakable(name) {
    return name.split("_").flatMap((part, place) => (place ? ["_", el("wbr"), part] : [part]));
  }

  const notes = (all) => all.map((note) => el("small", { class: "note" }, note));

  function facts(about) {
    return el("details", { class: "judged" }, el("summary", null, "What is judged, and how"),
      el("dl", { class: "about" }, about.map(([term, text]) => el("div", null, el("dt", null, term), el("dd", null, text)))));
  }

  const rowAddress = (id) => `row.html#${id}`;

  // Which network answers a reader's first question, whether it is to be trusted, what it costs.
  function answer({ question, id, name, cell: [value, low, high], level, word, mark, sentence, said }) {
    return el("article", { class: `answer ${word}` }, el("h3", null, question),
      el("p", { class: "figure" }, el("strong", null, `${robench.number(value, "share")}\u00a0%`), " ", el("span", null, robench.interval(low, high, "share"))),
      el("p", { class: "who" }, el("a", { href: rowAddress(id) }, breakable(name)), " ", levelWord(level), " ", wordOf(word, mark, sentence)),
      el("p", { class: "said" }, said.join(" · ")));
  }

  robench.nodes = { el, badge, verdict, wordOf, levelWord, verdictWord, cell, share, difference, answer, breakable, notes, facts, rowAddress };
})(window.robench);
