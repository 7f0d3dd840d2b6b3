"""A network of RobustBench's model zoo, from a file that you have."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Optional

from robench import ConfigError, Model, UserError, expand_home, require

if TYPE_CHECKING:
    from torch import nn

NAME = re.compile(r"\w[\w.+-]*")
SUFFIXES = (".pt", ".safetensors")
DATASETS = {10: "cifar10", 100: "cifar100", 1000: "imagenet"}
"""The zoo's data sets, by their number of classes."""
SMALL = (3, 32, 32)
"""Shape (C, H, W) of CIFAR's images; ImageNet's may be cropped to any size."""


@dataclass(frozen=True, kw_only=True)
class RobustBench(Model):
    """A network of RobustBench by name, from {folder}/{dataset}/{threat}/{name}.pt.

    Its architecture is that of the installed package robustbench, for the run's images: cifar10,
    cifar100 or imagenet. Nothing is downloaded. What was published of it,
    {folder}/model_info/{dataset}/{threat}/{name}.json, enters the record.
    """

    sources: ClassVar[Mapping[str, str]] = {
        "paper": "https://arxiv.org/abs/2010.09670",
        "code": "https://github.com/RobustBench/robustbench",
    }

    pretrained: ClassVar[bool] = True

    name: str = ""
    """The name in the model zoo, for example Wong2020Fast."""
    folder: Optional[str] = None
    """Where the files are; none given: robustbench in the folder of the data (ROBENCH_DATA)."""
    threat: Literal["Linf", "L2", "corruptions"] = "Linf"
    """The threat it was trained against, whatever the run's is."""

    def __post_init__(self) -> None:
        require(
            NAME.fullmatch(self.name) is not None,
            f"expected the name of a RobustBench model, got {self.name!r}; set "
            "model.robustbench.name=Wong2020Fast",
        )

    def build(self, shape: tuple[int, int, int], classes: int) -> nn.Module:
        """Make the network with the file's weights.

        Raises ConfigError for images of no data set of the zoo and without the package, UserError
        for weights that are not to be had or are another network's.
        """
        from robench_data.networks.zoo import load_published

        network, dataset = self.untrained(shape, classes), _dataset(shape, classes)
        files = self._files(dataset)
        if not files:
            raise UserError(
                f"expected the weights of {self.name} at {self._root()}/{dataset}/{self.threat}/"
                f"{self.name}.pt, got none; put the file that RobustBench publishes there"
            )
        load_published(network, files[0])
        return network

    def untrained(self, shape: tuple[int, int, int], classes: int) -> nn.Module:
        """Make the architecture alone; raises ConfigError as `build` does."""
        from robench_data.networks.zoo import architecture

        return architecture(self.name, _dataset(shape, classes), self.threat)

    def identity(self) -> str:
        """Digests of the files of that name, and the versions of the architecture's packages."""
        from robench_data.digests import file_digest
        from robench_data.networks.zoo import versions

        files = (path for dataset in DATASETS.values() for path in self._files(dataset)[:1])
        return " ".join([*(file_digest(str(path)) for path in files), versions()])

    def notes(self, shape: tuple[int, int, int], classes: int) -> Mapping[str, Any]:
        """The accuracies that were published; raises UserError for a damaged file of them."""
        from robench_data.networks.zoo import published

        folder = self._root() / "model_info" / _dataset(shape, classes) / self.threat
        told = published(folder / f"{self.name}.json")
        row = {"model": self.name, "threat": self.threat, **told}
        return {"published": [row]} if told else {}

    def _files(self, dataset: str) -> list[Path]:
        place = self._root() / dataset / self.threat
        paths = (place / f"{self.name}{suffix}" for suffix in SUFFIXES)
        return [path for path in paths if path.is_file()]

    def _root(self) -> Path:
        data = expand_home(os.environ.get("ROBENCH_DATA", "data")) / "robustbench"
        return data if self.folder is None else expand_home(self.folder)


def _dataset(shape: tuple[int, int, int], classes: int) -> str:
    """The zoo's data set with such images; raises ConfigError for none."""
    dataset = DATASETS.get(classes, "")
    if not dataset or shape[0] != SMALL[0] or (dataset != "imagenet" and shape != SMALL):
        raise ConfigError(
            "expected images of cifar10, cifar100 or imagenet for model=robustbench, got "
            f"{'x'.join(map(str, shape))} in {classes} classes; set dataset=cifar10"
        )
    return dataset
