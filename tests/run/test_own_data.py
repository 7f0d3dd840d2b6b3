"""Own data, in whatever form people keep them; a network of one's own stays as it is."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, SubsetRandomSampler, TensorDataset

import robench
from robench.base.errors import ConfigError, DataError, PluginError
from robench.core.data import Data, NoImages
from robench.core.source import Source
from robench.core.threat import UsualThreat
from robench.run.config import Places
from robench.run.data_cache import read_data, write_data
from robench.run.examination import sources
from robench.run.own_data import is_own_data, own_data
from tests.conftest import tiny_net

RNG = torch.Generator().manual_seed(0)
IMAGES = torch.randint(0, 256, (12, 3, 6, 5), dtype=torch.uint8, generator=RNG)
LABELS = torch.arange(12) % 3
FLOATS = IMAGES.float() / 255
PICTURES = [Image.fromarray(one.permute(1, 2, 0).numpy()) for one in IMAGES]


class Pairs(Dataset[Any]):
    """A map-style data set of pictures, with names of classes."""

    classes = ("cat", "dog", "cow")

    def __len__(self) -> int:
        return len(LABELS)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        return PICTURES[index], int(LABELS[index])


class ClassLabel:
    """As the feature of Hugging Face datasets that names classes."""

    names = ("cat", "dog", "cow")


class Table:
    """As a split of Hugging Face datasets: columns and their features."""

    column_names = ("pixels", "id", "kind")
    features = {"pixels": type("Image", (), {})(), "id": None, "kind": ClassLabel()}  # noqa: RUF012

    def __getitem__(self, column: str) -> list[Any]:
        return {"pixels": PICTURES, "kind": LABELS.tolist()}[column]


@pytest.mark.parametrize(
    "given",
    [
        (IMAGES, LABELS),
        (FLOATS, LABELS),
        (FLOATS.double().numpy(), LABELS.numpy()),
        (IMAGES.permute(0, 2, 3, 1).numpy(), LABELS.to(torch.int32)),
        (IMAGES.long(), LABELS.float()),
        [list(IMAGES.numpy()), LABELS.tolist()],
        (PICTURES, LABELS.tolist()),
        list(zip(FLOATS, LABELS.tolist(), strict=True)),
        list(zip(PICTURES, LABELS, strict=True)),
        TensorDataset(FLOATS, LABELS),
        DataLoader(TensorDataset(FLOATS, LABELS), 5),
        DataLoader(TensorDataset(FLOATS, LABELS), 5, shuffle=True),
        DataLoader(TensorDataset(FLOATS, LABELS), 5, sampler=SubsetRandomSampler(range(12))),
        Pairs(),
        Table(),
        {"image": IMAGES, "label": LABELS},
        robench.Split(IMAGES, LABELS),
    ],
)
def test_every_form_is_the_same_data(given: Any) -> None:
    data = own_data(given)
    assert torch.equal(data.test.images, IMAGES)
    assert torch.equal(data.test.labels, LABELS)
    assert not data.has_training
    named = isinstance(given, (Pairs, Table))
    assert data.classes == (("cat", "dog", "cow") if named else ("0", "1", "2"))


def test_two_pairs_are_pairs_and_grey_images_have_one_channel() -> None:
    assert torch.equal(own_data([(IMAGES[0], 0), (IMAGES[1], 1)]).test.images, IMAGES[:2])
    assert own_data((IMAGES[:, 0], LABELS)).shape == (1, 6, 5)


def test_train_and_test_are_told_apart_and_kept(tmp_path: Any) -> None:
    data = own_data({"train": (IMAGES[4:], LABELS[4:]), "test": (IMAGES[:4], LABELS[:4])})
    assert (len(data.train), len(data.test)) == (8, 4)
    for one in (data, own_data((IMAGES, LABELS))):
        write_data(Source.of(one), tmp_path)
        again = read_data(tmp_path)
        assert again.has_training is one.has_training
        assert again.hash == one.hash
    assert repr(again.train) == "NoImages()"
    assert len(NoImages()) == 0


def test_classes_come_from_the_labels_and_from_the_network() -> None:
    class Wide(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images.new_zeros(len(images), 7)

    assert len(own_data((IMAGES, LABELS), Wide()).classes) == 7
    broken = nn.Linear(3, 3)
    assert len(own_data((IMAGES, LABELS), broken).classes) == 3


def test_labels_that_count_from_one_are_told_by_the_networks_outputs() -> None:
    class Narrow(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images.new_zeros(len(images), 3)

    assert sorted(LABELS.unique().tolist()) == [0, 1, 2]
    with pytest.raises(DataError, match=r"labels from 0 to 2, .* got 1 to 3: give labels - 1"):
        own_data((IMAGES, LABELS + 1), Narrow())
    far = LABELS.clone()
    far[0] = 10**9
    with pytest.raises(DataError, match=r"labels from 0 to 2, one for .* got 0 to 1000000000$"):
        own_data((IMAGES, far), Narrow())
    some = LABELS.clone().clamp_min(1)
    assert len(own_data((IMAGES, some), Narrow()).classes) == 3


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (IMAGES, r"expected \(images, labels\) as arrays"),
        ((), r"expected \(images, labels\) as arrays"),
        ((IMAGES, LABELS[:5]), "expected 12 test labels, whole numbers from 0, got int64"),
        ((IMAGES, nn.functional.one_hot(LABELS)), r"give labels\.argmax\(1\)"),
        ((IMAGES, LABELS[:, None]), r"a column of labels: give labels\[:, 0\]"),
        ((LABELS, IMAGES), "got the labels first; swap the two"),
        ((LABELS.tolist(), list(IMAGES)), "got the labels first; swap the two"),
        (zip(IMAGES, LABELS, strict=True), "got a zip, which can be read once: give a list of pai"),
        ((IMAGES, LABELS * 10**9), r"expected labels below 100,000, got 0 to 2000000000"),
        (
            (IMAGES, LABELS.double() * 1e300),
            r"whole numbers from 0, got float64 .* from 0.0 to 2e\+300",
        ),
        ((IMAGES, LABELS - 1), "whole numbers from 0, got int64 .* from -1"),
        ((IMAGES, ["cat"] * 12), "expected 12 test labels, whole numbers from 0, got <U3"),
        ((IMAGES, np.array(["cat"] * 12, object)), r"number the names: numpy\.unique\(labels, ret"),
        ((FLOATS * 255, LABELS), "divide by 255"),
        ((FLOATS * 4 - 2, LABELS), "let the network normalise"),
        ((IMAGES // 200, LABELS), "give the floats before they were made whole"),
        (
            (IMAGES // 15, LABELS),
            "uint8 from 0 to 17; bytes go to 255: give images / 17, or,",
        ),
        ((IMAGES.long() // 15, LABELS), "int64 from 0 to 17; bytes go to 255"),
        ((FLOATS * 1.0001, LABELS), r"from 0\.0 to 1\.0001; give images\.clip\(0, 1\)$"),
        ((FLOATS / 0, LABELS), "expected test images of uint8 or finite floats"),
        ((IMAGES.int() * 9, LABELS), r"whole pixels of test images in 0\.\.255"),
        ((IMAGES[:, :, :, :3], LABELS), "which axis are they"),
        ((torch.zeros(12, 7, 6, 5), LABELS), "which axis are they"),
        ((IMAGES[None], LABELS), r"of shape \(N, C, H, W\)"),
        ((torch.zeros(0, 3, 6, 6), LABELS[:0]), "expected at least one test image"),
        ([(IMAGES[0], 0), (IMAGES[0, :, :3], 1), (IMAGES[0], 2)], "test images of one size"),
        ({"train": (IMAGES, LABELS)}, "with the keys train and test, or test alone"),
        ({"testing": (IMAGES, LABELS)}, "with the keys train and test, .* got testing"),
        ({"test": (IMAGES, LABELS), "valid": 3}, "got test, valid"),
    ],
)
def test_what_is_no_data_is_one_line(given: Any, words: str) -> None:
    assert is_own_data(given) or not given
    with pytest.raises(DataError, match=words) as refused:
        own_data(given)
    assert "\n" not in str(refused.value)


def test_pictures_that_are_dark_are_said_to_be() -> None:
    assert int(own_data(robench.Split(IMAGES // 15, LABELS)).test.images.max()) == 17


@pytest.mark.parametrize("flat", [True, False])
def test_a_network_with_one_output_is_told_how_to_have_two(flat: bool) -> None:
    class Single(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            z = images.flatten(1).sum(1)
            return z if flat else z[:, None]

    with pytest.raises(PluginError, match=r"of two classes that one number z tells apart, the log"):
        robench.evaluate(Single(), (IMAGES, LABELS % 2), attack="fgsm", audit="off")


@pytest.fixture
def pair(tiny_data: Data) -> tuple[Tensor, Tensor]:
    return tiny_data.test.float_images(), tiny_data.test.labels


def test_a_trained_network_is_judged_as_it_is_on_a_pair_of_arrays(
    trained_net: nn.Module, pair: tuple[Tensor, Tensor], places: Places
) -> None:
    before = [value.clone() for value in trained_net.state_dict().values()]
    record = robench.evaluate(
        trained_net, pair, threat=robench.Threat("l2", 0.3), attack="fgsm", images=12, places=places
    )
    assert record.find("robust_accuracy", attack="fgsm", norm="l2", eps=0.3)
    assert record.config["model"]["given"]["pretrained"] is True
    assert record.notes["network"] == "as given, not trained in this run"
    assert {audit.norm for audit in record.audit} == {"l2"}
    assert all(map(torch.equal, before, trained_net.state_dict().values()))


def test_asked_to_it_is_trained_on_and_the_record_says_so(
    trained_net: nn.Module, pair: tuple[Tensor, Tensor], places: Places, tiny_data: Data
) -> None:
    given: dict[str, Any] = {
        "attack": "fgsm",
        "audit": "off",
        "places": places,
        "eps": "8/255",
        "train": robench.TrainConfig(epochs=1),
    }
    data = {"train": (tiny_data.train.images, tiny_data.train.labels), "test": pair}
    record = robench.evaluate(trained_net, data, fit=True, **given)
    assert record.notes["network"] == "as given, then trained in this run"
    assert record.config["threat"]["eps"] == "8/255"
    with pytest.raises(DataError, match="expected training images, got data to test on alone"):
        robench.evaluate(trained_net, pair, fit=True, **given)


@pytest.mark.parametrize(
    "given", [{"compressor": "ptq_int8"}, {"access": ["white_box", "transfer"]}]
)
def test_what_needs_training_images_says_how_to_give_them(
    given: dict[str, Any], pair: tuple[Tensor, Tensor], places: Places
) -> None:
    with pytest.raises(DataError, match=r"give both: \{'train': \(images, labels\), 'test'"):
        robench.evaluate(tiny_net(), pair, places=places, **given)


def test_without_images_to_train_on_no_audit_trains() -> None:
    stages: Any = SimpleNamespace(
        parent=None,
        model=SimpleNamespace(arrives_finished=False),
        twin_is_trained=True,
        data=own_data((IMAGES, LABELS)),
        config=SimpleNamespace(audit=SimpleNamespace(level="full")),
    )
    assert sources(stages) == {}


def test_the_usual_threat_of_own_data_is_that_of_cifar() -> None:
    usual: Callable[[], UsualThreat] = lambda: own_data((IMAGES, LABELS)).threat  # noqa: E731
    assert (usual().norm, usual().eps("linf")) == ("linf", 8 / 255)
    with pytest.raises(ConfigError):
        usual().eps("l1")
    assert np.isclose(usual().eps("l2"), 0.5)
