"""No test of data sets reaches the network."""

from __future__ import annotations

import urllib.request
from urllib.error import URLError

import pytest


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every download fails as it does offline; the addresses that were asked for."""
    asked: list[str] = []

    def offline(request: urllib.request.Request, *args: object, **kwargs: object) -> None:
        asked.append(request.full_url)
        raise URLError("no route to host")

    monkeypatch.setattr(urllib.request, "urlopen", offline)
    return asked
