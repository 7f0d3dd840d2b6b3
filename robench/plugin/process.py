"""The state of the process that a component may change by mistake: read, compared, put back."""

from __future__ import annotations

import os
import random
import sys
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.nn.modules import module as torch_module

from robench.base.seeds import in_seed_scope

TINY = 5e-324
"""The smallest double: zero to a processor that flushes such numbers."""


class Part(NamedTuple):
    """One thing of the process: what `get` returns equals itself later, unless it changed."""

    name: str
    get: Callable[[], Any]
    put: Callable[[Any], object]


class ProcessState:
    """The state of the process at one moment; takes well below a millisecond.

    Inside a seed scope the generators are left alone: the scope puts them back.
    """

    def __init__(self) -> None:
        self._parts = PARTS if in_seed_scope() else (*PARTS, *GENERATORS)
        self._before = [part.get() for part in self._parts]
        self._modules = len(sys.modules)

    def put_back(self) -> list[str]:
        """Make everything as it was; returns what had changed, in words.

        What libraries do when they are imported, to the environment, to filters of warnings and to
        generators, is put back, too, but not said.
        """
        changed = []
        imported = len(sys.modules) != self._modules
        for part, before in zip(self._parts, self._before, strict=True):
            if part.get() != before:
                part.put(before)
                if not (imported and part.name in BY_IMPORTS):
                    changed.append(part.name)
        return changed


def _set_device(device: torch.device) -> None:
    # Without a device of its own torch is as it starts; one set to the CPU would cost every call.
    torch.set_default_device(None if device.type == "cpu" else device)


def _deterministic() -> tuple[bool, bool]:
    enabled = torch.are_deterministic_algorithms_enabled()
    return enabled, torch.is_deterministic_algorithms_warn_only_enabled()


def _backends() -> tuple[Any, ...]:
    cudnn = torch.backends.cudnn
    precision = torch.get_float32_matmul_precision()
    return cudnn.enabled, cudnn.benchmark, cudnn.deterministic, precision


def _set_backends(before: tuple[Any, ...]) -> None:
    cudnn = torch.backends.cudnn
    cudnn.enabled, cudnn.benchmark, cudnn.deterministic, precision = before
    torch.set_float32_matmul_precision(precision)


def _autocast() -> tuple[bool, bool]:
    return torch.is_autocast_enabled("cpu"), torch.is_autocast_enabled("cuda")


def _set_autocast(before: tuple[bool, bool]) -> None:
    for device, enabled in zip(("cpu", "cuda"), before, strict=True):
        torch.set_autocast_enabled(device, enabled)


def _anomaly() -> tuple[bool, bool]:
    return torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()


_HOOKS: tuple[dict[int, Any], ...] = tuple(
    value
    for name, value in vars(torch_module).items()
    if name.startswith("_global_") and isinstance(value, dict)
)
"""Where torch keeps the hooks of all modules."""


def _hooks() -> tuple[dict[int, Any], ...]:
    return tuple(dict(hooks) for hooks in _HOOKS)


def _set_hooks(before: tuple[dict[int, Any], ...]) -> None:
    for hooks, old in zip(_HOOKS, before, strict=True):
        hooks.clear()
        hooks.update(old)


def _denormals() -> bool:
    """Whether the processor reckons with them; made large, as it may not compare them either."""
    return TINY * 1e300 > 0


def _cwd() -> str | None:
    try:
        return os.getcwd()
    except OSError:  # the folder was removed
        return None


def _set_cwd(before: str | None) -> None:
    if before is not None:
        os.chdir(before)


def _set_environ(before: dict[str, str]) -> None:
    for name in set(os.environ) - set(before):
        del os.environ[name]
    os.environ.update({k: v for k, v in before.items() if os.environ.get(k) != v})


def _streams() -> tuple[Any, ...]:
    return sys.stdout, sys.stderr, sys.stdin


def _set_streams(before: tuple[Any, ...]) -> None:
    sys.stdout, sys.stderr, sys.stdin = before


def _set_filters(before: list[Any]) -> None:
    warnings.filters[:] = before  # type: ignore[index]  # a list, whatever its stub says
    # Filters that were applied are remembered by the version of their list.
    warnings._filters_mutated()  # type: ignore[attr-defined]


def _numpy_state() -> tuple[Any, ...]:
    name, keys, *rest = np.random.get_state()
    return (name, np.asarray(keys).tobytes(), *rest)


def _set_numpy_state(before: tuple[Any, ...]) -> None:
    name, keys, *rest = before
    np.random.set_state((name, np.frombuffer(keys, dtype=np.uint32), *rest))


def _torch_state() -> bytes:
    return torch.get_rng_state().numpy().tobytes()


def _set_torch_state(before: bytes) -> None:
    torch.set_rng_state(torch.frombuffer(bytearray(before), dtype=torch.uint8))


PARTS = (
    # Before all others: they may make tensors.
    Part("torch's default device", torch.get_default_device, _set_device),
    Part("torch's default dtype", torch.get_default_dtype, torch.set_default_dtype),
    Part("grad mode", torch.is_grad_enabled, torch.set_grad_enabled),
    Part(
        "deterministic algorithms",
        _deterministic,
        lambda b: torch.use_deterministic_algorithms(b[0], warn_only=b[1]),
    ),
    Part("flags of torch's backends", _backends, _set_backends),
    Part("autocast", _autocast, _set_autocast),
    Part(
        "torch's number of threads",
        torch.get_num_threads,
        torch.set_num_threads,
    ),
    Part("denormal numbers", _denormals, lambda before: torch.set_flush_denormal(not before)),
    Part("anomaly mode", _anomaly, lambda b: torch.autograd.set_detect_anomaly(*b)),
    Part("torch's hooks of all modules", _hooks, _set_hooks),
    Part("os.environ", lambda: dict(os.environ), _set_environ),
    Part("the working directory", _cwd, _set_cwd),
    Part("sys.stdout, sys.stderr or sys.stdin", _streams, _set_streams),
    Part("numpy's errstate", np.geterr, lambda b: np.seterr(**b)),
    Part("filters of warnings", lambda: list(warnings.filters), _set_filters),
)
GENERATORS = (
    Part("python's global generator", random.getstate, random.setstate),
    Part("numpy's global generator", _numpy_state, _set_numpy_state),
    Part("torch's global generator", _torch_state, _set_torch_state),
)
BY_IMPORTS = {"os.environ", "filters of warnings", *(part.name for part in GENERATORS)}
