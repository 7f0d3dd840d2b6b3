from __future__ import annotations

import platform
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from robench.base.errors import UserError
from robench.smoothing.cohen import Cohen
from robench.smoothing.export import certifier_source
from robench.smoothing.noise import Noise
from robench.smoothing.prediction import predict
from robench.smoothing.votes import IntegerVotes
from tests.smoothing.test_compiled import CLASSES, PIXELS, TOY, toy_labels

COMPILER, OBJDUMP = shutil.which("cc"), shutil.which("objdump")
pytestmark = pytest.mark.skipif(COMPILER is None, reason="needs a C compiler")
NOISE = Noise(sigma="0.25")
CERTIFIER = Cohen(n1=20, n2=500, alpha=0.01)
OPTIONS = {"noise": NOISE, "pixels": PIXELS, "seed": 4, "certifier": CERTIFIER, "adapter": ""}
X86 = platform.machine() in {"x86_64", "AMD64"}


@pytest.fixture(scope="module")
def sanitized(tmp_path_factory):
    """The certifier of one class, which has no runner-up."""
    binary = tmp_path_factory.mktemp("one") / "certifier"
    one = TOY.replace(f"#define CLASSES {CLASSES}", "#define CLASSES 1")
    assert one != TOY
    text = certifier_source(one, predict_draws=200, **OPTIONS)
    flags = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover"]
    subprocess.run(
        [COMPILER, *flags, "-x", "c", "-", "-o", binary], input=text.encode(), check=True
    )
    return binary


def test_one_class_is_certain(sanitized):
    lines = run(sanitized, "certify", "-", data=images().tobytes())
    assert {line.split()[0] for line in lines} == {"0"}
    assert run(sanitized, "predict", "-", data=images().tobytes()) == ["0"] * 12
    run(sanitized, "certify", "-", data=b"\0", code=2)


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certifier")
    source, binary = folder / "certifier.c", folder / "certifier"
    source.write_text(certifier_source(TOY, predict_draws=200, predict_alpha=0.2, **OPTIONS))
    # The flag refuses every floating-point and vector register, so all arithmetic is integer.
    flags = ["-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", "-Wno-unused-function"]
    integers = ["-mgeneral-regs-only"] if X86 or platform.machine() == "aarch64" else []
    subprocess.run([COMPILER, *flags, *integers, source, "-o", binary], check=True)
    return binary


def images() -> np.ndarray:
    return np.random.default_rng(1).integers(90, 160, (12, PIXELS), dtype=np.uint8)


def run(program: Path, *arguments: str, data: bytes = b"", code: int = 0) -> list[str]:
    done = subprocess.run([program, *arguments], input=data, capture_output=True, check=False)
    assert done.returncode == code, done.stderr
    return (done.stdout or done.stderr).decode().splitlines()


def source() -> IntegerVotes:
    return IntegerVotes(images=images(), labels=toy_labels, classes=CLASSES, noise=NOISE, seed=4)


def test_certify_prints_what_robench_certifies(program, tmp_path):
    path = tmp_path / "images.bin"
    path.write_bytes(images().tobytes())
    found = CERTIFIER.certify(source(), np.arange(12))
    pairs = zip(found.prediction, found.radius2, strict=True)
    expected = ["ABSTAIN" if label < 0 else f"{label} {squared}" for label, squared in pairs]
    assert run(program, "certify", str(path)) == expected
    assert 0 < expected.count("ABSTAIN") < 12


def test_predict_prints_what_robench_predicts(program):
    labels = predict(source(), np.arange(12), 200, 0.2)
    strict = predict(source(), np.arange(12), 200, CERTIFIER.alpha)
    assert not np.array_equal(labels, strict)
    expected = ["ABSTAIN" if label < 0 else str(label) for label in labels]
    assert run(program, "predict", "-", data=images().tobytes()) == expected
    assert 0 < expected.count("ABSTAIN") < 12


def test_bench_times_the_draws_asked_for(program):
    (line,) = run(program, "--bench", "3000")
    assert re.fullmatch(r"3000 draws, \d+ ms", line)


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("certify",),
        ("certify", "-", "-"),
        ("certified", "-"),
        ("", "-"),
        ("--verify", "-"),
    ],
)
def test_wrong_arguments_get_the_usage(program, arguments):
    assert "usage" in refused(program, *arguments, data=bytes(PIXELS))


@pytest.mark.parametrize(
    "draws", ["", "0", "-5", "abc", "1e9", "2147483648", "99999999999999999999"]
)
def test_nonsense_numbers_of_draws_are_refused(program, draws):
    assert "expected 1 to 2147483647 draws" in refused(program, "--bench", draws)


@pytest.mark.parametrize("mode", ["certify", "predict"])
@pytest.mark.parametrize("size", [0, 1, PIXELS + 1, 10_000 * PIXELS - 1])
def test_parts_of_images_are_refused(program, mode, size):
    assert f"expected whole images ({PIXELS} bytes" in refused(program, mode, "-", data=bytes(size))


def test_what_is_no_file_is_refused(program, tmp_path):
    for path in (tmp_path, tmp_path / "absent", ""):
        assert "cannot" in refused(program, "predict", str(path))


def test_output_that_cannot_be_written_is_said(program):
    for arguments in (("predict", "-"), ("--bench", "1")):
        with Path("/dev/full").open("wb") as full:
            done = subprocess.run(
                [program, *arguments], input=bytes(PIXELS), stdout=full, stderr=-1, check=False
            )
        assert done.returncode == 2
        assert b"cannot write" in done.stderr


def refused(program: Path, *arguments: str, data: bytes = b"") -> str:
    done = subprocess.run([program, *arguments], input=data, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (2, b"")
    return done.stderr.decode()


FLOATING = re.compile(
    r"\b(v?(add|sub|mul|div|sqrt|cvt\w*|fm\w+)[sp][sd]|f(ld|st|add|mul|div|sub)\w*)\b"
)


@pytest.mark.skipif(OBJDUMP is None or not X86, reason="needs objdump on x86")
def test_the_object_code_has_no_floating_point(program):
    text = subprocess.run(
        [OBJDUMP, "-d", program], capture_output=True, check=True, text=True
    ).stdout
    assert "imul" in text
    assert not FLOATING.findall(text)
    assert "%xmm" not in text


def test_a_hopeless_budget_is_not_exported():
    with pytest.raises(UserError, match="largest radius"):
        certifier_source(TOY, **{**OPTIONS, "certifier": Cohen(n2=5)})
