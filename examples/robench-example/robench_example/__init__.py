"""An example of a plugin: one component of five kinds, and a tracker of records."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from robench import hookimpl

ROBENCH_API_VERSION = 1
"""The version of robench's API this is written for; another one refuses it with a clear line."""


@hookimpl
def robench_register(register: Any) -> None:
    """Register the components under the names that stand on the command line."""
    from robench_example.calibration import CalibrationError
    from robench_example.deepfool import DeepFool
    from robench_example.jpeg import Jpeg
    from robench_example.perceptron import Perceptron
    from robench_example.pruning import MagnitudePruning

    register("defense", "jpeg", Jpeg)
    register("compressor", "magnitude_pruning", MagnitudePruning)
    register("attack", "deepfool", DeepFool)
    register("metric", "calibration_error", CalibrationError)
    register("runtime", "perceptron", Perceptron)


@hookimpl
def robench_recorded(record: Any, folder: Path) -> None:
    """Log a record in MLflow, where MLFLOW_TRACKING_URI says."""
    from robench_example.tracking import log

    log(record, folder)
