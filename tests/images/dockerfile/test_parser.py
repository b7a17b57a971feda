"""Dockerfiles become instructions, and wrong ones messages."""

from __future__ import annotations

import re
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellcrate_runtime.images.dockerfile.errors import DockerfileError
from cellcrate_runtime.images.dockerfile.instructions import (
    Add,
    Arg,
    Cmd,
    Command,
    Copy,
    Entrypoint,
    Env,
    Expose,
    Healthcheck,
    Label,
    OnBuild,
    Run,
    Shell,
    StopSignal,
    Volume,
    Workdir,
)
from cellcrate_runtime.images.dockerfile.parser import Dockerfile, parse, parse_instruction

_T = TypeVar("_T")
KEYWORDS = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
]

pytestmark = pytest.mark.once


def only(text: str, kind: type[_T]) -> _T:
    """The one instruction of a Dockerfile of one stage."""
    [instruction] = parse(f"FROM x\n{text}\n").stages[0].instructions
    assert isinstance(instruction, kind)
    return instruction


def test_a_dockerfile_with_everything_around_it() -> None:
    found = parse(
        "\ufeff# syntax=docker/dockerfile:1\n"
        "# escape=`\n"
        "\n"
        "# a comment\n"
        "ARG VERSION=1 OTHER\n"
        "from --platform=linux/amd64 base:$VERSION As Build\n"
        "  run echo one `\n"
        "    # a comment in between\n"
        "\n"
        "    two\n"
        "FROM scratch\n"
        "COPY --from=build C:\\a /\n"
    )
    assert (found.syntax, found.escape) == ("docker/dockerfile:1", "`")
    assert [argument.pairs for argument in found.arguments] == [(("VERSION", "1"), ("OTHER", None))]
    first, second = found.stages
    assert (first.base, first.name, first.platform, first.line) == (
        "base:$VERSION", "build", "linux/amd64", 6,
    )  # fmt: skip
    [run] = first.instructions
    assert isinstance(run, Run)
    assert run.command == Command(("echo one     two",), shell=True)
    assert (run.line, run.text) == (7, "run echo one     two")
    [copy] = second.instructions
    assert isinstance(copy, Copy)
    assert (copy.origin, copy.sources, copy.destination) == ("build", ("C:\\a",), "/")
    assert len(found.warnings) == 1
    assert "Empty continuation line" in found.warnings[0]


def test_lines_may_end_as_on_windows() -> None:
    run = only("RUN echo \\\r\n  hi\r\n", Run)
    assert run.command.words == ("echo   hi",)


def test_a_directive_after_a_comment_is_a_comment() -> None:
    assert parse("# comment\n# escape=`\nFROM x").escape == "\\"


@pytest.mark.parametrize(
    ("text", "words", "shell"),
    [
        ('RUN ["a", "b c", "\\u00e4"]', ("a", "b c", "ä"), False),
        ("RUN ['a', 'b']", ("['a', 'b']",), True),
        ("RUN [ -f /x ] && echo $HOME", ("[ -f /x ] && echo $HOME",), True),
        ("RUN []", (), None),
        ("RUN --network=none --mount=type=tmpfs,target=/t  echo  'a  b'", ("echo  'a  b'",), True),
    ],
)
def test_commands_in_both_forms(text: str, words: tuple[str, ...], shell: bool | None) -> None:
    if shell is None:
        with pytest.raises(DockerfileError, match="RUN requires at least one argument"):
            only(text, Run)
        return
    assert only(text, Run).command == Command(words, shell)


def test_no_command_takes_the_images_away() -> None:
    assert only("CMD []", Cmd).command == Command((), shell=False)
    assert only("ENTRYPOINT []", Entrypoint).command == Command((), shell=False)


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        (
            "ENV A=1 B='two words' C=\"x=y\" D=a\\ b",
            (("A", "1"), ("B", "'two words'"), ("C", '"x=y"'), ("D", "a\\ b")),
        ),
        ("ENV A  all of   this", (("A", "all of   this"),)),
        ("ENV A=", (("A", ""),)),
        ('ENV A="\\"quoted\\""', (("A", '"\\"quoted\\""'),)),
    ],
)  # fmt: skip
def test_pairs(text: str, pairs: tuple[tuple[str, str], ...]) -> None:
    assert only(text, Env).pairs == pairs
    assert only(text.replace("ENV", "LABEL"), Label).pairs == pairs


def test_copy_and_add_have_all_their_flags() -> None:
    copy = only(
        "COPY --from=build --chown=1:2 --chmod=0755 --link --parents --exclude=*.o --exclude=a "
        '["a b", "c", "/d/"]',
        Copy,
    )
    assert copy.origin == "build"
    assert (copy.chown, copy.chmod, copy.link, copy.parents) == ("1:2", "0755", True, True)
    assert copy.excludes == ("*.o", "a")
    assert (copy.sources, copy.destination) == (("a b", "c"), "/d/")
    add = only("ADD --checksum=sha256:00 --link=false https://example.com/a /b", Add)
    assert (add.checksum, add.link, add.unpack) == ("sha256:00", False, None)


def test_heredocs_of_run() -> None:
    run = only(
        "RUN <<EOF cat >/x && <<-'TWO' cat >>/x\nfirst $A\n# no comment\nEOF\n\t\tsecond\n\tTWO\n",
        Run,
    )
    first, second = run.heredocs
    assert (first.name, first.text, first.expands) == ("EOF", "first $A\n# no comment\n", True)
    assert (second.name, second.text, second.expands) == ("TWO", "second\n", False)


def test_heredocs_of_copy() -> None:
    copy = only("COPY a <<'F1' <<f2 /dst/\none\nF1\ntwo\\\nf2\n", Copy)
    assert (copy.sources, copy.destination) == (("a",), "/dst/")
    assert [(one.name, one.content, one.expands) for one in copy.contents] == [
        ("F1", "one\n", False),
        ("f2", "two\\\n", True),
    ]


def test_a_shift_and_a_quoted_arrow_are_no_heredoc() -> None:
    assert only("RUN echo $((1 << 2)) '<<EOF'", Run).heredocs == ()


def test_health_checks() -> None:
    check = only(
        "HEALTHCHECK --interval=1m30s --timeout=500ms --start-period=2s --start-interval=1s "
        '--retries=3 CMD ["curl", "-f"]',
        Healthcheck,
    )
    assert check.test == ("CMD", "curl", "-f")
    assert (check.interval, check.timeout) == (90 * 10**9, 500 * 10**6)
    assert (check.start_period, check.start_interval, check.retries) == (2 * 10**9, 10**9, 3)
    assert only("HEALTHCHECK CMD curl -f x || exit 1", Healthcheck).test == (
        "CMD-SHELL",
        "curl -f x || exit 1",
    )
    assert only("healthcheck none", Healthcheck).test == ("NONE",)


def test_the_rest() -> None:
    assert only("EXPOSE 80 53/udp", Expose).ports == ("53/udp", "80")
    assert only('VOLUME ["/a b", "/c"]', Volume).paths == ("/a b", "/c")
    assert only("VOLUME /a /b", Volume).paths == ("/a", "/b")
    assert only("WORKDIR a b", Workdir).path == "a b"
    assert only('SHELL ["/bin/bash", "-c"]', Shell).words == ("/bin/bash", "-c")
    assert only("STOPSIGNAL SIGINT", StopSignal).signal == "SIGINT"
    assert only("ARG A=b C", Arg).pairs == (("A", "b"), ("C", None))
    trigger = only("ONBUILD RUN <<EOF\necho\nEOF\n", OnBuild)
    assert trigger.expression == "RUN <<EOF\necho\nEOF"
    again = parse_instruction(trigger.expression)
    assert isinstance(again, Run)
    assert again.heredocs[0].content == "echo\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "file with no instructions"),
        ("# only a comment", "file with no instructions"),
        ("FROM x\nRUNN a", "on line 2: unknown instruction: RUNN (did you mean RUN?)"),
        ("FROM x\n\nfoo a", "on line 3: unknown instruction: FOO"),
        ("RUN a\nFROM x", "on line 1: no build stage in current context"),
        ("ARG A", "no build stage in current context: a Dockerfile needs a FROM"),
        ("FROM", "on line 1: FROM requires either one or three arguments"),
        ("FROM a b c", "FROM requires either one or three arguments"),
        ("FROM a AS 1x", 'invalid name for build stage: "1x"'),
        ("FROM a AS b\nFROM c AS b", "on line 2: duplicate name b"),
        ("FROM --platfrom=x a", "unknown flag: --platfrom (did you mean platform?)"),
        ("FROM x\nCOPY a", "COPY requires at least two arguments, but only 1 provided"),
        ("FROM x\nCOPY --chown a /", "missing a value on flag: --chown"),
        ("FROM x\nCOPY --from=a --from=b a /", "duplicate flag specified: --from"),
        ("FROM x\nCOPY --link=perhaps a /", "expecting boolean value for flag link"),
        ("FROM x\nCOPY a <<EOF\nEOF", "cannot accept a heredoc as a destination"),
        ("FROM x\nRUN <<EOF\na", "on line 2: unterminated heredoc"),
        ("FROM x\nRUN --security=insecure a", "RUN --security is not supported"),
        ("FROM x\nRUN --network=mine a", 'invalid network mode "mine"'),
        ("FROM x\nENV A", "ENV must have two arguments"),
        ("FROM x\nENV A=1 B", 'can\'t find = in "B"'),
        ("FROM x\nENV =1", "ENV names can not be blank"),
        ("FROM x\nENV", "ENV requires at least one argument"),
        ("FROM x\nSHELL /bin/sh", "SHELL requires the arguments to be in JSON form"),
        ("FROM x\nCMD [1]", "arrays must be comprised of strings only"),
        ("FROM x\nHEALTHCHECK CMD", "Missing command after HEALTHCHECK CMD"),
        ("FROM x\nHEALTHCHECK curl", 'Unknown type "CURL" in HEALTHCHECK (try CMD)'),
        ("FROM x\nHEALTHCHECK --interval=5 CMD a", 'time: invalid duration "5"'),
        ("FROM x\nHEALTHCHECK --interval=5us CMD a", "cannot be less than 1ms"),
        ("FROM x\nHEALTHCHECK --retries=-1 CMD a", "not negative"),
        ("FROM x\nONBUILD ONBUILD RUN a", "Chaining ONBUILD"),
        ("FROM x\nONBUILD FROM a", "FROM isn't allowed as an ONBUILD trigger"),
        ("FROM x\nONBUILD RUNN a", "unknown instruction: RUNN"),
        ("FROM x\nWORKDIR", "WORKDIR requires exactly one argument"),
        ("# escape=x\nFROM x", "invalid ESCAPE 'x'. Must be ` or \\"),
        ("# escape=`\n# escape=`\nFROM x", "only one escape parser directive can be used"),
        ("FROM x\nCOPY --chown='a b /", "the quote ' in the flag"),
    ],
)
def test_mistakes(text: str, message: str) -> None:
    with pytest.raises(DockerfileError, match=re.escape(message)):
        parse(text)


pieces = st.one_of(
    st.sampled_from([*KEYWORDS, *map(str.lower, KEYWORDS)]),
    st.sampled_from(
        [" ", "\n", "\\\n", "\\", "`", '"', "'", "[", "]", ",", "{", "}", "$", "${", ":-", "<<EOF",
         "<<-'X'", "\nEOF\n", "\tX\n", "#", "# escape=`\n", "--from=", "--mount=type=cache", "=",
         "AS", "a", "/", "*", "%", "\r\n", "\x00", "ä", "\ud800", "NONE", "CMD", '["a", "b"]']
    ),
    st.text(max_size=5),
)  # fmt: skip


@given(st.lists(pieces, max_size=40).map("".join))
def test_whatever_is_in_it_is_understood_or_refused(text: str) -> None:
    for source in (text, f"FROM x\n{text}"):
        try:
            found: Any = parse(source)
        except DockerfileError:
            continue
        assert isinstance(found, Dockerfile)
        assert found.stages


words = st.text(st.characters(blacklist_categories=["Cs", "Cc", "Z"]), min_size=1, max_size=8)


@given(st.lists(words, min_size=1, max_size=5))
def test_what_is_written_in_the_exec_form_is_read_as_it_is(given_words: list[str]) -> None:
    import json

    text = json.dumps(given_words, ensure_ascii=False)
    assert only(f"CMD {text}", Cmd).command == Command(tuple(given_words), shell=False)
