"""From a launch request to a running program, and to its end."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from box import AS_ROOT, Box, make_config

from cellcrate_runtime.engine import protocol
from cellcrate_runtime.engine.shim_client import LaunchError, ShimError, read_exit_file
from cellcrate_runtime.oci import spec


def test_a_program_runs_and_everything_is_recorded(box: Box) -> None:
    async def scenario() -> None:
        async with box.launcher() as launcher:
            container = await box.start(launcher, "echo out; echo err >&2; exit 3")
            assert await container.client.output() == "out\nerr\n"
            record = await container.ended()
            assert record.exit_code == 3
            assert not record.oom_killed
            assert not record.error
            assert 0 < record.started_at < record.finished_at
            assert sorted(container.log.split()) == ["err", "out"]
            assert read_exit_file(Path(container.request.exit_file)) == record

    asyncio.run(scenario())


def test_it_is_root_in_there_and_nobody_here(box: Box) -> None:
    async def scenario() -> None:
        async with box.launcher() as launcher:
            container = await box.start(
                launcher, "echo ready >&2; read wait; echo $(id -u) $$", open_stdin=True
            )
            await container.client.until(b"ready\n")
            status = Path(f"/proc/{container.shim.pid}/status").read_text()
            fields = dict(line.split(":\t") for line in status.splitlines() if ":\t" in line)
            assert "0" not in fields["Uid"].split()
            if not AS_ROOT:
                assert fields["Uid"].split()[0] == str(os.getuid())
            assert fields["PPid"] == str(container.shim.shim)
            assert fields["NSpid"].split() == [str(container.shim.pid), "1"]
            await container.client.send(b"\n")
            assert await container.client.output() == "0 1\n"
            assert (await container.ended()).exit_code == 0

    asyncio.run(scenario())


def test_a_signal_ends_it_with_128_and_more(box: Box) -> None:
    async def scenario() -> None:
        async with box.launcher() as launcher:
            container = await box.start(launcher, "exec sleep 1000")
            with pytest.raises(ShimError) as raised:
                await container.shim.signal(999)
            assert raised.value.kind == "invalid"
            await container.shim.signal(9)
            assert (await container.ended()).exit_code == 137

    asyncio.run(scenario())


def test_a_name_of_the_container_becomes_its_user(box: Box) -> None:
    async def scenario() -> None:
        async with box.launcher() as launcher:
            container = await box.start(launcher, "id -un; id -gn; echo $HOME", user="nobody")
            assert (await container.client.output()).split()[:2] == ["nobody", "nogroup"]
            await container.ended()

    if not AS_ROOT and not Path("/proc/self/uid_map").exists():
        pytest.skip("needs subordinate ids")
    asyncio.run(scenario())


def test_the_same_folder_can_start_again_at_once(box: Box) -> None:
    async def scenario() -> None:
        async with box.launcher() as launcher:
            container = await box.start(launcher, "echo -n x >>/count; cat /count")
            for number in range(1, 6):
                assert await container.client.output() == "x" * number
                await container.shim.exited  # and not until it has closed
                container = await box.launch(launcher, container.request)
            await container.client.rest()
            await container.ended()

    asyncio.run(scenario())


def test_twenty_at_once(box: Box) -> None:
    async def scenario() -> None:
        async with box.launcher() as launcher:
            containers = await asyncio.gather(
                *(box.start(launcher, f"echo {number}; exit {number}") for number in range(20))
            )
            for number, container in enumerate(containers):
                assert await container.client.output() == f"{number}\n"
                assert (await container.ended()).exit_code == number

    asyncio.run(scenario())


def _no_program(config: spec.Spec, request: protocol.Launch) -> None:
    assert config.process is not None
    config.process.args = ["/no/such/program"]


def _no_command(config: spec.Spec, request: protocol.Launch) -> None:
    assert config.process is not None
    config.process.args = ["no-such-command"]


def _not_executable(config: spec.Spec, request: protocol.Launch) -> None:
    assert config.process is not None
    config.process.args = ["/etc/passwd"]


def _no_user(config: spec.Spec, request: protocol.Launch) -> None:
    request.user = "no-such-user"


def _no_volume(config: spec.Spec, request: protocol.Launch) -> None:
    config.mounts.append(
        spec.Mount(destination="/v", type="bind", source="/no/such/folder", options=["rbind"])
    )


def _bad_mount(config: spec.Spec, request: protocol.Launch) -> None:
    config.mounts.append(spec.Mount(destination="/v", type="tmpfs", options=["size=bananas"]))


def _no_layer(config: spec.Spec, request: protocol.Launch) -> None:
    assert request.rootfs is not None
    request.rootfs.lower = ["/no/such/layer"]


def _no_process(config: spec.Spec, request: protocol.Launch) -> None:
    config.process = None


def _no_log_folder(config: spec.Spec, request: protocol.Launch) -> None:
    request.log.path = "/no/such/folder/json.log"


def _bad_terminal(config: spec.Spec, request: protocol.Launch) -> None:
    assert config.process is not None
    config.process.terminal = request.tty = True
    config.process.args = ["/no/such/program"]


FAULTS = [
    (_no_program, "not_found", "/no/such/program"),
    (_no_command, "not_found", "no-such-command"),
    (_not_executable, "not_executable", "/etc/passwd"),
    (_no_user, "invalid", "no-such-user"),
    (_no_volume, "invalid", "/no/such/folder"),
    (_bad_mount, "internal", "cannot mount tmpfs at /v"),
    (_no_layer, "mount", "/no/such/layer"),
    (_no_process, "invalid", "process"),
    (_no_log_folder, "internal", "log"),
    (_bad_terminal, "not_found", "/no/such/program"),
]


@pytest.mark.parametrize(("fault", "kind", "words"), FAULTS)
def test_a_start_that_fails_says_why_and_leaves_nothing(
    box: Box, fault: Callable[[spec.Spec, protocol.Launch], None], kind: str, words: str
) -> None:
    async def scenario() -> None:
        async with box.launcher() as launcher:
            config = make_config()
            request = box.request(config)
            fault(config, request)
            Path(request.bundle, "config.json").write_bytes(spec.encode(config))
            with pytest.raises(LaunchError) as raised:
                await box.launch(launcher, request)
            assert words in raised.value.message
            assert raised.value.kind == kind
            assert not Path(request.exit_file).exists()

    asyncio.run(scenario())


def test_a_configuration_that_is_no_json_is_refused(box: Box) -> None:
    async def scenario() -> None:
        async with box.launcher() as launcher:
            request = box.request(make_config())
            Path(request.bundle, "config.json").write_text("bananas")
            with pytest.raises(LaunchError, match=r"config\.json"):
                await box.launch(launcher, request)

    asyncio.run(scenario())


def test_exit_files_are_whole_documents(tmp_path: Path) -> None:
    assert read_exit_file(tmp_path / "exit.json") is None
    (tmp_path / "exit.json").write_text("{")
    with pytest.raises(msgspec.DecodeError):
        read_exit_file(tmp_path / "exit.json")
