"""Training recipes: how a network is trained, apart from what a defense adds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Optional

from robench.base.errors import ConfigError
from robench.base.machine import fastest_precision

CHOICES = {
    "optimizer": ("sgd", "adam"),
    "schedule": ("constant", "step", "cosine"),
    "pad": ("zero", "reflect"),
    "precision": ("float32", "bf16"),
}
MOST_EPOCHS = 1_000_000
"""More passes than these never end."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A complete training recipe."""

    epochs: int = 10
    """Passes over the training images."""
    batch: int = 128
    """Images per step."""
    optimizer: str = "adam"
    """sgd or adam."""
    lr: float = 0.001
    """Learning rate at the start."""
    momentum: float = 0.9
    """Momentum of sgd."""
    weight_decay: float = 0.0
    """Weight decay (L2) added to the gradient."""
    nesterov: bool = False
    """Nesterov momentum of sgd."""
    schedule: str = "cosine"
    """constant, step or cosine (per step, down to zero)."""
    step_epochs: int = 30
    """Epochs between the drops of the step schedule."""
    step_factor: float = 0.1
    """Factor of each drop of the step schedule."""
    warmup: float = 0.0
    """Epochs over which the learning rate rises linearly from zero."""
    flip: bool = False
    """Mirror images at random."""
    crop: int = 0
    """Shift images at random by up to this many pixels, the border padded."""
    pad: str = "zero"
    """zero or reflect: what the border of a crop is filled with."""
    precision: str = "float32"
    """float32, or bf16: products in bfloat16, weights and sums in float32 (faster on AMX, GPUs)."""

    def __post_init__(self) -> None:
        for name, known in CHOICES.items():
            value = getattr(self, name)
            if value not in known:
                raise ConfigError(f"expected train.{name} to be one of {known}, got {value!r}")
        for name in ("epochs", "batch", "lr", "step_epochs"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"expected train.{name} > 0, got {getattr(self, name)}")
        if self.epochs > MOST_EPOCHS:
            raise ConfigError(
                f"expected train.epochs of at most {MOST_EPOCHS:,}, got {self.epochs}"
            )
        for name in ("momentum", "weight_decay", "warmup", "crop"):
            if getattr(self, name) < 0:
                raise ConfigError(f"expected train.{name} >= 0, got {getattr(self, name)}")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Changes to the usual recipe of the data set and model; what is not given stays usual.

    Its fields are Recipe's, written out so that type checkers and OmegaConf know them.
    """

    epochs: Optional[int] = None
    batch: Optional[int] = None
    optimizer: Optional[str] = None
    lr: Optional[float] = None
    momentum: Optional[float] = None
    weight_decay: Optional[float] = None
    nesterov: Optional[bool] = None
    schedule: Optional[str] = None
    step_epochs: Optional[int] = None
    step_factor: Optional[float] = None
    warmup: Optional[float] = None
    flip: Optional[bool] = None
    crop: Optional[int] = None
    pad: Optional[str] = None
    precision: Optional[str] = None
    """As in Recipe, or auto: bf16 where this machine multiplies it natively, else float32."""

    def __post_init__(self) -> None:
        if self.precision == "auto":
            # Settled here, so that a record says with what it was trained.
            object.__setattr__(self, "precision", fastest_precision())

    def recipe(self, *usual: Mapping[str, Any]) -> Recipe:
        """Lay the given fields over the usual ones, later mappings over earlier ones."""
        result = Recipe()
        given = {name: value for name, value in asdict(self).items() if value is not None}
        known = {field.name for field in fields(Recipe)}
        for layer in (*usual, given):
            if unknown := set(layer) - known:
                raise ConfigError(f"expected fields of a recipe, got {sorted(unknown)}")
            result = replace(result, **layer)
        return result
