"""What a run would ask that has no answer, refused before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from robench.base.errors import ConfigError
from robench.core.record import RUN_KINDS
from robench.core.threat import parse_eps
from robench.plugin.components import Defense
from robench.plugin.registry import registry
from robench.run.config import RunConfig, Transfer, require_protocol

if TYPE_CHECKING:
    from robench.run.stages import Stages

SUBPIXEL = 255
"""Levels of an 8-bit pixel: the eps of somebody who counts in these."""


def check_plan(config: RunConfig) -> None:
    """Refuse what the configuration alone shows to have no answer; raises ConfigError.

    That is what its protocol fixes and it changes, a recipe that trains nothing, a threat that
    allows no change or every change, a norm that an attack has not, a check that nobody registered,
    and votes of a system that nobody smooths.
    """
    require_protocol(config)
    for name in config.audit.checks:
        registry().get("check", name)
    _ = config.recipe  # raises for a recipe that nothing can be trained by
    for where, norm, size in _asked(config):
        if size == 0:
            raise ConfigError(
                f"expected {where} above 0, got 0: what changes nothing leaves the clean accuracy, "
                "which every run measures"
            )
        if norm == "linf":
            _require_pixels(where, size)
    _check_norms(config)
    wrapped = [d for d in config.defense.values() if type(d).deploy is not Defense.deploy]
    for name, metric in config.metric.items():
        if metric.votes and not wrapped:
            raise ConfigError(
                f"expected a smoothed system for metric={name}, got defense="
                f"{'+'.join(config.defense)}; use defense=intrs or float_rs"
            )


def check_packages(config: RunConfig) -> None:
    """Refuse components whose packages are not installed; raises ConfigError.

    It is no part of the plan: what a record's command is hangs on its configuration alone.
    """
    for kind in RUN_KINDS:
        for name, component in getattr(config, kind).items():
            missing = [package for package in component.packages if not _is_there(package)]
            if missing:
                raise ConfigError(
                    f"expected the packages of {kind}={name}, got no {' and no '.join(missing)}"
                    + (f"; {component.requires}" if component.requires else "")
                )


def _is_there(package: str) -> bool:
    """Whether a package is installed, without importing it."""
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # the package around it
        return False
    except ValueError:  # imported by code that gave it no specification
        return True


def check_threats(stages: Stages) -> None:
    """Refuse what the data shows to have no answer, before training; raises ConfigError.

    That is more images than there are, one threat twice, and a ball that holds every image.
    """
    from robench.run.attacks import scenarios

    there = len(stages.data.test)
    if (stages.config.images or 0) > there:
        name = next(iter(stages.config.dataset))
        raise ConfigError(
            f"expected images of at most {there}, got {stages.config.images}: {name} has {there} "
            "test images"
        )
    channels, height, width = stages.data.shape
    diagonal = float(channels * height * width) ** 0.5
    seen = set()
    for one in scenarios(stages):
        row = (one.attack, one.access, one.threat.norm, one.threat.eps)
        if row in seen:
            raise ConfigError(
                f"expected each eps of attack.{one.attack} once, got {one.threat.eps:g} twice"
            )
        seen.add(row)
        bounds = one.budgets if one.threat.eps is None else (one.threat.eps,)
        for eps in bounds if one.search != "noise" else ():
            if one.threat.norm == "linf":
                _require_pixels(f"eps of attack.{one.attack}", eps)
            elif eps > diagonal:
                raise ConfigError(
                    f"expected eps of attack.{one.attack} up to {diagonal:.4g} in l2, the diagonal "
                    f"of {channels}x{height}x{width} images, got {eps:g}: eps is in [0,1] pixels"
                )


def check_steps(stages: Stages) -> None:
    """Refuse, before anything is trained, what data and untrained networks show to have no answer.

    Raises UserError.
    """
    check_threats(stages)
    _ = stages.subset
    rehearse(stages)


def rehearse(stages: Stages) -> None:
    """Refuse, before anything is trained, networks that the steps after training would refuse.

    That is the run's own and those from which its attacks transfer; what is trained already was not
    refused. Raises UserError.
    """
    from robench.run.attacks import source_of

    accesses = stages.config.access.items()
    transfers = [name for name, access in accesses if isinstance(access, Transfer)]
    for one in (stages, *(source_of(stages, name) for name in transfers)):
        one.outline()
        _ = one.basis
        if one.model.arrives_finished or not one.is_trained:
            one.rehearse()


def _asked(config: RunConfig) -> Iterator[tuple[str, str | None, float]]:
    """Every eps that is a number: where it stands, its norm if that is known, and its size."""
    for size in _numbers(config.threat.eps):
        yield "threat.eps", config.threat.norm, size
    for name, attack in config.attack.items():
        # Noise is drawn, not bound: its eps is a deviation.
        if attack.search != "noise":
            only = attack.norms[0] if len(attack.norms) == 1 else None
            for size in _numbers(attack.eps):
                yield f"attack.{name}.eps", attack.norm or only or config.threat.norm, size


def _numbers(eps: Any) -> Iterator[float]:
    yield from (one for one in parse_eps(eps) or () if isinstance(one, float))


def _require_pixels(where: str, eps: float) -> None:
    if eps > 1:
        meant = f"; did you mean {eps:g}/{SUBPIXEL}?" if eps <= SUBPIXEL else ""
        raise ConfigError(
            f"expected {where} of at most 1 in linf, got {eps:g}: eps is in [0,1] pixels{meant}"
        )


def _check_norms(config: RunConfig) -> None:
    """An attack that has not the norm that was asked for would be run in another one."""
    norm = config.threat.norm
    for name, attack in config.attack.items():
        if norm and attack.norm is None and norm not in attack.norms:
            has = " or ".join(attack.norms)
            raise ConfigError(
                f"expected threat.norm {has} for attack={name}, got {norm}; leave {name} out, or "
                f"set attack.{name}.norm={attack.norms[0]} to have its row beside the others"
            )
