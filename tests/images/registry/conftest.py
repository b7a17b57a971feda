"""Real registries that the tests of this folder share, and stores to pull into."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

import pytest

from cellcrate_runtime.images.registry.settings import RegistrySettings
from images.registries import Certificates, Registry, make_certificates
from images.sent import Sender

_numbers = itertools.count()


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry that anybody may use, without TLS."""
    with Registry(tmp_path_factory.mktemp("registry")) as registry:
        yield registry


@pytest.fixture
def sender(registry: Registry) -> Sender:
    """Puts images into it by hand."""
    return Sender(registry.address)


@pytest.fixture
def repository() -> str:
    """The name of a repository that no other test has."""
    return f"tests/number{next(_numbers)}"


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """An authority of the tests."""
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def settings() -> RegistrySettings:
    """Settings with which nothing takes long."""
    return replace(RegistrySettings(), pause=0.01, patience=10.0)
