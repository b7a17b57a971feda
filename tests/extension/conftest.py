"""Kernels and engines for the tests of this folder.

The same tests run against Cellcrate's own engine and against Docker's, to prove that the magics
know nothing but the Docker Engine API; those of cells run against podman's service too.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from engines import DOCKER, EMBEDDED, TestEngine, docker_engine, embedded_engine, podman_engine
from notebook import Notebook

ENGINES = {"embedded": embedded_engine, "docker": docker_engine, "podman": podman_engine}


@pytest.fixture(scope="session", params=[EMBEDDED, DOCKER])
def engine(request: pytest.FixtureRequest) -> Iterator[TestEngine]:
    """Each engine in turn, for the whole session."""
    with ENGINES[request.param]() as started:
        yield started


@pytest.fixture(scope="session")
def embedded() -> Iterator[TestEngine]:
    """Cellcrate's own engine, one more of it: tests of this one may kill it."""
    with embedded_engine() as started:
        yield started


@pytest.fixture(scope="session")
def _shared(engine: TestEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Notebook]:
    opened = Notebook(tmp_path_factory.mktemp("nb"), engine.environment)
    try:
        assert opened.run("%load_ext cellcrate").status == "ok"
        yield opened
    finally:
        opened.close()


@pytest.fixture
def notebook(_shared: Notebook, engine: TestEngine) -> Iterator[Notebook]:
    """A notebook with the extension loaded; containers that a test leaves are removed."""
    yield _shared
    if engine.socket.exists():
        for container in engine.client().api.containers(all=True):
            engine.client().api.remove_container(container["Id"], force=True)


@pytest.fixture
def limits(notebook: Notebook, engine: TestEngine) -> None:
    """Skip a test where this user may set no limits on containers."""
    assert notebook.run("%container ps").status == "ok"
    if not engine.client().info()["MemoryLimit"]:
        pytest.skip("this user may set no limits here; cellcrate doctor says why")


@pytest.fixture
def new_notebook(tmp_path: Path) -> Iterator[Callable[..., Notebook]]:
    """Open notebooks that a test may break."""
    opened: list[Notebook] = []

    def open_one(environment: dict[str, str], *, load: bool = True) -> Notebook:
        notebook = Notebook(tmp_path / str(len(opened)), environment)
        opened.append(notebook)
        if load:
            assert notebook.run("%load_ext cellcrate").status == "ok"
        return notebook

    yield open_one
    for notebook in opened:
        notebook.close()
