"""For all tests: who may run which, and whose failure may be somebody else's."""

from __future__ import annotations

import os

import pytest

#: What pytest returns where every test that failed bears the marker "peer". Its own go up to 5.
ONLY_PEERS_FAILED = 6

#: Set by scripts/test-as-user.
ROOT_HAS_TESTED = "CELLCRATE_ROOT_HAS_TESTED"

# No test talks to anybody beyond this machine: who tries is sent to a port that nobody listens at.
for _name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
    os.environ[_name] = "http://127.0.0.1:9"
for _name in ("NO_PROXY", "no_proxy"):
    os.environ[_name] = "localhost,127.0.0.1,::1"

_peers_failed: set[bool] = set()  # whether each test that failed was a peer's


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what an ordinary user cannot test, or need not because root has done it just now."""
    if os.geteuid() == 0:
        return
    for item in items:
        if item.get_closest_marker("once") and os.environ.get(ROOT_HAS_TESTED):
            item.add_marker(
                pytest.mark.skip(reason="is the same for every user, and root has run it")
            )
        if item.get_closest_marker("root"):
            item.add_marker(pytest.mark.skip(reason="needs to be root"))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note whose test failed, be it in its fixtures."""
    if report.failed:
        _peers_failed.add("peer" in report.keywords)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Tell scripts/test whether it may try again; where -x ended the run, nobody knows."""
    all_ran = exitstatus == pytest.ExitCode.TESTS_FAILED and not session.shouldfail
    if all_ran and _peers_failed == {True}:
        session.exitstatus = ONLY_PEERS_FAILED
