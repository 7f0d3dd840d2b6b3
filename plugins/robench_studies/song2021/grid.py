"""The systems, columns and cells of Song et al. (2021), Tables 1 to 4."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from robench.studies.claims import Difference
from robench.studies.paper import read_cells
from robench.studies.runs import Column, PaperCell, System

TRAININGS = {"Orig.": (), "Adv.": ("adversarial_training",), "F.L.": ("feedback_learning",)}
NAMES = {"none": "Orig.", "adversarial_training": "Adv.", "feedback_learning": "F.L."}
MU = 255.0
"""Of the 12-model tables."""


def system(
    dataset: str,
    model: str,
    training: str,
    *,
    mu: float | None = None,
    layers: int | str = 1,
    bits: int = 32,
    per_channel: bool = False,
    scale: str = "max",
    control: bool = False,
    label: str = "",
) -> System:
    """A model of the paper: a training, mapped with `mu` or not, in float (32) or n bits.

    `control` is feedback learning's, trained on noise; `label` stands in place of the paper's name.
    """
    options: dict[str, object] = {}
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
    return System(
        label=label or name,
        chosen={
            "dataset": (dataset,),
            "model": (model,),
            "defense": defenses or ("none",),
            "compressor": ("ptq",) if bits < 32 else ("none",),
        },
        options=options,
    )


CLEAN = Column("Clean")
MARGIN = Column("PGD, margin loss", "pgd_margin")
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


class Grid:
    """The systems and columns of one data set and network.

    `profile` is the one under which presets run on them, empty for their own.
    """

    def __init__(self, dataset: str, model: str, budget: float, profile: str = "") -> None:
        self.dataset = dataset
        self.model = model
        self.budget = budget
        self.profile = profile
        self.systems = {
            (training, mapped, bits): system(
                dataset, model, training, mu=MU if mapped else None, bits=bits
            )
            for mapped in (False, True)
            for training in TRAININGS
            for bits in (32, 3)
        }
        self.last_three = [
            system(dataset, model, training, mu=MU, layers=3, bits=bits, label=label)
            for training in TRAININGS
            for bits, label in ((32, f"{training}+mu, last 3"), (3, f"{training}+mu, last 3 (Q)"))
        ]
        """Models whose last three layers are mapped; the paper has cells only of one."""
        self.control = system(dataset, model, "F.L.", control=True, label="F.L., control")

    def __str__(self) -> str:
        return f"{self.dataset}, {self.model}"

    def preset(self, experiment: str) -> str:
        """The overrides that run a preset on this data set and network."""
        profile = f" profile={self.profile}" if self.profile else ""
        return f"experiment={experiment}{profile}"

    def column(self, label: str, access: str = "white_box") -> Column:
        """The paper's column of that name."""
        if label == "Clean":
            return CLEAN
        if label in ("Normal", "Uniform"):
            access = "none"
        return Column(label, ATTACKS[label], access, self.budget if label == "CW-L2" else None)

    def columns(self, labels: Iterable[str], access: str) -> list[Column]:
        """Several columns under one access."""
        return [self.column(label, access) for label in labels]

    @property
    def white_box(self) -> list[Column]:
        """The columns of Tables 1 and 3, and PGD on the margin beside them."""
        labels = ("Clean", "CW-L2", "FGSM (w)", "FGSM (s)", "PGD", "BIM", "MIM")
        return [*self.columns(labels, "white_box"), MARGIN]

    @property
    def black_box(self) -> list[Column]:
        """The columns of Tables 2 and 4."""
        labels = ("CW-L2", "FGSM (w)", "FGSM (m)", "FGSM (s)", "Normal", "Uniform")
        return self.columns(labels, "transfer")

    def difference(
        self,
        first: tuple[str, bool, int],
        second: tuple[str, bool, int],
        label: str,
        access: str = "white_box",
        *,
        least: float = -1.0,
        most: float = 1.0,
    ) -> Difference:
        """A check on one column of two systems, each (training, mapped, bits)."""
        column = self.column(label, access)
        return Difference(
            (self.systems[first], column), (self.systems[second], column), least, most
        )

    def cells(self) -> Iterator[PaperCell]:
        """The paper's cells of this data set."""
        for row in read_cells("robench_studies", "song2021_tables"):
            if row["dataset"] != self.dataset:
                continue
            key = (NAMES[row["training"]], row["mulaw"] == "1", int(row["weight_bits"]))
            access = {"white_box": "white_box", "black_box": "transfer"}[row["access"]]
            column = self.column(row["attack"], access)
            value = float(row["accuracy_percent"]) / 100
            yield PaperCell(row["table"], self.systems[key], column, value)
