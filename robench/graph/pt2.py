"""A torch export (.pt2) as it stands in its archive: ATen calls and tensors, nothing unpickled.

`torch.export.load` unpickles sample inputs and evaluates expressions of the file as code. Here the
archive's JSON is read instead: names of operators, their arguments, raw tensors; what needs more
(pickled constants, custom objects, other operators' namespaces) is refused.
"""

from __future__ import annotations

import json
import math
import re
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from robench.base.files import read_plain
from robench.core.session import Port
from robench.graph.errors import UnknownOperator, UnreadableFile
from robench.graph.table import MAX_BYTES, MAX_ELEMENTS, MAX_OPERATORS

MAX_JSON = 2**26
"""Bytes of an archive's description, at most."""
MAX_ENTRIES = 100_000
TARGET = re.compile(r"torch\.ops\.(aten|quantized_decomposed)\.(\w+)\.(\w+)")
"""Operators that a file may call: torch's own, and the quantisers of PT2E."""
ARITHMETIC: dict[str, Callable[..., Any]] = {
    "_operator.add": lambda a, b: a + b,
    "_operator.sub": lambda a, b: a - b,
    "_operator.mul": lambda a, b: a * b,
    "_operator.floordiv": lambda a, b: a // b,
    "_operator.mod": lambda a, b: a % b,
}
"""Sums over sizes."""
REFUSED = frozenset({"from_file", "bernoulli", "multinomial", "normal", "native_dropout", "rand",
                     "rand_like", "randint", "randn", "randn_like", "randperm"})  # fmt: skip
"""Operators of torch that touch files, or whose answers change from call to call."""
DTYPES = {
    1: torch.uint8, 2: torch.int8, 3: torch.int16, 4: torch.int32, 5: torch.int64,
    6: torch.float16, 7: torch.float32, 8: torch.float64, 12: torch.bool, 13: torch.bfloat16,
}  # fmt: skip
"""Types of numbers, by the schema's number."""
FORMATS = {
    1: torch.contiguous_format, 2: torch.channels_last, 3: torch.channels_last_3d,
    4: torch.preserve_format,
}  # fmt: skip
STRIDED = 7


@dataclass(frozen=True)
class Ref:
    """An argument that is another call's result, or an input."""

    name: str


@dataclass(frozen=True, eq=False)
class Call:
    """One call of an operator: arguments by the names of torch's schema, results by name.

    A result without a name (None) is one that nobody reads.
    """

    target: str
    arguments: Mapping[str, Any]
    results: tuple[str, ...]
    listed: bool
    """Whether the operator answers with a list, of which `results` are the members."""


@dataclass(frozen=True, eq=False)
class Program:
    """A torch export: inputs, constants and calls in order."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    tensors: Mapping[str, Tensor]
    """What the file fixes, by the name that calls use."""
    calls: tuple[Call, ...]
    sizes: Mapping[str, tuple[int | None, ...]]
    """The declared shape of every tensor; None for a size that depends on the batch."""
    dtypes: Mapping[str, torch.dtype] = field(repr=False)

    def run(self, x: Tensor) -> dict[str, Tensor]:
        """All outputs, by name, for a batch of the only input: the calls, one after another.

        Raises UnreadableFile for a call that torch refuses, or whose result is beyond the bounds.
        """
        values: dict[str, Any] = {**self.tensors, self.inputs[0].name: x.clone()}
        last = {ref: i for i, call in enumerate(self.calls) for ref in _refs(call.arguments)}
        kept = {port.name for port in self.outputs}
        with torch.no_grad():
            for i, call in enumerate(self.calls):
                values.update(run_call(call, values))
                for name in _refs(call.arguments):
                    if last[name] == i and name not in kept:
                        values.pop(name, None)
        return {port.name: values[port.name] for port in self.outputs}

    def check(self) -> None:
        """Run the calls on tensors without numbers: shapes fit, and nothing large is made.

        Raises UnreadableFile.
        """
        shape = [2 if size is None else size for size in self.inputs[0].shape]
        images = torch.empty(shape, dtype=getattr(torch, self.inputs[0].dtype), device="meta")
        empty = {name: tensor.to("meta") for name, tensor in self.tensors.items()}
        values: dict[str, Any] = {**empty, self.inputs[0].name: images}
        for call in self.calls:
            values.update(probed(call, values))


def probed(call: Call, values: Mapping[str, Any]) -> dict[str, Any]:
    """The results of one call on tensors without numbers; raises UnreadableFile for large ones."""
    made = run_call(call, values, "meta")
    for name, value in made.items():
        if isinstance(value, Tensor) and value.numel() > 2 * MAX_ELEMENTS:
            raise UnreadableFile(f"expected at most {MAX_ELEMENTS} numbers in {name!r}")
    return made


def run_call(call: Call, values: Mapping[str, Any], device: str = "cpu") -> dict[str, Any]:
    """The results of one call by name, computed by torch; raises UnreadableFile."""
    arguments = {name: _filled(value, values) for name, value in call.arguments.items()}
    function = operator(call.target)
    if any(one.name == "device" for one in _schema_arguments(function)):
        arguments["device"] = torch.device(device)
    try:
        made = function(**arguments)
    except (RuntimeError, TypeError, ValueError, IndexError, NotImplementedError) as error:
        words = str(error).splitlines()[0][:200]
        raise UnreadableFile(
            f"expected a call that torch runs, got {call.target}: {words}"
        ) from error
    several = call.listed or len(call.results) > 1
    if several and len(made) != len(call.results):
        raise UnreadableFile(f"expected {len(call.results)} results of {call.target}")
    return dict(zip(call.results, made if several else [made], strict=True))


def _schema_arguments(function: Any) -> list[Any]:
    """What torch's own function may be given; nothing of sums over sizes."""
    schema = getattr(function, "_schema", None)
    return [] if schema is None else list(schema.arguments)


def operator(target: str) -> Callable[..., Any]:
    """Torch's own function of an operator; raises UnknownOperator."""
    if target in ARITHMETIC:
        return lambda **given: ARITHMETIC[target](*given.values())
    match = TARGET.fullmatch(target)
    if match is None or match[2] in REFUSED:
        raise UnknownOperator([target[:80]])
    if match[1] == "quantized_decomposed":
        import_module("torch.ao.quantization.fx._decomposed")  # registers the quantisers
    packet = getattr(getattr(torch.ops, match[1]), match[2], None)
    found = getattr(packet, match[3], None)
    if not isinstance(found, torch._ops.OpOverload):
        raise UnknownOperator([target[:80]])
    return found


def read_program(path: Path) -> Program:
    """The program of a .pt2 file; raises UnreadableFile and UnknownOperator."""
    try:
        archive = zipfile.ZipFile(BytesIO(read_plain(path, MAX_BYTES)))
    except OSError as error:
        raise UnreadableFile(f"expected a file at {path}, got {error.strerror}") from error
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise UnreadableFile(f"{path}: expected a torch export (.pt2), got {error}") from error
    try:
        return _Archive(archive, path).program()
    except UnreadableFile:
        raise
    except (zipfile.BadZipFile, ValueError, KeyError, TypeError, AttributeError, IndexError,
            RecursionError, NotImplementedError, OverflowError, EOFError) as error:  # fmt: skip
        raise UnreadableFile(
            f"{path}: expected a sound torch export, got {type(error).__name__} within it; "
            "save it again with torch.export.save"
        ) from error


def _refs(arguments: Mapping[str, Any]) -> list[str]:
    """The names of results that arguments use."""
    found = []
    for value in arguments.values():
        members = value if isinstance(value, list) else [value]
        found += [one.name for one in members if isinstance(one, Ref)]
    return found


def _filled(value: Any, values: Mapping[str, Any]) -> Any:
    """An argument with results in the place of their names."""
    if isinstance(value, list):
        return [_filled(one, values) for one in value]
    if isinstance(value, Ref):
        if value.name not in values:
            raise UnreadableFile(f"expected {value.name!r} to be made before it is read")
        return values[value.name]
    return value


class _Archive:
    """The parts of an archive."""

    def __init__(self, archive: zipfile.ZipFile, path: Path) -> None:
        self.archive, self.path = archive, path
        entries = archive.infolist()
        whole = sum(entry.file_size for entry in entries)
        if len(entries) > MAX_ENTRIES or whole > MAX_BYTES:
            raise UnreadableFile(
                f"{path}: expected an archive of at most {MAX_BYTES} bytes, got {whole} in "
                f"{len(entries)} parts"
            )
        self.entries = {entry.filename.partition("/")[2]: entry for entry in entries}

    def program(self) -> Program:
        """Inputs, constants and calls."""
        models = [name for name in self.entries if re.fullmatch(r"models/[^/]+\.json", name)]
        if len(models) != 1:
            raise UnreadableFile(
                f"{self.path}: expected a torch export with one program, got {len(models)}; save "
                "it with torch.export.save of torch 2.9 or newer"
            )
        module = self._json(models[0])["graph_module"]
        name = models[0].removeprefix("models/").removesuffix(".json")
        stored = {
            **self._tensors("data/weights/", f"{name}_weights_config.json"),
            **self._tensors("data/constants/", f"{name}_constants_config.json"),
        }
        graph, signature = module["graph"], module["signature"]
        if len(graph["nodes"]) > MAX_OPERATORS:
            raise UnreadableFile(f"{self.path}: expected at most {MAX_OPERATORS} operators")
        sizes, dtypes = _declared(graph["tensor_values"])
        entries, tensors = _inputs(signature["input_specs"], stored)
        outputs = [_output(spec) for spec in signature["output_specs"]]
        program = Program(
            inputs=tuple(_port(entry, sizes, dtypes) for entry in entries),
            outputs=tuple(_port(out, sizes, dtypes) for out in outputs),
            tensors=tensors,
            calls=tuple(_call(node) for node in graph["nodes"]),
            sizes=sizes,
            dtypes=dtypes,
        )
        _require_pure(program)
        return program

    def _json(self, name: str) -> Any:
        entry = self.entries[name]
        if entry.file_size > MAX_JSON:
            raise UnreadableFile(f"{self.path}: expected at most {MAX_JSON} bytes in {name}")
        return json.loads(self._read(name))

    def _read(self, name: str) -> bytes:
        entry = self.entries[name]
        with self.archive.open(entry) as part:
            content = part.read(entry.file_size + 1)
        if len(content) != entry.file_size:
            raise UnreadableFile(f"{self.path}: expected {entry.file_size} bytes in {name}")
        return content

    def _tensors(self, folder: str, config: str) -> dict[str, Tensor]:
        """Tensors by their names in the network; none is unpickled."""
        if folder + config not in self.entries:
            raise UnreadableFile(
                f"{self.path}: expected tensors that are not pickled; save it with "
                "torch.export.save of torch 2.9 or newer"
            )
        found = {}
        for name, payload in self._json(folder + config)["config"].items():
            if payload["use_pickle"] or payload["tensor_meta"] is None:
                raise UnreadableFile(
                    f"{self.path}: expected numbers, got {name!r} as a pickle, which could run "
                    "code; export the network without custom objects and tensor subclasses"
                )
            content = self._read(folder + payload["path_name"])
            found[name] = _stored(content, payload["tensor_meta"])
        return found


def _stored(content: bytes, meta: Any) -> Tensor:
    """A tensor of raw bytes."""
    dtype = _dtype(meta["dtype"])
    size, stride = ([one["as_int"] for one in meta[key]] for key in ("sizes", "strides"))
    offset = meta["storage_offset"]["as_int"]
    if meta["layout"] != STRIDED or min([*size, *stride, offset], default=0) < 0:
        raise UnreadableFile("expected dense tensors of sizes from 0")
    count = math.prod(size)
    if count > MAX_ELEMENTS:
        raise UnreadableFile(f"expected at most {MAX_ELEMENTS} numbers in a tensor, got {size}")
    if not count:
        return torch.zeros(size, dtype=dtype)
    reach = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True)) + 1
    if reach * dtype.itemsize > len(content):
        raise UnreadableFile(f"expected {reach} numbers of {dtype}, got {len(content)} bytes")
    flat = torch.frombuffer(bytearray(content[: reach * dtype.itemsize]), dtype=dtype)
    return flat.as_strided(size, stride, offset).clone()


def _dtype(number: int) -> torch.dtype:
    if number not in DTYPES:
        raise UnknownOperator([f"numbers of torch's type {number}"])
    return DTYPES[number]


def _declared(
    values: Mapping[str, Any],
) -> tuple[dict[str, tuple[int | None, ...]], dict[str, torch.dtype]]:
    """Shape and type of every tensor, by name."""
    sizes, dtypes = {}, {}
    for name, meta in values.items():
        sizes[name] = tuple(one.get("as_int") for one in meta["sizes"])
        if math.prod(size for size in sizes[name] if size is not None) > MAX_ELEMENTS:
            raise UnreadableFile(f"expected at most {MAX_ELEMENTS} numbers in {name!r}")
        dtypes[name] = _dtype(meta["dtype"])
    return sizes, dtypes


def _inputs(
    specs: list[dict[str, Any]], stored: Mapping[str, Tensor]
) -> tuple[list[str], dict[str, Tensor]]:
    """The names of what is fed, and the constants by the names that calls use."""
    entries, tensors = [], {}
    keys = {"parameter": "parameter_name", "buffer": "buffer_name",
            "tensor_constant": "tensor_constant_name"}  # fmt: skip
    for spec in specs:
        ((kind, content),) = spec.items()
        if kind == "user_input":
            entries.append(content["arg"]["as_tensor"]["name"])
        elif kind in keys:
            tensors[content["arg"]["name"]] = stored[content[keys[kind]]]
        else:
            raise UnknownOperator([f"an input that is a {kind}"])
    return entries, tensors


def _output(spec: dict[str, Any]) -> str:
    ((kind, content),) = spec.items()
    if kind != "user_output":
        raise UnknownOperator([f"a program that makes a {kind}"])
    name: str = content["arg"]["as_tensor"]["name"]
    return name


def _port(
    name: str, sizes: Mapping[str, tuple[int | None, ...]], dtypes: Mapping[str, torch.dtype]
) -> Port:
    return Port(name, sizes[name], str(dtypes[name]).removeprefix("torch."))


def _call(node: Mapping[str, Any]) -> Call:
    arguments = {one["name"]: _argument(one["arg"]) for one in node["inputs"]}
    listed = any("as_tensors" in out for out in node["outputs"])
    results = tuple(name for out in node["outputs"] for name in _result(out))
    if listed and len(node["outputs"]) != 1:
        raise UnknownOperator([f"{node['target'][:80]} with several lists"])
    return Call(str(node["target"]), arguments, results, listed)


def _result(out: Mapping[str, Any]) -> list[str]:
    ((kind, value),) = out.items()
    if kind == "as_tensor":
        return [value["name"]]
    if kind == "as_tensors":
        return [one["name"] for one in value]
    if kind == "as_sym_int" and "as_name" in value:
        return [value["as_name"]]
    if kind == "as_none":
        return []
    raise UnknownOperator([f"results of kind {kind[3:]}"])


def _argument(argument: Mapping[str, Any]) -> Any:
    """An argument of a call; raises UnknownOperator for kinds that networks do not need."""
    ((kind, value),) = argument.items()
    match kind:
        case "as_none":
            return None
        case "as_tensor":
            return Ref(value["name"])
        case "as_tensors":
            return [Ref(one["name"]) for one in value]
        case "as_optional_tensors":
            return [Ref(one["as_tensor"]["name"]) if "as_tensor" in one else None for one in value]
        case "as_sym_int":
            return _size(value)
        case "as_sym_ints":
            return [_size(one) for one in value]
        case "as_int" | "as_ints" | "as_bool" | "as_bools" | "as_string":
            return value
        case "as_float":
            return float(value)
        case "as_floats":
            return [float(one) for one in value]
        case "as_scalar_type":
            return _dtype(value)
        case "as_memory_format":
            return FORMATS[value]
        case "as_layout" if value == STRIDED:
            return torch.strided
        case "as_device":
            return torch.device("cpu")
    raise UnknownOperator([f"arguments of kind {kind[3:]}"])


def _size(value: Mapping[str, Any]) -> Any:
    return Ref(value["as_name"]) if "as_name" in value else value["as_int"]


def _require_pure(program: Program) -> None:
    """Refuse calls that change what the file fixes, and unknown operators, all at once."""
    unknown: set[str] = set()
    for call in program.calls:
        try:
            operator(call.target)
        except UnknownOperator as error:
            unknown.update(error.operators)
        in_place = call.target.split(".")[-2].endswith("_") and call.target not in ARITHMETIC
        if in_place and any(name in program.tensors for name in _refs(call.arguments)[:1]):
            raise UnknownOperator([f"{call.target}, which changes a weight"])
    if unknown:
        raise UnknownOperator(unknown)
