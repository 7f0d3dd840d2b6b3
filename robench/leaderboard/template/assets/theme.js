"use strict";
// Runs in the head, before anything is drawn, so that a chosen theme never flashes.
(function () {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");

  function chosen() {
    try { return localStorage.getItem("robench-theme"); } catch { return null; }
  }

  function dark() {
    return (root.dataset.theme || (system.matches ? "dark" : "light")) === "dark";
  }

  function changed(button) {
    button.textContent = dark() ? "Light" : "Dark";
    document.dispatchEvent(new CustomEvent("themechange"));
  }

  if (["light", "dark"].includes(chosen())) root.dataset.theme = chosen();

  document.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    button.hidden = false;
    button.addEventListener("click", () => {
      root.dataset.theme = dark() ? "light" : "dark";
      try { localStorage.setItem("robench-theme", root.dataset.theme); } catch { /* not kept then */ }
      changed(button);
    });
    system.addEventListener("change", () => changed(button));
    changed(button);
  });

  window.robench = window.robench || {};
  window.robench.dark = dark;
})();
