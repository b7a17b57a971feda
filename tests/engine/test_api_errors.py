"""Requests that make no sense, made by hand: what is answered, and that nothing is created."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from .conftest import RunningEngine

CREATE = "/v1.47/containers/create"


def body(**members: object) -> bytes:
    """A request to create a container, with one thing wrong in it."""
    return json.dumps({"Image": RunningEngine.image, "Cmd": ["true"], **members}).encode()


def host(**members: object) -> bytes:
    """The same, with the wrong thing in its HostConfig."""
    return body(HostConfig=members)


MACHINE_BYTES = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")

BAD_REQUESTS = {
    "not JSON": (b"{not json", 400, "invalid JSON"),
    "not an object": (b"[]", 400, "Expected `object`, got `array`"),
    "not text": (b'"\xff"', 400, "invalid JSON"),
    "a number as a name": (body(Image=12), 400, "Expected `str`, got `int` - at `$.Image`"),
    "a word as memory": (host(Memory="12 bananas"), 400, "$.HostConfig.Memory"),
    "no image": (body(Image=""), 400, "no image was named"),
    "no such image": (body(Image="nowhere"), 404, "No such image: nowhere:latest"),
    "no name of an image": (body(Image="A B"), 400, "A B"),
    "memory -1": (host(Memory=-1), 400, "6 MB or more"),
    "memory too small": (host(Memory=1024), 400, "Minimum memory limit allowed is 6MB"),
    "memory too large": (host(Memory=2 * MACHINE_BYTES), 400, "than this machine has"),
    "swap below memory": (
        host(Memory=64 << 20, MemorySwap=32 << 20),
        400,
        "Minimum memoryswap limit should be larger than memory limit",
    ),
    "swap without memory": (host(MemorySwap=32 << 20), 400, "always set the Memory limit"),
    "swap -2": (host(Memory=64 << 20, MemorySwap=-2), 400, "-1 for unlimited swap"),
    "reservation above limit": (
        host(Memory=64 << 20, MemoryReservation=65 << 20),
        400,
        "can not be less than memory reservation",
    ),
    "cpus -1": (host(NanoCpus=-1), 400, "range of CPUs is from 0.01"),
    "too many cpus": (host(NanoCpus=10**15), 400, "CPUs available"),
    "cpus twice": (host(NanoCpus=10**9, CpuQuota=5000), 400, "Conflicting options"),
    "cpu shares -1": (host(CpuShares=-1), 400, "CPU shares"),
    "a cpu that is not there": (host(CpusetCpus="4000"), 400, "4000"),
    "no list of cpus": (host(CpusetCpus="one,two"), 400, "one"),
    "pids -2": (host(PidsLimit=-2), 400, "pids limit"),
    "blkio weight": (host(BlkioWeight=5), 400, "Range of blkio weight is from 10 to 1000"),
    "signal": (body(StopSignal="SIGBANANA"), 400, "Invalid signal: SIGBANANA"),
    "environment": (body(Env=["=x"]), 400, "invalid environment variable: =x"),
    "working directory": (body(WorkingDir="here"), 400, "needs to be an absolute path"),
    "hostname": (body(Hostname="a b"), 400, "invalid hostname format"),
    "long hostname": (body(Hostname="a" * 65), 400, "too long (maximum 64 bytes)"),
    "health check": (body(Healthcheck={"Test": ["RUN", "x"]}), 400, "Unknown type of healthcheck"),
    "health interval": (body(Healthcheck={"Interval": 10}), 400, "less than 1ms"),
    "restart policy": (host(RestartPolicy={"Name": "sometimes"}), 400, "unknown policy"),
    "restart and remove": (
        host(RestartPolicy={"Name": "always"}, AutoRemove=True),
        400,
        "can't create 'AutoRemove' container with restart policy",
    ),
    "missing source": (host(Binds=["/no/such/path:/x"]), 400, "path does not exist"),
    "relative target": (host(Binds=["/tmp:x"]), 400, "mount path must be absolute"),
    "root as target": (host(Binds=["/tmp:/"]), 400, "destination can't be '/'"),
    "mount mode": (host(Binds=["/tmp:/x:rx"]), 400, "invalid mode: rx"),
    "too many colons": (host(Binds=["/a:/b:ro:z"]), 400, "invalid volume specification"),
    "mount twice": (host(Binds=["/tmp:/x", "/usr:/x"]), 400, "Duplicate mount point: /x"),
    "mount type": (
        host(Mounts=[{"Type": "cloud", "Target": "/x"}]),
        400,
        "mount type unknown",
    ),
    "missing mount source": (
        host(Mounts=[{"Type": "bind", "Source": "/no/such/path", "Target": "/x"}]),
        400,
        "bind source path does not exist: /no/such/path",
    ),
    "tmpfs option": (host(Tmpfs={"/x": "colour=red"}), 400, 'invalid tmpfs option "colour=red"'),
    "capability": (host(CapAdd=["FLY"]), 400, 'unknown capability: "FLY"'),
    "ulimit": (host(Ulimits=[{"Name": "x", "Soft": 1, "Hard": 1}]), 400, "invalid ulimit type"),
    "ulimit order": (
        host(Ulimits=[{"Name": "nofile", "Soft": 9, "Hard": 1}]),
        400,
        "soft limit must be less than or equal to hard limit",
    ),
    "device": (host(Devices=[{"PathOnHost": "/dev/no-such"}]), 400, "/dev/no-such"),
    "no device": (host(Devices=[{"PathOnHost": "/etc/passwd"}]), 400, "not a device"),
    "device rule": (host(DeviceCgroupRules=["all"]), 400, "device cgroup rule"),
    "sysctl": (host(Sysctls={"kernel.panic": "1"}), 400, "not in a separate kernel namespace"),
    "security option": (host(SecurityOpt=["be=nice"]), 400, "invalid --security-opt"),
    "apparmor": (host(SecurityOpt=["apparmor=mine"]), 400, "does not use AppArmor"),
    "seccomp": (host(SecurityOpt=["seccomp={"]), 400, "seccomp profile failed"),
    "network of nobody": (host(NetworkMode="container:nobody"), 404, "No such container: nobody"),
    "pid mode": (host(PidMode="mine"), 400, "invalid PID mode: mine"),
    "ipc mode": (host(IpcMode="mine"), 400, "invalid IPC mode: mine"),
    "oom score": (host(OomScoreAdj=2000), 400, "range for oom score adj"),
    "shm size": (host(ShmSize=-1), 400, "SHM size can not be less than 0"),
    "extra host": (host(ExtraHosts=["db"]), 400, "bad format for add-host"),
    "log option": (
        host(LogConfig={"Type": "json-file", "Config": {"max-size": "huge"}}),
        400,
        "max-size='huge'",
    ),
    "owner": (body(Labels={"org.cellcrate.owner": "me"}), 400, "process id"),
    "ports": (
        host(PortBindings={"80/tcp": [{"HostPort": "8080"}]}),
        501,
        "publishing ports (--publish)",
    ),
    "named network": (host(NetworkMode="mine"), 501, "the network 'mine'"),
    "named volume": (host(Binds=["data:/x"]), 501, "the named volume 'data'"),
    "gpu": (host(DeviceRequests=[{"Count": -1}]), 501, "device requests (--gpus)"),
    "log driver": (host(LogConfig={"Type": "syslog"}), 501, "the log driver 'syslog'"),
}


@pytest.mark.parametrize("case", BAD_REQUESTS)
def test_bad_request_is_said_and_creates_nothing(engine: RunningEngine, case: str) -> None:
    content, status, message = BAD_REQUESTS[case]
    answer = engine.request("POST", CREATE, content)
    assert answer.status == status, answer.body
    assert message in answer.message
    assert status != 501 or "is not served by this engine yet" in answer.message
    assert engine.client.containers.list(all=True) == []
    assert list(engine.paths.containers.iterdir()) == []


@pytest.mark.parametrize("name", ["-x", "a b", "ä", "x", "a/b"])
def test_a_name_that_cannot_be(engine: RunningEngine, name: str) -> None:
    from urllib.parse import quote

    answer = engine.request("POST", f"{CREATE}?name={quote(name, safe='')}", body())
    assert answer.status == 400
    assert f"Invalid container name ({name})" in answer.message


def test_a_body_that_is_not_declared_as_json(engine: RunningEngine) -> None:
    answer = engine.request("POST", CREATE, body(), content="text/plain")
    assert answer.status == 400
    assert "must be 'application/json'" in answer.message


def test_no_body(engine: RunningEngine) -> None:
    answer = engine.request("POST", CREATE)
    assert (answer.status, "config cannot be empty" in answer.message) == (400, True)


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("GET", "/v1.47/nonsense", 404, "page not found"),
        ("GET", "/", 404, "page not found"),
        ("GET", "/v1.23/containers/json", 400, "client version 1.23 is too old"),
        ("GET", "/v1.99/containers/json", 400, "client version 1.99 is too new"),
        ("GET", "/v1.47/containers/none/json", 404, "No such container: none"),
        ("POST", "/v1.47/containers/none/start", 404, "No such container: none"),
        ("DELETE", "/v1.47/containers/none", 404, "No such container: none"),
        ("GET", "/v1.47/images/none/json", 404, "No such image: none:latest"),
        ("GET", "/v1.47/containers/json?limit=many", 400, "limit='many' is not a whole number"),
        ("GET", "/v1.47/containers/json?filters=x", 400, "invalid filter"),
        ("GET", '/v1.47/containers/json?filters={"status":["odd"]}', 400, "invalid filter"),
        ("POST", "/v1.47/images/create?fromImage=127.0.0.1:1/x&tag=1", 500, "cannot be reached"),
        ("POST", "/v1.47/images/create?fromImage=x&platform=what/", 400, "is no platform"),
        ("GET", "/v1.47/distribution/127.0.0.1:1/x/json", 500, "cannot be reached"),
        ("GET", "/v1.47/networks", 501, "the network API"),
        ("POST", "/v1.47/volumes/create", 501, "the volume API"),
        ("POST", "/v1.47/commit", 400, "container is missing"),
        ("POST", "/v1.47/swarm/init", 501, "swarm mode"),
        ("GET", "/v1.47/images/search?term=x", 501, "searching a registry"),
        ("PATCH", "/v1.47/containers/json", 405, "Method Not Allowed"),
    ],
)
def test_paths(engine: RunningEngine, method: str, path: str, status: int, message: str) -> None:
    answer = engine.request(method, path)
    assert answer.status == status, answer.body
    assert message in answer.message


def test_a_path_without_a_version_is_the_newest(engine: RunningEngine) -> None:
    answer = engine.request("GET", "/containers/json")
    assert (answer.status, answer.headers["api-version"]) == (200, "1.47")


@pytest.mark.root
def test_others_are_hung_up_on_whatever_the_sockets_mode(own_engine: RunningEngine) -> None:
    for path in (own_engine.paths.run.parent, own_engine.paths.run, own_engine.socket):
        path.chmod(0o777)
    code = (
        "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
        "s.settimeout(30)\n"
        "try: s.sendall(b'GET /_ping HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n'); print(s.recv(99))\n"
        "except ConnectionError: print(b'')"
    )
    for user, expected in ((12345, "b''"), (0, "b'HTTP/1.1 200 OK")):
        done = subprocess.run(
            ["/usr/bin/python3", "-c", code, str(own_engine.socket)],
            user=user,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.stdout.startswith(expected), done.stderr


def test_the_socket_is_private(engine: RunningEngine) -> None:
    assert engine.socket.stat().st_mode & 0o777 == 0o600
    assert engine.paths.run.stat().st_mode & 0o777 == 0o700
