"use strict";
// Numbers and cells as the page writes them; robench/leaderboard/table/formats.py writes the same.
(function (robench) {
  const { words: WORDS, levels: LEVELS, scale: SCALE, fields } = robench.table;
  // Where each field of a row stands.
  const at = Object.fromEntries(fields.map((name, place) => [name, place]));

  function escape(text) {
    return String(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
  }

  function significant(value) {
    return String(Number(value.toPrecision(4)));
  }

  function short(value) {
    if (value === 0) return "0";
    if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString("en-US");
    if (Math.abs(value) < 0.001) return value.toExponential(2).replace(/e([+-])(\d)$/, "e$10$2");
    return significant(value);
  }

  function number(value, unit) {
    if (value === null || value === undefined) return "–";
    const scaled = value * (SCALE[unit] || 1);
    return unit === "share" ? scaled.toFixed(1) : short(scaled);
  }

  function interval(low, high, unit) {
    if (low === null || high === null || low === undefined || high === undefined) return "";
    return `${number(low, unit)}–${number(high, unit)}`;
  }

  function badge(word, sentence) {
    if (!word) return "";
    return `<span class="badge ${word}" title="${escape(sentence)}"><span aria-hidden="true">${WORDS[word][0]}</span>` +
      `<span class="hidden">${escape(sentence)}</span></span>`;
  }

  function wordOf(word) {
    const [sign, meaning] = WORDS[word];
    return `<span class="verdict ${word}" title="${meaning}"><span aria-hidden="true">${sign}</span> ` +
      `${word.replace("_", " ")}</span>`;
  }

  function levelWord(level) {
    const [sign, meaning] = LEVELS[level];
    return `<span class="verdict level ${level}" title="${meaning}"><span aria-hidden="true">${sign}</span> ${level}</span>`;
  }

  function cell(data, unit) {
    if (!data) return '<span class="none">·</span>';
    const [value, low, high, word = "", sentence = ""] = data;
    // A number that a better search refutes, or that has no interval, is explained below it.
    const small = word === "weak" || (!word && sentence) ? sentence : interval(low, high, unit);
    return `<span class="value ${word}">${number(value, unit)}</span>${badge(word, sentence)}` +
      (small ? `<small>${escape(small)}</small>` : "");
  }

  Object.assign(robench, { escape, number, interval, short, badge, wordOf, levelWord, cell, at });
})(window.robench);
