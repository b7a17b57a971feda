"""``%%image``: Dockerfiles in cells, built by real engines; images fetched from a real registry."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import pytest
from engines import DOCKER, EMBEDDED, TestEngine
from notebook import Cell, Notebook

from images.registries import Registry

pytestmark = pytest.mark.parametrize("engine", [EMBEDDED, DOCKER], indirect=True)

Build = Callable[..., Cell]


@pytest.fixture
def options(engine: TestEngine) -> str:
    """What every build needs here."""
    return engine.options


@pytest.fixture
def build(notebook: Notebook, engine: TestEngine, options: str) -> Iterator[Build]:
    """Build a Dockerfile as tests/app; the images that a test makes are gone afterwards."""
    if engine.kind == "embedded":
        assert notebook.run("%image pull -q cellcrate/base").status == "ok"
    before = images(engine)

    def run(dockerfile: str, more: str = "", name: str = "tests/app") -> Cell:
        return notebook.run(f"%%image {name} {options} {more}\n{dockerfile}")

    yield run
    for image in images(engine) - before:
        engine.client().api.remove_image(image, force=True)


def images(engine: TestEngine) -> set[str]:
    tags = {tag for each in engine.client().api.images() for tag in each["RepoTags"] or []}
    return tags - {"<none>:<none>"}


def containers(engine: TestEngine) -> list[str]:
    return [each["Id"] for each in engine.client().api.containers(all=True)]


def picture(cell: Cell, form: str) -> str:
    """The last picture of the build, in one of its forms."""
    found = (
        each for each in reversed(cell.displays) if 'role="status"' in each.get("text/html", "")
    )
    return str(next(found)[form])


def steps(cell: Cell) -> str:
    return picture(cell, "text/html")


def said(cell: Cell) -> str:
    return picture(cell, "text/plain")


def test_a_cell_becomes_an_image_that_runs(build, notebook, engine):
    cell = build('FROM cellcrate/base\nRUN echo hello > /greeting\nCMD ["cat", "/greeting"]')
    assert cell.status == "ok", cell
    assert said(cell).splitlines()[-1].startswith("Built tests/app: 3 steps, 0 cached")
    stack = cell.displays[-2]
    assert "RUN echo hello > /greeting" in stack["text/plain"]
    assert "/greeting 6 B" in stack["text/plain"]
    assert "shared with cellcrate/base:latest" in stack["text/plain"]
    ran = notebook.run(f"%container run {engine.options} tests/app")
    assert ran.stdout == "hello\n"


def test_steps_that_were_done_are_marked(build):
    dockerfile = "FROM cellcrate/base\nRUN echo cached-or-not > /x\nENV A=b"
    build(dockerfile)
    again = said(build(dockerfile))
    assert again.count("(cached)") == 2
    assert "2 cached" in again
    assert "(cached)" not in said(build(dockerfile, "--no-cache"))


def test_output_is_kept_folded(build):
    cell = build("FROM cellcrate/base\nRUN echo first; echo second >&2")
    html = steps(cell)
    assert re.search(r"<details style=.*first", html, re.DOTALL)
    assert "second" in html


def test_a_step_that_fails_says_where_and_what(build, engine):
    cell = build("FROM cellcrate/base\n\nRUN echo about to fail; \\\n  exit 7\nCMD true")
    assert (cell.status, cell.error_name) == ("error", "BuildFailed")
    assert "line 3 of the Dockerfile" in cell.error
    assert "exit status is 7" in cell.error
    assert "about to fail" in said(cell)
    assert "line 3 of the Dockerfile" in steps(cell)
    assert len(cell.traceback) == 1
    assert containers(engine) == []
    assert "tests/app:latest" not in images(engine)


@pytest.mark.parametrize(
    ("dockerfile", "says"),
    [
        ("FROM cellcrate/base\nRUN nosuchprogram", "was not found"),
        ("FROM cellcrate/base\nCOPY missing /x", "--context"),
        ("FROM cellcrate/base\nFOO bar", "Line 2"),
        ("FROM tests/none:1\n", "after FROM"),
    ],
)
def test_mistakes_come_with_advice(build, dockerfile: str, says: str):
    cell = build(dockerfile)
    assert cell.error_name == "BuildFailed"
    assert says in cell.error


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("%%image\nFROM cellcrate/base", "needs one name"),
        ("%%image a b\nFROM cellcrate/base", "needs one name"),
        ("%%image Upper\nFROM cellcrate/base", "small letters"),
        ("%%image app --context nosuch\nFROM cellcrate/base", "no folder nosuch"),
        ("%%image app --secret id=x,src=/nosuch\nFROM a", "cannot be read"),
        ("%%image app --secret src=\nFROM a", "names no secret"),
        ("%%image app --memory many\nFROM a", "not a size"),
        ("%%image app -f x\nFROM a", "the cell is the Dockerfile"),
        ("%image build .", "no file"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_sent(build, notebook, line, says):
    cell = notebook.run(line)
    assert cell.error_name == "UsageError", cell
    assert says in cell.error


def test_secrets_are_for_our_own_engine(build, tmp_path: Path, engine):
    (tmp_path / "secret").write_text("never seen")
    cell = build("FROM cellcrate/base", f"--secret id=x,src={tmp_path}/secret")
    assert ("never seen" in repr(cell)) is False
    assert (cell.error_name == "UsageError") is (engine.kind != "embedded")


def test_flags_reach_the_engine(build, engine):
    dockerfile = (
        "FROM cellcrate/base AS first\nARG WHO=nobody\nRUN echo $WHO > /who\n"
        "FROM cellcrate/base\nCOPY --from=first /who /who\n"
    )
    cell = build(dockerfile, "--build-arg WHO=me --label tier=1 --target first")
    assert cell.status == "ok", cell
    attrs = engine.client().images.get("tests/app").attrs
    assert attrs["Config"]["Labels"]["tier"] == "1"
    shown = engine.client().containers.run(
        "tests/app", ["cat", "/who"], network_mode="none", remove=True
    )
    assert shown == b"me\n"


def test_a_folder_can_be_copied_without_what_it_ignores(build, engine, tmp_path: Path):
    for name in ("kept", "left.out", "also.out"):
        (tmp_path / name).write_text(name)
    (tmp_path / ".dockerignore").write_text("# a remark\n*.out\n!also.out\n")
    cell = build("FROM cellcrate/base\nCOPY . /all", f"--context {tmp_path}")
    assert cell.status == "ok", cell
    listed = engine.client().containers.run(
        "tests/app", ["ls", "-A", "/all"], network_mode="none", remove=True
    )
    # As docker has it, .dockerignore itself is a file like others; the cell is not.
    assert listed.split() == [b".dockerignore", b"also.out", b"kept"]
    assert "(cached)" in said(build("FROM cellcrate/base\nCOPY . /all", f"--context {tmp_path}"))


def test_a_folder_with_a_dockerfile_is_built(build, notebook, options, tmp_path: Path):
    (tmp_path / "Dockerfile").write_text("FROM cellcrate/base\nCOPY data /data\n")
    (tmp_path / "data").write_text("x")
    cell = notebook.run(f"%image build {options} -t tests/app:1 -t tests/app:2 {tmp_path}")
    assert cell.status == "ok", cell
    assert notebook.run("%image ls tests/app").text.count("tests/app") == 2


def test_quiet_prints_the_id_alone(build, engine):
    cell = build("FROM cellcrate/base\nENV A=b", "-q")
    assert cell.stdout.strip() == engine.client().images.get("tests/app").id
    assert cell.displays == []


def test_plain_progress_comes_as_it_is_written(notebook, build, options):
    running = notebook.start(
        f"%%image tests/app {options} --no-cache --progress plain\n"
        "FROM cellcrate/base\nRUN echo be''gun; sleep 3; echo ended"
    )
    running.until("      begun")
    assert running.running
    assert "      ended" in running.wait().stdout


def test_the_stop_button_stops_a_build_and_leaves_nothing(notebook, build, options, engine):
    running = notebook.start(
        f"%%image tests/app {options} --no-cache --progress plain\n"
        "FROM cellcrate/base\nRUN echo be''gun; sleep 600"
    )
    running.until("      begun")
    notebook.interrupt()
    cell = running.wait(40)
    assert (cell.status, cell.error_name) == ("error", "BuildInterrupted")
    assert cell.traceback[0].startswith("KeyboardInterrupt: ")
    assert containers(engine) == []
    assert "tests/app:latest" not in images(engine)
    assert build("FROM cellcrate/base\nENV A=b").status == "ok"


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    with Registry(tmp_path / "registry") as started:
        yield started.address


def test_images_are_sent_and_fetched_with_a_bar_for_each_layer(build, notebook, engine, registry):
    name = f"{registry}/tests/app:1"
    build("FROM cellcrate/base\nRUN seq 300000 > /numbers", name=name)
    sent = notebook.run(f"%image push {name}")
    assert sent.status == "ok", sent
    layers = len(engine.client().images.get(name).attrs["RootFS"]["Layers"])
    assert sent.displays[-1]["text/html"].count('role="progressbar"') == layers
    assert sent.displays[-1]["text/plain"].startswith(f"Sent {name}: {layers} layers")
    assert "is up to date" in notebook.run(f"%image push {name}").displays[-1]["text/plain"]
    engine.client().api.remove_image(name, force=True)
    fetched = notebook.run(f"%image pull {name}")
    *_, bars, stack, _live = fetched.displays
    assert bars["text/plain"].startswith(f"Fetched {name}: {layers} layers")
    assert bars["text/html"].count('role="progressbar"') == layers
    assert "/numbers" in stack["text/plain"]
    assert len(bars["text/html"]) < 4000


def test_a_cell_fetches_the_image_that_it_names(build, notebook, engine, registry, options):
    name = f"{registry}/tests/app:2"
    build("FROM cellcrate/base\nRUN seq 300000 > /numbers", name=name)
    assert notebook.run(f"%image push -q {name}").stdout == f"{name}\n"
    engine.client().api.remove_image(name, force=True)
    cell = notebook.run(f"%%container {engine.options} {name}\nwc -l < /numbers")
    assert cell.stdout == "300000\n"
    assert cell.displays == []  # what was shown of the fetching is gone


def test_what_no_registry_has_comes_with_advice(notebook, registry):
    cell = notebook.run(f"%image pull {registry}/none:1")
    assert cell.error_name == "EngineError"
    assert "Look at the name" in cell.error


def test_a_notebook_with_images_passes_nbval(build, notebook, options, engine, tmp_path: Path):
    build("FROM cellcrate/base\nENV A=b")
    document = nbformat.v4.new_notebook()
    document.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    document.cells = [
        nbformat.v4.new_code_cell(text)
        for text in (
            "%load_ext cellcrate",
            f"%%image tests/app {options} -q\nFROM cellcrate/base\nENV A=b",
            "%image inspect tests/app",
        )
    ]
    path = tmp_path / "test.ipynb"
    nbformat.write(document, path)
    python = [sys.executable, "-m"]
    run = {"cwd": tmp_path, "env": notebook.environment, "capture_output": True, "text": True}
    execute = ["jupyter", "nbconvert", "--to", "notebook", "--execute", "--inplace", str(path)]
    executed = subprocess.run([*python, *execute], **run)
    assert executed.returncode == 0, executed.stderr
    again = subprocess.run(
        [*python, "pytest", "--nbval", "-q", "-p", "no:cacheprovider", str(path)], **run
    )
    assert again.returncode == 0, again.stdout
