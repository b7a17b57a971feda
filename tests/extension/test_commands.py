"""``%container``: docker's commands, with docker's words."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from engines import TestEngine
from notebook import Cell, Notebook


@pytest.fixture
def run(notebook: Notebook):
    def command(line: str) -> Cell:
        return notebook.run(f"%container {line}")

    return command


@pytest.fixture
def web(notebook: Notebook, engine: TestEngine) -> str:
    """A container that runs."""
    script = "trap 'exit 0' TERM; echo out; echo err >&2; while :; do sleep 0.1; done"
    cell = notebook.run(f"%%container {engine.options} -d --name web -l tier=1\n{script}")
    assert cell.status == "ok", cell
    deadline = time.monotonic() + 10
    while b"err" not in engine.client().api.logs("web"):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return "web"


def status(engine: TestEngine, name: str = "web") -> str:
    return engine.client().api.inspect_container(name)["State"]["Status"]


def test_ps_lists_what_runs(run, web, engine):
    text = run("ps").text
    assert text.splitlines()[0].split()[:2] == ["CONTAINER", "ID"]
    assert "web" in text
    assert "cellcrate/base" in text
    engine.client().api.kill("web")
    engine.client().api.wait("web")
    assert "web" not in run("ps").text
    assert "Exited (137)" in run("ps -a").text
    html = run("ps -a").results[0]["text/html"]
    assert "<table" in html


def test_ps_with_filters_and_ids(run, web, engine):
    container = engine.client().api.inspect_container("web")["Id"]
    assert run("ps -q").stdout == container[:12] + "\n"
    assert run("ps -q --no-trunc --filter name=web").stdout == container + "\n"
    assert run("ps -q -f label=tier=1").stdout == container[:12] + "\n"
    assert run("ps -q -f label=tier=2").stdout == ""
    assert "is not of the form" in run("ps -f name").error


def test_logs_keep_both_streams_apart(run, web):
    cell = run("logs web")
    assert (cell.stdout, cell.stderr) == ("out\n", "err\n")
    assert run("logs --tail 0 web").stdout == ""
    assert run("logs -t web").stdout.startswith("20")
    assert run("logs --since 2000-01-01 web").stdout == "out\n"
    assert "number of lines" in run("logs --tail many web").error


def test_following_logs_ends_with_the_stop_button(notebook, web):
    running = notebook.start("%container logs -f web")
    running.until("out")
    notebook.interrupt()
    assert running.wait().status == "ok"


def test_following_logs_ends_with_the_container(notebook, web, engine):
    running = notebook.start("%container logs -f web")
    running.until("out")
    engine.client().api.kill("web")
    assert running.wait().status == "ok"


def test_exec_shows_output_and_raises_the_status(run, web):
    cell = run("exec -e A=1 -w /tmp web sh -c 'echo $A $PWD; echo e >&2; exit 4'")
    assert (cell.stdout, cell.stderr) == ("1 /tmp\n", "e\n")
    assert (cell.error_name, "exit status 4" in cell.error) == ("ContainerFailed", True)
    assert run("exec --no-raise-error web false").text == "<exit status 1>"
    assert "\x1b[" in run("exec -t web ls --color=auto -d /usr").stdout


def test_exec_of_a_missing_program_is_an_error(run, web):
    cell = run("exec web nosuchprogram")
    assert cell.status == "error"
    assert len(cell.traceback) == 1


def test_the_stop_button_stops_an_exec(notebook, web, engine):
    running = notebook.start("%container exec web sh -c 'echo ready; sleep 61'")
    running.until("ready")
    notebook.interrupt()
    cell = running.wait(20)
    assert cell.error_name == "ContainerInterrupted"
    processes = json.dumps(engine.client().api.top("web"))
    assert "sleep 61" not in processes
    assert status(engine) == "running"


def becomes(engine, wanted):
    """Whether a container gets into a state: Docker's own engine may tell of it a little later."""
    deadline = time.monotonic() + 10
    while status(engine) != wanted and time.monotonic() < deadline:
        time.sleep(0.05)
    return status(engine) == wanted


@pytest.mark.usefixtures("limits")
def test_a_container_freezes_and_goes_on(run, web, engine):
    assert run("pause web").stdout == "web\n"
    assert becomes(engine, "paused")
    assert run("unpause web").stdout == "web\n"
    assert becomes(engine, "running")


def test_the_life_of_a_container(run, web, engine):
    assert run("stop -t 5 web").stdout == "web\n"
    assert engine.client().api.inspect_container("web")["State"]["ExitCode"] == 0
    assert run("start web").stdout == "web\n"
    assert run("restart -t 0 web").stdout == "web\n"
    assert status(engine) == "running"
    assert run("rename web shop").status == "ok"
    assert run("kill -s KILL shop").stdout == "shop\n"
    assert run("wait shop").text == "137"
    assert run("rm shop").stdout == "shop\n"
    assert engine.client().api.containers(all=True) == []


def test_what_is_not_there_is_named(run, engine):
    for command in ("logs", "exec", "stop", "rm", "inspect", "top", "stats", "attach", "diff"):
        line = f"{command} nosuch" + " true" * (command == "exec")
        cell = run(line)
        assert cell.error_name == "EngineError", line
        assert "nosuch" in cell.error, line
        assert len(cell.traceback) == 1, line


def test_one_failure_does_not_stop_the_others(run, web, engine):
    cell = run("rm -f nosuch web")
    assert cell.stdout == "web\n"
    assert "nosuch" in cell.error


def test_a_running_container_is_not_removed_by_mistake(run, web, engine):
    cell = run("rm web")
    assert cell.status == "error"
    assert "-f" in cell.error
    assert status(engine) == "running"


def test_stats_once(run, web):
    lines = run("stats --no-stream").text.splitlines()
    assert lines[0].split()[0] == "NAME"
    assert lines[1].split()[0] == "web"
    assert "iB" in lines[1]


def test_live_stats_end_with_the_stop_button(notebook, web):
    shown: list[str] = []

    def watch(message):
        if message["msg_type"] in ("display_data", "update_display_data"):
            shown.append(message["content"]["data"]["text/plain"])

    running = notebook.start("%container stats web", watch)
    deadline = time.monotonic() + 30
    while not any("iB" in text for text in shown):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    notebook.interrupt()
    assert running.wait(20).status == "ok"


def test_inspect_top_diff_port(run, web, notebook):
    assert json.loads(run("inspect web").text)["Name"] == "/web"
    assert run("inspect web").results[0]["application/json"]["Name"] == "/web"
    assert notebook.run("x = %container inspect web\nx['State']['Running']").text == "True"
    assert "sleep" in run("top web").text
    run("exec web touch /tmp/new")
    assert "/tmp/new" in run("diff web").text
    assert run("port web").text.split() == ["CONTAINER", "HOST"]


@pytest.mark.usefixtures("limits")
def test_update_changes_limits(run, web, engine):
    assert run("update --memory 100m --memory-swap 200m --cpus 0.5 --pids-limit 50 web").error == ""
    limits = engine.client().api.inspect_container("web")["HostConfig"]
    assert (limits["Memory"], limits["PidsLimit"]) == (100 << 20, 50)
    assert limits["NanoCpus"] == 500_000_000


def test_update_needs_something_to_change(run, web):
    assert "needs a limit" in run("update web").error


def test_files_go_in_and_come_out(run, web, tmp_path: Path):
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    (source / "deep" / "file").write_text("text")
    assert run(f"cp {source} web:/tmp").error == ""
    assert run("exec web cat /tmp/source/deep/file").stdout == "text"
    assert run(f"cp {source}/deep/file web:/tmp/renamed").error == ""
    assert run("exec web cat /tmp/renamed").stdout == "text"
    assert run(f"cp web:/tmp/source/. {tmp_path}").error == ""
    assert (tmp_path / "deep" / "file").read_text() == "text"
    assert run(f"cp web:/tmp/source {tmp_path / 'made'}").error == ""
    assert (tmp_path / "made" / "deep" / "file").read_text() == "text"
    assert run(f"cp web:/tmp/renamed {tmp_path / 'single'}").error == ""
    assert (tmp_path / "single").read_text() == "text"
    assert run(f"cp web:/tmp/renamed {tmp_path}").error == ""
    assert (tmp_path / "renamed").read_text() == "text"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("cp a b", "NAME:/PATH"),
        ("cp web:/a web:/b", "NAME:/PATH"),
        ("cp /nosuch web:/tmp", "no file /nosuch"),
        ("cp web:/nosuch /tmp", "nosuch"),
        ("cp web:/etc/passwd /nosuch/folder/x", "no folder"),
        ("cp web:/ /tmp", "not all of a container"),
        ("cp web:/etc/.. /tmp", "not all of a container"),
    ],
)
def test_copies_that_cannot_be(run, web, line, says):
    cell = run(line)
    assert says in cell.error
    assert len(cell.traceback) == 1


def test_links_come_out_as_they_are(run, web, tmp_path: Path):
    run(
        "exec web sh -c 'mkdir /tmp/links; cd /tmp/links; ln -s /etc/passwd a; ln -s b c; echo > b'"
    )
    assert run(f"cp web:/tmp/links {tmp_path}").error == ""
    assert (tmp_path / "links" / "a").readlink() == Path("/etc/passwd")
    assert (tmp_path / "links" / "c").readlink() == Path("b")


def test_run_needs_no_cell(run, engine):
    assert run(f"run {engine.options} cellcrate/base echo hello").stdout == "hello\n"
    assert "needs an image" in run("run").error


def test_attach_shows_what_comes_and_leaves_the_container_running(notebook, engine):
    script = "i=0; while :; do i=$((i+1)); echo tick $i; sleep 0.1; done"
    notebook.run(f"%%container {engine.options} -d --name clock\n{script}")
    running = notebook.start("%container attach clock")
    running.until("tick")
    notebook.interrupt()
    assert running.wait(20).status == "ok"
    assert status(engine, "clock") == "running"
    engine.client().api.kill("clock")
    engine.client().api.wait("clock")
    assert "does not run" in notebook.run("%container attach clock").error


def test_events_of_the_past_and_of_now(run, web, notebook, engine):
    past = run("events --since 1h --until 0s -f container=web").stdout.splitlines()
    assert [line.split()[1:] for line in past][-1] == ["container", "start", "web"]
    running = notebook.start("%container events --since 1h -f event=die -f event=start")
    running.until("start web")
    engine.client().api.kill("web")
    running.until("die web (137)")
    notebook.interrupt()
    assert running.wait(20).status == "ok"


def test_prune_removes_what_has_ended(run, web, engine):
    run(f"run {engine.options} --rm=false --name done cellcrate/base true")
    engine.client().containers.create("cellcrate/base", "true", name="never")
    cell = run("prune -f")
    assert "Space won back" in cell.stdout
    names = [each["Names"][0] for each in engine.client().api.containers(all=True)]
    assert names == ["/web"]


def test_help(run):
    assert "logs" in run("").stdout
    assert "--follow" in run("help logs").stdout
    assert run("logs --help").stdout == run("help logs").stdout
    assert "Did you mean stats?" in run("stat").error
    assert "Did you mean --follow?" in run("logs --folow web").error
    assert "needs the name" in run("stop").error
