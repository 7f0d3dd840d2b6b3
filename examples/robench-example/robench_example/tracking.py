"""Records in MLflow: each is a run with its values, its curves and its pictures."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TRACKING = "MLFLOW_TRACKING_URI"
"""Where MLflow keeps its runs; nothing is logged where it is not set."""
EXPERIMENT = "robench"
CURVES = ("eps", "radius")
"""Axes along which values are a curve."""
LONGEST = 500
"""Letters that MLflow takes of a parameter."""
FILES = ("record.json", "preview.webp")


def log(record: Any, folder: Path) -> None:
    """Log a record where MLFLOW_TRACKING_URI says; the run has the record's id as its name."""
    if not os.environ.get(TRACKING):
        return
    from mlflow import MlflowClient

    client = MlflowClient(os.environ[TRACKING])
    found = client.get_experiment_by_name(EXPERIMENT)
    experiment = found.experiment_id if found else client.create_experiment(EXPERIMENT)
    run = client.create_run(experiment, run_name=record.id, tags=dict(_tags(record))).info.run_id
    for name, text in _parameters(record):
        client.log_param(run, name, text[:LONGEST])
    for name, value, step in _metrics(record):
        client.log_metric(run, name, value, step=step)
    for path in (folder / name for name in FILES):
        if path.is_file():
            client.log_artifact(run, str(path))
    client.set_terminated(run)


def _tags(record: Any) -> Iterator[tuple[str, str]]:
    yield "robench.id", record.id
    yield "robench.status", record.status
    for audit in record.audit:
        yield f"robench.audit.{audit.norm}.{audit.eps:.4g}", audit.verdict


def _parameters(record: Any) -> Iterator[tuple[str, str]]:
    for kind, chosen in record.config.items():
        if isinstance(chosen, dict) and all(isinstance(v, dict) for v in chosen.values()):
            yield kind, ", ".join(chosen) or "none"
            for name, options in chosen.items():
                for option, value in options.items():
                    yield _name(f"{kind}.{name}.{option}"), str(value)
        else:
            yield _name(kind), str(chosen)


def _metrics(record: Any) -> Iterator[tuple[str, float, int]]:
    """Name, value and step: along eps or a radius, the step is thousandths of it."""
    for value in record.values:
        if value.value is None:
            continue
        along = next((axis for axis in CURVES if isinstance(value.axes.get(axis), float)), None)
        fixed = [str(v) for name, v in value.axes.items() if name != along and v is not None]
        step = round(1000 * value.axes[along]) if along else 0
        yield _name(".".join([value.metric, *fixed])), value.value, step


def _name(text: str) -> str:
    """A text as MLflow takes it for a name."""
    return re.sub(r"[^A-Za-z0-9_.\-/ ]", "_", text)[:250]
