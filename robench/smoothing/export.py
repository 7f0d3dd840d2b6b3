"""The certifier as one C program without floating point: noise, network, votes, radius table."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from robench.smoothing.cohen import Cohen
from robench.smoothing.compiled import csrc
from robench.smoothing.noise import Noise, noise_table
from robench.smoothing.philox import keys_of
from robench.smoothing.prediction import prediction_table


def certifier_source(
    engine: str,
    *,
    noise: Noise,
    pixels: int,
    seed: int,
    certifier: Cohen,
    predict_draws: int = 1000,
    predict_alpha: float = 0.001,
    adapter: str | None = None,
) -> str:
    """One C99 translation unit with a `main` that certifies, predicts and times 8-bit images.

    `engine` and `adapter` as in vote_source; image i of the input has noise stream i, so that the
    output is that of `certifier.certify`, and of `predict` at predict_draws and predict_alpha, on a
    source with the same seed. Raises UserError when the budget could certify nothing.
    """
    radius2 = certifier.table(noise, pixels)
    least = int(np.searchsorted(radius2, 0))
    table, keys = noise_table(noise), keys_of(seed)
    lines = [
        f"enum {{ RB_BOUND = {table.bound}, RB_N1 = {certifier.n1}, RB_N2 = {certifier.n2},",
        f"       RB_LEAST = {least}, RB_PREDICT = {predict_draws} }};",
        f"#define RB_KEY {{{keys.leading[0]}u, {keys.leading[1]}u}}",
        f"#define RB_FURTHER_KEY {keys.further}u",
        *_array("uint64_t", "rb_high", table.high),
        *_array("uint64_t", "rb_low", table.low),
        *_array("int32_t", "rb_radius2", radius2[least:]),
        *_array("int32_t", "rb_accept", prediction_table(predict_draws, predict_alpha)),
    ]
    middle = csrc("engine.h") if adapter is None else adapter
    parts = [csrc("noise.h"), middle, csrc("votes.h"), "\n".join(lines), csrc("certifier.h")]
    return "\n".join([engine, *parts])


def _array(kind: str, name: str, values: NDArray[np.generic]) -> Iterable[str]:
    suffix = "u" if kind.startswith("u") else ""
    texts = [f"{value}{suffix}" for value in values.tolist()]
    yield f"static const {kind} {name}[] = {{"
    for start in range(0, len(texts), 12):
        yield "    " + ", ".join(texts[start : start + 12]) + ","
    yield "};"
