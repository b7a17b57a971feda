"""Links and moving folders where the runtime mounts, makes and hides.

CVE-2021-30465, CVE-2019-19921, CVE-2023-27561 and CVE-2023-28642: a link in the image, or one that
is put there at the right moment, leads a mount out of the root. CVE-2025-31133 and CVE-2025-52565:
/dev/null and /dev/console are links, and so what hides a path is something else. CVE-2025-52881:
a write that was meant for one file of /proc goes to another.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest

from cellcrate_runtime.oci.errors import OCIError
from cellcrate_runtime.oci.spec import Mount, Spec
from engine.conftest import RunningEngine
from oci.identities import Identity, Outcome

from .attacker import unchanged

Change = Callable[[Path], None]


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """A folder of the host's, which anybody could write to, and which stays as it is."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "precious").write_text("precious")
    folder.chmod(0o777)
    tmp_path.chmod(0o755)
    with unchanged(folder, folder / "precious"):
        yield folder


@pytest.fixture
def crafted(identity: Identity) -> Iterator[Callable[[Change], Identity]]:
    """The same identity with a root that somebody has prepared."""
    folders: list[tempfile.TemporaryDirectory[str]] = []

    def craft(change: Change) -> Identity:
        folders.append(tempfile.TemporaryDirectory(prefix="cc-oci-", dir="/var/tmp"))
        folder = Path(folders[-1].name)
        folder.chmod(0o755)
        name = "root-of-user" if identity.name == "rootless" else "root"
        root = folder / name
        root.mkdir(mode=0o755)
        for entry in (identity.base / name).iterdir():
            if entry.name in ("dev", "proc", "sys", "data"):
                (root / entry.name).mkdir(mode=0o755)
            else:
                subprocess.run(["cp", "-al", entry, root], check=True)
        if os.getuid() == 0:
            for place in (root, *root.iterdir()):
                os.chown(place, identity.uid, identity.uid, follow_symlinks=False)
        change(root)
        (folder / "scratch").symlink_to(identity.base / "scratch")
        return Identity(identity.name, identity.uid, folder)

    yield craft
    for folder in folders:
        folder.cleanup()


def replaced(name: str, target: str) -> Change:
    """Put a link in the place of a file or an empty folder."""

    def change(root: Path) -> None:
        place = root / name
        if place.is_dir():
            place.rmdir()
        place.symlink_to(target)

    return change


def ways_to(folder: Path) -> list[str]:
    """Links that lead to a folder of the host from inside a root, if they are followed blindly."""
    return [str(folder), f"../../../../../../../../..{folder}", f"/proc/1/root{folder}"]


def run_or_refuse(identity: Identity, spec: Spec) -> Outcome | None:
    """Run it; None if it is refused, which is as good as long as nothing is left."""
    try:
        return identity.run(spec)
    except OCIError:
        return None


# Ends with 9 where something of the kernel's can be written or read that is covered.
LOOK = """
echo 1 > /proc/sys/kernel/domainname && exit 9
head -qc 1 /proc/kcore /proc/keys /proc/version | grep -q . && exit 9
exit 0
"""


def looking(identity: Identity, **process: object) -> Spec:
    """A container that looks beneath its covers; what everybody may read is covered too."""
    spec = identity.spec("sh", "-c", LOOK, **process)
    assert spec.linux is not None
    spec.linux.masked_paths.append("/proc/version")
    return spec


def test_without_covers_there_is_something_to_see(identity: Identity) -> None:
    """So that the tests below are ones."""
    spec = looking(identity)
    assert identity.run(spec).status == 0
    assert spec.linux is not None
    spec.linux.masked_paths.clear()
    assert identity.run(spec).status == 9


@pytest.mark.parametrize("name", ["proc", "dev", "sys"])
@pytest.mark.parametrize("way", range(3))
def test_a_kernel_file_system_whose_place_is_a_link(
    crafted: Callable[[Change], Identity], outside: Path, name: str, way: int
) -> None:
    identity = crafted(replaced(name, ways_to(outside)[way]))
    outcome = run_or_refuse(identity, looking(identity))
    assert outcome is None or outcome.status == 0


@pytest.mark.parametrize("way", range(3))
@pytest.mark.parametrize("kind", ["bind", "tmpfs"])
def test_a_volume_whose_place_is_a_link(
    crafted: Callable[[Change], Identity], outside: Path, tmp_path: Path, kind: str, way: int
) -> None:
    source = tmp_path / "volume"
    source.mkdir()
    identity = crafted(replaced("data", ways_to(outside)[way]))
    spec = identity.spec("sh", "-c", "touch /data/deep/new; ls /data/deep")
    options = ["rbind"] if kind == "bind" else []
    spec.mounts.append(
        Mount(destination="/data/deep", type=kind, source=str(source), options=options)
    )
    run_or_refuse(identity, spec)  # `outside` is looked at when the test ends


TARGETS = [
    "/proc/sysrq-trigger",
    "/proc/sys/kernel/core_pattern",
    "{outside}/precious",
    "/etc/passwd",
]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("with_dev", [False, True], ids=["the image's /dev", "a /dev of its own"])
def test_dev_null_is_a_link(
    crafted: Callable[[Change], Identity], outside: Path, target: str, with_dev: bool
) -> None:
    """CVE-2025-31133: what covers a masked path is the host's /dev/null, not the image's."""
    link = target.format(outside=outside)
    identity = crafted(lambda root: (root / "dev/null").symlink_to(link))
    spec = identity.spec("stat", "-c", "%t:%T", "/proc/keys", "/etc/group")
    assert spec.linux is not None
    spec.linux.masked_paths.append("/etc/group")
    if not with_dev:
        spec.mounts = [mount for mount in spec.mounts if not mount.destination.startswith("/dev")]
    outcome = run_or_refuse(identity, spec)
    if outcome is not None:
        assert outcome.stdout.split() == ["1:3", "1:3"], outcome.stderr


@pytest.mark.parametrize("target", TARGETS)
def test_dev_console_is_a_link(
    crafted: Callable[[Change], Identity], outside: Path, target: str
) -> None:
    """CVE-2025-52565: a terminal that is mounted there uncovers nothing."""
    link = target.format(outside=outside)
    identity = crafted(lambda root: (root / "dev/console").symlink_to(link))
    spec = looking(identity, terminal=True)
    spec.mounts = [mount for mount in spec.mounts if mount.destination not in ("/dev", "/dev/shm")]
    outcome = run_or_refuse(identity, spec)
    assert outcome is None or outcome.status == 0


PARAMETERS = [
    "net/../kernel/core_pattern",
    "net.//.kernel.core_pattern",
    "net//../../kernel/core_pattern",
    "fs.mqueue.//.//.kernel.core_pattern",
    "kernel.core_pattern",
]


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_parameter_that_leads_elsewhere(identity: Identity, name: str) -> None:
    """CVE-2025-52881 by its front door."""
    spec = identity.spec("true")
    assert spec.linux is not None
    spec.linux.sysctl = {name: Path("/proc/sys/kernel/core_pattern").read_text()}
    with pytest.raises(OCIError, match=r"linux\.sysctl"):
        identity.run(spec)


@pytest.mark.parametrize("name", PARAMETERS)
def test_such_a_parameter_is_refused_when_a_container_is_created(
    engine: RunningEngine, name: str
) -> None:
    with pytest.raises(docker.errors.APIError, match="is not allowed") as refused:
        engine.client.containers.create(engine.image, ["true"], sysctls={name: "core"})
    assert refused.value.status_code == 400


SWAP = """
cd /v
mkdir -p folder/deep other
while test ! -e /v/enough; do
    ln -s {target} link 2>/dev/null
    python3 - <<'EOF'
import ctypes
libc = ctypes.CDLL(None)
for _ in range(5000):
    libc.renameat2(-100, b"/v/folder", -100, b"/v/link", 2)  # RENAME_EXCHANGE
EOF
done
"""


@pytest.mark.parametrize("way", range(2))
def test_a_folder_that_turns_into_a_link_while_containers_start(
    engine: RunningEngine, outside: Path, tmp_path: Path, way: int
) -> None:
    """CVE-2021-30465: two containers share a volume, and one moves what the other mounts on."""
    volume = tmp_path / "volume"
    volume.mkdir()
    (volume / "folder").mkdir()
    volume.chmod(0o777)
    script = SWAP.format(target=ways_to(outside)[way])
    swapper = engine.run(["sh", "-c", script], volumes=[f"{volume}:/v"])
    for _ in range(8):
        container = engine.client.containers.create(
            engine.image,
            ["touch", "/v/folder/deep/new"],
            volumes=[f"{volume}:/v"],
            tmpfs={"/v/folder/deep": "size=1m"},
        )
        # It may find the folder gone for that moment, which is said, and nothing else happens.
        with contextlib.suppress(docker.errors.APIError):
            container.start()
            container.wait()
        container.remove()
    (volume / "enough").touch()
    assert swapper.wait()["StatusCode"] == 0, swapper.logs()
