"""What a result is valid for: the keys of cached steps.

A key holds versions (of the step and of its components, by the names they are registered under),
options, the data's hash, the seed, and the hashes of what goes in: the weights themselves, not how
they were made. What a result was made on (threads, device, torch) is no part of it but where it
decides labels: there it is the `environment`.

No code is read to make a key. `tools/versions.py` compares the code behind each version with
`versions.lock`, so that `make check` fails when code changed and its version did not. Only code
of other distributions enters keys, since their authors raise no version of ours.
"""

from __future__ import annotations

import hashlib
import sys
import uuid
from importlib.metadata import version
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import torch

from robench.base.hashing import plain_options
from robench.base.machine import cpu_name
from robench.core.record import MadeOn
from robench.plugin.content import code_of
from robench.plugin.registry import registry
from robench.plugin.source import OURS, Unreadable

if TYPE_CHECKING:
    from torch import Tensor

    from robench.core.data import Data
    from robench.plugin.components import Component


def component_key(component: Component) -> dict[str, Any]:
    """What a key holds of a component: its registered name, version and options.

    One of another distribution also has what names its code, and robench's release; where its code
    cannot be read, nothing of it is found again by another process.
    """
    cls = type(component)
    choice = registry().home(cls)
    name = f"{choice.distribution}/{choice.kind}/{choice.name}" if choice else cls.__qualname__
    key = {"component": name, "version": component.version, "options": plain_options(component)}
    if cls.__module__.partition(".")[0] == OURS or (choice and choice.distribution == OURS):
        return key
    # What it calls of robench may give other numbers in another release.
    return key | {
        "code": _code(component, choice.distribution if choice else None),
        OURS: version(OURS),
    }


_UNREAD: WeakKeyDictionary[type, str] = WeakKeyDictionary()


def _code(component: Component, distribution: str | None) -> dict[str, str]:
    cls = type(component)
    try:
        return code_of(component, distribution)
    except Unreadable as reason:
        if cls not in _UNREAD:
            text = f"robench: the code of {cls.__qualname__} cannot be read ({reason}): nothing"
            print(f"{text} of it is kept for another run", file=sys.stderr)  # noqa: T201
        return {"unread": _UNREAD.setdefault(cls, uuid.uuid4().hex)}


def data_key(data: Data) -> dict[str, Any]:
    """Pixels and labels by their hash, and what else of a data set decides a training."""
    threat = data.threat
    levels = {norm: list(eps) for norm, eps in threat.levels.items()}
    return {"hash": data.hash, "classes": len(data.classes), "levels": levels}


def images_hash(kept: Tensor) -> str:
    """SHA-256 of images as they are kept: of their 8-bit pixels where they lie on the grid."""
    return hashlib.sha256(kept.contiguous().numpy().reshape(-1).data).hexdigest()[:16]


def float_environment(device: torch.device) -> dict[str, Any]:
    """What decides the labels of a float network: torch, device, threads, instruction set."""
    if device.type != "cpu":
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
        return {"torch": torch.__version__, "device": name}
    return {
        "torch": torch.__version__,
        "device": "cpu",
        "threads": torch.get_num_threads(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
    }


def made_on(device: torch.device) -> MadeOn:
    """This machine, for the provenance of what it makes."""
    return MadeOn(
        torch=torch.__version__,
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        threads=torch.get_num_threads(),
        machine=cpu_name(),
    )
