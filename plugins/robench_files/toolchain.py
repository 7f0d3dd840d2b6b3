"""What compressors of foreign toolchains share: from a trained network to the file that ships."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, ClassVar

import robench

if TYPE_CHECKING:
    from torch import Tensor, nn

BATCH = 64
"""Images given to a toolchain at once."""
MEMORIES = ("metadata_props", "doc_string")
TRACES = ("from_node", "stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn")
"""What a node of ONNX, and one of torch, remembers of how it came to be."""


@dataclass(frozen=True, kw_only=True)
class Toolchain(robench.Compressor):
    """Calibrates a trained float network on training images and ships a file of its own."""

    bits: ClassVar[int] = 8
    file: ClassVar[str]
    """Name of the file that it makes."""
    runtime: ClassVar[str]
    """The runtime that answers."""

    images: int = 512
    """Training images to calibrate on."""

    def __post_init__(self) -> None:
        robench.require_positive(images=self.images)

    @abstractmethod
    def write(self, model: nn.Module, images: Tensor, path: Path) -> None:
        """Make the file of a network on the CPU, from float32 images in [0,1] to calibrate on."""

    def finish(self, model: nn.Module, data: robench.Data) -> robench.System:
        """Make the file and open it; raises UserError for a network that the toolchain refuses."""
        import torch

        model = model.cpu().to(memory_format=torch.contiguous_format).eval()
        images = data.train.float_images(self.images)
        with TemporaryDirectory() as folder:
            path = Path(folder) / self.file
            with self._guarded(), torch.no_grad():
                self.write(model, images, path)
            return self.reopen(path, data)

    def reopen(self, file: Path, data: robench.Data) -> robench.System:
        """The system of a file that was made before."""
        from robench.shipped import open_system

        return open_system(file, shape=data.shape, classes=len(data.classes), runtime=self.runtime)

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """A toolchain's own failure as one line; what it says while it works is not printed."""
        try:
            with quiet():
                yield
        except ImportError as error:
            raise robench.UserError(
                f"expected the packages of this compressor, got {error}; {self.requires}"
            ) from error
        except robench.UserError:
            raise
        except Exception as error:  # foreign code may raise anything
            told = " ".join(str(error).split())[:300]
            raise robench.UserError(
                f"expected a network that the toolchain can compress, got {type(error).__name__}: "
                f"{told}; choose another compressor"
            ) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Neither warnings nor progress of foreign code; errors are raised all the same."""
    import logging
    import warnings
    from contextlib import redirect_stderr, redirect_stdout
    from io import StringIO

    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def export_onnx(model: nn.Module, images: Tensor, path: Path) -> None:
    """Write a float network as ONNX: `images` (N, C, H, W) to `logits`, N left open."""
    import torch

    import_module("onnxscript")  # torch would name it in a page of text
    program: Any = torch.onnx.export(
        model,
        (images[:2].clone(),),
        input_names=["images"],
        output_names=["logits"],
        dynamic_shapes=({0: torch.export.Dim("n")},),
        dynamo=True,
        verbose=False,
    )
    proto = program.model_proto
    _forget(proto)
    path.write_bytes(proto.SerializeToString(deterministic=True))


def _forget(message: Any) -> None:
    """Clear what an exporter remembers of how a node came to be: addresses and paths, also of the
    user's folders, which would differ from one machine to the next."""
    for field, value in message.ListFields():
        if field.name in MEMORIES:
            message.ClearField(field.name)
        elif field.message_type is not None:
            for part in value if field.is_repeated else [value]:
                _forget(part)


def save_program(program: Any, path: Path) -> None:
    """Write a program of torch.export without what its nodes remember of how they came to be."""
    import torch

    for node in program.graph.nodes:
        for trace in TRACES:
            node.meta.pop(trace, None)
    torch.export.save(program, path)
