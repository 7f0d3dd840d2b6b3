"use strict";
// Data files: scripts that hand one value over, for a page opened from disk may fetch nothing.
(function (robench) {
  const values = new Map();
  const asked = new Map();

  // Every data file calls one of these: with a value, or with JSON that is deflated, in base64.
  robench.take = (name, value) => { values.set(name, value); };
  robench.packed = (name, text) => { values.set(name, inflated(text)); };

  async function inflated(text) {
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Response(stream).json();
  }

  function script(source) {
    return new Promise((done, fail) => {
      const element = document.createElement("script");
      element.src = encodeURI(source);
      element.onload = done;
      element.onerror = () => fail(new Error(`cannot read ${source}`));
      document.head.append(element);
    });
  }

  async function load(name) {
    if (!values.has(name)) {
      if (!asked.has(name)) asked.set(name, script(`data/${name}.js`));
      await asked.get(name);
    }
    return values.get(name);
  }

  // An id that can be none never becomes the address of a script.
  const ID = /^[0-9a-f]{8,256}$/;

  // What the page of a row says of its own records; null where there is no such row.
  async function ofRow(kind, id) {
    if (!ID.test(id)) return null;
    const found = await shardOf(kind, id);
    return Object.hasOwn(found, id) ? found[id] : null;
  }

  const shardOf = (kind, id) => load(`${kind}-${parseInt(id.slice(0, 8), 16) % values.get("site").shards}`);

  // Ids that begin so: of rows that one id names, each has a longer one.
  async function longer(kind, id) {
    if (!ID.test(id)) return [];
    return Object.keys(await shardOf(kind, id)).filter((one) => one.startsWith(id));
  }

  robench.data = { script, load, ofRow, longer, get site() { return values.get("site"); } };
})(window.robench = window.robench || {});
