"""Instructions of a Dockerfile, applied to a configuration."""

from __future__ import annotations

import pytest

from cellcrate_runtime.images.configuring import configured
from cellcrate_runtime.images.dockerfile.errors import DockerfileError
from cellcrate_runtime.images.documents import Execution, Healthcheck


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (['CMD ["a", "b"]'], Execution(cmd=["a", "b"])),
        (["CMD a b"], Execution(cmd=["/bin/sh", "-c", "a b"])),
        (["ENTRYPOINT a"], Execution(entrypoint=["/bin/sh", "-c", "a"])),
        (['CMD ["x"]', 'ENTRYPOINT ["a"]'], Execution(cmd=["x"], entrypoint=["a"])),
        (["ENV A=1 B='2 3'", "ENV C=$A-$B"], Execution(env=["A=1", "B=2 3", "C=1-2 3"])),
        (["ENV A=1\nENV A=2"], Execution(env=["A=2"])),
        (["LABEL a=b", 'LABEL "c d"=e'], Execution(labels={"a": "b", "c d": "e"})),
        (["EXPOSE 80 90-91/udp"], Execution(
            exposed_ports={"80/tcp": {}, "90/udp": {}, "91/udp": {}})),
        (['VOLUME ["/a", "/b"]'], Execution(volumes={"/a": {}, "/b": {}})),
        (["USER u:g"], Execution(user="u:g")),
        (["WORKDIR a", "WORKDIR ../b/./c"], Execution(working_dir="/b/c")),
        (["onbuild run x"], Execution(on_build=["run x"])),
        (["HEALTHCHECK --interval=5s CMD true"], Execution(healthcheck=Healthcheck(
            test=["CMD-SHELL", "true"], interval=5_000_000_000))),
        (["HEALTHCHECK NONE"], Execution(healthcheck=Healthcheck(test=["NONE"]))),
    ],
)  # fmt: skip
def test_instructions(changes: list[str], expected: Execution) -> None:
    assert configured(Execution(), changes) == expected


def test_an_entry_point_takes_the_command_below_away() -> None:
    below = Execution(entrypoint=["a"], cmd=["b"])
    assert configured(below, ['ENTRYPOINT ["c"]']) == Execution(entrypoint=["c"])
    assert below.cmd == ["b"], "what was given stays as it was"


def test_the_shell_form_uses_the_images_shell() -> None:
    assert configured(Execution(shell=["sh", "-e"]), ["CMD x"]).cmd == ["sh", "-e", "x"]


@pytest.mark.parametrize(
    "change",
    [
        "RUN x",
        "COPY a b",
        "ADD a b",
        "FROM a",
        "ARG a",
        'SHELL ["a"]',
        "MAINTAINER m",
        "STOPSIGNAL 9",
        "X",
    ],
)
def test_others_are_refused(change: str) -> None:
    with pytest.raises(DockerfileError):
        configured(Execution(), [change])
