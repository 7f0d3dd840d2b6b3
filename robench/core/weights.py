"""Weights on disk: safetensors, or torch files read with `weights_only`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from robench.base.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn


def save_weights(model: nn.Module, path: Path) -> None:
    """Write a module's parameters and buffers as safetensors."""
    from safetensors.torch import save_file

    save_file({name: t.contiguous().cpu() for name, t in model.state_dict().items()}, path)


def load_weights(model: nn.Module, path: Path) -> nn.Module:
    """Read weights into a module of the same architecture; raises UserError when they differ."""
    try:
        model.load_state_dict(read_tensors(path))
    except RuntimeError as error:
        raise UserError(
            f"expected weights of {type(model).__name__} in {path}, got others: "
            f"{' '.join(str(error).split())[:200]}"
        ) from error
    return model


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a state dict from safetensors or a torch file without pickled code.

    Raises UserError for anything else.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"expected a file of weights at {path}, got none") from None
    except (SafetensorError, OSError, RuntimeError, EOFError, ValueError) as error:
        raise UserError(f"expected safetensors or torch weights in {path}: {error}") from error
    except Exception as error:  # pickle.UnpicklingError and whatever a hostile file provokes
        raise UserError(
            f"expected plain tensors in {path}, got content that needs code to load; save its "
            "state_dict as safetensors"
        ) from error
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict) or not all(
        isinstance(t, torch.Tensor) for t in content.values()
    ):
        raise UserError(f"expected a state dict in {path}, got {type(content).__name__}")
    return content
