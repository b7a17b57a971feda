"""A filter that asks a program outside, over the socket that the configuration names."""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import signal
import socket
import struct
import threading
from pathlib import Path
from typing import Any

import pytest

from cellcrate_runtime.linux.seccomp import Seccomp
from cellcrate_runtime.linux.seccomp.profile import Syscall
from cellcrate_runtime.oci import seccomp_agent
from cellcrate_runtime.oci.container import create
from cellcrate_runtime.oci.errors import OCIError
from cellcrate_runtime.oci.spec import Spec
from cellcrate_runtime.oci.state import State
from oci.identities import Identity, Outcome, run_to_end
from oci.test_execute import execute_to_end

STATE = State(oci_version="1.2.0", id="box", status="creating", bundle="/var/tmp")

# linux/seccomp.h: SECCOMP_IOCTL_NOTIF_RECV and _SEND; the structures have 80 and 24 bytes.
RECEIVE = 0xC0502100
SEND = 0xC0182101
EDOM = 33


class Agent:
    """Takes one descriptor, and answers each call with an error number of its own."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "agent")
        self.told: dict[str, Any] = {}
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listening.bind(self.path)
        os.chmod(self.path, 0o777)
        self._listening.listen()
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def _work(self) -> None:
        connection, _ = self._listening.accept()
        with connection:
            document, descriptors, _, _ = socket.recv_fds(connection, 65536, 4)
            while more := connection.recv(65536):
                document += more
        self.told = json.loads(document)
        (listener,) = descriptors
        request = ctypes.create_string_buffer(80)
        fcntl.ioctl(listener, RECEIVE, request)
        (identity,) = struct.unpack_from("Q", request)
        fcntl.ioctl(listener, SEND, struct.pack("QqiI", identity, 0, -EDOM, 0))
        os.close(listener)

    def close(self) -> None:
        self._thread.join()
        self._listening.close()


def notifying(spec: Spec, path: str, **settings: Any) -> Spec:
    assert spec.linux is not None
    spec.linux.seccomp = Seccomp(
        default_action="SCMP_ACT_ALLOW",
        listener_path=path,
        syscalls=[Syscall(names=["mkdir"], action="SCMP_ACT_NOTIFY")],
        **settings,
    )
    return spec


def run(identity: Identity, spec: Spec) -> Outcome:
    return identity.in_shim(lambda root: run_to_end(spec, root, state=STATE))


@pytest.mark.parametrize("no_new_privileges", [False, True])
def test_the_agent_answers(identity: Identity, base: Path, no_new_privileges: bool) -> None:
    agent = Agent(base / "scratch")
    try:
        spec = identity.spec("mkdir", "/tmp/x", no_new_privileges=no_new_privileges)
        outcome = run(identity, notifying(spec, agent.path, listener_metadata="mine"))
    finally:
        agent.close()
        os.unlink(agent.path)
    assert "Numerical argument out of domain" in outcome.stderr
    assert agent.told["fds"] == ["seccompFd"]
    assert agent.told["metadata"] == "mine"
    assert agent.told["state"]["id"] == "box"
    assert agent.told["state"]["status"] == "creating"
    assert agent.told["pid"] == agent.told["state"]["pid"] > 1


def test_it_answers_for_one_more_process_too(identity: Identity, base: Path) -> None:
    agent = Agent(base / "scratch")
    further = identity.spec("mkdir", "/tmp/x").process
    assert further is not None

    def work(root: str) -> tuple[int, str]:
        spec = identity.spec("sleep", "60")
        first = create(spec, rootfs=root, stdio=None, cgroup=None)
        first.start()
        try:
            notifying(spec, agent.path)
            return first.pid, execute_to_end(first, spec, further, state=STATE).stderr
        finally:
            signal.pidfd_send_signal(first.pidfd, signal.SIGKILL)
            os.waitpid(first.pid, 0)

    try:
        pid, said = identity.in_shim(work)
    finally:
        agent.close()
        os.unlink(agent.path)
    assert "Numerical argument out of domain" in said
    assert agent.told["state"]["status"] == "running"
    assert agent.told["state"]["pid"] == pid != agent.told["pid"]


def test_an_agent_that_is_not_there(identity: Identity) -> None:
    spec = notifying(identity.spec("true"), "/var/tmp/no-agent")
    with pytest.raises(OCIError, match="failed to connect with seccomp agent /var/tmp/no-agent"):
        run(identity, spec)


def test_an_agent_needs_a_state_to_be_told(identity: Identity) -> None:
    with pytest.raises(OCIError, match="there is no container's state to tell the agent"):
        identity.run(notifying(identity.spec("true"), "/var/tmp/no-agent"))


def test_a_listener_without_a_path(identity: Identity) -> None:
    with pytest.raises(OCIError, match="needs the absolute path of a socket"):
        run(identity, notifying(identity.spec("true"), ""))
    with pytest.raises(OCIError, match="listenerMetadata: needs a listenerPath"):
        run(identity, notifying(identity.spec("true"), "", listener_metadata="x"))


def test_an_agent_may_leave_as_soon_as_it_has_the_descriptor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "agent")
    with socket.socket(socket.AF_UNIX) as agent:
        agent.bind(path)
        agent.listen(1)
        send = socket.send_fds

        def send_to_one_that_leaves(
            connection: socket.socket, buffers: list[bytes], descriptors: list[int]
        ) -> int:
            sent = send(connection, buffers, descriptors)
            accepted, _ = agent.accept()
            with accepted:
                _, received, _, _ = socket.recv_fds(accepted, 4096, 1)
            os.close(received[0])
            return sent

        monkeypatch.setattr(socket, "send_fds", send_to_one_that_leaves)
        profile = Seccomp(default_action="SCMP_ACT_ALLOW", listener_path=path)
        with open(os.devnull) as any_file:
            seccomp_agent.hand_over(any_file.fileno(), profile, os.getpid(), STATE)
