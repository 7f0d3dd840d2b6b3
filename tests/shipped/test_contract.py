"""What a file's input and output mean: known answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from robench import ConfigError, Port
from robench.shipped import Contract, usual_contract

IMAGE = torch.tensor([0.0, 1.0, 51 / 255, 102 / 255, 0.5, 0.25]).view(1, 2, 1, 3)


@pytest.mark.parametrize(
    ("stated", "fed"),
    [
        ({}, [0, 1, 0.2, 0.4, 0.5, 0.25]),
        ({"scale": "byte"}, [0, 255, 51, 102, 127.5, 63.75]),
        ({"scale": "int8"}, [-128, 127, -77, -26, -0.5, -64.25]),
        ({"mean": (0.5, 0.0), "std": (0.5, 2.0)}, [-1, 1, -0.6, 0.2, 0.25, 0.125]),
        ({"mean": (0.5,), "std": (0.5,)}, [-1, 1, -0.6, -0.2, 0, -0.5]),
        ({"layout": "NHWC"}, [0, 0.4, 1, 0.5, 0.2, 0.25]),
    ],
)
def test_images_as_the_file_takes_them(stated: dict[str, Any], fed: list[float]) -> None:
    found = Contract(**stated).fed(IMAGE)
    torch.testing.assert_close(found.flatten(), torch.tensor(fed))
    assert found.shape == ((1, 1, 3, 2) if "layout" in stated else (1, 2, 1, 3))


def test_logits_of_probabilities_in_another_order() -> None:
    answers = torch.tensor([[0.5, 0.25, 0.25, 0.0]])
    logits = Contract(outputs="probabilities", order=(2, 0, 3)).logits(answers)
    assert torch.isfinite(logits).all()
    torch.testing.assert_close(logits[0, :2], torch.tensor([0.25, 0.5]).log())


@pytest.mark.parametrize(
    ("port", "layout", "scale"),
    [
        (Port("x", (None, 3, 8, 8), "float32"), "NCHW", "unit"),
        (Port("x", (1, 8, 8, 3), "float32"), "NHWC", "unit"),
        (Port("x", (None, None, None, None), "float32"), "NCHW", "unit"),
        (Port("x", (1, 8, 8, 3), "uint8"), "NHWC", "byte"),
        (Port("x", (1, 8, 8, 3), "int8"), "NHWC", "int8"),
        (Port("x", (1, 8, 8, 3), "int8", 1 / 255, -128), "NHWC", "unit"),
        (Port("x", (1, 8, 8, 3), "uint8", 1.0, 0), "NHWC", "byte"),
    ],
)
def test_a_port_says_its_usual_contract(port: Port, layout: str, scale: str) -> None:
    found = usual_contract(port, (3, 8, 8))
    assert (found.layout, found.scale) == (layout, scale)


@pytest.mark.parametrize(
    ("port", "stated", "said"),
    [
        (Port("x", (1, 3, 9, 9), "float32"), {}, "got 'x' of 1x3x9x9"),
        (Port("x", (1, 192), "float32"), {}, "got 'x' of 1x192"),
        (Port("x", (1, 8, 8, 3), "float32"), {"layout": "NCHW"}, r"\?x3x8x8 \(NCHW\)"),
        (Port("x", (1, 3, 8, 8), "float32"), {"mean": (1, 2), "std": (1, 2)}, "each of 3"),
        (Port("x", (1, 3, 8, 8), "float32"), {"mean": (1,)}, "as many std"),
        (Port("x", (1, 3, 8, 8), "float32"), {"scale": "bytes"}, "unit or byte or int8"),
        (Port("x", (1, 3, 8, 8), "float32"), {"order": (0, 0)}, "different positions"),
    ],
)
def test_what_does_not_fit_is_said(port: Port, stated: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        usual_contract(port, (3, 8, 8), **stated)


def test_ports_of_codes_round_clamp_and_make_real_again() -> None:
    port = Port("x", (None, 4), "int8", 0.5, 10)
    codes = port.stored(np.array([0.0, 0.25, 0.75, 100.0, -100.0]))
    assert codes.tolist() == [10, 10, 12, 127, -128]
    assert codes.dtype == np.int8
    assert port.real(codes).tolist() == [0.0, 0.0, 1.0, 58.5, -69.0]
