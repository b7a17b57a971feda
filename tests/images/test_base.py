"""The base image: what is in it, whose it is, and that it runs."""

from __future__ import annotations

import multiprocessing
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cellcrate_runtime.images import BASE_REFERENCE, Image, ImageStore, PackError
from cellcrate_runtime.images.layers import LayerInfo
from cellcrate_runtime.images.packer import assemble, python
from cellcrate_runtime.images.packer.base import pack_base
from cellcrate_runtime.images.packer.plan import Plan
from cellcrate_runtime.images.packer.write import write_layer
from images.handmade import RunInside

LARGEST = 100_000_000  # bytes: what a learner's first cell may cost in disk
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture
def base(base_store: ImageStore) -> Image:
    return base_store.get(BASE_REFERENCE)


@pytest.fixture
def folders(base_store: ImageStore, base: Image) -> list[Path]:
    return base_store.lower_dirs(base)


def entries(folders: list[Path]) -> Iterator[os.DirEntry[str]]:
    for folder in folders:
        waiting = [os.fspath(folder)]
        while waiting:
            with os.scandir(waiting.pop()) as found:
                for entry in found:
                    yield entry
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)


def test_it_is_small_and_says_how_large(base: Image, folders: list[Path]) -> None:
    files = {
        (status.st_dev, status.st_ino): status.st_size
        for entry in entries(folders)
        for status in [entry.stat(follow_symlinks=False)]
        if stat.S_ISREG(status.st_mode)
    }
    assert base.size == sum(files.values())
    assert base.size < LARGEST


def test_everything_belongs_to_root_and_nothing_is_special(folders: list[Path]) -> None:
    for entry in entries(folders):
        status = entry.stat(follow_symlinks=False)
        assert status.st_uid == os.geteuid(), entry.path
        assert stat.S_IFMT(status.st_mode) in (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK), entry.path
        assert status.st_mode & (stat.S_ISUID | stat.S_ISGID) == 0, entry.path


def test_no_name_tells_of_this_machine(folders: list[Path]) -> None:
    if sys.base_prefix in ("/usr", "/usr/local"):
        pytest.skip("This Python lives where the image's does.")
    names = [
        entry.path.removeprefix(str(folder)) for folder in folders for entry in entries([folder])
    ]
    assert not [name for name in names if sys.base_prefix in name]


def test_links_lead_somewhere_in_the_image(folders: list[Path], run_inside: RunInside) -> None:
    found = run_inside(folders, "find", "/", "-xdev", "-xtype", "l")
    assert found.stdout == ""


def test_the_shell_and_its_tools_run(folders: list[Path], run_inside: RunInside) -> None:
    script = """
        set -e
        for tool in ls cat grep sed awk find tar gzip id env; do command -v $tool >/dev/null; done
        test "$(id -un)" = root
        test "$(printf '%s' 한글 | wc -m)" = 2
        echo one > /tmp/file; tar -C /tmp -cf - file | gzip | gunzip | tar -tf -
        seq 3 | sed 's/2/two/' | grep -c two
        stat -c '%a %U' /tmp /var/tmp /root
    """
    done = run_inside(folders, "/bin/sh", "-c", script)
    assert done.stdout.splitlines() == ["file", "1", "1777 root", "1777 root", "700 root"]


def test_every_program_finds_its_libraries(folders: list[Path], run_inside: RunInside) -> None:
    script = r"""
        loader=$(python3 -c 'import sys; print(sys.argv[1])' /lib*/ld-*.so* | head -1)
        for program in /usr/bin/* /usr/sbin/*; do
            test "$(head -c 4 "$program" | tail -c 3)" = ELF || continue
            "$loader" --list "$program" >/tmp/out 2>&1 || { echo "$program"; cat /tmp/out; }
            grep -H 'not found' /tmp/out && echo "$program"
        done
        true
    """
    if not list(folders[-1].glob("usr/lib*/**/ld-linux*")):
        pytest.skip("The C library here is not glibc, whose loader lists libraries.")
    assert run_inside(folders, "bash", "-c", script).stdout == ""


def test_python_is_this_python(folders: list[Path], run_inside: RunInside) -> None:
    program = """
import asyncio, bz2, ctypes, curses, decimal, hashlib, json, lzma, readline, sqlite3, ssl, sys, zlib
import http.server, multiprocessing, threading, urllib.request, uuid, venv, zoneinfo
assert sys.prefix == "/usr", sys.prefix
assert sqlite3.connect(":memory:").execute("select 6 * 7").fetchone() == (42,)
curses.setupterm("xterm-256color")
assert curses.tigetnum("colors") == 256
thread = threading.Thread(target=print, args=("한글",)); thread.start(); thread.join()
print(sys.version)
"""
    for name in ("python3", "python", f"python{VERSION}"):
        done = run_inside(folders, name, "-c", program)
        assert done.stdout == f"한글\n{sys.version}\n"


def test_python_has_the_certificates(folders: list[Path], run_inside: RunInside) -> None:
    if not os.path.exists("/etc/ssl/certs/ca-certificates.crt"):
        pytest.skip("This machine has no certification authorities to pack.")
    program = "import ssl; print(len(ssl.create_default_context().get_ca_certs()) > 10)"
    assert run_inside(folders, "python3", "-c", program).stdout == "True\n"


def test_python_reads_bytecode_and_compiles_nothing(
    folders: list[Path], run_inside: RunInside
) -> None:
    program = (
        "import argparse, asyncio, http.server, json, random, socket, sqlite3, subprocess, sys;"
        "print([n for n, m in sys.modules.items()"
        " if getattr(m, '__cached__', None) and not __import__('os').path.exists(m.__cached__)])"
    )
    # -B: nothing is written that would then be there; -v names every file that is read.
    done = run_inside(folders, "python3", "-B", "-v", "-c", program)
    assert done.stdout == "[]\n"
    assert "bytecode is stale" not in done.stderr
    assert "/asyncio/__pycache__/base_events." in done.stderr


def test_it_says_what_it_is(base: Image, folders: list[Path], run_inside: RunInside) -> None:
    assert "ID=cellcrate" in run_inside(folders, "cat", "/etc/os-release").stdout
    execution = base.config.execution
    assert execution.cmd is not None
    assert run_inside(folders, *execution.cmd, "-c", "echo hello").stdout == "hello\n"
    assert f"Python {VERSION}" in (execution.labels or {})["org.opencontainers.image.description"]
    assert len(base.config.history or []) == len(base.diff_ids) == 2


def test_packing_again_gives_the_same_image(base: Image, store: ImageStore) -> None:
    again = store.ensure_base()
    assert again.id == base.id
    assert again.manifest_digest == base.manifest_digest
    assert pack_base(store, lambda _: None).id == base.id
    assert len(store.images()) == 1


def test_no_time_is_later_than_asked_for(
    store: ImageStore, base: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    image = store.ensure_base()
    assert image.created == "2001-09-09T01:46:40Z"
    assert image.id != base.id
    times = [e.stat(follow_symlinks=False).st_mtime for e in entries(store.lower_dirs(image))]
    assert max(times) <= 1_000_000_000


def test_python_without_bytecode_of_its_own_gets_some(
    store: ImageStore, run_inside: RunInside, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container image whose __pycache__ folders were deleted to make it small."""
    monkeypatch.setattr(python, "_bytecode_of", lambda *_: None)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1500000000")
    image = store.ensure_base()
    program = "import argparse, asyncio, json; print(asyncio.run(asyncio.sleep(0, 42)))"
    done = run_inside(store.lower_dirs(image), "python3", "-B", "-v", "-c", program)
    assert done.stdout == "42\n"
    assert "bytecode is stale" not in done.stderr
    assert "/asyncio/__pycache__/base_events." in done.stderr
    assert pack_base(store, lambda _: None).id == image.id


def test_a_failure_half_way_leaves_nothing(
    store: ImageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail_at_the_second(plan: Plan, *others: Any) -> LayerInfo:
        if plan.below is not None:
            raise PackError("it changed meanwhile")
        return write_layer(plan, *others)

    monkeypatch.setattr(assemble, "write_layer", fail_at_the_second)
    with pytest.raises(PackError, match="meanwhile"):
        store.ensure_base()
    assert store.images() == []
    assert os.listdir(store.root / "layers") == []
    assert os.listdir(store.root / "blobs/sha256") == []


def _ensure(root: Path) -> None:
    ImageStore(root).ensure_base()


def test_two_processes_pack_it_once(store: ImageStore, base: Image) -> None:
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_ensure, args=(store.root,)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    [image] = store.images()
    assert image.id == base.id
    assert sorted(os.listdir(store.root / "layers")) == sorted(
        diff_id.removeprefix("sha256:") for diff_id in image.diff_ids
    )


def test_layers_come_back_from_their_blobs(base_store: ImageStore, tmp_path: Path) -> None:
    """The folder that the packer writes and the archive that it writes are the same layer."""
    base = base_store.get(BASE_REFERENCE)
    other = ImageStore(tmp_path / "other")
    for digest in [base.manifest_digest, *base_store.blobs_of(base.manifest_digest)]:
        with base_store.blobs.reading(digest) as blob:
            other.blobs.ingest(blob, digest)
    for packed, unpacked in zip(
        base_store.lower_dirs(base), other.unpack(base.manifest_digest)[::-1], strict=True
    ):
        assert _listing(packed) == _listing(unpacked)


def _listing(folder: Path) -> dict[str, tuple[object, ...]]:
    listing: dict[str, tuple[object, ...]] = {}
    for entry in entries([folder]):
        status = entry.stat(follow_symlinks=False)
        regular = stat.S_ISREG(status.st_mode)
        listing[entry.path.removeprefix(str(folder))] = (
            status.st_mode,
            status.st_mtime_ns,
            status.st_nlink,
            Path(entry.path).read_bytes() if regular else None,
            os.readlink(entry.path) if entry.is_symlink() else None,
        )
    return listing
