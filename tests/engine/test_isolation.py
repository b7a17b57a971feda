"""What a container sees, may do and may not, asked of programs that run in one."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import docker
import pytest

from cellcrate_runtime.linux.cgroups import hierarchy

from .conftest import RunningEngine

ROOT = os.geteuid() == 0


def output(engine: RunningEngine, script: str, **options: Any) -> str:
    """What a script prints in a container that ends well."""
    container = engine.run(["sh", "-c", script], **options)
    status = container.wait()["StatusCode"]
    text: str = container.logs().decode()
    assert status == 0, (status, text)
    return text.strip()


def status(engine: RunningEngine, script: str, **options: Any) -> dict[str, str]:
    """The members of /proc/self/status in a container."""
    text = output(engine, f"{script}; cat /proc/self/status", **options)
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


def test_root_inside_is_nobody_special_outside(engine: RunningEngine) -> None:
    inside, outside, size = output(engine, "head -1 /proc/self/uid_map").split()
    assert inside == "0"
    if ROOT:
        assert int(outside) >= 100_000
        assert int(size) == 65536


@pytest.mark.root
def test_files_on_disk_keep_their_owners(engine: RunningEngine) -> None:
    container = engine.run(["sh", "-c", "echo x > /mine; echo y > /his; chown 1000 /his"])
    container.wait()
    upper = Path(
        engine.client.api.inspect_container(container.id)["GraphDriver"]["Data"]["UpperDir"]
    )
    assert (upper / "mine").stat().st_uid == 0
    assert (upper / "his").stat().st_uid == 1000


@pytest.mark.root
def test_userns_host(engine: RunningEngine) -> None:
    assert output(engine, "cat /proc/self/uid_map", userns_mode="host").split() == [
        *("0", "0", "4294967295")
    ]


@pytest.mark.root
@pytest.mark.parametrize("users", ["", "host"])
def test_a_device_node_of_an_image_is_a_name_to_a_user_namespace(
    engine: RunningEngine, users: str
) -> None:
    script = ["sh", "-c", "head -c 1 /zero"]
    container = engine.client.containers.create(engine.image, script, userns_mode=users)
    found = engine.client.api.inspect_container(container.id)["GraphDriver"]["Data"]["UpperDir"]
    node = Path(found) / "zero"  # as if a layer had it
    os.mknod(node, stat.S_IFCHR, os.makedev(1, 5))  # which every container may use, in /dev
    node.chmod(0o666)
    container.start()
    ended = container.wait()["StatusCode"]
    said = container.logs()
    container.remove()
    if users == "host":
        assert (ended, said) == (0, b"\0")
    else:
        assert ended != 0
        assert b"Permission denied" in said


def test_processes_of_others_are_not_seen(engine: RunningEngine) -> None:
    assert output(engine, "echo $$; ls /proc | grep -c '^[0-9]'").split()[0] == "1"


def test_there_is_loopback_and_no_other_network(engine: RunningEngine) -> None:
    assert output(engine, "ls /sys/class/net") == "lo"
    assert "127.0.0.1" in output(engine, "cat /proc/net/fib_trie")


def test_the_hosts_network(engine: RunningEngine) -> None:
    found = output(engine, "readlink /proc/self/ns/net", network_mode="host")
    assert found == os.readlink("/proc/self/ns/net")
    assert output(engine, "ls /sys/class/net", network_mode="host").split() == sorted(
        os.listdir("/sys/class/net")
    )


@pytest.mark.parametrize("kind", ["network_mode", "pid_mode", "ipc_mode"])
def test_namespaces_of_another_container(engine: RunningEngine, kind: str) -> None:
    first = engine.run(["sleep", "1000"], ipc_mode="shareable")
    name = {"network_mode": "net", "pid_mode": "pid", "ipc_mode": "ipc"}[kind]
    wanted = first.exec_run(["readlink", f"/proc/self/ns/{name}"]).output.decode().strip()
    mode = {kind: f"container:{first.name}"}
    assert output(engine, f"readlink /proc/self/ns/{name}", **mode) == wanted
    first.stop(timeout=0)
    second = engine.client.containers.create(engine.image, ["true"], **mode)
    with pytest.raises(docker.errors.APIError, match="not running"):
        second.start()


def test_hostname_and_hosts(engine: RunningEngine) -> None:
    options: dict[str, Any] = {"hostname": "box", "extra_hosts": {"db": "10.1.2.3"}}
    assert output(engine, "hostname; cat /etc/hostname", **options) == "box\nbox"
    assert "10.1.2.3\tdb" in output(engine, "cat /etc/hosts", **options)


def test_name_servers(engine: RunningEngine) -> None:
    text = output(engine, "cat /etc/resolv.conf", dns=["9.9.9.9"], dns_search=["example.org"])
    assert "nameserver 9.9.9.9" in text
    assert "search example.org" in text


def test_set_user_id_programs_gain_nothing(engine: RunningEngine) -> None:
    assert status(engine, "true")["NoNewPrivs"] == "1"
    off = {"security_opt": ["no-new-privileges=false"]}
    assert status(engine, "true", **off)["NoNewPrivs"] == "0"


def test_system_calls_are_filtered(engine: RunningEngine) -> None:
    assert status(engine, "true")["Seccomp"] == "2"
    off = {"security_opt": ["seccomp=unconfined"]}
    assert status(engine, "true", **off)["Seccomp"] == "0"


def test_capabilities(engine: RunningEngine) -> None:
    assert status(engine, "true")["CapBnd"] == "00000000a80425fb"  # Docker's fourteen
    assert status(engine, "true", cap_drop=["ALL"])["CapBnd"] == "0000000000000000"
    found = int(status(engine, "true", cap_drop=["ALL"], cap_add=["NET_ADMIN"])["CapBnd"], 16)
    assert found == 1 << 12


@pytest.mark.root
def test_privileged(engine: RunningEngine) -> None:
    found = status(engine, "test -e /dev/loop-control", privileged=True)
    assert found["Seccomp"] == "0"
    assert found["NoNewPrivs"] == "0"
    own = Path("/proc/self/status").read_text()
    bounding = next(line.split()[1] for line in own.splitlines() if line.startswith("CapBnd"))
    assert found["CapBnd"] == bounding


@pytest.mark.parametrize("path", ["/proc/kcore", "/proc/timer_list", "/sys/firmware"])
def test_what_tells_about_the_host_is_hidden(engine: RunningEngine, path: str) -> None:
    assert output(engine, f"cat {path} 2>/dev/null || ls {path} 2>/dev/null || true") == ""


@pytest.mark.parametrize("path", ["/proc/sys/vm/swappiness", "/proc/sysrq-trigger"])
def test_what_changes_the_host_is_read_only(engine: RunningEngine, path: str) -> None:
    assert output(engine, f"echo 1 2>/dev/null > {path} || echo refused") == "refused"


def test_users(engine: RunningEngine) -> None:
    assert output(engine, "id -u; id -g", user="nobody").split()[0] == "65534"
    assert output(engine, "id -u; id -g", user="123:456").split() == ["123", "456"]
    assert "789" in output(engine, "id -G", group_add=["789"]).split()
    assert output(engine, "echo $HOME") == "/root"


def test_a_user_that_has_no_id_here(engine: RunningEngine) -> None:
    container = engine.client.containers.create(engine.image, ["true"], user="2000000000")
    with pytest.raises(docker.errors.APIError, match="2000000000:0 does not exist"):
        container.start()


def test_the_hosts_ipc(engine: RunningEngine) -> None:
    found = output(engine, "readlink /proc/self/ns/ipc", ipc_mode="host")
    assert found == os.readlink("/proc/self/ns/ipc")


def test_the_hosts_processes(engine: RunningEngine) -> None:
    found = output(engine, "readlink /proc/self/ns/pid", pid_mode="host")
    assert found == os.readlink("/proc/self/ns/pid")


def test_working_directory(engine: RunningEngine) -> None:
    assert output(engine, "pwd", working_dir="/usr/../tmp/") == "/tmp"
    assert output(engine, "pwd", working_dir="/made/for/it") == "/made/for/it"


def test_environment(engine: RunningEngine) -> None:
    assert output(engine, "echo $A $HOSTNAME", environment={"A": "1"}, hostname="box") == "1 box"


def test_read_only_root(engine: RunningEngine) -> None:
    assert output(engine, "touch /x 2>/dev/null || echo refused", read_only=True) == "refused"
    assert output(engine, "touch /t/x && echo fine", read_only=True, tmpfs={"/t": ""}) == "fine"


def test_bind_mounts(engine: RunningEngine, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("from outside\n")
    script = "cat /data/in; echo from inside > /data/out"
    assert output(engine, script, volumes=[f"{tmp_path}:/data"]) == "from outside"
    assert (tmp_path / "out").read_text() == "from inside\n"
    assert (tmp_path / "out").stat().st_uid == os.geteuid()


def test_read_only_bind_mounts(engine: RunningEngine, tmp_path: Path) -> None:
    for mount in (
        {"volumes": [f"{tmp_path}:/data:ro"]},
        {"mounts": [docker.types.Mount("/data", str(tmp_path), "bind", read_only=True)]},
    ):
        assert output(engine, "touch /data/x 2>/dev/null || echo refused", **mount) == "refused"


def test_a_file_is_mounted(engine: RunningEngine, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("content\n")
    options = {"volumes": [f"{tmp_path}/file:/deep/down/file"]}
    assert output(engine, "cat /deep/down/file", **options) == "content"


def test_tmpfs(engine: RunningEngine) -> None:
    assert "tmpfs" in output(engine, "grep ' /t ' /proc/mounts", tmpfs={"/t": "size=1m"})
    mount = docker.types.Mount("/t", None, "tmpfs", tmpfs_size=1 << 20, tmpfs_mode=0o700)
    assert "size=1024k" in output(engine, "grep ' /t ' /proc/mounts", mounts=[mount])


def test_shm_size(engine: RunningEngine) -> None:
    assert "size=65536k" in output(engine, "grep /dev/shm /proc/mounts")
    assert "size=1024k" in output(engine, "grep /dev/shm /proc/mounts", shm_size="1m")


def test_ulimits(engine: RunningEngine) -> None:
    limit = docker.types.Ulimit(name="nofile", soft=99, hard=100)
    assert output(engine, "ulimit -Sn; ulimit -Hn", ulimits=[limit]).split() == ["99", "100"]


def test_sysctls(engine: RunningEngine) -> None:
    options = {"sysctls": {"net.ipv4.ip_unprivileged_port_start": "77"}}
    script = "cat /proc/sys/net/ipv4/ip_unprivileged_port_start"
    assert output(engine, script, **options) == "77"


def test_devices(engine: RunningEngine) -> None:
    options = {"devices": ["/dev/full:/dev/mine:rw"]}
    assert output(engine, "test -c /dev/mine && echo there", **options) == "there"


def test_init(engine: RunningEngine) -> None:
    assert output(engine, "echo $$", init=False) == "1"
    assert output(engine, "echo $$", init=True) != "1"


def test_image_volumes_are_part_of_the_container(engine: RunningEngine) -> None:
    container = engine.client.containers.create(
        engine.image, ["sh", "-c", "echo x >> /data/file; cat /data/file"], volumes=["/data"]
    )
    for expected in (b"x\n", b"x\nx\nx\n"):
        container.start()
        assert container.wait()["StatusCode"] == 0, container.logs()
        assert container.logs() == expected


@pytest.mark.usefixtures("limits")
def test_limits_are_in_force(engine: RunningEngine) -> None:
    container = engine.run(
        ["sleep", "1000"],
        mem_limit="64m",
        memswap_limit="64m",
        pids_limit=50,
        nano_cpus=500_000_000,
    )
    stats = container.stats(stream=False)
    assert stats["memory_stats"]["limit"] == 64 << 20
    assert stats["pids_stats"]["limit"] == 50


def test_a_limit_that_this_user_cannot_have_is_an_error(engine: RunningEngine) -> None:
    if hierarchy().has("memory"):
        pytest.skip("this user can have limits")
    with pytest.raises(docker.errors.APIError, match="No memory limit can be set") as error:
        engine.client.containers.create(engine.image, ["true"], mem_limit="64m")
    assert error.value.status_code == 400
    container = engine.run(["sleep", "1000"])
    with pytest.raises(docker.errors.APIError, match="cannot pause container"):
        container.pause()
