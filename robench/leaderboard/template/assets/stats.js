"use strict";
// Paired statistics, as robench/stats.py has them: exact McNemar, Newcombe's interval (method 10).
(function (robench) {
  const Z = 1.959963984540054;

  function wilson(hits, n) {
    const share = hits / n;
    const spread = (Z * Z) / n;
    const centre = (share + spread / 2) / (1 + spread);
    const half = (Z / (1 + spread)) * Math.sqrt((share * (1 - share)) / n + spread / (4 * n));
    return [hits === 0 ? 0 : Math.max(0, centre - half), hits === n ? 1 : Math.min(1, centre + half)];
  }

  // Twice the lower tail of Binomial(b + c, 1/2), summed from logarithms.
  function mcnemar(b, c) {
    const n = b + c;
    let term = -n * Math.LN2;
    let tail = 0;
    for (let k = 0; k <= Math.min(b, c); k += 1) {
      tail += Math.exp(term);
      term += Math.log(n - k) - Math.log(k + 1);
    }
    return Math.min(1, 2 * tail);
  }

  function newcombe(a, b, c, d) {
    const n = a + b + c + d;
    const [p1, p2] = [(a + b) / n, (a + c) / n];
    const [[l1, u1], [l2, u2]] = [wilson(a + b, n), wilson(a + c, n)];
    const margins = (a + b) * (c + d) * (a + c) * (b + d);
    const cross = a * d - b * c;
    const numerator = cross > 0 ? Math.max(cross - n / 2, 0) : cross;
    const phi = margins ? numerator / Math.sqrt(margins) : 0;
    const [dl1, du1, dl2, du2] = [p1 - l1, u1 - p1, p2 - l2, u2 - p2];
    const low = Math.sqrt(Math.max(0, dl1 ** 2 - 2 * phi * dl1 * du2 + du2 ** 2));
    const high = Math.sqrt(Math.max(0, du1 ** 2 - 2 * phi * du1 * dl2 + dl2 ** 2));
    return [Math.max(-1, p1 - p2 - low), Math.min(1, p1 - p2 + high)];
  }

  // Two bit vectors of n images, packed from the left as numpy.packbits does.
  function paired(first, second, n) {
    const counts = [0, 0, 0, 0];
    for (let i = 0; i < n; i += 1) {
      const mask = 128 >> (i & 7);
      const [x, y] = [first[i >> 3] & mask, second[i >> 3] & mask];
      counts[(x ? 0 : 2) + (y ? 0 : 1)] += 1;
    }
    const [both, onlyFirst, onlySecond, neither] = counts;
    const [low, high] = newcombe(both, onlyFirst, onlySecond, neither);
    return {
      first: (both + onlyFirst) / n, second: (both + onlySecond) / n,
      difference: (onlyFirst - onlySecond) / n, low, high, onlyFirst, onlySecond, p: mcnemar(onlyFirst, onlySecond),
    };
  }

  Object.assign(robench, { wilson, mcnemar, newcombe, paired });
})(window.robench = window.robench || {});
