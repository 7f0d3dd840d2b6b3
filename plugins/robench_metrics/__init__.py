"""Built-in metrics."""

from __future__ import annotations

from robench import Register, hookimpl


@hookimpl
def robench_register(register: Register) -> None:
    """Register the built-in metrics."""
    from robench_metrics.accuracy import Accuracy
    from robench_metrics.certified import Certified
    from robench_metrics.latency import Latency
    from robench_metrics.prediction import SmoothedPrediction
    from robench_metrics.size import Size
    from robench_metrics.weight_perturbation.metric import WeightPerturbation

    register("metric", "accuracy", Accuracy)
    register("metric", "certified", Certified)
    register("metric", "latency", Latency)
    register("metric", "size", Size)
    register("metric", "smoothed_prediction", SmoothedPrediction)
    register("metric", "weight_perturbation", WeightPerturbation)
