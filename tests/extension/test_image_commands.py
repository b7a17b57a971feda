"""``%image``: the same commands on Cellcrate's engine and on Docker's."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from engines import TestEngine
from notebook import Cell, Notebook


@pytest.fixture
def run(notebook: Notebook, engine: TestEngine) -> Iterator[Callable[[str], Cell]]:
    """Run a line; images that a test makes are gone afterwards."""
    if engine.kind == "embedded":
        assert notebook.run("%image pull -q cellcrate/base").status == "ok"
    before = {tag for image in engine.client().api.images() for tag in image["RepoTags"] or []}
    yield notebook.run
    for image in engine.client().api.images():
        for tag in set(image["RepoTags"] or []) - before:
            engine.client().api.remove_image(tag, force=True)


def error(cell: Cell) -> str:
    assert cell.status == "error", cell
    return cell.error


def test_ls_has_dockers_columns(run, engine):
    table = run("%image ls").text
    assert table.splitlines()[0].split() == ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE"]
    assert "cellcrate/base" in table
    identity = engine.client().images.get("cellcrate/base").id
    assert run("%image ls -q --no-trunc cellcrate/base").stdout == f"{identity}\n"
    assert identity[7:19] in run("%image ls --digests").text
    assert run("%image ls nosuch").text.count("\n") == 0


def test_names_come_and_go(run, engine):
    assert run("%image tag cellcrate/base tests/one:2").status == "ok"
    assert "tests/one" in run("%image ls tests/one").text
    assert "Untagged: tests/one:2" in run("%image rm tests/one:2").stdout
    assert "%image ls lists" in error(run("%image rm tests/one:2"))


def test_one_failure_does_not_stop_the_others(run):
    run("%image tag cellcrate/base tests/one")
    cell = run("%image rm nosuch tests/one")
    assert "Untagged: tests/one:latest" in cell.stdout
    assert "nosuch" in error(cell)


def test_an_image_in_use_is_not_removed(run, engine):
    run("%image pack -q -t tests/used true")
    engine.client().api.create_container("tests/used", ["true"], name="user")
    assert "container" in error(run("%image rm tests/used"))


def test_programs_of_this_machine_are_packed(run, engine):
    cell = run("%image pack tests/packed -e A=b --cmd 'echo packed' -- echo true")
    assert cell.status == "ok", cell
    shown = cell.displays[0]
    assert shown["text/plain"].startswith("tests/packed  ")
    assert "cellcrate image pack" in shown["text/plain"] or engine.kind != "embedded"
    assert "A=b" in shown["text/html"]
    attrs = engine.client().images.get("tests/packed").attrs
    assert "A=b" in attrs["Config"]["Env"]


def test_what_cannot_be_packed_says_why(run):
    assert "nosuch" in error(run("%image pack -t tests/none nosuch"))
    assert "needs a program" in error(run("%image pack -t tests/none"))
    assert "takes one name" in error(run("%image pack -t tests/none other -- true"))


def test_images_go_into_archives_and_come_back(run, engine, tmp_path: Path):
    run("%image pack -q -t tests/saved true")
    file = tmp_path / "saved.tar"
    assert run(f"%image save -o {file} tests/saved").status == "ok"
    with tarfile.open(file) as tar:
        manifest = json.load(tar.extractfile("manifest.json"))
    assert manifest[0]["RepoTags"] == ["tests/saved:latest"]
    run("%image rm tests/saved")
    assert "Loaded image: tests/saved:latest" in run(f"%image load -i {file}").stdout
    assert [each.name for each in tmp_path.iterdir()] == ["saved.tar"]


def test_an_archive_that_fails_leaves_nothing(run, tmp_path: Path):
    assert "nosuch" in error(run(f"%image save -o {tmp_path}/x.tar nosuch"))
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "bad.tar").write_bytes(b"no archive")
    assert run(f"%image load -i {tmp_path}/bad.tar").status == "error"
    assert "cannot be read" in error(run(f"%image load -i {tmp_path}/none.tar"))


def test_inspect_shows_the_stack(run, engine):
    cell = run("%image inspect cellcrate/base")
    still, live = cell.displays
    assert "cellcrate/base" in still["text/plain"]
    assert "layer" in still["text/plain"]
    assert 'role="list"' in still["text/html"]
    assert "libc.so" in still["text/html"]
    assert "application/vnd.jupyter.widget-view+json" in live
    # What stays in a saved notebook is small, and needs no kernel.
    assert len(still["text/html"]) < 20_000
    raw = run("%image inspect --raw cellcrate/base").results[0]["application/json"]
    assert raw["Id"] == engine.client().images.get("cellcrate/base").id
    value = run("view = %image inspect cellcrate/base\nview['Config']['Cmd'][0]")
    assert value.text


def test_files_are_browsed_folder_by_folder(run):
    made = run(
        "from cellcrate.images.browser import Browser\n"
        "view = %image inspect cellcrate/base\n"
        "layers = [s.layer for s in view.steps if s.layer]\n"
        "browser = Browser(view.contents, layers, [s.instruction for s in view.steps if s.layer])\n"
        "browser.widget.selected_index = 0\n"
        "def press(text):\n"
        "    def find(rows):\n"
        "        for row in rows:\n"
        "            if text in getattr(row, 'description', ''): return row\n"
        "            found = find(getattr(row, 'children', ()))\n"
        "            if found: return found\n"
        "    find(browser.tree.children).click()\n"
        "press(' etc/'); press('passwd')"
    )
    assert made.status == "ok", made
    assert "root:" in run("browser.preview.value").text
    run("browser.choice.value = layers[0].diff_id; press(' etc/'); press('passwd')")
    assert "root:" in run("browser.preview.value").text
    run("press(' etc/')")
    assert "passwd" not in run("[b.description for b in browser.tree.children[0].children]").text


def test_history(run):
    table = run("%image history cellcrate/base").text
    assert table.splitlines()[0].split()[:2] == ["IMAGE", "CREATED"]


def test_help_and_mistakes(run, notebook):
    assert "pull" in run("%image").stdout
    assert "--all-tags" in run("%image help pull").stdout
    assert "Did you mean inspect" in error(run("%image inspct x"))
    assert "needs two names" in error(run("%image tag x"))
    assert "--target" in notebook.documentation("%%image")
    assert "%image login" in notebook.documentation("%image")


def test_prune_says_what_was_won(run):
    assert "Space won back" in run("%image prune").stdout


def test_completion(notebook, run):
    for line, becomes in (
        ("%image pu", "%image pull"),
        ("%image rm cellc", "%image rm cellcrate/base"),
        ("%image pull --pla", "%image pull --platform"),
        ("%%image greeter --bu", "%%image greeter --build-arg"),
        ("%%image --net", "%%image --network"),
        ("%image build --tar", "%image build --target"),
    ):
        assert becomes in notebook.complete(line), line


def test_in_a_terminal_it_is_text(run, notebook):
    """An IPython without a front end prints the text forms."""
    code = (
        "from IPython.core.interactiveshell import InteractiveShell\n"
        "shell = InteractiveShell.instance()\n"
        "shell.run_line_magic('load_ext', 'cellcrate')\n"
        "shell.run_cell('%image inspect cellcrate/base')\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env=notebook.environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert "cellcrate/base" in ended.stdout, ended.stderr
    assert "MiB" in ended.stdout
    assert "<div" not in ended.stdout
