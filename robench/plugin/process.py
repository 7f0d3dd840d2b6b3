"""The state of the process that a component may change by mistake: read, compared, put back."""

from __future__ import annotations

import os
import random
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.nn.modules import module as torch_module
from torch.utils import _python_dispatch as python_dispatch

from robench.base.seeds import in_seed_scope

TINY = 5e-324
"""The smallest double: zero to a processor that flushes such numbers."""


class Part(NamedTuple):
    """One thing of the process: what `get` returns equals itself later, unless it changed."""

    name: str
    get: Callable[[], Any]
    put: Callable[[Any], object]
    """Nothing, where it cannot be put back."""


class ProcessState:
    """The state of the process at one moment; takes well below a millisecond.

    Inside a seed scope the generators are left alone: the scope puts them back.
    """

    def __init__(self) -> None:
        self._parts = PARTS if in_seed_scope() else (*PARTS, *GENERATORS)
        self._before = [part.get() for part in self._parts]
        self._modules = len(sys.modules)
        self.lost: list[str] = []
        """What `put_back` could not put back, in words."""

    def put_back(self) -> list[str]:
        """Make everything as it was; returns what had changed and is as before, in words.

        What libraries do when they are imported, to the environment, to filters of warnings and to
        generators, is put back, too, but not said.
        """
        changed = []
        imported = len(sys.modules) != self._modules
        for part, before in zip(self._parts, self._before, strict=True):
            if _is(part, before):
                continue
            if not _put(part, before):
                self.lost.append(part.name)
            elif not (imported and part.name in BY_IMPORTS):
                changed.append(part.name)
        return changed


def _is(part: Part, before: Any) -> bool:
    try:
        return bool(part.get() == before)
    except Exception:  # the libraries' own settings may contradict each other
        return False


def _put(part: Part, before: Any) -> bool:
    """Put a part back; returns whether it then is as it was."""
    try:
        part.put(before)
    except Exception:  # whatever refuses, it is not as it was
        return False
    return _is(part, before)


class ClassState:
    """The plain attributes that a component's class, and those it is made from, have themselves."""

    def __init__(self, cls: type) -> None:
        self._before = {one: deepcopy(_plain_attributes(one)) for one in cls.__mro__[:-1]}

    def put_back(self) -> list[str]:
        """Make them as they were; returns what had changed, in words."""
        changed = []
        for cls, before in self._before.items():
            now = _plain_attributes(cls)
            for name in before.keys() | now.keys():
                if name not in before:
                    type.__delattr__(cls, name)
                elif name not in now or repr(now[name]) != repr(before[name]):
                    type.__setattr__(cls, name, before[name])
                else:
                    continue
                changed.append(f"{cls.__qualname__}.{name}")
        return sorted(changed)


def _plain_attributes(cls: type) -> dict[str, Any]:
    named = ((n, v) for n, v in vars(cls).items() if not n.startswith("__"))
    return {name: value for name, value in named if _is_plain(value)}


def _is_plain(value: Any) -> bool:
    """Whether a value is numbers and texts, and what python's own containers hold of them."""
    if isinstance(value, dict):
        return all(map(_is_plain, (*value.keys(), *value.values())))
    if isinstance(value, list | tuple | set | frozenset):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, bool | int | float | str | bytes)


def _nothing(before: Any) -> None:
    """What cannot be put back stays as it is."""


# -- torch -----------------------------------------------------------------------------------------


def _function_modes() -> tuple[Any, ...]:
    """Modes that were entered; the one of the default device is another part."""
    own = getattr(torch._GLOBAL_DEVICE_CONTEXT, "device_context", None)
    count = torch._C._len_torch_function_stack()
    stack = (torch._C._get_function_stack_at(i) for i in range(count))
    return tuple(mode for mode in stack if mode is not own)


def _set_function_modes(before: tuple[Any, ...]) -> None:
    now = [
        torch._C._pop_torch_function_stack() for _ in range(torch._C._len_torch_function_stack())
    ]
    own = getattr(torch._GLOBAL_DEVICE_CONTEXT, "device_context", None)
    for mode in (*(mode for mode in now if mode is own), *before):
        torch._C._push_on_torch_function_stack(mode)


def _dispatch_modes() -> tuple[Any, ...]:
    return tuple(python_dispatch._get_current_dispatch_mode_stack())


def _set_dispatch_modes(before: tuple[Any, ...]) -> None:
    for _ in _dispatch_modes():
        python_dispatch._pop_mode()
    for mode in before:
        python_dispatch._push_mode(mode)


def _tensor_hooks() -> tuple[Any, ...]:
    """The pairs of hooks on tensors saved for gradients, the innermost last."""
    hooks: list[Any] = []
    while (top := torch._C._autograd._top_saved_tensors_default_hooks(True)) is not None:
        hooks.insert(0, top)
        torch._C._autograd._pop_saved_tensors_default_hooks()
    for pair in hooks:
        torch._C._autograd._push_saved_tensors_default_hooks(*pair)
    return tuple(hooks)


def _set_tensor_hooks(before: tuple[Any, ...]) -> None:
    for _ in _tensor_hooks():
        torch._C._autograd._pop_saved_tensors_default_hooks()
    for pair in before:
        torch._C._autograd._push_saved_tensors_default_hooks(*pair)


_GUARDS: list[Any] = []
"""What holds the inference mode that was put back: it ends when the guard does."""


def _set_inference(before: bool) -> None:
    guard = torch._C._InferenceMode(before)
    guard.__enter__()
    _GUARDS.append(guard)


_OPERATORS: tuple[int, frozenset[str]] = (0, frozenset())


def _operators() -> frozenset[str]:
    """Torch's own operators that other code than torch's computes; those for shapes left out."""
    global _OPERATORS
    known: set[str] = getattr(torch.library, "_impls", set())
    if len(known) != _OPERATORS[0]:
        own = known - _registered_by_torch()
        named = (name for name in own if name.startswith("aten/") and not name.endswith("/Meta"))
        _OPERATORS = len(known), frozenset(named)
    return _OPERATORS[1]


def _registered_by_torch() -> set[str]:
    """What torch's own modules registered, some of it late: `vmap` does so on its first call."""
    modules = [module for name, module in sys.modules.items() if name.split(".")[0] == "torch"]
    kept = (value for module in modules for value in list(getattr(module, "__dict__", {}).values()))
    libraries = (value for value in kept if type(value) is torch.library.Library)
    return set().union(*(getattr(library, "_op_impls", ()) for library in libraries))


_WEIGHT = torch.arange(54, dtype=torch.float32).reshape(2, 3, 3, 3) % 7 - 3
_IMAGE = torch.arange(108, dtype=torch.float32).reshape(1, 3, 6, 6) % 11 - 4
_LINEAR = torch.arange(24, dtype=torch.float32).reshape(3, 8) % 5 - 2


def _answer() -> tuple[bytes, ...]:
    """What a tiny network answers, bit for bit; its numbers are whole, so no order matters."""
    functional = torch.nn.functional
    with torch.inference_mode():
        features = functional.max_pool2d(functional.conv2d(_IMAGE, _WEIGHT, padding=1).relu(), 3)
        logits = functional.linear(features.flatten(1), _LINEAR)
        moved = (_IMAGE / 255 + 0.03 * (_IMAGE - 1).sign()).clamp(0, 1)
        far = (moved * 255).round().sub(_IMAGE).flatten(1).abs().amax(1)
        return tuple(part.numpy().tobytes() for part in (logits, logits.argmax(1), far))


def _set_device(device: torch.device) -> None:
    # Without a device of its own torch is as it starts; one set to the CPU would cost every call.
    torch.set_default_device(None if device.type == "cpu" else device)
    if device.type == "cpu":
        # Nothing is what torch 2.9 cannot read there.
        del torch._GLOBAL_DEVICE_CONTEXT.device_context


def _deterministic() -> tuple[bool, bool]:
    enabled = torch.are_deterministic_algorithms_enabled()
    return enabled, torch.is_deterministic_algorithms_warn_only_enabled()


_PRECISIONS = (
    ("generic", "all"),
    *((backend, what) for backend in ("cuda", "mkldnn") for what in ("all", "conv", "matmul")),
    *(("cuda", "rnn"), ("mkldnn", "rnn")),
)
"""Where torch keeps the precisions of single numbers, the general ones first."""


def _backends() -> tuple[Any, ...]:
    cudnn = torch.backends.cudnn
    flags = cudnn.enabled, cudnn.benchmark, cudnn.deterministic, torch._C._get_mkldnn_enabled()
    each = tuple(torch._C._get_fp32_precision_getter(*one) for one in _PRECISIONS)
    return *flags, each, _precision()


def _precision() -> str | None:
    """The older of torch's two ways to say a precision; None where the other one was used."""
    _warn_nobody()
    try:
        return torch.get_float32_matmul_precision()
    except RuntimeError:
        return None


@cache
def _warn_nobody() -> None:
    """Torch 2.9 warns once of its older way, which the newer ones do not replace."""
    with warnings.catch_warnings(), suppress(RuntimeError):
        warnings.simplefilter("ignore")
        torch.get_float32_matmul_precision()


def _set_backends(before: tuple[Any, ...]) -> None:
    cudnn = torch.backends.cudnn
    cudnn.enabled, cudnn.benchmark, cudnn.deterministic, mkldnn, each, precision = before
    torch._C._set_mkldnn_enabled(mkldnn)
    if precision is not None:
        torch.set_float32_matmul_precision(precision)
    for one, value in zip(_PRECISIONS, each, strict=True):
        torch._C._set_fp32_precision_setter(*one, value)


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


# -- python and the system -------------------------------------------------------------------------


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


def _closed() -> tuple[bool, ...]:
    return tuple(getattr(stream, "closed", False) for stream in (sys.stdout, sys.stderr))


def _open_again(before: tuple[bool, ...]) -> None:
    """Open the streams anew that python opened itself; others stay closed."""
    for number, name in ((1, "stdout"), (2, "stderr")):
        stream = getattr(sys, name)
        if getattr(stream, "closed", False) and stream is getattr(sys, f"__{name}__"):
            coding = {"encoding": stream.encoding, "errors": stream.errors}
            again = open(number, "w", closefd=False, buffering=1, **coding)  # noqa: SIM115
            setattr(sys, name, again)
            setattr(sys, f"__{name}__", again)


def _descriptors() -> tuple[Any, ...]:
    """What stands behind the numbers of input, output and errors; None for nothing."""
    return tuple(map(_behind, range(3)))


def _behind(number: int) -> tuple[int, int] | None:
    try:
        status = os.fstat(number)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _umask() -> int:
    before = os.umask(0o077)  # it can only be read by setting it
    os.umask(before)
    return before


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
    Part("torch's function modes", _function_modes, _set_function_modes),
    Part("torch's dispatch modes", _dispatch_modes, _set_dispatch_modes),
    Part("inference mode", torch.is_inference_mode_enabled, _set_inference),
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
    Part("torch's hooks on saved tensors", _tensor_hooks, _set_tensor_hooks),
    Part("torch's operators", _operators, _nothing),
    Part("os.environ", lambda: dict(os.environ), _set_environ),
    Part("the working directory", _cwd, _set_cwd),
    Part("sys.stdout, sys.stderr or sys.stdin", _streams, _set_streams),
    Part("whether sys.stdout and sys.stderr are open", _closed, _open_again),
    Part("the files behind input, output and errors", _descriptors, _nothing),
    Part("the umask", _umask, os.umask),
    Part("python's limit of recursion", sys.getrecursionlimit, sys.setrecursionlimit),
    Part("numpy's errstate", np.geterr, lambda b: np.seterr(**b)),
    Part("filters of warnings", lambda: list(warnings.filters), _set_filters),
    # After all others, which decide it, too.
    Part("what torch computes", _answer, _nothing),
)
GENERATORS = (
    Part("python's global generator", random.getstate, random.setstate),
    Part("numpy's global generator", _numpy_state, _set_numpy_state),
    Part("torch's global generator", _torch_state, _set_torch_state),
)
BY_IMPORTS = {"os.environ", "filters of warnings", *(part.name for part in GENERATORS)}
