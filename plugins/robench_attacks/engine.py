"""What an attack with two engines shares: robench's own search, or the stock ART class."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from robench import Attack, ConfigError, require

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from robench import Threat
    from robench_attacks.art_bridge import Search

ENGINES = ("robench", "art")


@dataclass(frozen=True, kw_only=True)
class EngineAttack(Attack):
    """An attack that ART also has: an ART object in front, and one of two searches behind it."""

    engine: str = "robench"
    """robench: our vectorised search inside ART's class; art: ART's own search."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            self.engine in ENGINES,
            f"expected engine to be one of {', '.join(ENGINES)}, got {self.engine!r}",
        )

    @abstractmethod
    def search_for(self, threat: Threat, rng: torch.Generator) -> Search:
        """The robench search under a threat: a function of twin, images and labels."""

    @abstractmethod
    def art_class(self) -> Any:
        """The stock ART class."""

    @abstractmethod
    def art_options(self, threat: Threat, batch: int) -> dict[str, Any]:
        """Arguments of the stock ART class under a threat; raises ConfigError if it cannot."""

    def run(
        self, twin: nn.Module, images: Tensor, labels: Tensor, threat: Threat, rng: torch.Generator
    ) -> Tensor:
        """Search candidates through ART's object; an empty ball gives the clean images."""
        from robench_attacks.art_bridge import generate, searched

        if threat.eps == 0:
            return images.clone()
        options = self.art_options(threat, len(images))
        art_class = self.art_class()
        if self.engine == "robench":
            art_class = searched(art_class, self.search_for(threat, rng))
        return generate(partial(art_class, **options), twin, images, labels, rng)

    def refuse_with_art(self, **options: bool) -> None:
        """Raise ConfigError for the first of these options that ART's class does not have."""
        for name, used in options.items():
            if self.engine == "art" and used:
                raise ConfigError(
                    f"expected engine=robench with {name}: ART's class has no such option"
                )


def art_norm(norm: str) -> float:
    """The norm as ART writes it."""
    return {"linf": float("inf"), "l2": 2.0}[norm]
