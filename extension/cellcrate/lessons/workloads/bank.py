"""An internet bank: a real HTTP server, and real customers who pay each other.

    python bank.py --port 8080

Two processes: the *server* keeps accounts in an SQLite file and moves money between them, one
transaction a transfer; the *customers* send transfers over HTTP and time each answer.
Once a second a line of JSON goes to standard output: how many transfers, and how long half of them
and 99 of 100 took at most. The time of every single one goes to the file latencies.jsonl.

It needs nothing but Python's standard library, so that the same file runs as an ordinary process
and in a container.
"""

from __future__ import annotations

import argparse
import errno
import hashlib
import http.client
import json
import math
import multiprocessing
import os
import random
import signal
import socket
import sqlite3
import sys
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import FrameType
from typing import NoReturn, TextIO

ACCOUNTS = 100
OPENING_BALANCE = 1_000
CUSTOMERS = 8
TRANSFERS_A_SECOND = 80  # by all customers together, on average
PIN_ROUNDS = 4_000  # one to two milliseconds of arithmetic, so that a stolen file gives away no PIN


# ------------------------------------------------------------------ the books


class Refused(Exception):
    """The bank says no: a wrong PIN, or not enough money."""


def seal(account: int, pin: str) -> bytes:
    """What the bank stores instead of the PIN."""
    return hashlib.pbkdf2_hmac("sha256", pin.encode(), account.to_bytes(8, "big"), PIN_ROUNDS)


def pin_of(account: int) -> str:
    """The PIN that the customer of this lesson's bank has chosen."""
    return f"{account * 7919 % 10_000:04d}"


class Books:
    """The accounts, in an SQLite file. Money moves; it never appears and never vanishes."""

    def __init__(self, path: Path) -> None:
        for leftover in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
            leftover.unlink(missing_ok=True)
        self._lock = threading.Lock()
        self._file = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._file.execute("PRAGMA journal_mode = WAL")
        self._file.execute("PRAGMA synchronous = NORMAL")
        self._file.execute(
            "CREATE TABLE accounts (id INTEGER PRIMARY KEY, seal BLOB NOT NULL, "
            "balance INTEGER NOT NULL CHECK (balance >= 0))"
        )
        self._file.executemany(
            "INSERT INTO accounts VALUES (?, ?, ?)",
            [(a, seal(a, pin_of(a)), OPENING_BALANCE) for a in range(ACCOUNTS)],
        )

    def transfer(self, payer: int, payee: int, amount: int, pin: str) -> None:
        """Move money from one account to another: both change, or neither does."""
        offered = seal(payer, pin)  # the arithmetic happens outside the lock
        with self._lock:
            self._file.execute("BEGIN IMMEDIATE")
            try:
                self._check(payer, offered)
                self._add(payer, -amount)
                self._add(payee, +amount)
            except BaseException:
                self._file.execute("ROLLBACK")
                raise
            self._file.execute("COMMIT")

    def total(self) -> int:
        """All the money in the bank."""
        with self._lock:
            (total,) = self._file.execute("SELECT sum(balance) FROM accounts").fetchone()
        return int(total)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _check(self, payer: int, offered: bytes) -> None:
        row = self._file.execute("SELECT seal FROM accounts WHERE id = ?", (payer,)).fetchone()
        if row is None or row[0] != offered:
            raise Refused("no such account and PIN")

    def _add(self, account: int, amount: int) -> None:
        try:
            changed = self._file.execute(
                "UPDATE accounts SET balance = balance + ? WHERE id = ?", (amount, account)
            )
        except sqlite3.IntegrityError:
            raise Refused("not enough money") from None
        if changed.rowcount != 1:
            raise Refused("no such account")


# ------------------------------------------------------------------ the server


class Counter(BaseHTTPRequestHandler):
    """The bank's counter: `POST /transfers` moves money, `GET /audit` adds everything up."""

    protocol_version = "HTTP/1.1"  # a customer keeps one connection
    wbufsize = -1  # head and body of an answer are written together ...
    disable_nagle_algorithm = True  # ... and leave at once
    server: BankServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path != "/transfers":
            return self._answer(404, {"message": "the bank knows /transfers and /audit"})
        try:
            order = json.loads(body)
            payer, payee = int(order["payer"]), int(order["payee"])
            amount = int(order["amount"])
            if amount <= 0 or payer == payee:
                raise ValueError("an amount of at least 1, between two accounts")
            self.server.books.transfer(payer, payee, amount, str(order["pin"]))
        except Refused as refusal:
            return self._answer(409, {"message": str(refusal)})
        except (ValueError, KeyError, TypeError) as mistake:
            return self._answer(400, {"message": f"not a transfer: {mistake}"})
        return self._answer(201, {"moved": amount})

    def do_GET(self) -> None:
        if self.path == "/audit":
            return self._answer(200, {"total": self.server.books.total()})
        return self._answer(404, {"message": "the bank knows /transfers and /audit"})

    def _answer(self, status: int, content: dict[str, object]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """No line for each request: the customers report."""


class BankServer(ThreadingHTTPServer):
    """One thread a customer, and the books."""

    daemon_threads = True

    def __init__(self, listener: socket.socket, books: Books) -> None:
        super().__init__(listener.getsockname(), Counter, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.books = books
        self._parent = os.getppid()

    def service_actions(self) -> None:
        """Twice a second: a server whose parent has died ends too."""
        if os.getppid() != self._parent:
            sys.exit("bank: the customers are gone")


def serve(listener: socket.socket, data: Path) -> None:
    """Be the server process, until the parent ends it."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    BankServer(listener, Books(data)).serve_forever()


def listen(port: int) -> socket.socket:
    """Take the port on the loopback address. Only one program of a network can have it."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        name = errno.errorcode.get(error.errno or 0, "OSError")
        sys.exit(f"bank: cannot listen on port {port}: {name}, {error.strerror}")
    listener.listen(64)
    return listener


# --------------------------------------------------------------- the customers


class Customers:
    """Threads that each wait a while, send a transfer, and time the answer."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._lock = threading.Lock()
        self._latencies: list[float] = []
        self._refused = 0
        self._failure: str | None = None

    def start(self) -> None:
        for number in range(CUSTOMERS):
            threading.Thread(target=self._live, args=(number,), daemon=True).start()

    def collect(self) -> tuple[list[float], int]:
        """The latencies (milliseconds) and the number of refusals since the last call."""
        with self._lock:
            latencies, self._latencies = self._latencies, []
            refused, self._refused = self._refused, 0
            failure = self._failure
        if failure is not None:
            sys.exit(f"bank: {failure}")
        return latencies, refused

    def _live(self, number: int) -> None:
        try:
            self._pay_and_pay(random.Random(number))
        except (OSError, http.client.HTTPException) as error:
            self._failure = f"the server does not answer: {error}"

    def _pay_and_pay(self, chance: random.Random) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        connection.connect()
        assert connection.sock is not None
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wanted = time.monotonic()
        while True:
            # Customers come when they like, however busy the bank is. One who is still waiting for
            # an answer when the next wish comes is late, and that waiting counts: a clock that
            # started only when the bank has time would hide the worst of it.
            wanted += chance.expovariate(TRANSFERS_A_SECOND / CUSTOMERS)
            early = wanted - time.monotonic()
            if early > 0:
                time.sleep(early)
                started = time.monotonic()
            else:
                started = wanted
            accepted = self._pay(connection, chance)
            latency = (time.monotonic() - started) * 1000
            with self._lock:
                self._latencies.append(latency)
                self._refused += not accepted

    def _pay(self, connection: http.client.HTTPConnection, chance: random.Random) -> bool:
        payer, payee = chance.sample(range(ACCOUNTS), 2)
        order = {
            "payer": payer,
            "payee": payee,
            "amount": chance.randint(1, 100),
            "pin": pin_of(payer),
        }
        connection.request("POST", "/transfers", json.dumps(order).encode())
        answer = connection.getresponse()
        answer.read()
        if answer.status not in (201, 409):
            raise http.client.HTTPException(f"{answer.status} {answer.reason}")
        return answer.status == 201


def audit(port: int) -> int:
    """Ask the bank for the sum of all accounts."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", "/audit")
        return int(json.loads(connection.getresponse().read())["total"])
    finally:
        connection.close()


# -------------------------------------------------------------------- together


def percentile(ordered: list[float], percent: float) -> float:
    """The value that `percent` percent of the ordered values do not exceed."""
    return ordered[max(1, math.ceil(len(ordered) * percent / 100)) - 1]


def report(second: int, latencies: list[float], refused: int, total: int) -> None:
    """Write one line of JSON. A reader that has gone away ends the bank (BrokenPipeError)."""
    ordered = sorted(latencies)
    line = {
        "program": "bank",
        "second": second,
        "transfers": len(ordered),
        "refused": refused,
        "p50_ms": round(percentile(ordered, 50), 1) if ordered else None,
        "p99_ms": round(percentile(ordered, 99), 1) if ordered else None,
        "total": total,
    }
    print(json.dumps(line), flush=True)


def do_business(port: int, every_latency: TextIO) -> NoReturn:
    """Let the customers come, and tell once a second how they fared."""
    audit(port)  # answers when the books are open
    customers = Customers(port)
    customers.start()
    begun = time.monotonic()
    second = 0
    while True:
        second += 1
        time.sleep(max(0.0, begun + second - time.monotonic()))
        latencies, refused = customers.collect()
        every = {"second": second, "ms": [round(latency, 3) for latency in latencies]}
        print(json.dumps(every), file=every_latency, flush=True)
        report(second, latencies, refused, audit(port))


def stop(number: int, frame: FrameType | None) -> None:
    """The first process of a container gets no signal that it has no handler for."""
    sys.exit(0)


def main() -> None:
    parser = argparse.ArgumentParser(description="An internet bank and its customers.")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--data", type=Path, default=Path("accounts.db"))
    parser.add_argument("--latencies", type=Path, default=Path("latencies.jsonl"))
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, stop)

    listener = listen(arguments.port)
    server = multiprocessing.get_context("fork").Process(
        target=serve, args=(listener, arguments.data), name="bank server"
    )
    server.start()
    port = listener.getsockname()[1]
    listener.close()
    try:
        with arguments.latencies.open("w") as every_latency:
            do_business(port, every_latency)
    except (KeyboardInterrupt, BrokenPipeError):
        pass
    finally:
        server.terminate()
        server.join()
        with suppress(BrokenPipeError):
            sys.stdout.flush()


if __name__ == "__main__":
    main()
