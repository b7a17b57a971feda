"""``%container trace``, and cells with ``--trace``."""

from __future__ import annotations

import shutil

import pytest
from engines import TestEngine
from notebook import Notebook

from cellcrate.widgets.comparison import Comparison
from cellcrate.widgets.trace import Trace

NEEDS_STRACE = pytest.mark.skipif(
    not (shutil.which("strace") and shutil.which("runc")), reason="strace or runc is not installed"
)


@pytest.fixture
def traces(engine: TestEngine) -> None:
    """Skip where the engine keeps none."""
    if engine.kind != "embedded":
        pytest.skip("this engine keeps no traces")


@pytest.mark.usefixtures("traces")
def test_below_a_cell(notebook: Notebook):
    cell = notebook.run("%%container --trace --name seen\necho said")
    assert (cell.status, cell.stdout, cell.stderr) == ("ok", "said\n", "")
    (shown,) = cell.displays
    assert shown["text/plain"].startswith("seen, by cellcrate: ")
    assert "entered by pivot_root" in shown["text/plain"]
    assert "<table" in shown["text/html"]
    assert "No such container" in notebook.run("%container trace seen").error  # it was removed


@pytest.mark.usefixtures("traces")
def test_below_a_cell_that_fails(notebook: Notebook):
    cell = notebook.run("%%container --trace\nexit 3")
    assert cell.error_name == "ContainerFailed"
    assert len(cell.displays) == 1
    cell = notebook.run("%%container --trace --entrypoint no-such-program\nx")
    assert "The start failed: " in cell.displays[0]["text/plain"]
    assert "127" in cell.error


@pytest.mark.usefixtures("traces")
def test_one_container(notebook: Notebook):
    assert notebook.run("%%container -d --trace --name seen\nsleep 1000").status == "ok"
    cell = notebook.run("%container trace seen")
    assert cell.text.startswith("seen, by cellcrate: ")
    assert "made in advance" in cell.text
    assert "sh -c" in cell.text
    assert "protected paths" in cell.results[0]["text/html"]


@pytest.mark.root
@pytest.mark.usefixtures("traces")
@NEEDS_STRACE
def test_two_side_by_side(notebook: Notebook):
    for name, options in (("ours", ""), ("theirs", "--runtime runc")):
        line = f"%%container -d --trace --name {name} {options}"
        assert notebook.run(f"{line}\nsleep 1000").status == "ok"
    cell = notebook.run("%container trace ours theirs")
    lines = cell.text.splitlines()
    assert lines[0].startswith("< ours, by cellcrate: ")
    assert lines[1].startswith("> theirs, by runc: ")
    assert "NAMESPACES" in lines
    (network,) = (line for line in lines if line.startswith("= network "))
    assert network.split().count("new") == 2
    assert any(line.startswith(("> old root", "≠ old root")) for line in lines)
    assert "same (=)" in cell.results[0]["text/html"]


@pytest.mark.usefixtures("traces")
def test_how_to_get_one(notebook: Notebook):
    assert notebook.run("%%container -d --name unseen\nsleep 1000").status == "ok"
    error = notebook.run("%container trace unseen").error
    assert "was not traced" in error
    assert "%%container --trace" in error


def test_usage(notebook: Notebook):
    assert "No such container: nope" in notebook.run("%container trace nope").error
    assert "needs the name of one container" in notebook.run("%container trace").error
    assert "needs the name of one container" in notebook.run("%container trace a b c").error
    assert "%container trace CONTAINER" in notebook.run("%container help trace").stdout


def test_other_engines_keep_none(notebook: Notebook, engine: TestEngine):
    """The cell runs as it would; that there is no trace is said below it."""
    if engine.kind == "embedded":
        pytest.skip("this engine keeps traces")
    cell = notebook.run(f"%%container {engine.options} --trace\necho said")
    assert (cell.status, cell.stdout) == ("ok", "said\n")
    assert "keeps no traces of starts" in cell.stderr
    line = f"%%container {engine.options} -d --trace --name seen\nsleep 1000"
    assert notebook.run(line).status == "ok"
    assert "keeps no traces of starts" in notebook.run("%container trace seen").error


# -- two traces, made up ---------------------------------------------------------------------------


def made_up(name: str, runtime: str, *steps: tuple[str, str, str], by: str = "x") -> Trace:
    document = {
        "Runtime": runtime,
        "Method": "notes",
        "Remarks": ["a remark"],
        "Error": "",
        "Steps": [
            {
                "Time": float(number),
                "By": by,
                "Call": "mount",
                "Subject": subject,
                "Target": target,
                "Detail": detail,
            }
            for number, (subject, target, detail) in enumerate(steps)
        ],
    }
    return Trace.of(name, f"{name:0<64}", document)


def test_a_comparison():
    """What two containers never share, ids and process ids, is no difference."""
    ours = made_up(
        "aaaaaaaaaaaa",
        "cellcrate",
        ("mounts", "/proc", "proc: nosuid"),
        ("mounts", "/etc/hosts", "bind of /c/aaaaaaaaaaaa/hosts"),
        ("control group", "cgroup.procs", "process 12 joins"),
        ("mounts", "/dev", "tmpfs: mode=755"),
        ("mounts", "/a", "tmpfs"),
    )
    theirs = made_up(
        "bbbbbbbbbbbb",
        "runc",
        ("control group", "cgroup.procs", "process 34 joins"),
        ("mounts", "/proc", "proc: nosuid"),
        ("mounts", "/etc/hosts", "bind of /c/bbbbbbbbbbbb/hosts"),
        ("mounts", "/dev", "tmpfs"),
        ("mounts", "/dev", "changed to ro"),
        ("mounts", "/b", "tmpfs"),
    )
    both = Comparison(ours, theirs)
    assert [(row.target, row.verdict) for row in both.rows] == [
        ("cgroup.procs", "same"),
        ("/proc", "same"),
        ("/etc/hosts", "same"),
        ("/dev", "different"),
        ("/a", "left"),
        ("/b", "right"),
    ]
    assert both.summary == (
        "3 the same (=), 1 different (≠), 1 by cellcrate alone (<), 1 by runc alone (>)"
    )
    assert repr(both).count("a remark") == 1


def test_what_containers_are_called_is_text():
    """A container's words are shown, and never part of the page."""
    evil = ("mounts", "/<script>", "<img src=x>")
    trace = made_up("name", "<b>run</b>", evil, by="shim")
    for html in (trace._repr_html_(), Comparison(trace, trace)._repr_html_()):
        for part in ("<script>", "<img", "<b>run"):
            assert part not in html
        assert "&lt;script&gt;" in html
    assert "(shim)" in repr(Comparison(trace, trace))


def test_a_trace_of_nothing():
    trace = made_up("name", "runc")
    assert repr(trace).startswith("name, by runc: 0 steps in 0.0 ms")
    assert "<table" in trace._repr_html_()
    assert Comparison(trace, trace).rows == []
