"""Theorem 3.2 of IntRS as a test: between the image and the certificate there are only integers."""

from __future__ import annotations

import ast
import inspect
import textwrap

import numpy as np
import pytest

from robench.smoothing import adaptive, cohen, prediction, sampling, sequential, votes
from robench.smoothing.adaptive import Adaptive
from robench.smoothing.cohen import Cohen
from robench.smoothing.noise import Noise
from robench.smoothing.sequential import Sequential
from robench.smoothing.votes import IntegerVotes

NOISE = Noise(sigma="0.25")


class Integers(np.ndarray):
    """An array that raises when an operation on it takes or gives a float."""

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **options):
        plain = [np.asarray(x) for x in inputs]
        if out is not None:
            options["out"] = tuple(np.asarray(x) for x in out)
        result = getattr(ufunc, method)(*plain, **options)
        for value in (*plain, result):
            refuse_floats(value)
        return result if out is not None or result is None else as_integers(result)

    def __array_function__(self, function, types, args, kwargs):
        result = super().__array_function__(function, types, args, kwargs)
        refuse_floats(result)
        return result


def as_integers(value):
    return np.asarray(value).view(Integers)


def refuse_floats(value) -> None:
    if value is not None and np.asarray(value).dtype.kind not in "iub":
        raise TypeError("a float on the integer path")


class IntegerSource:
    """The reference vote source, its counts guarded."""

    def __init__(self) -> None:
        images = np.repeat(np.arange(100, 180, 10, dtype=np.uint8)[:, None], 20, axis=1)
        self.inner = IntegerVotes(
            images=images.view(Integers), labels=self.label, classes=3, noise=NOISE, seed=0
        )
        self.noise, self.pixels = NOISE, 20

    @staticmethod
    def label(noisy):
        refuse_floats(noisy)
        total = noisy.astype(np.int64).sum(1) - 20 * 128
        return (total > 0).astype(np.int64) + (total > 400)

    def votes(self, images, first_draw, count):
        return as_integers(self.inner.votes(images, first_draw, count))


@pytest.mark.parametrize(
    "certifier", [Cohen(n2=500), Sequential(n2=500), Adaptive(stages=(100, 500))]
)
def test_certifying_touches_no_float(certifier):
    found = certifier.certify(IntegerSource(), as_integers(np.arange(8)), (0.1, 0.25))
    for name in ("prediction", "radius2", "hits", "draws"):
        assert getattr(found, name).dtype == np.int64
    assert (found.radius2 > 0).any()


@pytest.mark.parametrize("predict", [prediction.predict, prediction.predict_early])
def test_predicting_touches_no_float(predict):
    labels = predict(IntegerSource(), as_integers(np.arange(8)), 200, 0.001)
    assert labels.dtype == np.int64


def test_the_guard_sees_floats():
    with pytest.raises(TypeError, match="float"):
        as_integers(np.arange(3)) / 2
    with pytest.raises(TypeError, match="float"):
        as_integers(np.arange(3)) * 0.5
    with pytest.raises(TypeError, match="float"):
        np.mean(as_integers(np.arange(3)))


RUN_TIME = [
    sampling.draw,
    sampling.resolve,
    votes.IntegerVotes.votes,
    votes.IntegerVotes.noisy,
    votes.count_votes,
    votes._batches,
    cohen.Cohen.certify,
    sequential.Sequential.certify,
    sequential._run,
    sequential._hopeful,
    adaptive.Adaptive.certify,
    prediction.predict,
]


@pytest.mark.parametrize("function", RUN_TIME, ids=lambda f: f.__qualname__)
def test_run_time_source_has_no_float(function):
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    for node in (node for part in definition.body for node in ast.walk(part)):
        assert not (isinstance(node, ast.Constant) and isinstance(node.value, float))
        assert not isinstance(node, ast.Div)
        assert not (isinstance(node, ast.Name) and node.id in {"float", "mp", "special", "stats"})
        assert not (isinstance(node, ast.Attribute) and "float" in node.attr)
