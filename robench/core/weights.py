"""Weights on disk: safetensors, or torch files read with `weights_only`."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

import torch

from robench.base.errors import PluginError, UserError
from robench.base.text import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor, nn


def save_weights(model: nn.Module, path: Path) -> None:
    """Write a module's parameters and buffers as safetensors."""
    from safetensors.torch import save_file

    save_file({name: t.contiguous().cpu() for name, t in model.state_dict().items()}, path)


def require_saved(model: nn.Module) -> None:
    """Raise PluginError for a network that its weights alone do not make again.

    That is one that torch compiled, or one whose weights are packed or quantised: neither has what
    gradients need.
    """
    if isinstance(model, torch.jit.ScriptModule):
        raise PluginError(
            f"expected a network in Python, got a {type(model).__name__}, which torch scripted or "
            "traced; give the network that it was made from, or that network as a file: net.onnx"
        )
    for name, value in model.state_dict().items():
        whole = isinstance(value, torch.Tensor) and value.layout == torch.strided
        if not whole or value.is_quantized:
            raise PluginError(
                f"expected a network whose weights are dense tensors, got {one_line(name)[:80]!r} "
                "of another kind; give the float network and let a compressor such as ptq_int8 "
                "quantise it, or give the quantised one as the file that ships: net.int8.onnx"
            )


def load_weights(model: nn.Module, path: Path) -> nn.Module:
    """Read weights into a module of the same architecture; raises UserError when they differ."""
    try:
        model.load_state_dict(read_tensors(path))
    except RuntimeError as error:
        raise UserError(
            f"expected weights of {type(model).__name__} in {path}, got others: "
            f"{one_line(error)[:200]}"
        ) from error
    return model


def read_tensors(path: Path, parts: Sequence[str] = ("state_dict",)) -> dict[str, Tensor]:
    """Read a state dict from safetensors or a torch file without pickled code.

    A torch file may hold it as one of `parts`, whose first one there is taken. Raises UserError for
    anything else.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        _check_file(path)
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"expected a file of weights at {path}, got none") from None
    except (SafetensorError, zipfile.BadZipFile, OSError, RuntimeError, EOFError, ValueError) as e:
        raise UserError(f"expected safetensors or torch weights in {path}: {one_line(e)}") from e
    except Exception as error:  # pickle.UnpicklingError and whatever a hostile file provokes
        raise UserError(
            f"expected plain tensors in {path}, got content that needs code to load; save its "
            "state_dict as safetensors"
        ) from error
    return _state_dict(content, path, parts)


def _check_file(path: Path) -> None:
    """Refuse what reading would wait for, and a torch file that expands: torch compresses none."""
    if path.exists() and not path.is_file():
        raise OSError("got no file")
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if sum(member.file_size for member in archive.infolist()) > path.stat().st_size:
                raise ValueError("got compressed or overlapping tensors")


def _state_dict(content: object, path: Path, parts: Sequence[str]) -> dict[str, Tensor]:
    if isinstance(content, dict):
        inner = (content[part] for part in parts if isinstance(content.get(part), dict))
        content = next(inner, content)
    if not isinstance(content, dict):
        raise UserError(f"expected a state dict in {path}, got {type(content).__name__}")
    for name, tensor in content.items():
        plain = isinstance(tensor, torch.Tensor) and _is_plain(tensor)
        if not (plain and isinstance(name, str)):
            raise UserError(f"expected a state dict of plain tensors in {path}, got other {name!r}")
    return content


def _is_plain(tensor: Tensor) -> bool:
    """Whether all numbers are there, as they are."""
    return (
        tensor.layout == torch.strided and tensor.device.type == "cpu" and not tensor.is_quantized
    )
