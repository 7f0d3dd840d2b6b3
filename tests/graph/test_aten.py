"""Torch exports: the table computes what torch does, and nothing of a file is unpickled or run."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from robench.base.errors import UserError
from robench.graph import (
    Graph,
    GraphTwin,
    UnknownOperator,
    UnreadableFile,
    output_quantisers,
    read,
    read_program,
)
from robench_data.digits import Digits

FILES = Path(__file__).parents[1] / "fixtures/files"
INT8 = FILES / "digits.int8.pt2"


def digits(count: int = 360) -> Tensor:
    """The first test images."""
    return Digits().load(Path()).test.float_images()[:count]


def saved(net: nn.Module, shape: tuple[int, ...], path: Path, *, batch: int | None = None) -> Path:
    """A network exported for any batch, or for one."""
    images = torch.randn(batch or 2, *shape)
    free = None if batch else ({0: torch.export.Dim("n")},)
    program = torch.export.export(net.eval(), (images,), dynamic_shapes=free, strict=False)
    torch.export.save(program, path)
    return path


def gap(path: Path, net: nn.Module, images: Tensor) -> float:
    """The largest difference of a file's twin and the network."""
    with torch.no_grad():
        return float((GraphTwin(read(path, "torch"))(images) - net(images)).abs().max())


@pytest.mark.parametrize("name", ["digits.pt2", "digits.int8.pt2"])
def test_the_program_is_the_one_that_torch_loads(name: str) -> None:
    images = digits(40)
    program = read_program(FILES / name)
    program.check()
    made = program.run(images)[program.outputs[0].name]
    loaded = torch.export.load(FILES / name).module()(images)
    assert torch.equal(made, loaded)


def test_a_pt2e_file_and_its_twin_differ_by_the_last_layers_order_of_sums_alone() -> None:
    images = digits()
    program = read_program(INT8)
    assert sum("dequantize" in call.target for call in program.calls) > 10
    made = program.run(images)[program.outputs[0].name]
    # A step of a quantiser would be a thousand times as much.
    torch.testing.assert_close(GraphTwin(read(INT8, "torch"))(images), made, atol=1e-5, rtol=0)


def test_a_float_file_and_its_twin_are_as_near_as_float32() -> None:
    images = digits()
    program = read_program(FILES / "digits.pt2")
    made = program.run(images)[program.outputs[0].name]
    torch.testing.assert_close(
        GraphTwin(read(FILES / "digits.pt2", "torch"))(images), made, atol=3e-5, rtol=0
    )


def test_gradients_reach_the_image_in_all_forms() -> None:
    graph = read(INT8, "torch")
    assert not output_quantisers(graph)
    for form in ("faithful", "open_output", "pass_through"):
        images = digits(8).requires_grad_()
        GraphTwin(graph, form)(images).logsumexp(1).sum().backward()
        assert images.grad is not None
        assert images.grad.abs().sum() > 0


class Images(nn.Module):
    """Operators on images."""

    def __init__(self) -> None:
        super().__init__()
        self.same = nn.Conv2d(4, 8, (3, 2), padding="same", dilation=2)
        self.grouped = nn.Conv2d(8, 8, 3, stride=2, padding=1, groups=4, bias=False)
        self.up = nn.ConvTranspose2d(8, 4, 3, stride=2, padding=1, output_padding=1)
        self.batch, self.groups = nn.BatchNorm2d(8), nn.GroupNorm(2, 8)
        self.batch.running_mean += torch.randn(8)
        self.slope = nn.PReLU(8)
        self.head = nn.Linear(4 * 4, 5)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, 5) of (N, 4, 12, 12)."""
        x = F.hardswish(self.batch(self.same(x)))
        x = self.slope(self.groups(self.grouped(x)))
        x = F.max_pool2d(x, 2, ceil_mode=True) + F.avg_pool2d(x, 3, 2, 1, count_include_pad=False)
        x = F.interpolate(F.silu(self.up(x)), scale_factor=2, mode="nearest")
        x = F.pad(F.elu(F.leaky_relu(x, 0.2)), (1, -1, 0, 0)).clamp(-1, 2)
        x = F.interpolate(x, size=(8, 8), mode="bilinear", align_corners=False)
        return self.head(F.adaptive_avg_pool2d(F.mish(F.relu6(x)), 2).flatten(1))


class Tokens(nn.Module):
    """Operators on sequences: a class token, attention, windows that are rolled."""

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.randn(1, 1, 8))
        self.bias = nn.Parameter(torch.randn(9, 2))
        self.register_buffer("places", torch.randint(9, (5, 5)))
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.norm = nn.LayerNorm(8)

    def forward(self, x: Tensor) -> Tensor:
        """Numbers (N, 4) of (N, 4, 8)."""
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], dim=1)
        x = self.norm(x) + self.attention(x, x, x, need_weights=False)[0]
        first, second = x.reshape(-1, 5, 2, 4).permute(0, 2, 1, 3).unbind(1)
        scores = first @ second.transpose(1, 2) / 2 + self.bias[self.places].mean(-1)
        x = torch.roll(F.softmax(scores, -1) @ torch.cat([first, second], 2), (1, 2), (1, 2))
        a, b = torch.chunk(F.gelu(x), 2, dim=-1)
        return torch.stack([a * b.sigmoid(), torch.sqrt(a.abs() + 1), a - 2 * b], 1).sum((1, 2))


class Tail(nn.Module):
    """What remains, in shapes of the batch."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, 6) of (N, 2, 6)."""
        n = x.shape[0]
        x = x.reshape(n * 2, 6).exp().view(n, 2, 6).tanh()
        x = x.unsqueeze(1).squeeze(1).mean(1) + x[:, 0] - x.select(1, 1)
        return F.log_softmax(x.pow(2).neg() + 1.5, 1) * torch.arange(6)


@pytest.mark.parametrize(
    ("make", "shape", "batch"),
    [
        (Tail, (2, 6), None),
        (Images, (4, 12, 12), None),
        (Tokens, (4, 8), None),
        pytest.param(Tail, (2, 6), 1, marks=pytest.mark.slow),
        pytest.param(Images, (4, 12, 12), 1, marks=pytest.mark.slow),
    ],
)
def test_operators_compute_what_torch_does(
    make: Callable[[], nn.Module], shape: tuple[int, ...], batch: int | None, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    net = make()
    path = saved(net, shape, tmp_path / "net.pt2", batch=batch)
    assert gap(path, net, torch.randn(7, *shape)) < 2e-5


@pytest.mark.slow
def test_a_batch_hidden_within_other_axes_is_a_black_box(tmp_path: Path) -> None:
    path = saved(Tokens(), (4, 8), tmp_path / "net.pt2", batch=1)
    with pytest.raises(UnknownOperator, match="batches of 1 alone"):
        read(path, "torch")


def changed(
    path: Path, change: Callable[[Any], None], part: str = "models/", file: Path = INT8
) -> Path:
    """A file with the JSON of one part changed."""
    with zipfile.ZipFile(file) as old:
        content = {entry.filename: old.read(entry) for entry in old.infolist()}
    with zipfile.ZipFile(path, "w") as new:
        for name, data in content.items():
            if part in name and name.endswith(".json"):
                found = json.loads(data)
                change(found)
                data = json.dumps(found).encode()
            new.writestr(name, data)
    return path


def _target(name: str) -> Callable[[Any], None]:
    def change(found: Any) -> None:
        found["graph_module"]["graph"]["nodes"][-1]["target"] = name

    return change


def _pickled(found: Any) -> None:
    next(iter(found["config"].values()))["use_pickle"] = True


def _wide(found: Any) -> None:
    meta = next(iter(found["config"].values()))["tensor_meta"]
    meta["sizes"] = [{"as_int": 1 << 20}, {"as_int": 1 << 20}]
    meta["strides"] = [{"as_int": 0}, {"as_int": 0}]


def _outside(found: Any) -> None:
    next(iter(found["config"].values()))["tensor_meta"]["storage_offset"] = {"as_int": 1 << 30}


def _cycle(found: Any) -> None:
    nodes = found["graph_module"]["graph"]["nodes"]
    nodes[-3]["inputs"][0]["arg"] = {
        "as_tensor": {"name": nodes[-1]["outputs"][0]["as_tensor"]["name"]}
    }


def _object(found: Any) -> None:
    specs = found["graph_module"]["signature"]["input_specs"]
    specs[0] = {"custom_obj": {"arg": {"name": "x", "class_fqn": "y"}, "custom_obj_name": "z"}}


@pytest.mark.parametrize(
    ("change", "part", "error", "word"),
    [
        (_pickled, "weights", UnreadableFile, "pickle"),
        (_wide, "weights", UnreadableFile, "numbers in a tensor"),
        (_outside, "weights", UnreadableFile, "bytes"),
        (_cycle, "models/", UnreadableFile, "made before it is read"),
        (_object, "models/", UnknownOperator, "custom_obj"),
        (_target("torch.ops.aten.from_file.default"), "models/", UnknownOperator, "from_file"),
        (_target("torch.ops.mine.op.default"), "models/", UnknownOperator, "mine.op"),
        (_target("os.system"), "models/", UnknownOperator, "os.system"),
        (_target("torch.ops.aten.__class__.mro"), "models/", UnknownOperator, "__class__"),
        (_target("torch.ops.aten.rand_like.default"), "models/", UnknownOperator, "rand_like"),
        (_target("torch.ops.aten.fft_fft.default"), "models/", UnknownOperator, "fft_fft"),
    ],
)
def test_unsafe_and_broken_files_are_named(
    change: Callable[[Any], None], part: str, error: type[UserError], word: str, tmp_path: Path
) -> None:
    path = changed(tmp_path / "bad.pt2", change, part)
    with pytest.raises(error, match=word):
        read(path, "torch")


def test_a_call_that_makes_something_large_is_refused(tmp_path: Path) -> None:
    class Wide(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x + torch.zeros(4, 4)

    def change(found: Any) -> None:
        nodes = found["graph_module"]["graph"]["nodes"]
        (node,) = (one for one in nodes if "zeros" in one["target"])
        node["inputs"][0]["arg"] = {"as_ints": [1 << 16, 1 << 16]}

    file = saved(Wide(), (4, 4), tmp_path / "net.pt2")
    path = changed(tmp_path / "bad.pt2", change, file=file)
    with pytest.raises(UnreadableFile, match="numbers in"):
        read_program(path).check()
    with pytest.raises(UnreadableFile, match="numbers in"):
        read(path, "torch")


def test_what_is_no_torch_export_is_said(tmp_path: Path) -> None:
    path = tmp_path / "net.pt2"
    path.write_bytes(b"<html>not found</html>")
    with pytest.raises(UnreadableFile, match="torch export"):
        read(path, "torch")
    torch.save(nn.Linear(2, 2).state_dict(), path)
    with pytest.raises(UnreadableFile, match="one program"):
        read(path, "torch")


@pytest.mark.parametrize("place", range(0, 100, 10))
def test_cut_and_flipped_files_are_read_or_refused(place: int, tmp_path: Path) -> None:
    content = bytearray(INT8.read_bytes())
    where = len(content) * place // 100
    path = tmp_path / "bad.pt2"
    path.write_bytes(content[:where])
    with pytest.raises(UnreadableFile):
        read(path, "torch")
    content[where] ^= 0x15
    path.write_bytes(content)
    with suppress(UserError):
        assert isinstance(read(path, "torch"), Graph)
