"""The machinery of reproductions: a paper's cells and claims beside records of our own.

A paper is a plugin: its `robench_studies` hook returns `Study` objects made of the names below.
"""

from robench.studies.claims import Check, Claim, Difference, Finding
from robench.studies.paper import read_cells
from robench.studies.runs import Column, PaperCell, Run, Runs, System
from robench.studies.study import Study
from robench.studies.voted import Certified, Predicted

__all__ = [
    "Certified",
    "Check",
    "Claim",
    "Column",
    "Difference",
    "Finding",
    "PaperCell",
    "Predicted",
    "Run",
    "Runs",
    "Study",
    "System",
    "read_cells",
]
