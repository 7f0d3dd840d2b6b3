"""The machinery of reproductions: a paper's cells and claims beside records of our own.

A paper is a plugin: its `robench_studies` hook returns `Study` objects made of the names below.
"""

from robench.studies.claims import Claim, Condition, Difference, Observation, in_points
from robench.studies.measures import Certified, Held, Measure, Predicted
from robench.studies.reasons import Fact, Reason, read_reasons
from robench.studies.run import Records, Run
from robench.studies.runs import Runs, Variant
from robench.studies.study import PaperCell, Study, read_cells

__all__ = [
    "Certified",
    "Claim",
    "Condition",
    "Difference",
    "Fact",
    "Held",
    "Measure",
    "Observation",
    "PaperCell",
    "Predicted",
    "Reason",
    "Records",
    "Run",
    "Runs",
    "Study",
    "Variant",
    "in_points",
    "read_cells",
    "read_reasons",
]
