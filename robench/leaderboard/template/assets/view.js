"use strict";
// What the reader chose (filters, search, order, columns) as the address's fragment, and back.
(function (robench) {
  function read() {
    return new URLSearchParams(location.hash.slice(1));
  }

  function write(entries) {
    const chosen = new URLSearchParams(entries.filter(([, value]) => value !== "" && value !== null));
    // A fragment is the only part of a file's address that a page may change.
    history.replaceState(null, "", chosen.size ? `#${chosen}` : "#");
  }

  robench.view = { read, write };
})(window.robench);
