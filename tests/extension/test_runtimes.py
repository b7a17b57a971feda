"""Cells by other OCI runtimes, and ``%container runtimes``."""

from __future__ import annotations

import shutil

import pytest
from engines import TestEngine
from notebook import Notebook

from cellcrate.commands.runtimes import _row

PROGRAMS = [name for name in ("runc", "crun") if shutil.which(name)]


@pytest.mark.root
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_cell_is_the_same(notebook: Notebook, engine: TestEngine, name: str):
    if engine.kind != "embedded":
        pytest.skip("which runtimes others have is theirs to decide")
    cell = notebook.run(f"%%container --runtime {name}\necho out; echo err >&2")
    assert (cell.status, cell.stdout, cell.stderr) == ("ok", "out\n", "err\n")
    cell = notebook.run(f"%%container --runtime {name}\nexit 3")
    assert cell.status == "error"
    assert "3" in cell.error


def test_the_table(notebook: Notebook, engine: TestEngine):
    text = notebook.run("%container runtimes").text
    head, first, *rest = text.splitlines()
    assert head.split()[:2] == ["RUNTIME", "VERSION"]
    assert "(default)" in first
    if engine.kind == "embedded":
        assert first.split()[0] == "cellcrate"
        assert "all" in first.split()  # the embedded runtime says what it knows, as a program does
        assert "seccomp" in first
        listed = {row.split()[0] for row in rest}
        assert {*PROGRAMS, "cellcrate-oci"} <= listed
    assert "stands alone" in notebook.run("%container runtimes x").error


def test_an_unknown_runtime_is_refused(notebook: Notebook, engine: TestEngine):
    cell = notebook.run(f"%%container {engine.options} --runtime nope\ntrue")
    assert "runtime" in cell.error
    assert "nope" in cell.error
    if engine.kind == "embedded":
        assert "nknown or invalid runtime name: nope" in cell.error


def test_a_features_document_in_words():
    document = (
        '{"ociVersionMin": "1.0.0", "ociVersionMax": "1.2.0", "hooks": ["prestart"], "linux": '
        '{"namespaces": ["mount", "network", "uts", "pid", "ipc", "user", "cgroup"], '
        '"cgroup": {"v1": true, "v2": true, "systemd": false}, '
        '"seccomp": {"enabled": true}, "mountExtensions": {"idmap": {"enabled": true}}}, '
        '"annotations": {"x.libseccomp.version": "2.5.4", "org.example.version": "1.2.3"}}'
    )
    entry = {
        "path": "/usr/bin/some",
        "runtimeArgs": ["--flag"],
        "status": {"org.opencontainers.runtime-spec.features": document},
    }
    assert _row("some", entry, is_default=False) == [
        "some",
        "1.2.3",
        "/usr/bin/some --flag",
        "1.0.0 to 1.2.0",
        "all but time",
        "v1, v2",
        "hooks, seccomp, id-mapped mounts",
    ]
    silent = {"path": "x", "status": {"org.opencontainers.runtime-spec.features": "no JSON"}}
    assert _row("old", silent, is_default=True)[1:] == ["-", "x", "-", "-", "-", "-"]
