"""robench's searches as attacks of the Adversarial Robustness Toolbox, for any of its estimators.

Each class is ART's own of the same method, constructor and all, with another body: `generate` turns
arrays into tensors, runs the component of the same name and turns the candidates back. ART's loops
differentiate the parameters along with the images, convert settings at every step and predict twice
more to log a success rate; here that is gone. Options that the search does not have are refused
with a ValueError rather than ignored, and so is an estimator that it cannot differentiate.

    from robench_attacks.art_attacks import ArtPGD

    attack = ArtPGD(PyTorchClassifier(...), eps=0.1, eps_step=0.01, max_iter=40, num_random_init=1)
    examples = attack.generate(x, y)
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from art.attacks import EvasionAttack
from art.attacks.evasion import (
    BasicIterativeMethod,
    CarliniL2Method,
    FastGradientMethod,
    MomentumIterativeMethod,
    ProjectedGradientDescentPyTorch,
    SquareAttack,
)
from art.estimators import BaseEstimator
from art.estimators.classification import PyTorchClassifier
from art.utils import check_and_transform_label_format
from numpy.typing import NDArray
from torch import Tensor, nn

from robench import Attack, Threat
from robench_attacks.carlini import CW
from robench_attacks.gradient import BIM, FGSM, MIM, PGD
from robench_attacks.noise import NormalNoise, UniformNoise
from robench_attacks.square import Square

Pixels = NDArray[np.float32]


class ArtFGSM(FastGradientMethod):  # type: ignore[misc]  # ART is not typed
    """Fast gradient sign method (Goodfellow et al., 2015): one step of length eps."""

    def generate(self, x: Pixels, y: NDArray[Any] | None = None, **kwargs: Any) -> Pixels:
        """Candidates for images `x`: see `_candidates`."""
        _refuse(
            kwargs,
            targeted=self.targeted,
            minimal=self.minimal,
            num_random_init=self.num_random_init > 0,
        )
        return _candidates(FGSM(), _Differentiable(self.estimator, x), self, x, y)


class ArtBIM(BasicIterativeMethod):  # type: ignore[misc]
    """Basic iterative method (Kurakin et al., 2017); keeps the most wrong iterate."""

    def generate(self, x: Pixels, y: NDArray[Any] | None = None, **kwargs: Any) -> Pixels:
        """Candidates for images `x`: see `_candidates`."""
        _refuse(kwargs, targeted=self.targeted)
        attack = BIM(steps=self.max_iter, step=_step(self))
        return _candidates(attack, _Differentiable(self.estimator, x), self, x, y)


class ArtMIM(MomentumIterativeMethod):  # type: ignore[misc]
    """Momentum iterative method (Dong et al., 2018); keeps the most wrong iterate."""

    def generate(self, x: Pixels, y: NDArray[Any] | None = None, **kwargs: Any) -> Pixels:
        """Candidates for images `x`: see `_candidates`."""
        _refuse(kwargs, targeted=self.targeted)
        attack = MIM(steps=self.max_iter, step=_step(self), decay=self._attack.decay)
        return _candidates(attack, _Differentiable(self.estimator, x), self, x, y)


class ArtPGD(ProjectedGradientDescentPyTorch):  # type: ignore[misc]
    """Projected gradient descent (Madry et al., 2018); keeps the most wrong iterate.

    With `num_random_init=0` it starts at the image itself; each start after the first attacks the
    images that are still right.
    """

    def generate(self, x: Pixels, y: NDArray[Any] | None = None, **kwargs: Any) -> Pixels:
        """Candidates for images `x`: see `_candidates`."""
        _refuse(
            kwargs,
            targeted=self.targeted,
            random_eps=self.random_eps,
            decay=self.decay is not None,
            summary_writer=self.summary_writer is not None,
        )
        attack = PGD(
            steps=self.max_iter,
            step=_step(self),
            random_start=self.num_random_init > 0,
            restarts=max(1, self.num_random_init),
        )
        return _candidates(attack, _Differentiable(self.estimator, x), self, x, y)


class ArtCW(CarliniL2Method):  # type: ignore[misc]
    """Carlini & Wagner's L2 attack (2017): the nearest errors, else the images themselves.

    Steps adapt to the boundary, so `max_halving` and `max_doubling` of ART's line search play no
    part; `learning_rate` is the root-mean-square change of a pixel in the first step.
    """

    def generate(self, x: Pixels, y: NDArray[Any] | None = None, **kwargs: Any) -> Pixels:
        """Candidates for images `x`: see `_candidates`."""
        _refuse(kwargs, targeted=self.targeted, confidence=self.confidence != 0)
        twin = _Differentiable(self.estimator, x)
        attack = CW(
            search_steps=self.binary_search_steps,
            steps=self.max_iter,
            learning_rate=self.learning_rate / twin.span,
            initial_const=self.initial_const / twin.span**2,
        )
        return _candidates(attack, twin, self, x, y)


class ArtSquare(SquareAttack):  # type: ignore[misc]
    """Square attack (Andriushchenko et al., 2020): random search on what the estimator predicts.

    It needs no gradients, so any classifier of ART will do.
    """

    def generate(self, x: Pixels, y: NDArray[Any] | None = None, **kwargs: Any) -> Pixels:
        """Candidates for images `x`: see `_candidates`."""
        own = (self.loss, self.adv_criterion)
        _refuse(
            kwargs,
            nb_restarts=self.nb_restarts != 1,
            **{"loss or adv_criterion": any(f.__module__ != SquareAttack.__module__ for f in own)},
        )
        # ART asks twice before its first square.
        attack = Square(queries=self.max_iter + 2, share=self.p_init)
        return _candidates(attack, _Predictions(self.estimator, x), self, x, y)


class ArtNoise(EvasionAttack):  # type: ignore[misc]
    """Noise of the size `eps`, clipped to the pixel range; ART has no such attack."""

    attack_params: ClassVar[list[str]] = [*EvasionAttack.attack_params, "eps", "batch_size"]
    _estimator_requirements = (BaseEstimator,)
    component: ClassVar[type[NormalNoise | UniformNoise]]

    def __init__(self, estimator: Any, eps: float = 0.1, batch_size: int = 250) -> None:
        super().__init__(estimator=estimator)
        self.norm, self.eps, self.batch_size = np.inf, eps, batch_size

    def generate(self, x: Pixels, y: NDArray[Any] | None = None, **kwargs: Any) -> Pixels:
        """The noisy images; labels are not used."""
        _refuse(kwargs)
        any_labels = np.zeros((len(x), 2)) if y is None else y
        return _candidates(self.component(), _Predictions(self.estimator, x), self, x, any_labels)


class ArtNormalNoise(ArtNoise):
    """Gaussian noise; eps is its standard deviation."""

    component = NormalNoise


class ArtUniformNoise(ArtNoise):
    """Uniform noise; eps is its half-width."""

    component = UniformNoise


def _candidates(
    attack: Attack, twin: _Twin, settings: Any, x: Pixels, y: NDArray[Any] | None
) -> Pixels:
    """What a component finds for images `x`, in their own range: an array of the shape of `x`.

    Labels `y` are integers (N,) or one-hot (N, classes); without them the estimator's own
    predictions are attacked. numpy's global generator seeds the search, as it seeds ART's.
    """
    norm, eps = _ball(settings)
    threat = Threat(norm, None if eps is None else eps / twin.span, grid=False)
    pixels = x if x.ndim == 4 else x.reshape(len(x), 1, 1, -1)
    images = (torch.from_numpy(pixels.astype(np.float32)) - twin.low) / twin.span
    labels, batch = _labels(settings.estimator, x, y), settings.batch_size
    rng = torch.Generator().manual_seed(int(np.random.randint(2**31)))
    parts = [
        attack.run(twin, part, own, threat, rng)
        for part, own in zip(images.split(batch), labels.split(batch), strict=True)
    ]
    candidates: Pixels = (torch.cat(parts) * twin.span + twin.low).reshape(x.shape).numpy()
    return candidates


def _ball(settings: Any) -> tuple[str, float | None]:
    """Norm and radius of an ART attack; that of a minimum-norm attack is None."""
    if isinstance(settings, CarliniL2Method):
        return "l2", None
    names = {"inf": "linf", str(np.inf): "linf", "2": "l2", "2.0": "l2"}
    if str(settings.norm) not in names:
        raise ValueError(f"expected norm to be np.inf or 2, got {settings.norm!r}")
    if not isinstance(settings.eps, int | float):
        raise ValueError(f"expected one number for eps, got {type(settings.eps).__name__}")
    return names[str(settings.norm)], settings.eps


def _step(settings: Any) -> float:
    """Step size in units of eps / steps."""
    _, eps = _ball(settings)
    return float(settings.eps_step * settings.max_iter / eps) if eps else 1.0


def _labels(estimator: Any, x: Pixels, y: NDArray[Any] | None) -> Tensor:
    if y is None:
        y = estimator.predict(x)
    elif y.ndim == 1 or y.shape[1] == 1:
        y = check_and_transform_label_format(y, nb_classes=estimator.nb_classes)
    return torch.from_numpy(np.argmax(y, axis=1))


def _refuse(kwargs: dict[str, Any], **options: bool) -> None:
    """Raise ValueError for the first of these options that is used."""
    given = {name: value is not None for name, value in kwargs.items()}
    for name, used in (given | options).items():
        if used:
            raise ValueError(f"expected no {name}: robench's search has none; use ART's own class")


class _Twin(nn.Module):
    """An ART estimator as the searches see it: images in [0,1], shape (N, C, H, W), -> logits.

    `x` gives the shape of its inputs, `low` and `span` their range.
    """

    def __init__(self, estimator: Any, x: Pixels) -> None:
        super().__init__()
        clip = np.asarray(() if estimator.clip_values is None else estimator.clip_values)
        if clip.shape != (2,):
            raise ValueError(
                f"expected an estimator with two numbers for clip_values, got "
                f"{estimator.clip_values!r}; give it clip_values=(lowest, highest)"
            )
        self.estimator, self.shape = estimator, x.shape[1:]
        self.low, self.span = float(clip[0]), float(clip[1] - clip[0])

    def inputs(self, images: Tensor) -> Tensor:
        """The estimator's inputs for images in [0,1]."""
        return (images * self.span + self.low).reshape(-1, *self.shape)


class _Differentiable(_Twin):
    """A PyTorch classifier, whose model is run on tensors."""

    def __init__(self, estimator: Any, x: Pixels) -> None:
        super().__init__(estimator, x)
        # An estimator with gradients of its own (smoothing, say) is more than its model.
        kind = type(estimator)
        plain = getattr(kind, "loss_gradient", None) is PyTorchClassifier.loss_gradient
        if not (plain and estimator.all_framework_preprocessing):
            raise ValueError(
                f"expected a PyTorchClassifier with preprocessing in PyTorch, got {kind.__name__}; "
                "use ART's own class for other estimators"
            )
        if not isinstance(estimator.loss, nn.CrossEntropyLoss):
            raise ValueError(
                "expected an estimator with loss CrossEntropyLoss on logits, got "
                f"{type(estimator.loss).__name__}; use ART's own class for other losses"
            )
        self.model = estimator.model

    def forward(self, images: Tensor) -> Tensor:
        """The model's logits, with gradients."""
        inputs, _ = self.estimator._apply_preprocessing(
            self.inputs(images), None, fit=False, no_grad=False
        )
        logits: Tensor = self.model(inputs)
        return logits


class _Predictions(_Twin):
    """Any classifier, asked for its predictions alone."""

    def forward(self, images: Tensor) -> Tensor:
        """The estimator's predictions, without gradients."""
        return torch.from_numpy(np.asarray(self.estimator.predict(self.inputs(images).numpy())))
