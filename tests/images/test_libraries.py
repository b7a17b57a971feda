"""Programs bring the libraries that the dynamic loader would give them."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from cellcrate_runtime.images import PackError
from cellcrate_runtime.images.packer.elf import read_elf
from cellcrate_runtime.images.packer.libraries import Libraries
from cellcrate_runtime.images.packer.loader_cache import cached_libraries
from cellcrate_runtime.images.packer.plan import Plan

DT_NEEDED, DT_STRTAB, DT_STRSZ, DT_RPATH, DT_RUNPATH = 1, 5, 10, 15, 29
PT_LOAD, PT_DYNAMIC = 1, 2
SHELL = Path(os.path.realpath("/bin/sh"))
PROGRAMS = [
    path
    for name in ("sh", "ls", "ps", "top", "ip", "ss", "tar", "find", "curl", "git", "ssh", "gdb")
    for path in [shutil.which(name, path="/usr/bin:/bin:/usr/sbin:/sbin")]
    if path is not None and read_elf(Path(path)) is not None
]


def names_of_libraries(plan: Plan) -> set[str]:
    return {os.path.basename(name) for name, item in plan.items.items() if ".so" in name}


@pytest.mark.skipif(shutil.which("ldd") is None, reason="There is no ldd to compare with.")
@pytest.mark.parametrize("program", PROGRAMS)
def test_the_loader_itself_agrees(program: str) -> None:
    plan = Plan()
    Libraries(plan).add(Path(program), "/usr/bin/it")
    told = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    # "libc.so.6 => /lib/… (0x…)", or the loader's own path; the vdso is the kernel's.
    needed = {os.path.basename(line.split()[0]) for line in told.splitlines()} - {"linux-vdso.so.1"}
    assert names_of_libraries(plan) == needed


def test_the_headers_of_a_program() -> None:
    elf = read_elf(Path(os.path.realpath(sys.executable)))
    assert elf is not None
    assert elf.kind[0] == struct.calcsize("P") // 4
    assert elf.interpreter is not None
    assert Path(elf.interpreter).exists()
    assert any(name.startswith("libc.") for name in elf.needed)


@pytest.mark.parametrize("content", [b"", b"#!/bin/sh\n", b"\x7fELF", b"\x7fELF" + b"\xff" * 100])
def test_what_is_no_program_is_no_program(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    assert read_elf(path) is None


def test_a_damaged_program_never_fails_otherwise(tmp_path: Path) -> None:
    content = SHELL.read_bytes()[:4096]
    path = tmp_path / "file"
    for position in range(0, 0x340, 7):
        damaged = bytearray(content)
        damaged[position : position + 8] = b"\xff" * 8
        path.write_bytes(damaged)
        read_elf(path)


def test_a_stripped_program_still_runs(tmp_path: Path) -> None:
    python = Path(os.path.realpath(sys.executable))
    elf = read_elf(python)
    assert elf is not None
    stripped = tmp_path / "python"
    stripped.write_bytes(python.read_bytes()[: elf.loaded_size])
    stripped.chmod(0o755)
    assert elf.loaded_size < python.stat().st_size
    home = {"PYTHONHOME": sys.base_prefix}
    done = subprocess.run(
        [stripped, "-c", "print(6 * 7)"], env=home, capture_output=True, text=True, check=False
    )
    assert done.stdout == "42\n", done.stderr


def test_the_cache_knows_the_c_library() -> None:
    if not os.path.exists("/etc/ld.so.cache"):
        pytest.skip("This system's loader keeps no cache.")
    assert cached_libraries()["libc.so.6"][0].name == "libc.so.6"


@pytest.mark.parametrize("content", [b"", b"other", b"glibc-ld.so.cache1.1" + b"\xff" * 60])
def test_a_cache_of_another_form_is_no_cache(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "ld.so.cache"
    path.write_bytes(content)
    assert cached_libraries(path) == {}


def make_elf(*needed: str, rpath: str = "", runpath: str = "") -> bytes:
    """A program or library that has nothing but what the loader reads first; see elf(5).

    It is of this machine's kind, so that it may need this machine's C library.
    """
    native = read_elf(SHELL)
    assert native is not None
    order = "<" if native.kind[1] == 1 else ">"
    names, entries = b"\0", []
    for tag, text in [*((DT_NEEDED, n) for n in needed), (DT_RPATH, rpath), (DT_RUNPATH, runpath)]:
        if text:
            entries.append((tag, len(names)))
            names += text.encode() + b"\0"
    headers = 64 + 2 * 56
    size = 16 * (len(entries) + 3)
    entries += [(DT_STRTAB, headers + size), (DT_STRSZ, len(names)), (0, 0)]
    dynamic = b"".join(struct.pack(f"{order}qQ", *entry) for entry in entries)
    whole = headers + len(dynamic) + len(names)
    identity = b"\x7fELF" + bytes([2, native.kind[1], 1]) + bytes(9)
    fields = (3, native.kind[2], 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    header = identity + struct.pack(f"{order}HHIQQQIHHHHHH", *fields)
    load = struct.pack(f"{order}IIQQQQQQ", PT_LOAD, 5, 0, 0, 0, whole, whole, 4096)
    where = struct.pack(f"{order}IIQQQQQQ", PT_DYNAMIC, 4, headers, headers, headers, size, size, 8)
    return header + load + where + dynamic + names


class TestProgramsWithLibrariesOfTheirOwn:
    """Programs as conda and others build them: bin/prog needs lib/libone.so, and that one
    lib/deep/libtwo.so."""

    @pytest.fixture
    def home(self, tmp_path: Path) -> Path:
        home = tmp_path / "home"
        (home / "bin").mkdir(parents=True)
        (home / "lib/deep").mkdir(parents=True)
        (home / "lib/deep/libtwo.so").write_bytes(make_elf("libc.so.6"))
        return home

    def link(self, home: Path, kind: str, folder: str, deep: str) -> Path:
        program = home / "bin/prog"
        (home / "lib/libone.so").write_bytes(make_elf("libtwo.so", **{kind: deep}))
        program.write_bytes(make_elf("libone.so", "libc.so.6", **{kind: folder}))
        return program

    def test_the_headers_are_understood(self, home: Path) -> None:
        program = self.link(home, "runpath", "$ORIGIN/../lib:/opt/lib", "/x")
        elf = read_elf(program)
        native = read_elf(SHELL)
        assert elf is not None
        assert native is not None
        assert elf.needed == ("libone.so", "libc.so.6")
        assert (elf.rpath, elf.runpath) == ((), ("$ORIGIN/../lib", "/opt/lib"))
        assert elf.kind == native.kind
        assert elf.loaded_size == program.stat().st_size

    @pytest.mark.parametrize("kind", ["rpath", "runpath"])
    def test_what_lies_beside_it_stays_beside_it(self, home: Path, kind: str) -> None:
        program = self.link(home, kind, "$ORIGIN/../lib", "${ORIGIN}/deep")
        plan = Plan()
        Libraries(plan).add(program, "/opt/it/bin/prog")
        assert plan.items["/opt/it/lib/libone.so"].source == home / "lib/libone.so"
        assert plan.items["/opt/it/lib/deep/libtwo.so"].source == home / "lib/deep/libtwo.so"

    def test_places_of_this_machine_become_the_usual_one(self, home: Path) -> None:
        program = self.link(home, "runpath", str(home / "lib"), str(home / "lib/deep"))
        plan = Plan()
        Libraries(plan).add(program, "/usr/bin/prog")
        assert str(home) not in " ".join(plan.items)
        c_library = next(name for name in plan.items if name.endswith("/libc.so.6"))
        assert f"{os.path.dirname(c_library)}/libone.so" in plan.items
        assert f"{os.path.dirname(c_library)}/libtwo.so" in plan.items

    def test_the_rpath_of_a_program_counts_for_its_libraries(self, home: Path) -> None:
        """DT_RPATH does, DT_RUNPATH does not; see ld.so(8)."""
        (home / "lib/libtwo.so").symlink_to("deep/libtwo.so")
        program = self.link(home, "rpath", "$ORIGIN/../lib", "/nowhere")
        plan = Plan()
        Libraries(plan).add(program, "/usr/bin/prog")
        assert "/usr/lib/libtwo.so" in plan.items
        program = self.link(home, "runpath", "$ORIGIN/../lib", "/nowhere")
        with pytest.raises(PackError, match=r"libtwo\.so"):
            Libraries(Plan()).add(program, "/usr/bin/prog")

    def test_a_library_of_another_kind_is_passed_over(self, home: Path) -> None:
        program = self.link(home, "runpath", "$ORIGIN/wrong:$ORIGIN/../lib", "$ORIGIN/deep")
        wrong = bytearray(make_elf())
        wrong[18:20] = b"\x03\x01"
        (home / "bin/wrong").mkdir()
        (home / "bin/wrong/libone.so").write_bytes(wrong)
        plan = Plan()
        Libraries(plan).add(program, "/opt/bin/prog")
        assert "/opt/lib/libone.so" in plan.items

    def test_a_missing_library_is_named(self, home: Path) -> None:
        program = self.link(home, "runpath", "$ORIGIN/../lib", "/nowhere")
        with pytest.raises(PackError, match=r"libone\.so needs the library libtwo\.so"):
            Libraries(Plan()).add(program, "/usr/bin/prog")

    def test_two_libraries_of_one_name_are_refused(self, home: Path, tmp_path: Path) -> None:
        program = self.link(home, "runpath", "$ORIGIN/../lib", "${ORIGIN}/deep")
        twin = tmp_path / "twin"
        shutil.copytree(home, twin)
        (twin / "lib/libone.so").write_bytes(make_elf("libc.so.6"))
        libraries = Libraries(Plan())
        libraries.add(program, "/usr/bin/prog")
        with pytest.raises(PackError, match="images of their own"):
            libraries.add(twin / "bin/prog", "/usr/bin/twin")

    def test_a_stripped_library_is_the_same_library(self, home: Path, tmp_path: Path) -> None:
        program = self.link(home, "runpath", "$ORIGIN/../lib", "${ORIGIN}/deep")
        twin = tmp_path / "twin"
        shutil.copytree(home, twin)
        library = home / "lib/libone.so"
        library.write_bytes(library.read_bytes() + b"symbols and debugging information")
        plan = Plan()
        libraries = Libraries(plan, strip=True)
        libraries.add(program, "/usr/bin/prog")
        libraries.add(twin / "bin/prog", "/usr/bin/twin")
        assert plan.items["/usr/lib/libone.so"].size == (twin / "lib/libone.so").stat().st_size
