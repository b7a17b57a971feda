"""Build arguments: which there are, where they are known, and what they mean for RUN.

Source: the reference of the Dockerfile format, "ARG": an argument is known from its ARG to the end
of the stage; one before the first FROM is known to FROM, and to a stage that names it again. Some
need no ARG: those of proxies, which are no part of the cache or the history either, and
SOURCE_DATE_EPOCH, which clamps the times of files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cellcrate_runtime.engine.errors import BadRequestError
from cellcrate_runtime.images.architecture import machine_architecture
from cellcrate_runtime.images.dockerfile.instructions import Arg
from cellcrate_runtime.images.dockerfile.lexer import Style, expand

__all__ = ["PREDEFINED", "GlobalArguments", "StageArguments", "source_date_epoch"]

_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")
PREDEFINED = frozenset([*_PROXIES, *map(str.lower, _PROXIES)])
EPOCH = "SOURCE_DATE_EPOCH"
_LATEST_EPOCH = 253402300799  # the last second of the year 9999


class GlobalArguments:
    """What is known before the first FROM.

    Args:
        given: ``--build-arg``.
        declared: The ARGs before the first FROM.
        target: The stage that is built.
        escape: The Dockerfile's escape character.

    Raises:
        DockerfileError: A default value is written wrongly.
    """

    def __init__(
        self,
        given: Mapping[str, str | None],
        declared: Iterable[Arg],
        target: str = "",
        escape: str = "\\",
    ) -> None:
        self.given = {name: value for name, value in given.items() if value is not None}
        self.used: set[str] = set()
        self._escape = escape
        # Those of the platform are known to every FROM, and in a stage after an ARG.
        self.values: dict[str, str] = _platform_arguments(target)
        for instruction in declared:
            for name, default in instruction.pairs:
                value = self._value(name, default, self.values)
                if value is not None:
                    self.values[name] = value

    def _value(self, name: str, default: str | None, known: Mapping[str, str]) -> str | None:
        if name in self.given:
            self.used.add(name)
            return self.given[name]
        if default is None:
            return None
        return expand(default, known, Style(escape=self._escape))

    def unused(self) -> list[str]:
        """The ``--build-arg`` that no ARG asked for."""
        always = PREDEFINED | {EPOCH}
        return sorted(name for name in self.given if name not in self.used | always)


class StageArguments:
    """What is known in one stage.

    Attributes:
        values: The arguments that have a value, in the order of their ARGs.
    """

    def __init__(self, outside: GlobalArguments) -> None:
        self._outside = outside
        self.values: dict[str, str] = {}

    def declare(self, instruction: Arg, variables: Mapping[str, str]) -> None:
        """Do an ARG.

        Args:
            instruction: The ARG; its values are as written.
            variables: The environment, which defaults may use.

        Raises:
            DockerfileError: A default value is written wrongly.
        """
        for name, default in instruction.pairs:
            value = self._outside._value(name, default, {**self.values, **variables})
            if value is None:
                value = self._outside.values.get(name)
            if value is not None:
                self.values[name] = value

    def for_run(self) -> dict[str, str]:
        """The variables that a RUN has of them, those of proxies included."""
        proxies = {n: v for n, v in self._outside.given.items() if n in PREDEFINED}
        return {**proxies, **self.values}

    def for_cache(self, environment: Mapping[str, str]) -> list[str]:
        """What of them a RUN's result depends on: ``name=value``, sorted."""
        return sorted(
            f"{name}={value}"
            for name, value in self.values.items()
            if name not in environment and not (name in PREDEFINED and name in self._outside.given)
        )


def source_date_epoch(given: Mapping[str, str | None]) -> int | None:
    """The moment that no file may be later than, in seconds since 1970; None where none is given.

    Source: https://reproducible-builds.org/specs/source-date-epoch/.

    Raises:
        BadRequestError: It is not a number.
    """
    text = given.get(EPOCH)
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and int(text) <= _LATEST_EPOCH):
        raise BadRequestError(f"invalid {EPOCH} {text!r}: it is a number of seconds since 1970")
    return int(text)


def _platform_arguments(target: str) -> dict[str, str]:
    architecture = machine_architecture()
    values: dict[str, str] = {}
    for kind in ("TARGET", "BUILD"):
        values |= {
            f"{kind}PLATFORM": f"linux/{architecture}",
            f"{kind}OS": "linux",
            f"{kind}ARCH": architecture,
            f"{kind}VARIANT": "",
        }
    return {**values, "TARGETSTAGE": target or "default"}
