"""The bank keeps its books right, over HTTP, with several customers at once."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import sleep
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import psutil
import pytest

from cellcrate.lessons.programs import PROGRAMS, free_port
from cellcrate.lessons.reports import LATENCIES, latencies, percentile
from cellcrate.lessons.workloads import bank as program

MONEY = program.ACCOUNTS * program.OPENING_BALANCE


class Bank:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port(0)
        self.process = subprocess.Popen(
            [sys.executable, str(PROGRAMS / "bank.py"), "--port", str(self.port)],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def report(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line: dict[str, Any] = json.loads(self.process.stdout.readline())
        return line

    def ask(self, path: str, body: bytes | None = None) -> tuple[int, dict[str, Any]]:
        request = Request(f"http://127.0.0.1:{self.port}{path}", data=body)
        try:
            with urlopen(request, timeout=20) as answer:
                return answer.status, json.load(answer)
        except HTTPError as error:
            with error:
                return error.code, json.load(error)

    def order(self, **changes: object) -> tuple[int, dict[str, Any]]:
        order = {"payer": 1, "payee": 2, "amount": 10, "pin": program.pin_of(1), **changes}
        return self.ask("/transfers", json.dumps(order).encode())

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        self.process.communicate(timeout=20)


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bank]:
    running = Bank(tmp_path_factory.mktemp("bank"))
    try:
        running.report()
        yield running
    finally:
        running.end()


def test_customers_pay_each_other_and_no_money_appears_or_vanishes(bank: Bank) -> None:
    reports = [bank.report() for _ in range(2)]
    for report in reports:
        times = latencies((bank.folder / LATENCIES).read_bytes(), {report["second"]})
        assert report["transfers"] == len(times) > 0
        assert all(time > 0 for time in times)
        # What is in the file has been rounded once already.
        assert report["p50_ms"] == pytest.approx(percentile(times, 50), abs=0.051)
        assert report["p99_ms"] == pytest.approx(percentile(times, 99), abs=0.051)
        assert report["total"] == MONEY


def test_a_transfer_is_carried_out(bank: Bank) -> None:
    status, answer = bank.order()
    assert (status, answer) == (201, {"moved": 10})
    assert bank.ask("/audit") == (200, {"total": MONEY})


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"pin": "wrong"}, 409),
        ({"payer": 5000}, 409),
        ({"payee": 5000}, 409),
        ({"amount": 10 * MONEY}, 409),
        ({"amount": 0}, 400),
        ({"amount": -5}, 400),
        ({"amount": "12 bananas"}, 400),
        ({"payee": 1}, 400),
    ],
)
def test_a_bad_order_is_refused_and_moves_nothing(
    bank: Bank, changes: dict[str, object], status: int
) -> None:
    got, answer = bank.order(**changes)
    assert got == status
    assert answer["message"]
    assert bank.ask("/audit") == (200, {"total": MONEY})


@pytest.mark.parametrize("body", [b"not json", b"[]", b"{}", b'"x"', b"\xff"])
def test_a_body_that_is_no_order_is_refused(bank: Bank, body: bytes) -> None:
    assert bank.ask("/transfers", body)[0] == 400


def test_an_unknown_page_is_answered(bank: Bank) -> None:
    assert bank.ask("/vault")[0] == 404


def test_a_taken_port_is_named_and_nothing_is_left(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = subprocess.run(
            [sys.executable, str(PROGRAMS / "bank.py"), "--port", str(port)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=20,
        )
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert f"port {port}: EADDRINUSE" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_customers_and_server(tmp_path: Path, number: signal.Signals) -> None:
    bank = Bank(tmp_path)
    bank.report()
    family = psutil.Process(bank.process.pid).children(recursive=True)
    assert family
    with bank.process:
        os.kill(bank.process.pid, number)
        try:
            _, said = bank.process.communicate(timeout=20)
        finally:
            bank.process.kill()
    assert b"Traceback" not in said
    assert psutil.wait_procs(family, timeout=10)[1] == []


def test_the_server_ends_when_its_customers_are_killed(tmp_path: Path) -> None:
    bank = Bank(tmp_path)
    bank.report()
    family = psutil.Process(bank.process.pid).children(recursive=True)
    bank.process.kill()
    bank.process.communicate(timeout=20)
    assert psutil.wait_procs(family, timeout=10)[1] == []


def test_the_bank_ends_when_nobody_listens_to_it(tmp_path: Path) -> None:
    """As when the notebook's kernel is killed: the other end of its output is gone."""
    bank = Bank(tmp_path)
    bank.report()
    assert bank.process.stdout is not None
    bank.process.stdout.close()
    assert bank.process.wait(timeout=20) is not None
    assert bank.process.stderr is not None
    with bank.process.stderr as stderr:
        assert b"Traceback" not in stderr.read()


def test_books_survive_quarrels(tmp_path: Path) -> None:
    """The rule holds in the database itself: no account is ever below zero."""
    books = program.Books(tmp_path / "accounts.db")
    with pytest.raises(program.Refused, match="not enough money"):
        books.transfer(1, 2, program.OPENING_BALANCE + 1, program.pin_of(1))
    books.transfer(1, 2, program.OPENING_BALANCE, program.pin_of(1))
    assert books.total() == MONEY
    books.close()


def test_the_clock_of_a_late_customer_runs_from_when_he_came(tmp_path: Path) -> None:
    """While the server stands still, customers queue up: their waiting is not forgotten."""
    bank = Bank(tmp_path)
    try:
        bank.report()
        server = psutil.Process(bank.process.pid).children()[0]
        server.suspend()
        sleep(1.2)
        server.resume()
        seconds = {bank.report()["second"] for _ in range(3)}
    finally:
        bank.end()
    # Eight customers had one question under way each; those who came meanwhile waited, too.
    times = latencies((tmp_path / LATENCIES).read_bytes(), seconds)
    assert sum(time > 300 for time in times) > program.CUSTOMERS
