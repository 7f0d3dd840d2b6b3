"""An exhibit audited as a run would audit it."""

from __future__ import annotations

from dataclasses import dataclass

from robench.audit.checks import CHECKS, SEARCH_STEPS
from robench.audit.findings import findings_of
from robench.audit.trial import SystemTrial
from robench.base.seeds import seed_scope
from robench.core.record import Finding, worst
from tests.audit.zoo.exhibit import Exhibit
from tests.audit.zoo.lessons import Lesson


@dataclass(frozen=True)
class Result:
    """What an audit of an exhibit found."""

    trial: SystemTrial
    findings: tuple[Finding, ...]
    verdict: str


def examined(exhibit: Exhibit, lesson: Lesson, level: str = "quick", seed: int = 0) -> Result:
    """Audit an exhibit as a run would."""
    sources = {}
    if (parent := exhibit.parent) is not None:
        sources["float parent"] = lambda: parent
    images, labels = lesson.test.float_images(), lesson.test.labels
    with seed_scope(seed):
        trial = SystemTrial(
            exhibit.system,
            images,
            labels,
            lesson.threat,
            seed,
            sources,
            steps=SEARCH_STEPS[level],
            thrifty=level == "quick",
        )
        findings = findings_of(trial, CHECKS[level])
    return Result(trial, findings, worst(f.verdict for f in findings))
