"""Certified smoothing with integers: noise, vote counts, certifiers and radius tables.

    noise = Noise(sigma=Fraction("0.25"))                   # [0,1] units; the law on Z
    source = CompiledVotes(library=..., images=..., noise=noise, ...)   # IntegerVotes, FloatVotes
    found = Cohen(n2=100_000).certify(source, numpy.arange(len(images)))    # Sequential, Adaptive
    metrics.certified_accuracy(found, labels, radius=0.25)
    labels = predict(source, indices, draws=1000, alpha=0.001)  # Algorithm 2

`vote_source` appends the vote loop to a network's C, `certifier_source` writes the whole certifier
as a program. docs/explanation/smoothing.md has the proof. The library knows nothing of plugins.
"""

from robench.smoothing import crosscheck, metrics
from robench.smoothing.adaptive import Adaptive
from robench.smoothing.bounds import lower_bound
from robench.smoothing.certificates import Certificates, VoteCertifier, write_tsv
from robench.smoothing.classifier import SmoothedDeployed, SmoothedTwin, to_pixels
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
