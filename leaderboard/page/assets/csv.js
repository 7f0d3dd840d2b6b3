"use strict";
// A table as a CSV file to save.
(function (robench) {
  function quoted(value) {
    const text = value === null || value === undefined || Number.isNaN(value) ? "" : String(value);
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  }

  const csv = (rows) => rows.map((row) => `${row.map(quoted).join(",")}\n`).join("");

  function save(name, rows) {
    const address = URL.createObjectURL(new Blob([csv(rows)], { type: "text/csv" }));
    const link = robench.nodes.el("a", { href: address, download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(address), 60_000);
  }

  Object.assign(robench, { csv, save });
})(window.robench);
