"""Carrying a program's streams between it, its log and its clients; with real programs."""

from __future__ import annotations

import json
import os
import pty
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cellcrate_runtime.engine.protocol import Attachment, LogFile
from cellcrate_runtime.engine.shim.client import HIGH_WATER
from cellcrate_runtime.engine.shim.json_log import JsonLog
from cellcrate_runtime.engine.shim.loop import READABLE, Loop
from cellcrate_runtime.engine.shim.relay import Relay
from cellcrate_runtime.engine.shim.streams import NoTerminalError, ProgramStreams, close_stdio

LONG = 20  # seconds; no test should come near


class Session:
    """A program under a relay, which runs in a thread as it would in a shim of its own."""

    def __init__(
        self, log: Path, script: str, *, tty: bool = False, stdin: bool = True, once: bool = True
    ) -> None:
        self.detached = 0
        self._loop = Loop()
        self.program: subprocess.Popen[bytes]
        if tty:
            console, peer = pty.openpty()
            self._spawn(script, (peer, peer, peer), start_new_session=True)
            os.close(peer)
            self.streams = ProgramStreams.terminal(console, stdin=stdin)
        else:
            self.streams, stdio = ProgramStreams.pipes(stdin=stdin, stdout=True, stderr=True)
            self._spawn(script, (stdio.stdin, stdio.stdout, stdio.stderr))
            close_stdio(stdio)
        self.log = log
        self.relay = Relay(
            self._loop,
            self.streams,
            log=JsonLog(LogFile(path=str(log))),
            input_once=once,
            on_detach=self._detached,
        )
        self._pidfd = os.pidfd_open(self.program.pid)
        self._loop.watch(self._pidfd, READABLE, self._ended)
        self._thread = threading.Thread(target=self._loop.run)
        self._before: list[Callable[[], None]] = []

    def _spawn(self, script: str, stdio: tuple[int, int, int], **options: bool) -> None:
        stdin, stdout, stderr = stdio
        self.program = subprocess.Popen(
            ["/bin/bash", "-c", script], stdin=stdin, stdout=stdout, stderr=stderr, **options
        )

    def attach(self, attachment: Attachment | None = None) -> socket.socket:
        here, there = socket.socketpair()
        here.settimeout(LONG)
        self.relay.attach(there.detach(), attachment or Attachment(stdin=True))
        return here

    def run(self) -> None:
        self._thread.start()

    def wait(self) -> None:
        self._thread.join(LONG)
        assert not self._thread.is_alive(), "the relay did not end"

    def logged(self, stream: str = "stdout") -> str:
        lines = [json.loads(line) for line in self.log.read_bytes().splitlines()]
        return "".join(line["log"] for line in lines if line["stream"] == stream)

    def _detached(self) -> None:
        self.detached += 1

    def _ended(self, _events: int) -> None:
        self._loop.forget(self._pidfd)
        os.close(self._pidfd)
        self.program.wait()
        self.relay.finish()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Session]]:
    sessions = []

    def start_(script: str, **options: bool) -> Session:
        session = Session(tmp_path / f"{len(sessions)}.log", script, **options)
        sessions.append(session)
        return session

    yield start_
    for session in sessions:
        session.program.kill()
        session.wait()


def read_all(client: socket.socket) -> bytes:
    content = b""
    while more := client.recv(65536):
        content += more
    client.close()
    return content


def frames(content: bytes) -> list[tuple[int, bytes]]:
    found = []
    while content:
        stream, length = struct.unpack(">B3xL", content[:8])
        found.append((stream, content[8 : 8 + length]))
        content = content[8 + length :]
    return found


def streams(content: bytes) -> tuple[bytes, bytes]:
    parts = frames(content)
    out, err = (b"".join(data for stream, data in parts if stream == n) for n in (1, 2))
    return out, err


def test_output_reaches_log_and_client_framed_by_stream(start: Callable[..., Session]) -> None:
    session = start("echo out; echo err >&2; printf unfinished")
    client = session.attach()
    session.run()
    assert streams(read_all(client)) == (b"out\nunfinished", b"err\n")
    session.wait()
    assert session.logged() == "out\nunfinished"
    assert session.logged("stderr") == "err\n"


def test_a_client_gets_only_the_streams_that_it_asked_for(start: Callable[..., Session]) -> None:
    session = start("echo out; echo err >&2")
    client = session.attach(Attachment(stdout=False))
    session.run()
    assert frames(read_all(client)) == [(2, b"err\n")]


def test_input_and_its_end_reach_the_program(start: Callable[..., Session]) -> None:
    session = start("cat; echo end")
    client = session.attach(Attachment(stdin=True, initial_input=b"first "))
    session.run()
    client.sendall(b"second\n")
    client.shutdown(socket.SHUT_WR)
    assert streams(read_all(client))[0] == b"first second\nend\n"


def test_megabytes_pass_both_ways_unchanged(start: Callable[..., Session]) -> None:
    session = start("exec cat")
    client = session.attach()
    session.run()
    sent = os.urandom(5_000_000)

    def feed() -> None:
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)

    feeder = threading.Thread(target=feed)
    feeder.start()
    assert streams(read_all(client))[0] == sent
    feeder.join()


def test_a_slow_client_makes_the_program_wait_and_loses_nothing(
    start: Callable[..., Session],
) -> None:
    size = 8 * HIGH_WATER
    session = start(f"head -c {size} /dev/zero; echo done >&2")
    slow = session.attach()
    session.run()
    slow.recv(1)
    with pytest.raises(subprocess.TimeoutExpired):
        session.program.wait(0.5)
    rest = b"\1" + read_all(slow)
    assert streams(rest) == (bytes(size), b"done\n")


def test_a_client_that_vanishes_does_not_stop_the_program(start: Callable[..., Session]) -> None:
    session = start(f"head -c {4 * HIGH_WATER} /dev/zero; echo done >&2", stdin=False)
    client = session.attach()
    session.run()
    client.recv(1)
    client.close()
    session.wait()
    assert session.logged("stderr") == "done\n"


def test_what_a_client_sent_before_it_vanished_arrives(start: Callable[..., Session]) -> None:
    session = start("read a; sleep 0.2; cat")
    client = session.attach()
    client.sendall(b"go\n" + b"x" * 200_000)
    client.close()
    session.run()
    session.wait()
    assert session.logged() == "x" * 200_000


def test_input_stays_open_for_the_next_client_unless_asked_for_once(
    start: Callable[..., Session],
) -> None:
    session = start("read a; echo $a; read b; echo $b", once=False)
    first, second = session.attach(), session.attach()
    session.run()
    first.sendall(b"one\n")
    first.shutdown(socket.SHUT_WR)
    read_all(first)  # as with Docker, whoever closes his input has left
    second.sendall(b"two\n")
    assert streams(read_all(second))[0] == b"one\ntwo\n"


def test_a_program_that_closes_its_input_does_not_disturb(start: Callable[..., Session]) -> None:
    session = start("exec <&-; sleep 0.2; echo alive; sleep 0.2")
    client = session.attach()
    session.run()
    for _ in range(3):
        client.sendall(b"x" * 1000)
    assert streams(read_all(client))[0] == b"alive\n"


def test_a_client_may_come_in_the_middle(start: Callable[..., Session]) -> None:
    session = start("read a; echo heard $a")
    early = session.attach()
    session.run()
    late = session.attach(Attachment(stdin=False))
    early.sendall(b"you\n")
    assert streams(read_all(late))[0] == b"heard you\n"
    read_all(early)


def test_a_child_that_stays_behind_does_not_keep_the_session(
    start: Callable[..., Session],
) -> None:
    session = start(f"sleep {LONG * 5} & echo started $!")
    client = session.attach()
    session.run()
    out, _ = streams(read_all(client))
    os.kill(int(out.split()[1]), 9)
    session.wait()


def test_a_terminal_is_raw_and_echoes(start: Callable[..., Session]) -> None:
    session = start("read a; echo got $a; tty >/dev/null && echo terminal", tty=True)
    client = session.attach()
    session.run()
    client.sendall(b"hello\r")
    assert read_all(client) == b"hello\r\ngot hello\r\nterminal\r\n"
    session.wait()
    assert session.logged() == "hello\r\ngot hello\r\nterminal\r\n"


def test_the_last_words_on_a_terminal_are_not_lost(start: Callable[..., Session]) -> None:
    for _ in range(20):
        session = start("printf 'x%.0s' {1..3000}; exit", tty=True)
        client = session.attach()
        session.run()
        assert len(read_all(client)) == 3000


def test_a_program_may_close_its_terminal_and_open_it_again(
    start: Callable[..., Session],
) -> None:
    session = start("t=$(tty); exec <&- >&- 2>&-; sleep 0.2; exec >$t; echo back", tty=True)
    client = session.attach()
    session.run()
    assert read_all(client) == b"back\r\n"


def test_a_terminal_changes_its_size(start: Callable[..., Session]) -> None:
    session = start("read a; stty size", tty=True)
    client = session.attach()
    session.streams.resize(width=123, height=45)
    session.run()
    client.sendall(b"\r")
    assert read_all(client) == b"\r\n45 123\r\n"
    with pytest.raises(NoTerminalError):
        session.streams.resize(1, 1)


def test_detaching_leaves_the_program_and_other_clients_alone(
    start: Callable[..., Session],
) -> None:
    session = start("stty -echo; echo ready; read a; echo got $a", tty=True)
    leaving, staying = session.attach(), session.attach()
    session.run()
    ready = b""
    while not ready.endswith(b"ready\r\n"):
        ready += leaving.recv(100)
    leaving.sendall(b"ab\x10")
    leaving.sendall(b"\x11not for the program\r")
    read_all(leaving)
    assert session.detached == 1
    staying.sendall(b"c\r")
    assert read_all(staying).endswith(b"got abc\r\n")


def test_without_a_terminal_detach_keys_are_input(start: Callable[..., Session]) -> None:
    session = start("cat")
    client = session.attach()
    session.run()
    client.sendall(b"\x10\x11")
    client.shutdown(socket.SHUT_WR)
    assert streams(read_all(client))[0] == b"\x10\x11"
    assert session.detached == 0


def test_a_client_that_is_no_socket_is_refused(start: Callable[..., Session]) -> None:
    session = start("true")
    with open(os.devnull, "rb") as file, pytest.raises(OSError, match="socket"):
        session.relay.attach(os.dup(file.fileno()), Attachment())
    session.run()
