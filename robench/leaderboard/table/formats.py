"""Numbers as the page writes them; `assets/format.js` writes the same, with these constants."""

from __future__ import annotations

from robench.core.record import Verdict
from robench.core.threat import eps_text
from robench.records.words import Word

MINUS = "\N{MINUS SIGN}"
ZERO = ("0", "0.0")
"""What rounds to nothing has no sign."""
NORM_NAMES = {"linf": "L∞", "l2": "L2"}
SCALE = {"share": 100.0, "bytes": 1 / 1000, "s": 1000.0}
"""What a value is multiplied with: percent, kB, ms."""
WORDS: dict[Word, tuple[str, str]] = {
    "holds": ("●", "nothing that was tried breaks more, and an audit tried"),
    "weak": ("↓", "a better search leaves less: the number overstates"),
    "suspect": ("?", "signs that gradients mislead the attacks"),
    "masked": ("⊘", "gradients mislead the attacks: the number is not robustness"),
    "broken": ("✕", "not surely more holds than always naming one class gives"),
    "upper_bound": ("≤", "no gradient of the file led an attack: it may hold less"),
    "not_audited": ("○", "no audit looked whether the attacks could work"),
    "invalid": ("∅", "the attack failed: no number"),
    "at_chance": ("~", "the model is at chance: no claim"),
}
"""Sign and meaning of each word about a number; no sign stands alone for a screen reader."""
VERDICTS: dict[Verdict, str] = {"pass": "●", "suspect": "?", "fail": "✕"}
"""Signs of what one check of an audit found."""
LEVEL_MARKS = {
    "verified": ("◆", "its deployed model was judged and searched again"),
    "consistent": ("◇", "its numbers follow from what it stored; its model was not judged again"),
    "reported": ("…", "its numbers rest on its author's word: no rank"),
}
"""Sign and meaning of what a row proves, from the most."""


def number(value: float | None, unit: str) -> str:
    """A value in the unit that its column's heading names; a dash where there is none."""
    if value is None:
        return "–"
    scaled = abs(value) * SCALE.get(unit, 1.0)
    text = f"{scaled:.1f}" if unit == "share" else short(scaled)
    return f"{MINUS}{text}" if value < 0 and text not in ZERO else text


def short(value: float) -> str:
    """At most four significant digits, thousands set apart."""
    if value == 0:
        return "0"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    if abs(value) < 0.001:
        return f"{value:.2e}"
    return f"{value:.4g}"


def interval(low: float | None, high: float | None, unit: str) -> str:
    """`low–high`, `−1 to 2` from below zero, or nothing where there is no interval."""
    if low is None or high is None:
        return ""
    return f"{number(low, unit)}{' to ' if low < 0 else '–'}{number(high, unit)}"


def points(share: float) -> str:
    """A difference of shares in points, with its sign: `+2.2`; none of what rounds to nothing."""
    text = number(share, "share")
    return text if text in ZERO or share < 0 else f"+{text}"


def attack_text(attack: str, access: str, norm: str, eps: float | None) -> str:
    """An attack row in words: `pgd, transfer, L∞ 0.1`."""
    parts = [attack]
    if access not in ("white_box", "none", "any"):
        parts.append(access.replace("_", " "))
    if norm and eps is not None:
        parts.append(f"{NORM_NAMES.get(norm, norm)} {eps_text(eps)}")
    return ", ".join(parts)
