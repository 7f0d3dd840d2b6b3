"""Search candidates on a twin and bring them into the threat model; no attack is trusted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from robench.base.errors import PluginError, UserError
from robench.base.progress import progress
from robench.base.seeds import derive, generator, seed_scope

if TYPE_CHECKING:
    from torch import Tensor, nn

    from robench.core.data import Split
    from robench.core.threat import Threat
    from robench.plugin.components import Attack


class AttackFailed(Exception):
    """An attack raised or returned what is no image; the row is invalid, never robust."""


@dataclass(frozen=True)
class Row:
    """One attack under one access and threat: a row of the result table."""

    attack: str
    component: Attack
    access: str
    threat: Threat
    """Its eps is the ball's size, the noise's strength, or None for a minimum-norm attack."""
    budgets: tuple[float, ...] = ()
    """Eps at which a minimum-norm attack's accuracy is given, in [0,1] pixels."""


def search(row: Row, twin: nn.Module, test: Split, seed: int, device: torch.device) -> Tensor:
    """The row's legal candidates: float32 in [0,1], shape (N, C, H, W); raises AttackFailed."""
    attack, images = row.component, test.float_images()
    found = []
    with progress(f"{row.attack} ({row.access})", len(images)) as advance:
        for part, index in enumerate(torch.arange(len(images)).split(attack.batch)):
            x, y = images[index], test.labels[index]
            raw = _run(row, twin, x.to(device), y.to(device), derive(seed, part))
            found.append(legal(raw, x, row))
            advance(len(x))
    return torch.cat(found)


def _run(row: Row, twin: nn.Module, images: Tensor, labels: Tensor, seed: int) -> Tensor:
    with seed_scope(derive(seed, "global")):
        try:
            return row.component.run(twin, images, labels, row.threat, generator(seed))
        except UserError:
            raise
        except Exception as error:  # a foreign search may raise anything
            text = " ".join(str(error).split())
            raise AttackFailed(f"{type(error).__name__}: {text}") from error


def legal(raw: Tensor, images: Tensor, row: Row) -> Tensor:
    """Candidates brought into the threat model; raises AttackFailed for what is no image."""
    if not isinstance(raw, torch.Tensor) or raw.shape != images.shape:
        got = tuple(raw.shape) if isinstance(raw, torch.Tensor) else type(raw).__name__
        raise AttackFailed(f"expected candidates of shape {tuple(images.shape)}, got {got}")
    candidates = raw.detach().float().cpu()
    if not torch.isfinite(candidates).all():
        raise AttackFailed("expected finite candidates, got NaN or infinite pixels")
    if row.component.search == "noise":
        noisy = candidates.clamp(0, 1)
        return (noisy * 255).round() / 255 if row.threat.grid else noisy
    inside = row.threat.project(candidates, images)
    if not bool(row.threat.contains(inside, images).all()):
        raise PluginError("expected projected candidates inside the threat model; report this")
    return inside
