"""Ports, lengths of time, mounts, and which stages are needed."""

from __future__ import annotations

import re

import pytest

from cellcrate_runtime.images.dockerfile.durations import nanoseconds
from cellcrate_runtime.images.dockerfile.errors import DockerfileError
from cellcrate_runtime.images.dockerfile.instructions import Mount
from cellcrate_runtime.images.dockerfile.mounts import parse_mount
from cellcrate_runtime.images.dockerfile.parser import parse
from cellcrate_runtime.images.dockerfile.ports import exposed_ports
from cellcrate_runtime.images.dockerfile.stages import find_stage, find_target, needed_stages

pytestmark = pytest.mark.once


def test_ports() -> None:
    assert exposed_ports("80") == ["80/tcp"]
    assert exposed_ports("53/UDP") == ["53/udp"]
    assert exposed_ports("8000-8002/udp") == ["8000/udp", "8001/udp", "8002/udp"]
    assert exposed_ports("8080:80") == ["80/tcp"]


@pytest.mark.parametrize("text", ["", "x", "80/icmp", "70000", "90-80", "-1", "8٣"])
def test_ports_that_are_none(text: str) -> None:
    with pytest.raises(DockerfileError, match="invalid containerPort"):
        exposed_ports(text)


def test_lengths_of_time() -> None:
    assert nanoseconds("1h2m3.5s") == 3723_500_000_000
    assert nanoseconds("-1.5ms") == -1_500_000
    assert nanoseconds("0") == 0
    for text in ("", "5", "s", "5 s", "1d", "9" * 30 + "h", "--1s"):
        with pytest.raises(ValueError, match="invalid duration"):
            nanoseconds(text)


def test_mounts() -> None:
    assert parse_mount("type=cache,target=/c,id=x,sharing=locked,mode=0700,uid=1,gid=2") == Mount(
        "cache", "/c", id="x", sharing="locked", mode=0o700, uid=1, gid=2
    )
    assert parse_mount("dst=/b,src=a,from=build") == Mount(
        "bind", "/b", "a", "build", read_only=True
    )
    assert not parse_mount("target=/b,rw").read_only
    assert parse_mount("type=tmpfs,target=/t,size=64m") == Mount("tmpfs", "/t", size=64 << 20)
    secret = parse_mount("type=secret,id=s,required,env=TOKEN")
    assert (secret.id, secret.required, secret.variable) == ("s", True, "TOKEN")
    assert parse_mount('type=bind,"target=/a,b"').target == "/a,b"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("type=cash,target=/c", 'unsupported mount type "cash" (did you mean cache?)'),
        ("type=ssh", "type=ssh is not supported"),
        ("type=tmpfs,target=/t,sise=1", "unexpected key 'sise' for mount type 'tmpfs'"),
        ("type=cache", "needs a target"),
        ("type=secret", "needs an id or a target"),
        ("type=cache,target=/c,sharing=often", "unsupported sharing value"),
        ("type=cache,target=/c,mode=9", "invalid value 9 for mode: it must be an octal number"),
        ("type=cache,target=/c,uid=me", "invalid value me for uid"),
        ("type=cache,target", "must be a key=value pair"),
        ("type=tmpfs,target=/t,size=big", "invalid size 'big'"),
        ("type=bind,target=/t,ro=perhaps", "invalid value for readonly"),
    ],
)
def test_mounts_that_are_none(text: str, message: str) -> None:
    with pytest.raises(DockerfileError, match=re.escape(message)):
        parse_mount(text)


STAGES = parse(
    "FROM a AS one\nFROM b AS two\nRUN --mount=from=one,target=/x true\n"
    "FROM one AS three\nCOPY --from=0 x /\nFROM c\nCOPY --from=TWO x /\nCOPY --from=four x /\n"
    "FROM d AS four\n"
).stages


def needed(target: str) -> list[int]:
    bases = [stage.base for stage in STAGES]
    return needed_stages(
        STAGES,
        find_target(STAGES, target),
        bases,
        lambda run: [parse_mount(mount).origin for mount in run.mounts],
    )


def test_only_the_stages_that_a_target_needs() -> None:
    assert needed("one") == [0]
    assert needed("two") == [0, 1]
    assert needed("three") == [0, 2]
    assert needed("3") == [0, 1, 3]  # "four" comes later, so there it is an image
    assert needed("") == [4]
    assert find_stage(STAGES, "9") is None


def test_a_target_that_is_none() -> None:
    with pytest.raises(
        DockerfileError, match=r"target stage thre could not be found \(did you mean"
    ):
        needed("thre")
