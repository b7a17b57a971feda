"""The docker command on a terminal: run -it, attach, exec -it."""

from __future__ import annotations

import signal
from typing import Any

DETACH = "\x10\x11"  # ctrl-p ctrl-q
CTRL_C = "\x03"
CTRL_D = "\x04"

# The client tells the size of its window only after the program has started.
UNTIL_SIZE = 'until [ "$(stty size)" = "{}" ]; do sleep 0.05; done; echo "it is $(stty size) now"'
# Says the size of its window now, and again whenever it has changed.
WATCH_SIZE = "trap 'stty size' WINCH; stty size; while :; do sleep 0.05; done"


def test_a_shell_on_a_terminal(docker: Any) -> None:
    terminal = docker.terminal(
        *("run", "-it", "--rm", "-e", "PS1=ready> ", docker.image, "sh"), rows=31, cols=117
    )
    terminal.expect("ready> ")
    terminal.send("tty\n")
    terminal.expect("/dev/pts/0")
    terminal.send(f"{UNTIL_SIZE.format('31 117')}\n")
    terminal.expect("it is 31 117 now")
    terminal.send("exit 5\n")
    assert terminal.finish()[0] == 5


def test_colours_pass_unchanged(docker: Any) -> None:
    red = "printf '\\033[31mred\\033[0m\\n'"
    terminal = docker.terminal("run", "-it", "--rm", docker.image, "sh", "-c", red)
    terminal.expect("\x1b[31mred\x1b[0m")
    assert terminal.finish()[0] == 0


def test_control_c_reaches_the_program_and_control_d_ends_its_input(docker: Any) -> None:
    script = (
        "trap 'echo caught; caught=1' INT; echo ready;"
        " until [ $caught ]; do sleep 0.05; done; cat; echo over"
    )
    terminal = docker.terminal("run", "-it", "--rm", docker.image, "sh", "-c", script)
    terminal.expect("ready")
    terminal.send(CTRL_C)
    terminal.expect("caught")
    terminal.send("hello\n" + CTRL_D)
    terminal.expect("over")
    assert terminal.finish()[0] == 0


def test_a_program_follows_the_size_of_the_window(docker: Any) -> None:
    terminal = docker.terminal("run", "-it", "--rm", docker.image, "sh", "-c", WATCH_SIZE)
    terminal.expect("24 80")
    # The client misses a change that comes before it listens for changes, so there are several.
    columns = iter(range(100, 1000))
    docker.eventually(lambda: terminal.resize(40, next(columns)) or terminal.shows("40 1"))
    terminal.send(CTRL_C)
    terminal.finish()


def test_detach_and_attach_again(docker: Any) -> None:
    terminal = docker.terminal("run", "-it", "--name", "shell", docker.image, "sh")
    terminal.send("X=kept; echo $X-1\n")
    terminal.expect("kept-1")
    terminal.send(DETACH)
    terminal.finish()
    assert docker("inspect", "--format", "{{.State.Running}}", "shell") == "true"
    again = docker.terminal("attach", "shell")
    again.send("echo $X-2\n")
    again.expect("kept-2")
    again.send("exit 4\n")
    assert again.finish()[0] == 4
    assert docker("wait", "shell") == "4"


def test_other_detach_keys(docker: Any) -> None:
    terminal = docker.terminal(
        *("run", "-it", "--name", "keys", "--detach-keys", "ctrl-x,q", docker.image, "cat")
    )
    terminal.send("a\n")
    terminal.expect("a\r\na\r\n")
    terminal.send("\x18q")
    terminal.finish()
    assert docker("inspect", "--format", "{{.State.Running}}", "keys") == "true"
    assert docker.terminal("attach", "--detach-keys", "ctrl-bananas", "keys").finish()[0] != 0


def test_two_attached_terminals_see_the_same(docker: Any) -> None:
    first = docker.terminal("run", "-it", "--name", "shared", docker.image, "sh")
    first.send("echo $((20+1))\n")
    first.expect("21")
    second = docker.terminal("attach", "shared")
    second.send("echo $((20+2))\n")
    second.expect("22")
    first.expect("22")
    second.send("exit\n")
    assert first.finish()[0] == 0
    assert second.finish()[0] == 0


def test_attach_without_a_terminal_passes_signals_on(docker: Any) -> None:
    script = "trap 'echo bye; exit 9' TERM; while :; do echo tick; sleep 0.05; done"
    docker("run", "-d", "--name", "loop", docker.image, "sh", "-c", script)
    attached = docker.start("attach", "loop")
    assert attached.stdout.readline() == "tick\n"
    attached.send_signal(signal.SIGTERM)
    assert attached.stdout.read().splitlines()[-1] == "bye"
    assert attached.wait() == 9


def test_attach_to_what_does_not_run(docker: Any) -> None:
    docker("run", "--name", "over", docker.image, "true")
    done = docker.run("attach", "over")
    assert done.returncode == 1
    assert "stopped container" in done.stderr


def test_exec_on_a_terminal(docker: Any, box: Any) -> None:
    terminal = docker.terminal(
        *("exec", "-it", "-e", "PS1=inside> ", box(), "sh"), rows=33, cols=99
    )
    terminal.expect("inside> ")
    terminal.send(f"{UNTIL_SIZE.format('33 99')}; echo $TERM\n")
    terminal.expect("it is 33 99 now")
    terminal.expect("xterm")
    terminal.resize(20, 50)
    terminal.send(f"{UNTIL_SIZE.format('20 50')}\n")
    terminal.expect("it is 20 50 now")
    # Not `sleep` alone: a shell that is interrupted while it starts a program may miss it.
    terminal.send("sh -c 'echo begin; exec sleep 1000'\n")
    terminal.expect("begin\r\n")
    terminal.send(CTRL_C)
    terminal.send("exit 6\n")
    assert terminal.finish()[0] == 6


def test_detaching_from_an_exec_leaves_it_running(docker: Any, box: Any) -> None:
    name = box()
    terminal = docker.terminal("exec", "-it", name, "sh", "-c", "echo up; sleep 999")
    terminal.expect("up")
    terminal.send(DETACH)
    terminal.finish()
    assert "sleep 999" in docker("top", name)
