"""What the built-in defenses bring against themselves."""

from __future__ import annotations

import torch

from robench.base.seeds import generator, seed_scope
from robench.core.system import FloatDeployed, System
from robench.core.threat import Threat
from robench.search.target import Target
from robench.testing.tiny import tiny_data, tiny_network
from robench_defenses.adaptive import AveragedAscent, BehindTheMap
from robench_defenses.mulaw import MuLaw
from robench_defenses.smoothing import FloatRS

THREAT = Threat("linf", 0.2)


def test_behind_the_map_lies_the_network_before_it() -> None:
    network, test = tiny_network(), tiny_data().test
    images, mulaw = test.float_images(), MuLaw(mu=1000.0)
    mapped = mulaw.transform(network).eval()
    attack = mulaw.adaptive(System(FloatDeployed(mapped), mapped), THREAT)
    assert isinstance(attack, BehindTheMap)
    assert torch.allclose(attack.straight(images), network(images), atol=1e-3)
    assert not torch.allclose(mapped(images), network(images), atol=0.1)
    found = attack.run(mapped, images, test.labels, THREAT, generator(0))
    wrong = Target.of(mapped).wrong(THREAT.project(found, images), test.labels)
    assert wrong.float().mean() > (mapped(images).argmax(1) != test.labels).float().mean()


def test_a_network_without_the_layers_has_no_way_behind_the_map() -> None:
    flat = torch.nn.Flatten()
    assert MuLaw().adaptive(System(FloatDeployed(flat), flat), THREAT) is None


def test_smoothing_brings_an_ascent_on_the_mean() -> None:
    network, test = tiny_network(), tiny_data().test.take(torch.arange(6))
    attack = FloatRS(sigma=0.1).adaptive(System(FloatDeployed(network), network), THREAT)
    assert isinstance(attack, AveragedAscent)
    with seed_scope(0):
        found = attack.run(network, test.float_images(), test.labels, THREAT, generator(0))
    assert found.shape == test.images.shape
