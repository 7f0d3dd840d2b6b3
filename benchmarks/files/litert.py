"""LiteRT files of the float networks that records keep, for the study of toolchains.

    python -m benchmarks.files.litert LITERT_ENV/bin/python FOLDER RECORD [RECORD ...]

Writes FOLDER/DATASET_DEFENSE.tflite for each record of `compressor=none`, as the study names them;
`robench run protocol=... model=file model.file.path=...` judges them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from benchmarks.files.making import CALIBRATED, litert_file
from robench.base.errors import UserError
from robench.records.store import artefact, read
from robench.run import reopen
from robench.run.config import Places


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("python")
    parser.add_argument("folder", type=Path)
    parser.add_argument("records", type=Path, nargs="+")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    for record in options.records:
        print(make(record, options.folder, options.python))


def make(record: Path, folder: Path, python: str) -> Path:
    """The int8 LiteRT file of a record's trained weights."""
    config, _ = reopen.system_config(read(record).config)
    kept = artefact(record)
    if kept is None or list(config.compressor) != ["none"]:
        raise UserError(f"expected a record of compressor=none with its weights, got {record}")
    stages = reopen.kept_stages(config, Places.from_environment(), kept)
    images = stages.data.train.float_images()[:CALIBRATED]
    path = folder / f"{next(iter(config.dataset))}_{'+'.join(config.defense)}.tflite"
    litert_file(stages.mapped.cpu().to(memory_format=torch.contiguous_format), images, path, python)
    return path


if __name__ == "__main__":
    main()
