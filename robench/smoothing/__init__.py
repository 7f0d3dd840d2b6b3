"""Certified smoothing with integers: noise, vote counts, certifiers and radius tables.

    noise = Noise(sigma=Fraction("0.25"))                   # [0,1] units; the law on Z
    source = CompiledVotes(library=..., images=..., noise=noise, ...)   # IntegerVotes, FloatVotes
    found = Sequential().certify(source, numpy.arange(len(images)), radii=(0.0, 0.25))
    metrics.certified_accuracy(found, labels, radius=0.25)
    labels = predict(source, indices, draws=1000, alpha=0.001)  # Algorithm 2

`vote_source` appends the vote loop to a network's C, `certifier_source` writes the whole certifier
as a program. docs/explanation/smoothing.md has the proof. The library knows nothing of plugins.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from robench.smoothing import metrics
from robench.smoothing.adaptive import Adaptive
from robench.smoothing.bounds import lower_bound
from robench.smoothing.certificates import Certificates, VoteCertifier, write_tsv
from robench.smoothing.cohen import Cohen
from robench.smoothing.compiled import CompiledVotes, vote_source
from robench.smoothing.export import certifier_source
from robench.smoothing.float_votes import FloatVotes
from robench.smoothing.noise import Noise, noise_table
from robench.smoothing.prediction import decide, predict, predict_early, prediction_table
from robench.smoothing.radius import ABSTAIN, RADII, radius_table
from robench.smoothing.sampling import draw, training_noise
from robench.smoothing.sequential import Sequential
from robench.smoothing.votes import IntegerVotes, VoteSource, require_fixed_function

if TYPE_CHECKING:
    from robench.smoothing import crosscheck as crosscheck
    from robench.smoothing.classifier import SmoothedDeployed as SmoothedDeployed
    from robench.smoothing.classifier import SmoothedTwin as SmoothedTwin
    from robench.smoothing.classifier import to_pixels as to_pixels

_TORCH = dict.fromkeys(("SmoothedDeployed", "SmoothedTwin", "to_pixels"), "classifier")
"""What needs torch loads when first used: votes and certificates do not."""

__all__ = [
    "ABSTAIN",
    "RADII",
    "Adaptive",
    "Certificates",
    "Cohen",
    "CompiledVotes",
    "FloatVotes",
    "IntegerVotes",
    "Noise",
    "Sequential",
    "SmoothedDeployed",
    "SmoothedTwin",
    "VoteCertifier",
    "VoteSource",
    "certifier_source",
    "crosscheck",
    "decide",
    "draw",
    "lower_bound",
    "metrics",
    "noise_table",
    "predict",
    "predict_early",
    "prediction_table",
    "radius_table",
    "require_fixed_function",
    "to_pixels",
    "training_noise",
    "vote_source",
    "write_tsv",
]


def __getattr__(name: str) -> Any:
    if name == "crosscheck":
        return import_module("robench.smoothing.crosscheck")
    if name not in _TORCH:
        raise AttributeError(f"module 'robench.smoothing' has no attribute {name!r}")
    return getattr(import_module(f"robench.smoothing.{_TORCH[name]}"), name)
