"""Make an int8 LiteRT file of a float network, as Google's own converter and quantiser do it.

    python tools/litert_file.py NET.pt2 CALIBRATION.npy OUT.tflite [--float]

NET.pt2 is a float program (`torch.export.save`) with one input and one output; CALIBRATION.npy
holds its inputs, float32, first axis the image. It runs in an environment of its own and imports
nothing of robench, as the converter pins an older torch:

    python3 -m venv litert-env
    litert-env/bin/pip install litert-torch==0.10.0

Weights get 8 bits a channel, activations 8 bits a tensor from the smallest and largest values
seen (the recipe static_wi8_ai8). Four axes of input become channels-last, the layout of LiteRT.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import litert_torch
import numpy as np
import torch
from ai_edge_quantizer import quantizer, recipe


def main() -> None:
    """Read the program and the images, write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", type=Path)
    parser.add_argument("calibration", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--float", action="store_true", help="convert alone, quantise nothing")
    chosen = parser.parse_args()
    images = np.load(chosen.calibration, allow_pickle=False)
    flat = converted(chosen.program, images)
    chosen.out.write_bytes(flat if chosen.float else quantised(flat, images))


def converted(program: Path, images: np.ndarray) -> bytes:
    """The float LiteRT file of a program, one image a batch."""
    network = torch.export.load(str(program)).module()
    sample = torch.from_numpy(images[:1])
    if images.ndim == 4:
        network = litert_torch.to_channel_last_io(network, args=[0])
        sample = sample.permute(0, 2, 3, 1).contiguous()
    return litert_torch.convert(network, (sample,)).model_content()


def quantised(flat: bytes, images: np.ndarray) -> bytes:
    """The int8 file of a float one, its scales from the images."""
    maker = quantizer.Quantizer(flat, recipe.static_wi8_ai8())
    given = images.transpose(0, 2, 3, 1) if images.ndim == 4 else images
    samples = [{"args_0": np.ascontiguousarray(image[None])} for image in given]
    seen = maker.calibrate({"serving_default": samples}, num_threads=1)
    return bytes(maker.quantize(seen).quantized_model)


if __name__ == "__main__":
    main()
