from __future__ import annotations

import pytest
import torch

from robench.audit.planted import features_of, plant
from robench.base.seeds import generator
from robench.core.threat import Threat
from robench.search import GradientSearch
from tests.audit.zoo import Zoo
from tests.audit.zoo.smooth import FixedNoise


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_the_planted_point_is_legal_and_no_random_point_is_found(zoo: Zoo, norm: str) -> None:
    threat = Threat(norm, 0.15 if norm == "linf" else 0.8)
    features = features_of(zoo.base(), zoo.lesson.test.float_images()[:2])
    assert features is not None
    image = zoo.lesson.test.float_images()[:1]
    planted = plant(features, image, threat, generator(0, "plant"))
    assert planted is not None
    assert threat.contains(planted.example, image).all()
    with torch.no_grad():
        assert planted.twin(planted.example).argmax(1) == 1
        near = image + 0.2 * (planted.example - image)
        assert planted.twin(torch.cat([image, near])).argmax(1).tolist() == [0, 0]


def test_a_gradient_finds_it_and_masking_hides_it(zoo: Zoo) -> None:
    """An honest network's planted examples are found; a layer that cuts gradients hides them."""
    threat, images = zoo.lesson.threat, zoo.lesson.test.float_images()
    search = GradientSearch(steps=40, step=2.5, random_start=True)
    label = torch.zeros(1, dtype=torch.int64)

    def found(name: str) -> int:
        features = features_of(zoo.build(name).system.twin, images[:2])
        assert features is not None
        count = 0
        for image in images[:10].split(1):
            planted = plant(features, image, threat, generator(0, "plant"))
            assert planted is not None
            candidate = search.run(planted.twin, image, label, threat, generator(0, "search"))
            with torch.no_grad():
                count += int(planted.twin(threat.project(candidate, image)).argmax(1) == 1)
        return count

    assert found("plain") >= 8
    assert found("activation_rounding") <= 2


def test_no_linear_layer_no_features() -> None:
    images = torch.rand(2, 1, 4, 4)
    assert features_of(torch.nn.Sequential(torch.nn.Conv2d(1, 1, 3)), images) is None


def test_a_head_that_is_not_called_has_no_features(zoo: Zoo) -> None:
    """The last layer that is registered may be for training alone."""
    twin = zoo.build("maxout").system.twin
    features = features_of(twin, zoo.lesson.test.float_images()[:2])
    assert features is not None
    assert isinstance(features.last, torch.nn.Linear)
    assert features.last.out_features == 30


def test_rows_that_are_not_images_have_no_features(zoo: Zoo) -> None:
    """A mean over noise runs its layers on many rows an image."""
    noisy = FixedNoise(zoo.base(), zoo.lesson.test.images[0].shape, 0.1)
    assert features_of(noisy, zoo.lesson.test.float_images()[:2]) is None
