"""The model that a record keeps: is it the recorded file, and does it give the clean labels?"""

from __future__ import annotations

import numpy as np

from robench.base.hashing import file_hash
from robench.replay.steps import Refuted
from robench.replay.subject import FLOATS_DIFFER, Subject


def model_again(subject: Subject) -> str:
    """Load the file and let it classify the data set's own images."""
    kept, files = subject.kept, subject.record.files
    if files and files.get(kept.name) != file_hash(kept):
        raise Refuted(f"{kept.name} is not the file whose digest is recorded")
    clean = subject.outcomes.clean
    if not np.array_equal(clean.image, subject.stages.subset.numpy()):
        raise Refuted("the judged images are not those that the configuration chooses")
    if not np.array_equal(clean.label, subject.test.labels.numpy()):
        raise Refuted("the true labels are not the data set's")
    recorded = clean.clean_prediction
    different = subject.require_labels("clean images", recorded, subject.test.float_images())
    agreement, equal = subject.stages.agreement, subject.record.agreement.equal_labels
    if abs(agreement.equal_labels - equal) > FLOATS_DIFFER:
        raise Refuted(
            f"its twin gives {agreement.equal_labels:.1%} of its labels, {equal:.1%} are recorded"
        )
    listed = "" if files else "; its digest was not recorded yet"
    return f"{kept.name} gives {_same(different, len(recorded))} clean labels{listed}"


def _same(different: int, n: int) -> str:
    return f"the {n} recorded" if not different else f"{n - different} of {n} recorded"
