"""Mounts of a configuration: options, order, what is made for them, and images that set traps."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cellcrate_runtime.linux import mounts, namespaces
from cellcrate_runtime.oci import unveiled
from cellcrate_runtime.oci.container import create
from cellcrate_runtime.oci.errors import OCIError
from cellcrate_runtime.oci.launch import Launch
from cellcrate_runtime.oci.spec import Device, IDMapping, Linux, Mount, Spec
from oci.identities import Identity, Outcome, in_child, run_to_end


@pytest.fixture
def shared(base: Path) -> Iterator[Path]:
    """A folder of the host that everybody may write to."""
    with tempfile.TemporaryDirectory(dir=base) as name:
        folder = Path(name)
        folder.chmod(0o777)
        (folder / "file").write_text("content\n")
        (folder / "below").mkdir()
        yield folder
        for made in folder.glob("made*"):
            made.unlink()


def bind(source: Path, destination: str, *options: str) -> Mount:
    return Mount(destination=destination, source=str(source), options=["rbind", *options])


def linux_of(spec: Spec) -> Linux:
    assert spec.linux is not None
    return spec.linux


def run_with(identity: Identity, script: str, *mounts: Mount) -> Outcome:
    def change(spec: Spec) -> None:
        spec.mounts += mounts

    return identity.sh(script, change)


def test_a_folder_of_the_host(identity: Identity, shared: Path) -> None:
    script = "cat /new/place/file; echo x > /new/place/made"
    outcome = run_with(identity, script, bind(shared, "/new/place"))
    assert outcome.stdout == "content\n", outcome.stderr
    assert (shared / "made").read_text() == "x\n"


def test_a_file_of_the_host(identity: Identity, shared: Path) -> None:
    outcome = run_with(identity, "cat /etc/new/name", bind(shared / "file", "/etc/new/name"))
    assert outcome.stdout == "content\n"


def test_read_only(identity: Identity, shared: Path) -> None:
    outcome = run_with(identity, "echo x > /data/made", bind(shared, "/data", "ro"))
    assert "Read-only file system" in outcome.stderr
    assert not (shared / "made").exists()


def test_recursively_read_only(identity: Identity, shared: Path) -> None:
    def run(root: str) -> str:
        from cellcrate_runtime.linux import mounts

        mounts.mount("tmpfs", str(shared / "below"), "tmpfs", 0)
        outputs = []
        for option in ("ro", "rro"):
            spec = identity.spec("sh", "-c", "touch /data/below/x; touch /data/x")
            spec.mounts.append(bind(shared, "/data", option))
            outputs.append(run_to_end(spec, root).stderr.count("Read-only"))
        return " ".join(map(str, outputs))

    assert identity.in_shim(run) == "1 2"


def test_a_shared_mount_leaves_those_of_the_host_alone(identity: Identity, shared: Path) -> None:
    """What the container leaves behind is unmounted, and with it what were its peers."""

    def run(root: str) -> tuple[str, bool]:
        from cellcrate_runtime.linux import mounts

        mounts.mount("tmpfs", str(shared), "tmpfs", 0)
        (shared / "below").mkdir()
        mounts.mount("tmpfs", str(shared / "below"), "tmpfs", 0)
        mounts.set_propagation(str(shared), mounts.MS_REC | mounts.MS_SHARED)
        spec = identity.spec("sh", "-c", "grep -c ' /data/below ' /proc/self/mountinfo")
        spec.mounts.append(bind(shared, "/data", "rshared"))
        return run_to_end(spec, root).stdout, (shared / "below").is_mount()

    assert identity.in_shim(run) == ("1\n", True)


@pytest.mark.parametrize(
    ("option", "shown"),
    [
        ("ratime", "relatime"),
        ("rnostrictatime", "relatime"),
        ("rrelatime", "relatime"),
        ("rnoatime", "noatime"),
    ],
)
def test_access_times_of_all_mounts(base: Path, shared: Path, option: str, shown: str) -> None:
    if os.getuid() != 0:
        pytest.skip("needs to be root of the host, whose mounts they are")
    outcome = run_with(
        Identity("host", 0, base), "grep ' /mnt ' /proc/mounts", bind(shared, "/mnt", option)
    )
    assert shown in outcome.stdout.split()[3].split(",")


def test_flags(identity: Identity, shared: Path) -> None:
    mount = bind(shared, "/data", "nosuid", "nodev", "noexec", "noatime")
    lines = run_with(identity, "cat /proc/mounts", mount).stdout.splitlines()
    flags = next(line.split()[3].split(",") for line in lines if line.split()[1] == "/data")
    assert {"nosuid", "nodev", "noexec"} <= set(flags)
    # How the host's mounts keep access times is not an ordinary user's to change.
    assert ("noatime" in flags) == (identity.name != "rootless")


def test_a_bind_mount_is_private_by_default(identity: Identity, shared: Path) -> None:
    script = "cat /proc/self/mountinfo"
    lines = run_with(identity, script, bind(shared, "/data")).stdout.splitlines()
    fields = next(line.split() for line in lines if line.split()[4] == "/data")
    assert fields[6] == "-"  # no shared:N, no master:N


def test_later_mounts_lie_on_earlier_ones(identity: Identity, shared: Path) -> None:
    tmpfs = Mount(destination="/data", type="tmpfs", source="tmpfs", options=["size=1m"])
    script = "cat /data/deep/er/file; ls /data"
    outcome = run_with(identity, script, tmpfs, bind(shared, "/data/deep/er"))
    assert outcome.stdout == "content\ndeep\n"


def test_tmpfs(identity: Identity) -> None:
    sized = Mount(destination="/t", type="tmpfs", source="t", options=["size=1m", "mode=700"])
    over = Mount(destination="/tmp", type="tmpfs", source="t", options=["size=64k"])
    outcome = run_with(identity, "stat -c %a /t /tmp; cat /proc/mounts", sized, over)
    modes, _, mounts = outcome.stdout.partition("\n1777\n")
    assert modes == "700"  # the second has that of the folder that was there
    line = next(line for line in mounts.splitlines() if line.split()[1] == "/t")
    assert "size=1024k" in line


def test_tmpcopyup(identity: Identity) -> None:
    copy = Mount(destination="/etc", type="tmpfs", source="t", options=["tmpcopyup"])
    script = "cat /etc/passwd | head -n 1; touch /etc/new && echo ok; grep -c ' /etc ' /proc/mounts"
    outcome = run_with(identity, script, copy)
    assert outcome.stdout.split() == ["root:x:0:0:root:/root:/bin/sh", "ok", "1"]


@pytest.mark.parametrize("option", ["idmap", "ridmap"])
def test_mapped_folders_keep_their_owners(mapped: Identity, shared: Path, option: str) -> None:
    script = "stat -c %u:%g /data/file; touch /data/made; chown 1000:50 /data/made"
    outcome = run_with(mapped, script, bind(shared, "/data", option))
    assert outcome.stdout == "0:0\n", outcome.stderr
    made = (shared / "made").stat()
    assert (made.st_uid, made.st_gid) == (1000, 50)


def test_a_mounts_own_mappings(mapped: Identity, shared: Path) -> None:
    outside = mapped.outside_root
    mappings = [IDMapping(container_id=0, host_id=outside + 7, size=1)]
    mount = bind(shared, "/data", "idmap")
    mount.uid_mappings = mount.gid_mappings = mappings
    assert run_with(mapped, "stat -c %u:%g /data/file", mount).stdout == "7:7\n"


def test_without_mapping_the_hosts_root_is_nobody(mapped: Identity, shared: Path) -> None:
    script = "stat -c %u /data/file; echo x > /data/file"
    outcome = run_with(mapped, script, bind(shared, "/data"))
    assert outcome.stdout == "65534\n"
    assert "Permission denied" in outcome.stderr


@pytest.mark.parametrize(
    ("mount", "message"),
    [
        (
            Mount(destination="/data", source="/no/such", options=["rbind"]),
            "cannot mount /no/such at /data: /no/such: no such file or directory",
        ),
        (
            Mount(destination="/data", type="nosuchfs", source="x"),
            "cannot mount x at /data: no such device",
        ),
        (
            Mount(destination="/data", type="tmpfs", source="x", options=["size=bananas"]),
            "cannot mount x at /data: invalid argument",
        ),
        (
            Mount(destination="/etc/passwd", type="tmpfs", source="x"),
            "cannot mount x at /etc/passwd: /etc/passwd: not a directory",
        ),
    ],
)
def test_a_mount_that_fails_is_said_and_leaves_no_process(
    identity: Identity, mount: Mount, message: str
) -> None:
    def fail(root: str) -> None:
        spec = identity.spec("true")
        spec.mounts.append(mount)
        try:
            run_to_end(spec, root)
        finally:
            with pytest.raises(ChildProcessError):
                os.waitpid(-1, os.WNOHANG)

    with pytest.raises(OCIError) as caught:
        identity.in_shim(fail)
    assert caught.value.message == message


# Traps: links in an image that lead out of it.

TRAPS = {
    "absolute": ("data/trap", "{host}"),
    "dots": ("data/trap", "../../../../../../../..{host}"),
    "through proc": ("data/trap", "/proc/1/root{host}"),
    "chain": ("data/trap", "step"),
}


def trapped(identity: Identity, target: str, use: Callable[[str], Outcome | None]) -> None:
    """Do something with an image in which ``/data/trap`` is a link to ``target``."""

    def work(root: str) -> None:
        trap = f"ln -s {target} /data/trap; ln -s {target} /data/step"
        assert run_to_end(identity.spec("sh", "-c", trap), root).status == 0
        use(root)

    identity.in_shim(work)


@pytest.mark.parametrize("link", ["{host}", "../../../../../..{host}", "/../..{host}"])
def test_a_link_in_the_image_leads_nowhere_but_into_it(
    identity: Identity, shared: Path, link: str
) -> None:
    def use(root: str) -> None:
        spec = identity.spec("sh", "-c", f"ls {shared}/below; cat /proc/self/mountinfo")
        spec.mounts.append(Mount(destination="/data/trap/below", type="tmpfs", source="t"))
        outcome = run_to_end(spec, root)
        assert outcome.status == 0, outcome.stderr
        # The place was made inside, where the link points to for a process that lives there.
        assert f" {shared}/below " in outcome.stdout

    trapped(identity, link.format(host=shared), use)
    assert "below" not in Path("/proc/self/mountinfo").read_text()


def test_a_link_to_the_hosts_folders_makes_nothing_there(identity: Identity, shared: Path) -> None:
    def use(root: str) -> None:
        spec = identity.spec("true")
        spec.mounts.append(bind(shared / "file", "/data/trap/made-by-trap"))
        assert run_to_end(spec, root).status == 0

    trapped(identity, str(shared), use)
    assert not (shared / "made-by-trap").exists()


def test_magic_links_are_refused(identity: Identity) -> None:
    def use(root: str) -> None:
        spec = identity.spec("true")
        spec.mounts.append(Mount(destination="/data/trap/x", type="tmpfs", source="t"))
        with pytest.raises(OCIError):
            run_to_end(spec, root)

    trapped(identity, "/proc/self/root", use)


def test_the_working_directory_cannot_be_a_leaked_descriptor(identity: Identity) -> None:
    for descriptor in range(3, 20):
        spec = identity.spec("ls", cwd=f"/proc/self/fd/{descriptor}")
        with pytest.raises(OCIError):
            identity.run(spec)


def test_a_loop_of_links_is_an_error(identity: Identity) -> None:
    def use(root: str) -> None:
        spec = identity.spec("true")
        spec.mounts.append(Mount(destination="/data/trap/x", type="tmpfs", source="t"))
        with pytest.raises(OCIError, match="symbolic links"):
            run_to_end(spec, root)

    trapped(identity, "/data/step", use)


def test_masked_paths_that_are_links_stay_inside(identity: Identity, shared: Path) -> None:
    def use(root: str) -> None:
        spec = identity.spec("true")
        assert spec.linux is not None
        spec.linux.masked_paths.append("/data/trap")
        spec.linux.readonly_paths.append("/data/trap/file")
        assert run_to_end(spec, root).status == 0

    trapped(identity, str(shared), use)
    assert (shared / "file").read_text() == "content\n"


# Devices


def test_default_devices(identity: Identity) -> None:
    script = (
        "for d in null zero full random urandom tty; do stat -c '%n %a %t:%T' /dev/$d; done;"
        "head -c 3 /dev/zero | wc -c; echo x > /dev/null && echo null;"
        "echo x > /dev/full || echo full;"
        "for l in fd stdin stdout stderr ptmx; do readlink /dev/$l; done"
    )
    outcome = identity.sh(script)
    assert outcome.stdout == (
        "/dev/null 666 1:3\n/dev/zero 666 1:5\n/dev/full 666 1:7\n/dev/random 666 1:8\n"
        "/dev/urandom 666 1:9\n/dev/tty 666 5:0\n3\nnull\nfull\n"
        "/proc/self/fd\n/proc/self/fd/0\n/proc/self/fd/1\n/proc/self/fd/2\npts/ptmx\n"
    )


def test_a_further_device(identity: Identity) -> None:
    def change(spec: Spec) -> None:
        assert spec.linux is not None
        spec.linux.devices = [
            Device(path="/dev/deep/kmsg", type="c", major=1, minor=11, file_mode=0o600),
        ]

    if not os.path.exists("/dev/char/1:11") and identity.name != "host":
        with pytest.raises(OCIError, match="no such device, or under another name"):
            identity.sh("true", change)
    else:
        outcome = identity.sh("stat -c %t:%T /dev/deep/kmsg", change)
        assert outcome.stdout == "1:b\n"


def test_devices_cannot_be_made_inside(mapped: Identity) -> None:
    script = "mount -t tmpfs none /data; touch /data/x"
    outcome = mapped.sh(script)
    assert "permission denied" in outcome.stderr.lower()


def test_sysctl(identity: Identity) -> None:
    def change(spec: Spec) -> None:
        assert spec.linux is not None
        spec.linux.sysctl = {"net.ipv4.ip_forward": "1", "net/ipv4/conf/lo/forwarding": "0"}

    script = "cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/conf/lo/forwarding"
    before = Path("/proc/sys/net/ipv4/ip_forward").read_text()
    assert identity.sh(script, change).stdout.split() == ["1", "0"]
    assert Path("/proc/sys/net/ipv4/ip_forward").read_text() == before


def test_a_sysctl_that_the_kernel_does_not_have(identity: Identity) -> None:
    def change(spec: Spec) -> None:
        assert spec.linux is not None
        spec.linux.sysctl = {"net.ipv4.no_such_thing": "1"}

    with pytest.raises(OCIError, match=r"linux\.sysctl: /proc/sys/net/ipv4/no_such_thing"):
        identity.sh("true", change)


def test_a_read_only_dev_has_its_devices(identity: Identity) -> None:
    def change(spec: Spec) -> None:
        next(m for m in spec.mounts if m.destination == "/dev").options.append("ro")

    outcome = identity.sh("touch /dev/x; echo into > /dev/null && echo written", change)
    assert outcome.stdout == "written\n"
    assert "Read-only file system" in outcome.stderr


@pytest.mark.parametrize("place", ["/proc", "/sys"])
def test_proc_and_sys_are_mounted_on_folders_alone(identity: Identity, place: str) -> None:
    if identity.maps_ids:
        pytest.skip("the host's root may make nothing in a root whose ids are mapped")

    def work(root: str) -> Outcome:
        os.rmdir(root + place)
        os.mkdir(f"{root}/elsewhere")
        os.symlink("/elsewhere", root + place)
        return run_to_end(identity.spec("true"), root)

    with pytest.raises(OCIError, match="must be mounted on ordinary directory"):
        identity.in_shim(work)


def test_ids_are_translated_as_in_the_namespace_that_is_joined(
    mapped: Identity, shared: Path
) -> None:
    os.chown(shared / "file", 0, 0)

    def work(root: str) -> Outcome:
        first = create(mapped.spec("sleep", "60"), rootfs=root, stdio=None, cgroup=None)
        first.start()
        try:
            spec = mapped.spec("stat", "-c", "%u:%g", "/mnt/file")
            linux = linux_of(spec)
            linux.uid_mappings = linux.gid_mappings = []
            for namespace in linux.namespaces:
                if namespace.type == "user":
                    namespace.path = f"/proc/{first.pid}/ns/user"
            spec.mounts.append(bind(shared, "/mnt", "idmap"))
            return run_to_end(spec, root)
        finally:
            os.kill(first.pid, 9)
            os.waitpid(first.pid, 0)

    assert mapped.in_shim(work).stdout == "0:0\n"


@pytest.mark.root
def test_without_pivot_the_hosts_proc_opens_no_way(base: Path) -> None:
    host = Identity("host", 0, base)
    spec = host.spec("unshare", "-rmpf", "sh", "-c", "mount -t proc proc /proc && echo mounted")
    outcome = host.run(spec, launch=Launch(pivot=False))
    assert "mounted" not in outcome.stdout
    assert "permission denied" in outcome.stderr.lower()


@pytest.mark.root
def test_nothing_is_hidden_in_a_namespace_that_is_not_new() -> None:
    def hide() -> None:
        namespaces.unshare(namespaces.FLAGS["mount"])  # of this test, whatever comes of it
        mounts.set_propagation("/", mounts.MS_REC | mounts.MS_PRIVATE)
        root = os.open("/", os.O_PATH)
        unveiled.hide_outside(root, makers=unveiled.namespace())

    with pytest.raises(OCIError, match="the host's /proc would be hidden"):
        in_child(hide)
