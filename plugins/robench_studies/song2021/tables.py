"""The rows, columns and cells of Song et al. (2021), Tables 1 to 4."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

from robench import Record
from robench.studies import Measure, PaperCell, Variant, read_cells

TRAININGS = {"Orig.": (), "Adv.": ("adversarial_training",), "F.L.": ("feedback_learning",)}
NAMES = {"none": "Orig.", "adversarial_training": "Adv.", "feedback_learning": "F.L."}
MU = 255.0
"""Of the 12-model tables."""


USUAL: dict[str, object] = {"norm": None, "eps": None}
"""As the data set has them."""
PGD = USUAL | {"steps": 40, "step": 2.5, "restarts": 1, "temperature": 1.0, "samples": 1}
BIM = USUAL | {"steps": 10, "step": 1.0}
STATED: dict[str, dict[str, object]] = {
    **{f"fgsm_{eps}": {"norm": None, "eps": eps} for eps in ("weak", "medium", "strong")},
    "pgd": PGD | {"loss": "cross_entropy"},
    "pgd_margin": PGD | {"loss": "margin"},
    "bim": BIM,
    "mim": BIM | {"decay": 1.0},
    "cw": {"norm": None, "steps": 30, "search_steps": 5},
    "normal_noise": USUAL,
    "uniform_noise": USUAL,
}
"""The attacks' options of all cells: a column's name says nothing of them."""


@dataclass(frozen=True)
class Model(Variant):
    """A model of the paper, attacked as the reports state."""

    def matches(self, record: Record) -> bool:
        """Whether a record is one of this model, by no weaker attacks of the same names."""
        attacks = record.config.get("attack", {})
        return super().matches(record) and all(
            attacks.get(name, {}).get(option, value) == value
            for name, options in STATED.items()
            for option, value in options.items()
        )


@dataclass(frozen=True)
class Setup:
    """The data set and network on which the paper's models stand."""

    dataset: str
    model: str
    budget: float
    """L2, in [0,1] pixels, of the column CW-L2."""
    profile: str = ""
    """The one under which presets run on them; empty: their own."""

    def __str__(self) -> str:
        return f"{self.dataset}, {self.model}"

    def preset(self, experiment: str) -> str:
        """The overrides that run a preset on this data set and network."""
        profile = f" profile={self.profile}" if self.profile else ""
        return f"experiment={experiment}{profile}"


def variant(
    setup: Setup,
    training: str,
    *,
    mu: float | None = None,
    layers: int | str = 1,
    bits: int = 32,
    per_channel: bool = False,
    scale: str = "max",
    control: bool = False,
    label: str = "",
) -> Variant:
    """A model of the paper: a training, mapped with `mu` or not, in float (32) or n bits.

    `control` is feedback learning's, trained on noise; `label` stands in place of the paper's name.
    """
    options: dict[str, object] = {"threat.norm": None, "threat.eps": None}
    if mu is not None:
        options |= {"defense.mulaw.mu": mu, "defense.mulaw.layers": layers}
    if training == "F.L.":
        options["defense.feedback_learning.control"] = control
    if bits < 32:
        options |= {
            "compressor.ptq.bits": bits,
            "compressor.ptq.per_channel": per_channel,
            "compressor.ptq.scale": scale,
        }
    defenses = (*TRAININGS[training], *(() if mu is None else ("mulaw",)))
    name = training + ("" if mu is None else "+mu") + (" (Q)" if bits < 32 else "")
    return Model(
        label=label or name,
        chosen={
            "dataset": (setup.dataset,),
            "model": (setup.model,),
            "defense": defenses or ("none",),
            "compressor": ("ptq",) if bits < 32 else ("none",),
        },
        options=options,
    )


Key = tuple[str, bool, int]
"""Which of the twelve: training, mapped or not, bits."""


@cache
def twelve(setup: Setup) -> dict[Key, Variant]:
    """The paper's twelve models, by training, mapping and bits."""
    return {
        (training, mapped, bits): variant(setup, training, mu=MU if mapped else None, bits=bits)
        for mapped in (False, True)
        for training in TRAININGS
        for bits in (32, 3)
    }


def last_three(setup: Setup) -> list[Variant]:
    """Models whose last three layers are mapped; the paper has cells only of one."""
    return [
        variant(setup, training, mu=MU, layers=3, bits=bits, label=label)
        for training in TRAININGS
        for bits, label in ((32, f"{training}+mu, last 3"), (3, f"{training}+mu, last 3 (Q)"))
    ]


def noise_control(setup: Setup) -> Variant:
    """Feedback learning on as many examples of noise."""
    return variant(setup, "F.L.", control=True, label="F.L., control")


CLEAN = Measure("Clean")
MARGIN = Measure("PGD, margin loss", "pgd_margin")
ATTACKS = {
    "FGSM (w)": "fgsm_weak",
    "FGSM (m)": "fgsm_medium",
    "FGSM (s)": "fgsm_strong",
    "PGD": "pgd",
    "BIM": "bim",
    "MIM": "mim",
    "CW-L2": "cw",
    "Normal": "normal_noise",
    "Uniform": "uniform_noise",
}


def measure(setup: Setup, label: str, access: str = "white_box") -> Measure:
    """The paper's column of that name."""
    if label == "Clean":
        return CLEAN
    if label in ("Normal", "Uniform"):
        access = "none"
    return Measure(label, ATTACKS[label], access, setup.budget if label == "CW-L2" else None)


def measures(setup: Setup, labels: Iterable[str], access: str = "white_box") -> list[Measure]:
    """Several columns under one access."""
    return [measure(setup, label, access) for label in labels]


def white_box(setup: Setup) -> list[Measure]:
    """The columns of Tables 1 and 3, and PGD on the margin beside them."""
    labels = ("Clean", "CW-L2", "FGSM (w)", "FGSM (s)", "PGD", "BIM", "MIM")
    return [*measures(setup, labels), MARGIN]


def black_box(setup: Setup) -> list[Measure]:
    """The columns of Tables 2 and 4."""
    labels = ("CW-L2", "FGSM (w)", "FGSM (m)", "FGSM (s)", "Normal", "Uniform")
    return measures(setup, labels, "transfer")


def cells(setup: Setup) -> Iterator[PaperCell]:
    """The paper's cells of this data set."""
    for row in read_cells("robench_studies.song2021", "tables.csv"):
        if row["dataset"] != setup.dataset:
            continue
        key = (NAMES[row["training"]], row["mulaw"] == "1", int(row["weight_bits"]))
        access = {"white_box": "white_box", "black_box": "transfer"}[row["access"]]
        column = measure(setup, row["attack"], access)
        value = float(row["accuracy_percent"]) / 100
        yield PaperCell(row["table"], twelve(setup)[key], column, value)
