"""Frames, text and sockets."""

from __future__ import annotations

import io
import os
import random
import signal
import socket
import struct
import threading
import time

import pytest

from cellcrate.cells.interrupts import Interrupts
from cellcrate.cells.streams import STDERR, STDOUT, Connection, Demultiplexer, Printer, beyond


def frame(stream: int, data: bytes) -> bytes:
    return struct.pack(">BxxxL", stream, len(data)) + data


def joined(frames: list[tuple[int, bytes]], stream: int) -> bytes:
    return b"".join(data for number, data in frames if number == stream)


@pytest.mark.parametrize("seed", range(20))
def test_frames_may_be_cut_anywhere(seed: int):
    source = random.Random(seed)
    sent = [
        (source.choice((STDOUT, STDERR)), source.randbytes(source.randrange(200)))
        for _ in range(50)
    ]
    wire = b"".join(frame(*each) for each in sent)
    demultiplexer, received = Demultiplexer(tty=False), []
    while wire:
        size = source.randrange(1, 40)
        received += demultiplexer.feed(wire[:size])
        wire = wire[size:]
    for stream in (STDOUT, STDERR):
        assert joined(received, stream) == joined(sent, stream)


def test_the_part_of_a_frame_that_came_is_shown_at_once():
    demultiplexer = Demultiplexer(tty=False)
    assert demultiplexer.feed(frame(STDOUT, b"hello")[:-2]) == [(STDOUT, b"hel")]
    assert demultiplexer.feed(b"lo") == [(STDOUT, b"lo")]


def test_a_terminal_has_no_frames():
    assert Demultiplexer(tty=True).feed(b"\1\0\0\0") == [(STDOUT, b"\1\0\0\0")]


def printer(*, tty: bool = False) -> tuple[Printer, io.StringIO, io.StringIO]:
    out, err = io.StringIO(), io.StringIO()
    return Printer(tty=tty, stdout=out, stderr=err), out, err


def test_a_character_may_be_cut_within_each_stream():
    shown, out, err = printer()
    for byte in "한".encode():
        shown.show([(STDOUT, bytes([byte])), (STDERR, b"e")])
    shown.finish()
    assert (out.getvalue(), err.getvalue()) == ("한", "eee")


def test_half_a_character_at_the_end_is_replaced():
    shown, out, _ = printer()
    shown.show([(STDOUT, "한".encode()[:2])])
    assert out.getvalue() == ""
    shown.finish()
    assert out.getvalue() == "\ufffd"


def test_a_terminals_line_ends_become_a_notebooks():
    shown, out, _ = printer(tty=True)
    for piece in (b"a\r\nb\r", b"\nc\r", b"d\r\n"):
        shown.show([(STDOUT, piece)])
    shown.finish()
    assert out.getvalue() == "a\nb\nc\rd\n"


def test_what_was_seen_is_left_out():
    frames = [(STDOUT, b"abc"), (STDERR, b"x"), (STDOUT, b"def")]
    assert list(beyond(frames, {STDOUT: 4, STDERR: 0})) == [(STDERR, b"x"), (STDOUT, b"ef")]
    assert list(beyond(frames, {})) == frames


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    yield Connection(ours), theirs
    ours.close()
    theirs.close()


def test_reading_ends_in_time(pair):
    connection, _ = pair
    assert connection.read(0) is None
    assert connection.read(0.01) is None


def test_reading_to_the_end(pair):
    connection, theirs = pair
    theirs.sendall(b"last")
    theirs.close()
    assert connection.read() == b"last"
    assert not connection.ended
    assert connection.read() == b""
    assert connection.ended
    assert connection.read() == b""


def test_a_descriptor_wakes_the_reader(pair):
    connection, _ = pair
    with Interrupts() as interrupts:
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
        assert connection.read(10, interrupts.descriptor) is None
        assert interrupts.take() == 1
        assert interrupts.take() == 0
        assert connection.read(0, interrupts.descriptor) is None


def test_input_is_sent_whole_and_closed_while_output_is_read(pair):
    connection, theirs = pair
    thread = connection.send_all(b"x" * 3_000_000)
    received = b""
    while chunk := theirs.recv(1 << 16):
        received += chunk
    thread.join()
    assert len(received) == 3_000_000
    theirs.sendall(b"answer")
    assert connection.read() == b"answer"


def test_a_press_raises_where_that_is_harmless_and_nowhere_else():
    before = signal.getsignal(signal.SIGINT)
    with Interrupts() as interrupts:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0)
        assert interrupts.pending
        with pytest.raises(KeyboardInterrupt), interrupts.raising():
            pytest.fail("a press before counts too")
        assert interrupts.take() == 1
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt), interrupts.raising():
            time.sleep(10)
    assert signal.getsignal(signal.SIGINT) is before


def test_in_another_thread_nothing_is_counted():
    failures: list[BaseException] = []

    def use() -> None:
        try:
            with Interrupts() as interrupts:
                assert interrupts.take() == 0
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert failures == []
