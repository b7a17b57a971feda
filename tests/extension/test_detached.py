"""``--detach``: a container object that shows its live state."""

from __future__ import annotations

import time
from typing import Any

import pytest
from engines import TestEngine
from notebook import Notebook

from cellcrate.widgets.card import Card
from cellcrate.widgets.sample import Sample
from cellcrate.widgets.table import Markup, Table
from cellcrate.widgets.words import age, human_size, seconds_since, span

WIDGET = "application/vnd.jupyter.widget-view+json"


@pytest.fixture
def detach(notebook: Notebook, engine: TestEngine):
    def run(options: str, text: str):
        return notebook.run(f"%%container {engine.options} -d {options}\n{text}")

    return run


def until(notebook: Notebook, text: str) -> None:
    """Wait until the card of the container ``c`` shows a text."""
    deadline = time.monotonic() + 30
    while text not in (shown := notebook.run("c._card.html").text):
        assert time.monotonic() < deadline, shown
        time.sleep(0.1)


def test_the_text_form_is_the_same_each_time(detach):
    assert detach("--name one", "sleep 60").text == (
        "<container one: running, image cellcrate/base>"
    )


@pytest.mark.usefixtures("limits")
def test_it_shows_a_widget_and_html(detach):
    cell = detach("--name one --memory 64m --cpus 0.5", "sleep 60")
    assert WIDGET in cell.results[0]
    html = cell.results[0]["text/html"]
    for fact in ("one", "running", "cellcrate/base", "64 MiB", "0.5 CPUs"):
        assert fact in html


def test_it_has_the_methods_of_docker_pys(detach, notebook: Notebook):
    detach("--name one", "echo text; exec sleep 60")
    notebook.run("c = _")
    assert notebook.run("c.name, c.status").text == "('one', 'running')"
    assert notebook.run("c.exec_run('echo hi').output").text == "b'hi\\n'"
    assert notebook.run("c.logs()").text == "b'text\\n'"
    assert notebook.run("c.stop(timeout=0)").status == "ok"
    assert notebook.run("c").text == "<container one: exited (137), image cellcrate/base>"
    assert notebook.run("c.remove()").status == "ok"
    assert notebook.run("c").text == "<container one: removed, image cellcrate/base>"


@pytest.mark.usefixtures("limits")
def test_the_card_follows_the_container(detach, notebook: Notebook, engine: TestEngine):
    assert detach("--name one -m 64m", "echo hello; while :; do :; done").status == "ok"
    notebook.run("c = _")
    until(notebook, "hello")
    until(notebook, "of 64 MiB")
    engine.client().api.kill("one")
    until(notebook, "exited (137)")
    engine.client().api.remove_container("one", force=True)
    until(notebook, "removed")


def test_the_buttons_act(detach, notebook: Notebook, engine: TestEngine):
    detach("--name one", "trap 'exit 5' TERM; while :; do sleep 0.1; done")
    notebook.run("c = _")
    notebook.run("c._card.buttons.press('stop')")
    until(notebook, "exited (5)")
    state = "[b.disabled for b in c._card.buttons.row.children]"
    assert notebook.run(state).text == "[True, False, False]"
    engine.client().api.remove_container("one", force=True)
    notebook.run("c._card.buttons.press('start')")
    until(notebook, "removed")


def test_a_card_updates_no_other_cell(detach, notebook: Notebook):
    detach("--name one", "while :; do echo more; sleep 0.2; done")
    cell = notebook.run("import time; time.sleep(2.5)")
    assert (cell.stdout, cell.displays, cell.results) == ("", [], [])
    assert cell.comms, "the card does update"


def test_a_container_that_cannot_start_is_removed(detach, notebook: Notebook, engine: TestEngine):
    cell = detach("--name one --interpreter nosuchprogram", "text")
    assert cell.status == "error"
    assert len(cell.traceback) == 1
    assert engine.client().api.containers(all=True) == []


def test_the_kernel_ends_no_detached_container(new_notebook, engine: TestEngine):
    notebook = new_notebook(engine.environment)
    notebook.run(f"%%container {engine.options} -d --name stays\nsleep 60")
    notebook.close()
    assert engine.client().containers.get("stays").status == "running"
    engine.client().api.remove_container("stays", force=True)


def details(**state: Any) -> dict[str, Any]:
    return {
        "Id": "0123456789abcdef",
        "Name": "/<b>",
        "Config": {"Image": "image"},
        "State": {"Status": "exited", "Running": False, **state},
        "HostConfig": {"Memory": 64 << 20, "CpuQuota": 50_000, "CpuPeriod": 0},
    }


def test_a_card_says_how_it_ended():
    card = Card.of(details(ExitCode=137, OOMKilled=True))
    assert card.condition == "exited (137, out of memory)"
    assert card.cpu_limit == 0.5
    assert "&lt;b&gt;" in card.html()
    assert "<b><b>" not in card.html()
    assert card.removed().condition == "removed"


def test_a_card_shows_what_a_log_would_do_to_html():
    card = Card("n", "i", "running", lines=("<script>x</script>", "\x1b[31mred\x1b[0m"))
    assert "<script>" not in card.html()
    assert "\x1b" not in card.html()
    assert ">red<" not in card.html()
    assert "red" in card.html()


def test_samples_follow_the_apis_formulas():
    sample = Sample.of(
        {
            "cpu_stats": {
                "cpu_usage": {"total_usage": 3_000},
                "system_cpu_usage": 20_000,
                "online_cpus": 4,
            },
            "precpu_stats": {"cpu_usage": {"total_usage": 1_000}, "system_cpu_usage": 12_000},
            "memory_stats": {"usage": 1000, "limit": 2000, "stats": {"inactive_file": 200}},
            "pids_stats": {"current": 7},
            "networks": {"a": {"rx_bytes": 1, "tx_bytes": 2}, "b": {"rx_bytes": 3, "tx_bytes": 4}},
            "blkio_stats": {
                "io_service_bytes_recursive": [
                    {"op": "Read", "value": 5},
                    {"op": "write", "value": 6},
                    {"op": "read", "value": 7},
                ]
            },
        }
    )
    assert sample == Sample(1.0, 800, 2000, 7, 4, 6, 12, 6)
    assert sample.memory_share == 0.4
    assert Sample.of({}) == Sample()


def test_tables():
    table = Table(["A", "LONG NAME"], [["x", "y"], [Markup("<i>z</i>", "z"), "<w>"]])
    assert repr(table) == "A   LONG NAME\nx   y\nz   <w>"
    assert "<i>z</i>" in table._repr_html_()
    assert "&lt;w&gt;" in table._repr_html_()
    assert "(nothing)" in Table(["A"], [], "nothing")._repr_html_()


def test_words():
    assert [human_size(n) for n in (0, 1023, 1536, 64 << 20, 3 << 40)] == [
        "0 B",
        "1023 B",
        "1.5 KiB",
        "64 MiB",
        "3 TiB",
    ]
    assert [span(n) for n in (0.5, 1, 59, 60, 7200, 200_000)] == [
        "less than a second",
        "1 second",
        "59 seconds",
        "1 minute",
        "2 hours",
        "2 days",
    ]
    assert age(time.time() - 61) == "1 minute ago"
    assert seconds_since("0001-01-01T00:00:00Z") is None
    assert seconds_since("nonsense") is None
    then = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() - 100))
    since = seconds_since(f"{then}.123456789Z")
    assert since is not None
    assert 99 < since < 110
