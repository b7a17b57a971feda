"""The doctor on this machine, as root and as others, in the open and in sandboxes."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import signal
import tempfile
import threading
import time
import traceback

import msgspec
import pytest

from cellcrate_runtime import doctor
from cellcrate_runtime.doctor import Finding, examination
from cellcrate_runtime.doctor.probes import for_this_user
from cellcrate_runtime.doctor.runner import Lacking, Probe, run
from cellcrate_runtime.doctor.verdict import conclude
from cellcrate_runtime.linux import processes, seccomp
from cellcrate_runtime.linux.seccomp.profile import Seccomp, Syscall

SOMEBODY = 54321


@pytest.fixture(autouse=True)
def home(monkeypatch):
    """A folder that everybody can use, which pytest's own are not."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        monkeypatch.setenv("CELLCRATE_HOME", folder)
        yield folder


@pytest.fixture(scope="module")
def report():
    return doctor.examine()


def test_every_finding_says_what_it_means_and_each_lack_says_why(report):
    assert len({finding.name for finding in report.findings}) == len(report.findings)
    for finding in report.findings:
        assert finding.meaning
        assert finding.reason or finding.state == "ok", finding
        assert "Traceback" not in finding.reason
        assert "The probe failed" not in finding.reason, finding


def test_it_becomes_plain_data(report):
    document = json.loads(json.dumps(report.to_dict()))
    assert document["verdict"] == report.verdict
    assert len(document["findings"]) == len(report.findings)


@pytest.mark.root
def test_root_finds_what_the_tests_of_containers_count_on(report):
    assert report.verdict == "root"
    assert report.find("limits").state == "ok"
    assert "memory" in report.find("limits").meaning


def snapshot(home) -> dict[str, object]:
    mounts = []
    if (
        os.geteuid() == 0
    ):  # others can mount nothing that is seen here, and root may do so meanwhile
        with open("/proc/self/mountinfo") as file:
            mounts = sorted(file)
    namespaces = {
        name: os.readlink(f"/proc/self/ns/{name}") for name in os.listdir("/proc/self/ns")
    }
    return {
        "mounts": mounts,
        "namespaces": namespaces,
        "files": os.listdir(home),
        "name": os.uname().nodename,
        "descriptors": len(os.listdir("/proc/self/fd")),
        "umask and folder": (os.getcwd(), os.getuid()),
    }


def groups() -> set[str]:
    return {
        f"{folder}/{name}"
        for folder, folders, _ in os.walk("/sys/fs/cgroup")
        for name in folders
        if "cellcrate-doctor" in name
    }


def test_nothing_is_left(home):
    before, groups_before = snapshot(home), groups()
    doctor.examine()
    assert snapshot(home) == before
    deadline = time.monotonic() + 10
    while groups() - groups_before:  # of another user's examination they are gone soon
        assert time.monotonic() < deadline, groups()
        time.sleep(0.1)
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_a_process_with_threads_has_another_do_it(report):
    found = []
    thread = threading.Thread(target=lambda: found.append(doctor.examine()))
    thread.start()
    thread.join()
    assert [f.name for f in found[0].findings] == [f.name for f in report.findings]
    assert found[0].verdict == report.verdict


def in_a_child(function) -> doctor.Report:
    """Return the report that a child makes after it has changed itself by a function."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            function()
            data = msgspec.json.encode(examination.examine_here())
            os.close(reader)
            while data:
                data = data[os.write(writer, data) :]
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        data = file.read()
    _, status = os.waitpid(pid, 0)
    assert status == 0, "see the child's traceback"
    return msgspec.json.decode(data, type=doctor.Report)


@pytest.fixture(scope="module", autouse=True)
def everything_imported():
    """Children that become somebody may not read this Python's folder."""
    for_this_user()
    doctor.examine()
    import pyroute2

    assert pyroute2.IPRoute


def become_somebody() -> None:
    os.setgroups([])
    os.setresgid(SOMEBODY, SOMEBODY, SOMEBODY)
    os.setresuid(SOMEBODY, SOMEBODY, SOMEBODY)
    processes.show_to_others()  # /proc/self is root's after a change of user, until it is undone


def refuse(*calls: str) -> None:
    """Live in a sandbox whose filter refuses system calls."""
    rule = Syscall(names=list(calls), action="SCMP_ACT_ERRNO", errno_ret=errno.EPERM)
    program = seccomp.compile(Seccomp(default_action="SCMP_ACT_ALLOW", syscalls=[rule]))
    processes.forbid_new_privileges()
    seccomp.load(program)


@pytest.mark.root
def test_an_ordinary_user_is_told_about_user_namespaces_and_ids():
    report = in_a_child(become_somebody)
    assert report.verdict == "rootless"
    assert report.find("user namespaces").needed
    assert report.find("id-mapped mounts") is None
    ids = report.find("subordinate ids")
    assert ids.state == "limited", ids
    assert "usermod --add-subuids" in ids.remedy or "uidmap" in ids.remedy
    assert report.find("limits").state != "ok"
    assert report.find("limits").remedy


@pytest.mark.root
def test_a_sandbox_that_refuses_namespaces_means_a_machine():

    def sandboxed() -> None:
        become_somebody()
        refuse("unshare", "setns")

    report = in_a_child(sandboxed)
    assert report.verdict == "machine"
    assert report.find("user namespaces").state == "missing"
    assert "sandbox" in report.find("user namespaces").reason
    # What fails only because of that is not blamed.
    assert "for want of: user namespaces." in report.summary


@pytest.mark.root
def test_a_sandbox_that_refuses_mounts_means_a_machine():
    report = in_a_child(lambda: refuse("mount"))
    assert report.verdict == "machine"
    assert {f.name for f in report.findings if f.needed and f.state != "ok"} >= {
        "mounts",
        "fresh /proc",
    }
    assert report.find("user namespaces").state == "ok"


@pytest.mark.root
def test_root_without_capabilities_is_not_taken_for_root():

    def powerless() -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        for capability in range(41):
            libc.prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP
        header = (ctypes.c_uint32 * 2)(0x20080522, 0)
        assert libc.capset(header, (ctypes.c_uint32 * 6)()) == 0

    report = in_a_child(powerless)
    assert report.verdict != "root"


def probe(attempt, **more) -> Probe:
    return Probe("thing", gives="good", without="bad", attempt=attempt, **more)


def test_a_probe_that_hangs_is_ended():

    (finding,) = run([probe(lambda: time.sleep(100))], timeout=0.2)
    assert finding.state == "missing"
    assert "did not end in time" in finding.reason


def test_a_probe_that_crashes_says_so():
    (finding,) = run([probe(lambda: os.kill(os.getpid(), signal.SIGKILL))])
    assert finding.state == "missing"
    assert finding.meaning == "bad"

    def mistake() -> str:
        raise ZeroDivisionError("oh")

    (finding,) = run([probe(mistake)])
    assert "ZeroDivisionError" in finding.reason


def test_the_findings_keep_the_order_of_the_probes():
    def lacking() -> str:
        raise Lacking("limited", "because", "command")

    def refused() -> str:
        raise PermissionError(errno.EPERM, "Not permitted", "/file")

    first, second, third = run([probe(lacking), probe(lambda: "seen"), probe(refused)])
    assert (first.state, first.reason, first.remedy) == ("limited", "because", "command")
    assert (second.state, second.meaning) == ("ok", "good (seen)")
    assert (third.state, third.meaning) == ("missing", "bad")
    assert "Not permitted (/file)" in third.reason


def finding(state, name="thing", **more) -> Finding:
    return Finding(name=name, state=state, meaning="What it means.", **more)


def test_what_is_needed_decides_the_verdict():
    assert conclude([finding("missing", needed=True)]).verdict == "machine"
    assert conclude([finding("missing")]).verdict != "machine"
    report = conclude([finding("missing", "one"), finding("limited", "two")])
    assert "one and two" in report.summary
    assert len(report.warnings) == 2


def test_the_text_has_every_command_on_a_line_that_can_be_copied():
    command = "sudo something --with-a-long-option=and-a-value --and-another=one"
    report = conclude([finding("missing", reason="Because.", remedy=command)])
    plain = doctor.render(report)
    assert command in plain
    assert "\x1b" not in plain
    assert "why: Because." in plain
    assert "\x1b[31m" in doctor.render(report, colour=True)
