"""Smoothing defenses: what of their options decides the training, and the input map."""

from __future__ import annotations

from robench.plugin.registry import registry


def make(kind: str, name: str, **options: object):  # type: ignore[no-untyped-def]
    return registry().get(kind, name).make(**options)


def test_votes_and_their_noise_retrain_nothing() -> None:
    usual = make("defense", "intrs", sigma=0.25)
    other = make("defense", "intrs", sigma=0.5, train_sigma=0.25, draws=7, alpha=0.01, samples=2)
    assert other.as_trained() == usual.as_trained()


def test_training_noise_and_consistency_retrain() -> None:
    usual = make("defense", "intrs", sigma=0.25)
    for changed in ({"sigma": 0.5}, {"consistency": 1.0}, {"law": "rounded_gaussian"}):
        assert make("defense", "intrs", **{"sigma": 0.25, **changed}).as_trained() != usual
    assert make("defense", "float_rs").as_trained() != usual.as_trained()


def test_without_training_noise_it_never_passes_for_one_that_trained() -> None:
    untrained = make("defense", "float_rs", train_sigma=0.0)
    assert not untrained.changes_training
    assert not untrained.as_trained().changes_training


def test_a_trained_input_map_follows_the_training_noise() -> None:
    mismatched = make("defense", "intrs", sigma=1.0, train_sigma=0.25)
    matched = make("defense", "intrs", sigma=0.25)
    qat = make("compressor", "qat_int8")
    assert mismatched.adapt(qat) == matched.adapt(qat)
    assert matched.adapt(qat).input_range == [-255, 510]
    assert mismatched.adapt(make("compressor", "ptq_int8")).input_range == [-1020, 1275]
