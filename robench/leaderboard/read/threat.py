"""The threat that a row's headline is about."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from robench.records.protocols import Protocol


@dataclass(frozen=True, order=True)
class Threat:
    """A norm and how far it allows a change."""

    norm: str
    eps: float


def headline_threat(protocol: Protocol | None, known: Iterable[Threat]) -> Threat | None:
    """The threat of the protocol, one for all its rows; of an open run its own, or None.

    An open run's is the largest eps of the norm in which it knows most, of two the one that comes
    later in the alphabet, so that the order of its attacks decides nothing.
    """
    if protocol is not None:
        eps = protocol.headline_eps
        return Threat(protocol.norm, protocol.headline_radius or 0.0 if eps is None else eps)
    known = set(known)
    norms = [threat.norm for threat in known]
    return max(known, key=lambda one: (norms.count(one.norm), one.norm, one.eps), default=None)
