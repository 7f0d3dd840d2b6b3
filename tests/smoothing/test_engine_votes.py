"""The vote loop and the exported certifier on robench's own integer engine."""

from __future__ import annotations

import ctypes
import shutil
import subprocess

import numpy as np
import pytest
import torch
from torch import nn

from robench.integer import prepare_qat, run_reference, to_program
from robench.integer.codegen import generate
from robench.integer.engine import compile_library
from robench.smoothing.cohen import Cohen
from robench.smoothing.compiled import CompiledVotes, vote_source
from robench.smoothing.export import certifier_source
from robench.smoothing.noise import Noise
from robench.smoothing.votes import IntegerVotes, require_fixed_function
from tests.smoothing.test_certifier_export import FLOATING, OBJDUMP, X86

COMPILER = shutil.which("cc")
pytestmark = pytest.mark.skipif(COMPILER is None, reason="needs a C compiler")
NOISE = Noise(sigma="0.25")
FLAGS = ("-O1", "-std=gnu99", "-fPIC", "-shared", "-pthread")
SHAPE = (3, 7, 9)  # 189 pixels: not a multiple of 16


@pytest.fixture(scope="module")
def program():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(504, 4))
    twin = prepare_qat(model, SHAPE)
    twin(torch.rand(64, *SHAPE))
    return to_program(twin.eval())


def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (6, *SHAPE), dtype=np.uint8)


def reference(program) -> IntegerVotes:
    def labels(noisy: np.ndarray) -> np.ndarray:
        return run_reference(program, torch.from_numpy(noisy.copy()))[0].numpy()

    return IntegerVotes(images=images(), labels=labels, classes=4, noise=NOISE, seed=8)


@pytest.fixture(scope="module")
def library(program, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROBENCH_CACHE", str(tmp_path_factory.mktemp("engines")))
        return ctypes.CDLL(str(compile_library(vote_source(generate(program)), FLAGS)))


def test_votes_are_those_of_the_reference(program, library):
    slow = reference(program)
    expected = slow.votes(np.arange(6), 3, 61)
    assert (expected > 0).sum() > 6
    for variant in range(3):
        if library.robench_isa(ctypes.c_char_p(library_name(library, variant))) == variant:
            fast = CompiledVotes(
                library=library, images=images(), classes=4, noise=NOISE, seed=8,
                threads=2, variant=variant,
            )  # fmt: skip
            assert np.array_equal(fast.votes(np.arange(6), 3, 61), expected)


def library_name(library, variant: int) -> bytes:
    library.robench_isa_name.restype = ctypes.c_char_p
    return library.robench_isa_name(variant)


def test_the_engine_is_a_fixed_function(program):
    noisy = np.random.default_rng(1).integers(-200, 450, (9, *SHAPE)).astype(np.int16)
    require_fixed_function(reference(program).labels, noisy)


def test_the_exported_program_certifies_alike(program, tmp_path):
    certifier = Cohen(n1=20, n2=200, alpha=0.05)
    source, binary = tmp_path / "certifier.c", tmp_path / "certifier"
    source.write_text(
        certifier_source(generate(program), noise=NOISE, pixels=189, seed=8, certifier=certifier)
    )
    subprocess.run([COMPILER, "-std=gnu99", "-O1", "-pthread", source, "-o", binary], check=True)
    done = subprocess.run(
        [binary, "certify", "-"], input=images().tobytes(), capture_output=True, check=True
    )
    found = certifier.certify(reference(program), np.arange(6))
    pairs = zip(found.prediction, found.radius2, strict=True)
    expected = ["ABSTAIN" if label < 0 else f"{label} {squared}" for label, squared in pairs]
    assert done.stdout.decode().splitlines() == expected
    if OBJDUMP and X86:
        code = subprocess.run(
            [OBJDUMP, "-d", binary], capture_output=True, check=True, text=True
        ).stdout
        assert not FLOATING.findall(code)
