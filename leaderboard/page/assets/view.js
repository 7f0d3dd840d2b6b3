"use strict";
// What the reader chose (filters, search, order, columns) as the address's fragment, and back.
(function (robench) {
  function read() {
    return new URLSearchParams(location.hash.slice(1));
  }

  // A fragment is the only part of a file's address that a page may change.
  function address(entries) {
    const chosen = new URLSearchParams(entries.filter(([, value]) => value !== "" && value !== null));
    return chosen.size ? `#${chosen}` : "#";
  }

  function write(entries) {
    history.replaceState(null, "", address(entries));
  }

  // Another step of the history; letters of one search are one.
  function push(entries) {
    const [before, now] = [read().get("search"), new Map(entries).get("search")];
    if (before && now && before !== now) write(entries);
    else if (address(entries) !== (location.hash || "#")) history.pushState(null, "", address(entries));
  }

  robench.view = { read, write, push };
})(window.robench);
