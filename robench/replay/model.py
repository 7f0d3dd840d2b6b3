"""The model that a record keeps: is it the recorded file, and does it give the clean labels?"""

from __future__ import annotations

import numpy as np

from robench.base.hashing import file_hash
from robench.replay.steps import Refuted
from robench.replay.subject import FLOATS_DIFFER, Subject

GAP_DIFFERS = 1e-3
"""By so much the largest gap of a logit may differ between two runs, beside half of itself."""


def model_again(subject: Subject) -> str:
    """Load the file and let it classify the data set's own images."""
    kept, files = subject.kept, subject.record.files
    # One that records share is named by its digest.
    if files and files.get(kept.name, kept.stem) != file_hash(kept):
        raise Refuted(f"{kept.name} is not the file whose digest is recorded")
    clean = subject.outcomes.clean
    if not np.array_equal(clean.image, subject.stages.subset.numpy()):
        raise Refuted("the judged images are not those that the configuration chooses")
    if not np.array_equal(clean.label, subject.test.labels.numpy()):
        raise Refuted("the true labels are not the data set's")
    recorded = clean.clean_prediction
    different = subject.require_labels("clean images", recorded, subject.test.float_images())
    _require_twin(subject)
    _require_bits(subject)
    listed = "" if files else "; its digest was not recorded yet"
    labels = f"{_same(different, len(recorded))} clean labels"
    return f"{kept.name} gives {labels}{listed}{_elsewhere(subject)}"


def _require_twin(subject: Subject) -> None:
    """Measure how far the twin computes the model again; raises Refuted where it is not as told.

    The largest gap of a logit hangs on single roundings, and is compared in the same surroundings.
    """
    found, said = subject.stages.agreement, subject.record.agreement
    shares = {
        "labels": (found.equal_labels, said.equal_labels),
        "labels under attack": (found.adversarial, said.adversarial),
        "logits": (found.explained, said.explained),
    }
    for what, (here, told) in shares.items():
        if here is not None and told is not None and abs(here - told) > FLOATS_DIFFER:
            raise Refuted(f"its twin gives {here:.1%} of its {what}, {told:.1%} are recorded")
    if subject.record.file is None or _elsewhere(subject):
        return
    gap, recorded = found.logit_gap or 0.0, said.logit_gap or 0.0
    if abs(gap - recorded) > max(gap, recorded) / 2 + GAP_DIFFERS:
        raise Refuted(
            f"its twin's logits differ from its own by up to {gap:.3g}, {recorded:.3g} is recorded"
        )


def _require_bits(subject: Subject) -> None:
    """Raises Refuted where the weights need other bits than recorded; an older record says none."""
    told, here = subject.record.bits, subject.stages.bits
    if told is not None and told != here:
        raise Refuted(f"its weights need {here or 'unknown'} bits, {told} are recorded")


def _elsewhere(subject: Subject) -> str:
    """What of a file's surroundings is not as recorded, as the end of a sentence."""
    said, here = subject.record.file, subject.stages.facts
    if said is None or here is None:
        return ""
    pairs = (
        (f"{said.runtime} {said.version}", f"{here.runtime} {here.version}"),
        (said.instructions, here.instructions),
    )
    other = [f"{told} is recorded, {got} is here" for told, got in pairs if told != got]
    return f"; {', and '.join(other)}" if other else ""


def _same(different: int, n: int) -> str:
    return f"the {n} recorded" if not different else f"{n - different} of {n} recorded"
