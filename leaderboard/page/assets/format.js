"use strict";
// Numbers and cells as the page writes them; robench/leaderboard/table/formats.py writes the same.
(function (robench) {
  const { badges: BADGES, levels: LEVELS, scale: SCALE, fields } = robench.table;
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

  function badge(verdict) {
    if (!verdict) return "";
    const [sign, meaning] = BADGES[verdict];
    return `<span class="badge ${verdict}" title="${meaning}"><span aria-hidden="true">${sign}</span>` +
      `<span class="hidden">${meaning}</span></span>`;
  }

  function verdictWord(verdict) {
    const sign = BADGES[verdict][0];
    return `<span class="verdict ${verdict}"><span aria-hidden="true">${sign}</span> ` +
      `${verdict.replace("_", " ")}</span>`;
  }

  function levelWord(level) {
    const [sign, meaning] = LEVELS[level];
    return `<span class="verdict level ${level}" title="${meaning}"><span aria-hidden="true">${sign}</span> ${level}</span>`;
  }

  function cell(data, unit) {
    if (!data) return '<span class="none">·</span>';
    const range = interval(data[1], data[2], unit);
    return `<span class="value">${number(data[0], unit)}</span>${badge(data[3])}` +
      (range ? `<small>${range}</small>` : "");
  }

  Object.assign(robench, { escape, number, interval, short, badge, verdictWord, levelWord, cell, at });
})(window.robench);
