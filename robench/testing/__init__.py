"""The contract of each kind of component, as test classes for plugin authors.

    from robench.testing import AttackContract

    class TestMyAttack(AttackContract):
        component = MyAttack(steps=3)
        invalid = ({"steps": 0},)

pytest collects the subclass and runs every test of the contract on `component`. robench's own
components run through the same classes.
"""

from __future__ import annotations

from robench.testing.attack import AttackContract
from robench.testing.certifier import CertifierContract
from robench.testing.check import CheckContract
from robench.testing.component import ComponentContract
from robench.testing.compressor import CompressorContract
from robench.testing.dataset import DatasetContract
from robench.testing.defense import DefenseContract
from robench.testing.metric import MetricContract
from robench.testing.model import ModelContract
from robench.testing.runtime import RuntimeContract
from robench.testing.tiny import tiny_data, tiny_network

__all__ = [
    "AttackContract",
    "CertifierContract",
    "CheckContract",
    "ComponentContract",
    "CompressorContract",
    "DatasetContract",
    "DefenseContract",
    "MetricContract",
    "ModelContract",
    "RuntimeContract",
    "tiny_data",
    "tiny_network",
]
