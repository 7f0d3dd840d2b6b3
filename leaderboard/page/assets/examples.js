"use strict";
// Strips of examples: clean images, adversarial ones, and the difference, which is computed here as
// robench/records/preview.py draws it.
(function (robench) {
  async function bitmap(text) {
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    return createImageBitmap(new Blob([bytes]), { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  }

  // Adversarial pixels, RGBA, of clean ones and what was added to them, modulo 256.
  function added(clean, more) {
    return clean.map((value, i) => (i % 4 === 3 ? value : (value + more[i]) & 255));
  }

  // Grey where nothing changed, the largest change black or white. A clamped array rounds halves
  // to even, as NumPy does.
  function difference(clean, changed) {
    let largest = 1;
    for (let i = 0; i < clean.length; i += 1) {
      if (i % 4 < 3) largest = Math.max(largest, Math.abs(changed[i] - clean[i]));
    }
    return clean.map((value, i) => (i % 4 === 3 ? value : 127.5 + (127.5 * (changed[i] - value)) / largest));
  }

  // Strip `place` of a sprite that holds `of`, of images each `cell` pixels wide, into a canvas.
  function draw(canvas, sprite, place, of, images, cell) {
    const height = sprite.height / of;
    const [width, line] = [images * cell, height / 2];
    canvas.width = width;
    canvas.height = 3 * line;
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(sprite, 0, place * height, width, height, 0, 0, width, height);
    const [clean, more] = [0, line].map((top) => context.getImageData(0, top, width, line).data);
    const changed = added(clean, more);
    [clean, changed, difference(clean, changed)].forEach((pixels, at) => {
      context.putImageData(new ImageData(pixels, width, line), 0, at * line);
    });
  }

  // `strips` are [title, captions]; all are as wide as the one of most images.
  async function drawAll(canvases, text, strips) {
    const sprite = await bitmap(text);
    const most = Math.max(...strips.map(([, captions]) => captions.length));
    canvases.forEach((canvas, place) => {
      draw(canvas, sprite, place, strips.length, strips[place][1].length, Math.floor(sprite.width / most));
    });
  }

  robench.examples = { drawAll };
})(window.robench);
