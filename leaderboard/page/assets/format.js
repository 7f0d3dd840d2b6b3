"use strict";
// Numbers as the page writes them; robench/leaderboard/table/formats.py writes the same.
(function (robench) {
  const SCALE = robench.data.site.scale;

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
    const scaled = Math.abs(value) * (SCALE[unit] || 1);
    const text = unit === "share" ? scaled.toFixed(1) : short(scaled);
    return value < 0 && Number(text) !== 0 ? `−${text}` : text;
  }

  function interval(low, high, unit) {
    if (low === null || high === null || low === undefined || high === undefined) return "";
    return `${number(low, unit)}${low < 0 ? " to " : "–"}${number(high, unit)}`;
  }

  // A difference of shares in points, with its sign; none of what rounds to nothing.
  function points(share) {
    const text = number(share, "share");
    return share < 0 || Number(text) === 0 ? text : `+${text}`;
  }

  Object.assign(robench, { number, interval, points, short });
})(window.robench);
