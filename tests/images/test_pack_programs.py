"""``cellcrate image pack``: programs come with what they need, and run alone."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from cellcrate_runtime.images import (
    BASE_REFERENCE,
    Image,
    ImageNotFoundError,
    ImageStore,
    InvalidReferenceError,
    PackError,
)
from cellcrate_runtime.images.packer.programs import ORIGINS_LABEL, Addition, Request, pack
from images.handmade import AddImage, Entry, RunInside, folder


def command_of(image: Image, *arguments: str) -> list[str]:
    execution = image.config.execution
    return [*(execution.entrypoint or []), *(arguments or execution.cmd or [])]


def files_of(store: ImageStore, image: Image) -> set[str]:
    return {
        str(path.relative_to(folder))
        for folder in store.lower_dirs(image)
        for path in folder.rglob("*")
        if not path.is_dir() or path.is_symlink()
    }


@pytest.fixture
def skeleton(store: ImageStore, add_image: AddImage) -> list[Path]:
    """What a runtime puts under a container: here just the place for /proc."""
    return store.lower_dirs(add_image("skeleton", [folder("proc")]))


def test_a_program_runs_with_nothing_but_its_libraries(
    store: ImageStore, run_inside: RunInside, skeleton: list[Path]
) -> None:
    image = pack(store, Request(programs=["ls"]))
    assert image.repo_tags == ["ls:latest"]
    assert not [name for name in files_of(store, image) if name.endswith("bin/sh")]
    found = run_inside([*store.lower_dirs(image), *skeleton], *command_of(image, "/"))
    assert {"bin", "lib", "tmp", "usr"} <= set(found.stdout.split())


def test_a_script_brings_its_interpreter(
    store: ImageStore, run_inside: RunInside, skeleton: list[Path], tmp_path: Path
) -> None:
    script = tmp_path / "Greet.sh"
    script.write_text("#!/usr/bin/env sh\necho hello $1\n")
    script.chmod(0o755)
    image = pack(store, Request(programs=[str(script)], cmd=["you"]))
    assert image.repo_tags == ["greet.sh:latest"]
    done = run_inside([*store.lower_dirs(image), *skeleton], *command_of(image))
    assert done.stdout == "hello you\n"


def test_a_python_script_brings_this_python(
    store: ImageStore, run_inside: RunInside, skeleton: list[Path], tmp_path: Path
) -> None:
    script = tmp_path / "answer"
    script.write_text("#!/usr/bin/env python3\nimport json; print(json.dumps(6 * 7))\n")
    script.chmod(0o755)
    image = pack(store, Request(programs=[str(script)]))
    done = run_inside([*store.lower_dirs(image), *skeleton], *command_of(image))
    assert done.stdout == "42\n"


@pytest.mark.parametrize("python", ["/usr/bin/python3", sys.executable])
def test_a_python_brings_its_standard_library(
    store: ImageStore, run_inside: RunInside, skeleton: list[Path], python: str
) -> None:
    """This one, from a virtual environment perhaps, and the system's, which may be another."""
    if not os.access(python, os.X_OK):
        pytest.skip(f"This machine has no {python}.")
    image = pack(store, Request(programs=[python], tag="py"))
    script = "import asyncio, json, sqlite3, ssl, sys; print(sys.version, sys.prefix)"
    done = run_inside([*store.lower_dirs(image), *skeleton], *command_of(image, "-c", script))
    version = subprocess.run(
        [python, "-c", "import sys; print(sys.version)"], capture_output=True, text=True, check=True
    ).stdout
    assert done.stdout == f"{version.strip()} /usr\n"


def test_what_only_is_called_python_says_so(store: ImageStore, tmp_path: Path) -> None:
    fake = tmp_path / "python3"
    fake.write_text("#!/bin/sh\necho no\n")
    fake.chmod(0o755)
    with pytest.raises(PackError, match="standard library"):
        pack(store, Request(programs=[str(fake)]))
    assert store.images() == []


def test_a_label_tells_where_everything_came_from(store: ImageStore, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/file").touch()
    additions = [Addition(tmp_path / "data", "/srv/")]
    image = pack(store, Request(programs=["ls", sys.executable], additions=additions, tag="one"))
    origins = json.loads((image.config.execution.labels or {})[ORIGINS_LABEL])
    root = store.lower_dirs(image)[0]
    assert os.path.samefile(origins["/usr/bin/ls"], shutil.which("ls") or "")
    assert origins["/srv/data"] == str(tmp_path / "data")
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    assert origins[f"/usr/bin/{version}"] == os.path.realpath(sys.executable)
    assert origins[f"/usr/lib/{version}"] == str(Path(os.path.realpath(os.__file__)).parent)
    libraries = {name: source for name, source in origins.items() if ".so" in name}
    assert any("/libc.so.6" in name for name in libraries)
    assert any("/ld-" in name for name in libraries)
    for name, source in origins.items():
        assert (root / name.lstrip("/")).exists(), name
        assert os.path.exists(source)
    above = pack(store, Request(programs=["cat"], base="one", tag="two"))
    more = json.loads((above.config.execution.labels or {})[ORIGINS_LABEL])
    assert more.items() > origins.items()
    assert "/usr/bin/cat" in more


def test_files_and_folders_are_added(
    store: ImageStore, run_inside: RunInside, skeleton: list[Path], tmp_path: Path
) -> None:
    data = tmp_path / "data"
    (data / "deep/empty").mkdir(parents=True)
    (data / "deep/file").write_text("deep")
    (data / "link").symlink_to("deep/file")
    (data / "tool").write_text("#!/bin/sh\n")
    (data / "tool").chmod(0o700)
    image = pack(
        store,
        Request(
            programs=["cat"],
            additions=[
                Addition(data),
                Addition(data / "deep/file", "/etc/renamed"),
                Addition(data / "deep/file", "/into/"),
                Addition(data / "deep/file", "relative"),
            ],
            env=["A=1", "PATH=/usr/bin"],
            workdir="/srv/app",
            tag="it:1",
        ),
    )
    root = store.lower_dirs(image)[0]
    assert (root / "srv/app/data/deep/file").read_text() == "deep"
    assert os.readlink(root / "srv/app/data/link") == "deep/file"
    assert (root / "srv/app/data/deep/empty").is_dir()
    assert stat.S_IMODE((root / "srv/app/data/tool").stat().st_mode) == 0o755
    for name in ("etc/renamed", "into/file", "srv/app/relative"):
        assert (root / name).read_text() == "deep"
    assert image.config.execution.env == ["PATH=/usr/bin", "A=1"]
    assert image.config.execution.working_dir == "/srv/app"
    done = run_inside([root, *skeleton], *command_of(image, "/srv/app/data/link"))
    assert done.stdout == "deep"


def test_it_builds_upon_another_image(
    base_store: ImageStore, run_inside: RunInside, tmp_path: Path
) -> None:
    program = tmp_path / "bank.py"
    program.write_text("import os; print(os.environ['PATH'], os.getcwd())")
    base = base_store.get(BASE_REFERENCE)
    image = pack(
        base_store,
        Request(
            additions=[Addition(program)],
            base=BASE_REFERENCE,
            cmd=["python3", "bank.py"],
            workdir="/app",
            tag="bank",
        ),
    )
    try:
        assert image.diff_ids[:2] == base.diff_ids
        assert command_of(image) == ["python3", "bank.py"]
        assert base.config.execution.env == image.config.execution.env
        assert [step.created_by for step in image.config.history or []][:2] == [
            step.created_by for step in base.config.history or []
        ]
        folders = base_store.lower_dirs(image)
        assert files_of(base_store, image) >= {"app/bank.py", "usr/bin/python3"}
        assert sorted(os.listdir(folders[0])) == ["app"], "nothing that the base image has"
        done = run_inside(folders, "sh", "-c", f"cd /app && {' '.join(command_of(image))}")
        assert done.stdout.endswith(" /app\n")
    finally:
        base_store.remove(image.id)


def test_libraries_of_the_base_image_are_not_packed_again(
    base_store: ImageStore, run_inside: RunInside
) -> None:
    program = next(name for name in ("curl", "git", "ssh", "openssl") if shutil.which(name))
    alone = pack(base_store, Request(programs=[program], tag="alone"))
    upon = pack(base_store, Request(programs=[program], base=BASE_REFERENCE, tag="upon"))
    try:
        alone_files = files_of(base_store, alone)
        added = {
            str(path.relative_to(base_store.lower_dirs(upon)[0]))
            for path in base_store.lower_dirs(upon)[0].rglob("*")
            if path.is_file()
        }
        assert any(name.endswith("/libc.so.6") for name in alone_files)
        assert not any(name.endswith("/libc.so.6") for name in added)
        assert len(added) < len(alone_files)
        done = run_inside(base_store.lower_dirs(upon), *command_of(upon, "--help"), check=False)
        assert "error while loading" not in done.stderr
    finally:
        base_store.remove("alone")
        base_store.remove("upon")


def test_the_same_program_gives_the_same_image(store: ImageStore) -> None:
    first = pack(store, Request(programs=["ls"], tag="one"))
    assert pack(store, Request(programs=["ls"], tag="two")).id == first.id
    assert store.get(first.id).repo_tags == ["one:latest", "two:latest"]


def test_set_user_id_programs_are_packed_without_that_right(store: ImageStore) -> None:
    program = next((p for p in ("/usr/bin/su", "/bin/su") if os.access(p, os.X_OK | os.R_OK)), None)
    if program is None:
        pytest.skip("This machine has no set-user-id program that may be read.")
    assert os.stat(program).st_mode & stat.S_ISUID
    image = pack(store, Request(programs=[program]))
    packed = store.lower_dirs(image)[0] / "usr/bin/su"
    assert stat.S_IMODE(packed.stat().st_mode) == 0o755


@pytest.mark.parametrize(
    ("request_", "error", "words"),
    [
        (Request(), PackError, "nothing to pack"),
        (Request(programs=["no-such-program"]), PackError, "cannot find the program"),
        (Request(programs=["/etc/passwd"]), PackError, "may not be executed"),
        (Request(programs=["/tmp"]), PackError, "cannot find the program"),
        (
            Request(programs=["ls"], tag="Not Good"),
            InvalidReferenceError,
            "invalid reference format",
        ),
        (Request(programs=["ls"], base="nope"), ImageNotFoundError, "No such image"),
        (Request(programs=["ls"], env=["x"]), PackError, "NAME=value"),
        (Request(programs=["ls"], workdir="app"), PackError, "must begin with a slash"),
        (Request(additions=[Addition(Path("/etc/passwd"))]), PackError, "--tag"),
        (Request(programs=["ls"], additions=[Addition(Path("/nope"))]), PackError, "No such file"),
        (
            Request(programs=["ls"], additions=[Addition(Path("/dev/null"))]),
            PackError,
            "not a file",
        ),
    ],
)
def test_what_cannot_be_packed_leaves_nothing(
    store: ImageStore, request_: Request, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        pack(store, request_)
    assert store.images() == []
    assert os.listdir(store.root / "layers") == []
    assert os.listdir(store.root / "blobs/sha256") == []


def test_a_script_of_an_interpreter_with_parts_says_what_to_do(
    store: ImageStore, tmp_path: Path
) -> None:
    script = tmp_path / "old"
    script.write_text("#!/usr/bin/env python2\n")
    script.chmod(0o755)
    with pytest.raises(PackError, match=r"python2"):
        pack(store, Request(programs=[str(script)]))


def test_a_file_that_may_not_be_read_is_named(store: ImageStore, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read everything.")
    secret = tmp_path / "secret"
    secret.write_text("x")
    secret.chmod(0)
    with pytest.raises(PackError, match=r"may not read it|Permission denied"):
        pack(store, Request(programs=["ls"], additions=[Addition(secret)]))


def test_an_image_with_folders_of_its_own_stays_whole(
    store: ImageStore, add_image: AddImage
) -> None:
    """The modes of its folders, and folders that are links elsewhere, are kept."""
    own = [folder("bin"), Entry("bin/own", b"x"), folder("srv", mode=0o2770), folder("etc")]
    add_image("own", own)
    image = pack(
        store,
        Request(programs=["ls"], base="own", additions=[Addition(Path("/etc/passwd"), "/srv/p")]),
    )
    top = store.lower_dirs(image)[0]
    assert not (top / "bin").is_symlink(), "/bin of the base image is a folder"
    assert stat.S_IMODE((top / "srv").stat().st_mode) == 0o2770
