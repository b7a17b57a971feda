"""A game: a world of creatures, simulated as fast as the computer lets it.

    python game.py --port 8080
    python game.py --replay 64          # and it keeps 64 MiB of every second, for the replay

Several processes compute the world, four for each CPU, and never rest. One more keeps the port at
which players join. Once a second a line of JSON goes to standard output: how many frames were
computed, and how much memory is in use.

It needs nothing but Python's standard library, so that the same file runs as an ordinary process
and in a container.
"""

from __future__ import annotations

import argparse
import errno
import json
import math
import mmap
import multiprocessing
import os
import random
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType

CREATURES = 500  # in each worker's part of the world
WORKERS_PER_CPU = 4
MIB = 1 << 20
COUNTER_BYTES = 8
PAGE = mmap.PAGESIZE


# ------------------------------------------------------------------- the world


class World:
    """Creatures that walk about in a square of side 1 and bounce off its walls."""

    def __init__(self, chance: random.Random) -> None:
        self.creatures = [
            [chance.random(), chance.random(), chance.random() * math.tau] for _ in range(CREATURES)
        ]

    def frame(self) -> None:
        """Compute the next picture: everybody takes a step."""
        for creature in self.creatures:
            x = creature[0] + 0.01 * math.cos(creature[2])
            y = creature[1] + 0.01 * math.sin(creature[2])
            if not (0 <= x <= 1 and 0 <= y <= 1):
                creature[2] += math.pi / 2
                continue
            creature[0], creature[1] = x, y


def simulate(number: int, frames: mmap.mmap) -> None:
    """Be a worker process: compute frames, count them, until the game itself is gone."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    game = os.getppid()
    world = World(random.Random(number))
    place = slice(number * COUNTER_BYTES, (number + 1) * COUNTER_BYTES)
    done = 0
    while os.getppid() == game:
        world.frame()
        done += 1
        frames[place] = done.to_bytes(COUNTER_BYTES, "little")


def frames_so_far(frames: mmap.mmap, workers: int) -> int:
    """All workers' frames; the counters live in memory that they share with the game."""
    counters = (frames[n * COUNTER_BYTES : (n + 1) * COUNTER_BYTES] for n in range(workers))
    return sum(int.from_bytes(counter, "little") for counter in counters)


def usable_cpus(quotas: Path = Path("/sys/fs/cgroup")) -> int:
    """How many CPUs this program can keep busy.

    A hosted notebook often sees all CPUs of a large computer, and may use one: its control group
    says so (cpu.max in cgroup v2, cpu.cfs_quota_us in v1). Less than one whole CPU is a limit that
    somebody has set on the game itself, and no reason to be a smaller game.
    """
    cpus = len(os.sched_getaffinity(0))
    with suppress(OSError, ValueError):
        try:
            quota, period = (quotas / "cpu.max").read_text().split()
        except OSError:
            quota = (quotas / "cpu" / "cpu.cfs_quota_us").read_text()
            period = (quotas / "cpu" / "cpu.cfs_period_us").read_text()
        whole = int(quota) // int(period)  # "max" is no number, -1 is no quota
        cpus = min(cpus, whole) if whole >= 1 else cpus
    return cpus


# ------------------------------------------------------------------ the memory


class Replay:
    """Every picture of the game so far, never thrown away: a leak, as real games have had."""

    def __init__(self, mib_a_second: int, at_most: int) -> None:
        self._mib_a_second = mib_a_second
        self._at_most = at_most
        self._pictures: list[mmap.mmap] = []

    def record(self) -> None:
        """Keep one second's pictures, unless that would pass the promise `at_most` (MiB)."""
        size = min(self._mib_a_second, self._at_most - self.mib)
        for _ in range(size):
            picture = mmap.mmap(-1, MIB)
            for offset in range(0, MIB, PAGE):
                picture[offset] = 1  # memory is only taken when it is written to
            self._pictures.append(picture)

    @property
    def mib(self) -> int:
        """What the replay holds so far, in MiB."""
        return len(self._pictures)


# ----------------------------------------------------------------- the players


def listen(port: int) -> socket.socket:
    """Take the port on the loopback address. Only one program of a network can have it."""
    lobby = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    lobby.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        lobby.bind(("127.0.0.1", port))
    except OSError as error:
        name = errno.errorcode.get(error.errno or 0, "OSError")
        sys.exit(f"game: cannot listen on port {port}: {name}, {error.strerror}")
    lobby.listen()
    return lobby


def welcome(lobby: socket.socket, creatures: int) -> None:
    """Tell everybody who connects how large the world is."""
    while True:
        player, _ = lobby.accept()
        with player, suppress(OSError):
            player.sendall(f"welcome to a world of {creatures} creatures\n".encode())


# -------------------------------------------------------------------- together


def stop(number: int, frame: FrameType | None) -> None:
    """The first process of a container gets no signal that it has no handler for."""
    sys.exit(0)


def play(frames: mmap.mmap, workers: int, replay: Replay) -> None:
    """Report once a second. A reader that has gone away ends the game (BrokenPipeError)."""
    begun = before = time.monotonic()
    second = 0
    counted = 0
    while True:
        second += 1
        time.sleep(max(0.0, begun + second - time.monotonic()))
        replay.record()
        now, frames_now = time.monotonic(), frames_so_far(frames, workers)
        line = {
            "program": "game",
            "second": second,
            "workers": workers,
            "frames_per_second": round((frames_now - counted) / (now - before)),
        }
        if replay.mib:
            line["replay_mib"] = replay.mib
        before, counted = now, frames_now
        print(json.dumps(line), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="A game that wants the whole computer.")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--workers", type=int, default=WORKERS_PER_CPU * usable_cpus())
    parser.add_argument("--replay", type=int, default=0, help="MiB kept of every second")
    parser.add_argument("--at-most", type=int, default=512, help="MiB that the replay may reach")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, stop)

    lobby = listen(arguments.port)
    frames = mmap.mmap(-1, COUNTER_BYTES * arguments.workers)
    fork = multiprocessing.get_context("fork")
    workers: list[BaseProcess] = []
    try:
        for number in range(arguments.workers):
            workers.append(fork.Process(target=simulate, args=(number, frames)))
            workers[-1].start()
        creatures = CREATURES * len(workers)
        threading.Thread(target=welcome, args=(lobby, creatures), daemon=True).start()
        play(frames, len(workers), Replay(arguments.replay, arguments.at_most))
    except (KeyboardInterrupt, BrokenPipeError):
        pass
    finally:
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.join()


if __name__ == "__main__":
    main()
