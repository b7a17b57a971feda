"""Cells run in containers: the same tests against Cellcrate's engine, Docker's and podman's."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from engines import DOCKER, EMBEDDED, PODMAN, TestEngine
from notebook import Notebook

pytestmark = pytest.mark.parametrize("engine", [EMBEDDED, DOCKER, PODMAN], indirect=True)


@pytest.fixture
def cell(notebook: Notebook, engine: TestEngine):
    def run(options: str, text: str, **kwargs):
        return notebook.run(f"%%container {engine.options} {options}\n{text}", **kwargs)

    return run


def names(engine: TestEngine) -> list[str]:
    return [each["Names"][0] for each in engine.client().api.containers(all=True)]


def test_a_cell_is_a_script_of_sh(cell, engine: TestEngine):
    result = cell("", "echo $0 $$; echo oops >&2")
    assert (result.status, result.stdout, result.stderr) == ("ok", "sh 1\n", "oops\n")
    assert names(engine) == []


def test_the_order_of_output_and_errors_is_kept_within_each(cell):
    result = cell("", "for i in 1 2 3; do echo o$i; echo e$i >&2; done")
    assert result.stdout == "o1\no2\no3\n"
    assert result.stderr == "e1\ne2\ne3\n"


def test_python_runs_the_cell(cell):
    assert cell("--python", "import os\nprint(os.getpid(), 6 * 7)").stdout == "1 42\n"


def test_an_interpreter_with_options_runs_the_cell(cell):
    assert "line 2" in cell("--interpreter 'bash -eu'", "true\necho $undefined").stderr


def test_a_shebang_line_is_obeyed(cell):
    assert cell("", "#!/usr/bin/env python3\nprint('py')").stdout == "py\n"


def test_a_shebang_of_an_unknown_interpreter_gets_a_file(cell):
    result = cell("", '#!/usr/bin/awk -f\nBEGIN { print "awk", 6 * 7 }')
    assert (result.stdout, result.error) == ("awk 42\n", "")


def test_a_script_may_be_longer_than_one_argument(cell):
    text = "\n".join(f": line {number:060d}" for number in range(3000)) + "\necho end"
    assert len(text) > 128 * 1024
    result = cell("", text)
    assert (result.stdout, result.error) == ("end\n", "")


def test_with_a_command_the_cell_is_its_input(cell):
    assert cell("cellcrate/base sort -r", "apples\npears").stdout == "pears\napples\n"


def test_input_of_a_megabyte_arrives_whole(cell):
    text = "0123456789abcde\n" * 65536
    assert cell("cellcrate/base wc -c", text).stdout.strip() == str(len(text))


def test_a_command_that_does_not_read_its_input_ends(cell):
    assert cell("cellcrate/base true", "x" * 200_000).status == "ok"


def test_the_image_may_be_an_option(cell):
    assert cell("--image cellcrate/base cat", "text").stdout.startswith("text")


def test_output_arrives_while_the_container_runs(notebook: Notebook, engine: TestEngine):
    running = notebook.start(f"%%container {engine.options}\necho first; read x < /dev/zero")
    running.until("first\n")
    assert running.running
    notebook.interrupt()
    running.wait()


def test_utf8_is_whole_whatever_the_pieces(cell):
    text = "print('한국어 🐧 ' * 40000, end='')"
    assert cell("--python", text).stdout == "한국어 🐧 " * 40000


def test_a_character_cut_in_time_is_whole(cell):
    script = (
        "import os, time\nfor byte in '한🐧'.encode(): os.write(1, bytes([byte])); time.sleep(0.02)"
    )
    assert cell("--python", script).stdout == "한🐧"


def test_bytes_that_are_no_text_are_replaced(cell):
    assert cell("", r"printf 'a\377b'").stdout == "a\ufffdb"


def test_ten_megabytes_of_output_arrive(cell):
    result = cell("--python", "import sys\nfor i in range(100_000): print('x' * 99)")
    assert len(result.stdout) == 100_000 * 100


def test_colours_and_carriage_returns_are_kept(cell):
    assert cell("", r"printf '\033[31mred\033[0m 1\r2\n'").stdout == "\x1b[31mred\x1b[0m 1\r2\n"


def test_a_terminal_makes_programs_colour(cell):
    result = cell("-t", "test -t 1 && ls --color=auto -d /usr; echo $TERM $COLUMNS")
    assert "\x1b[" in result.stdout
    assert "xterm-256color 100\n" in result.stdout
    assert "\r" not in result.stdout


def test_a_program_that_is_asked_for_colour_gives_it(cell):
    assert "\x1b[" in cell("", "ls --color=always -d /usr").stdout


def test_without_a_terminal_there_is_none(cell):
    assert cell("", "test -t 1 || echo none").stdout == "none\n"


def test_a_failure_is_an_error_that_names_the_status(cell, engine: TestEngine):
    result = cell("", "exit 3")
    assert (result.status, result.error_name) == ("error", "ContainerFailed")
    assert "exit status 3" in result.error
    assert len(result.traceback) == 1, "a learner sees no frames of Cellcrate's code"
    assert names(engine) == []


def test_no_raise_error_returns_the_outcome(cell):
    result = cell("--no-raise-error", "exit 3")
    assert (result.status, result.text) == ("ok", "<exit status 3>")


def test_a_signal_is_named(cell):
    result = cell("", "sh -c 'kill -9 $$'")
    assert "exit status 137" in result.error
    assert "SIGKILL" in result.error


def test_a_missing_command_in_the_script_is_explained(cell):
    result = cell("", "nosuchcommand")
    assert "exit status 127" in result.error
    assert "not found" in result.error


def test_a_missing_program_is_explained(cell, engine: TestEngine):
    result = cell("cellcrate/base nosuchprogram", "x")
    assert "exit status 127" in result.error
    assert "nosuchprogram" in result.stderr
    assert names(engine) == []


def test_a_program_that_is_none_is_explained(cell, engine: TestEngine):
    result = cell("cellcrate/base /etc", "x")
    assert "exit status 126" in result.error
    assert names(engine) == []


@pytest.fixture
def tells_oom_kills(engine: TestEngine) -> None:
    if engine.kind == "podman" and not Path("/sys/fs/cgroup/cgroup.controllers").exists():
        pytest.skip("podman reports no OOM kills on cgroup v1")


@pytest.mark.usefixtures("limits", "tells_oom_kills")
def test_an_oom_kill_says_that_it_was_one(cell):
    result = cell("--memory 48m --memory-swap 48m --python", "x = bytearray(200 * 1024 * 1024)")
    assert result.error_name == "OutOfMemory"
    assert "48 MiB" in result.error
    assert "137" in result.error


@pytest.mark.usefixtures("limits", "tells_oom_kills")
def test_an_oom_kill_of_a_child_is_not_lost(cell):
    script = "python3 -c 'x = bytearray(200 * 1024 * 1024)'; exit 0"
    result = cell("--memory 48m --memory-swap 48m", script)
    assert result.status == "ok"
    assert "48 MiB" in result.stderr


def test_a_limit_is_set_or_refused_and_never_ignored(cell, engine: TestEngine):
    result = cell("--memory 64m", "true")
    if engine.client().info()["MemoryLimit"]:
        assert result.status == "ok"
    else:
        assert result.error_name == "EngineError"
        assert "limit" in result.error
    assert names(engine) == []


def test_environment_folder_user_and_name_of_the_host(cell, monkeypatch):
    options = "-e A='1 2' -e B=3 -w /tmp -u 1000:1000 -h box --env HOME"
    result = cell(
        options, "echo $A $B $PWD $(id -u):$(id -g) $(cat /proc/sys/kernel/hostname) $HOME"
    )
    assert result.stdout == f"1 2 3 /tmp 1000:1000 box {os.environ['HOME']}\n"


def test_python_variables_expand_in_the_first_line_alone(notebook: Notebook, engine: TestEngine):
    notebook.run("word = 'two words'")
    code = f"%%container {engine.options} -e 'A={{word}}'\necho $A {{word}}"
    assert notebook.run(code).stdout == "two words {word}\n"


def test_a_folder_of_the_host_is_shown(cell, tmp_path):
    (tmp_path / "in").write_text("from the host\n")
    tmp_path.chmod(0o777)
    assert cell(f"-v {tmp_path}:/data", "cat /data/in; echo out > /data/out").error == ""
    assert (tmp_path / "out").read_text() == "out\n"
    assert "Read-only" in cell(f"-v {tmp_path}:/data:ro", "echo x > /data/x").stderr


def test_a_container_may_be_kept(cell, notebook: Notebook, engine: TestEngine):
    assert cell("--no-rm --name kept", "echo text; exit 2").status == "error"
    assert names(engine) == ["/kept"]
    assert notebook.run("%container logs kept").stdout == "text\n"
    assert notebook.run("%container rm kept").stdout == "kept\n"
    assert names(engine) == []


def test_a_name_in_use_is_explained_and_replaceable(cell, engine: TestEngine):
    cell("--no-rm --name twice", "true")
    result = cell("--name twice", "echo no")
    assert result.error_name == "EngineError"
    assert "--replace" in result.error
    assert cell("--name twice --replace", "echo yes").stdout == "yes\n"
    assert names(engine) == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("--memroy 3m", "Did you mean --memory"),
        ("-m '12 bananas'", "not a size"),
        ("-m -1", "not a size"),
        ("--cpus 0", "processors"),
        ("--gpus all", "graphics"),
        ("--restart always", "--detach"),
        ("--pull sometimes", "missing, always, never"),
        ("-e", "needs a value"),
        ("-e 'A=1", "quotation"),
        ("--pull never nosuch/image", "no image nosuch/image"),
    ],
)
def test_bad_input_is_refused_before_anything_is_made(cell, engine: TestEngine, options, says):
    result = cell(options, "true")
    assert result.status == "error"
    assert says in result.error
    assert len(result.traceback) == 1
    assert names(engine) == []


def test_more_memory_swap_than_memory_makes_sense_is_refused_by_the_engine(
    cell, engine: TestEngine
):
    result = cell("--memory 64m --memory-swap 32m", "true")
    assert result.error_name == "EngineError"
    assert names(engine) == []


def test_a_cell_of_white_space_runs_the_images_own_command(cell):
    # The base image's own command is a shell, which finds the end of its input at once.
    assert cell("cellcrate/base", " \n").status == "ok"


def test_a_container_that_closed_its_output_is_waited_for(cell):
    before = time.monotonic()
    result = cell("", "exec > /dev/null 2>&1; sleep 0.5; exit 5")
    assert "exit status 5" in result.error
    assert time.monotonic() - before >= 0.5


def test_interactive_without_a_command_finds_the_end_of_input(cell):
    assert cell("-i", "cat; echo end").stdout == "end\n"
