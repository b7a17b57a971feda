"""Names of users and groups, looked up in the container's own files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cellcrate_runtime.oci.errors import OCIError, UserNotFoundError
from cellcrate_runtime.oci.spec import Process
from cellcrate_runtime.oci.users import complete_environment, resolve_user

PASSWD = """\
root:x:0:0:root:/root:/bin/sh
# a comment:x:5:5::/:
alice:x:1000:1000:Alice:/home/alice:/bin/sh

12:x:77:78:a name of digits:/twelve:/bin/sh
broken
short:x:40:41
"""

GROUP = """\
root:x:0:
daemon:x:1:root,alice
alice:x:1000:
staff:x:50:alice
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text(PASSWD)
    (tmp_path / "etc/group").write_text(GROUP)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "uid", "gid", "groups"),
    [
        ("", 0, 0, [0, 1]),
        ("root", 0, 0, [0, 1]),
        ("0", 0, 0, [0, 1]),
        ("alice", 1000, 1000, [1000, 1, 50]),
        ("1000", 1000, 1000, [1000, 1, 50]),
        ("alice:staff", 1000, 50, [50]),
        ("alice:7", 1000, 7, [7]),
        ("4321", 4321, 0, [0]),
        ("4321:1234", 4321, 1234, [1234]),
        (":staff", 0, 50, [50]),
        ("12", 77, 78, [78]),
        ("short", 40, 41, [41]),
    ],
)
def test_users_as_docker_reads_them(
    root: Path, name: str, uid: int, gid: int, groups: list[int]
) -> None:
    user = resolve_user(str(root), name)
    assert (user.uid, user.gid, user.additional_gids) == (uid, gid, groups)


def test_a_root_by_descriptor(root: Path) -> None:
    descriptor = os.open(root, os.O_PATH)
    try:
        assert resolve_user(descriptor, "alice").uid == 1000
    finally:
        os.close(descriptor)


def test_additional_groups(root: Path) -> None:
    user = resolve_user(str(root), "4321", ["staff", "99", "0"])
    assert user.additional_gids == [0, 50, 99]


@pytest.mark.parametrize(
    ("name", "groups", "message"),
    [
        ("bob", [], "unable to find user bob: no matching entries in passwd file"),
        ("alice:wheel", [], "unable to find group wheel: no matching entries in group file"),
        ("alice", ["wheel"], "unable to find group wheel: no matching entries in group file"),
    ],
)
def test_unknown_names(root: Path, name: str, groups: list[str], message: str) -> None:
    with pytest.raises(UserNotFoundError) as caught:
        resolve_user(str(root), name, groups)
    assert caught.value.message == message


@pytest.mark.parametrize("name", ["-1", "2147483648", "0:99999999999"])
def test_ids_out_of_range(root: Path, name: str) -> None:
    with pytest.raises(OCIError, match="uids and gids must be in range 0-2147483647"):
        resolve_user(str(root), name)


def test_an_image_without_files(tmp_path: Path) -> None:
    assert resolve_user(str(tmp_path), "").uid == 0
    assert resolve_user(str(tmp_path), "5:6").gid == 6
    with pytest.raises(UserNotFoundError):
        resolve_user(str(tmp_path), "root")


def test_a_link_out_of_the_image_is_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "host-passwd"
    secret.write_text("mallory:x:0:0::/:/bin/sh\n")
    image = tmp_path / "image"
    (image / "etc").mkdir(parents=True)
    for link in (str(secret), "../../host-passwd", "/../../host-passwd"):
        (image / "etc/passwd").unlink(missing_ok=True)
        (image / "etc/passwd").symlink_to(link)
        with pytest.raises(UserNotFoundError):
            resolve_user(str(image), "mallory")


def test_a_pipe_instead_of_a_file_does_not_block(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    os.mkfifo(tmp_path / "etc/passwd")
    assert resolve_user(str(tmp_path), "3").uid == 3


@pytest.mark.parametrize(
    ("env", "uid", "expected"),
    [
        ([], 1000, ["HOME=/home/alice"]),
        (["A=b"], 0, ["A=b", "HOME=/root"]),
        ([], 555, ["HOME=/"]),
        (["HOME=/set"], 0, ["HOME=/set"]),
    ],
)
def test_home(root: Path, env: list[str], uid: int, expected: list[str]) -> None:
    process = Process(cwd="/", args=["x"], env=env)
    process.user.uid = uid
    descriptor = os.open(root, os.O_PATH)
    try:
        complete_environment(descriptor, process)
    finally:
        os.close(descriptor)
    assert process.env == expected
