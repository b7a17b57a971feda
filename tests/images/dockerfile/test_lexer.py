"""Variables, quotes and escapes; what a POSIX shell has too is expected as the shell has it."""

from __future__ import annotations

import re
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellcrate_runtime.images.dockerfile.errors import DockerfileError
from cellcrate_runtime.images.dockerfile.expanding import expand_instruction
from cellcrate_runtime.images.dockerfile.instructions import Copy, Env, Expose, Run
from cellcrate_runtime.images.dockerfile.lexer import Style, expand, expand_words
from cellcrate_runtime.images.dockerfile.parser import parse_instruction

VARIABLES = {"A": "one", "B": "two words", "EMPTY": "", "PATH_": "/usr/local/lib.tar.gz", "x1": "y"}

pytestmark = pytest.mark.once


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$A-${A}", "one-one"),
        ("$NONE-${NONE}", "-"),
        ("$x1$", "y$"),
        ("$ A", "$ A"),
        ("'$A'", "$A"),
        ("\"$A  'x'\"", "one  'x'"),
        (r"\$A", "$A"),
        (r"\\$A", r"\one"),
        (r'"\$A \" \a \\"', '$A " \\a \\'),
        ("${NONE:-d}${NONE-d}${EMPTY:-d}${EMPTY-d}", "ddd"),
        ("${A:+d}${EMPTY:+d}${EMPTY+d}${NONE+d}", "dd"),
        ("${A:?why}${EMPTY?why}", "one"),
        ("${NONE:-${A}}", "one"),
        ("${NONE:-'$A'}", "$A"),
        ("${NONE:-a b}", "a b"),
        ("${PATH_#*/}", "usr/local/lib.tar.gz"),
        ("${PATH_##*/}", "lib.tar.gz"),
        ("${PATH_%.*}", "/usr/local/lib.tar"),
        ("${PATH_%%.*}", "/usr/local/lib"),
        ("${PATH_%x}", "/usr/local/lib.tar.gz"),
        ("${PATH_/l/L}", "/usr/Local/lib.tar.gz"),
        ("${PATH_//l/L}", "/usr/LocaL/Lib.tar.gz"),
        (r"${PATH_//\//:}", ":usr:local:lib.tar.gz"),
        ("${A/o*/x}", "x"),
        ("${A/?/x}", "xne"),
        ("$@$*$#$?$-$!", ""),
        ("$1x$10y", "xy"),
        ("a\\", "a"),
    ],
)
def test_expansion(text: str, expected: str) -> None:
    assert expand(text, VARIABLES) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${A", "missing '}'"),
        ("${", "missing '}'"),
        ("${}", "bad substitution"),
        ("${:x}", "bad substitution"),
        ("${A:x}", "unsupported modifier (:x) in substitution"),
        ("${A!}", "unsupported modifier (!) in substitution"),
        ("${A:-x", "missing '}'"),
        ("${A/x}", "missing '/' in ${}"),
        ("'a", "matching single-quote"),
        ('"a', "matching double-quote"),
        ("${NONE:?it is needed}", "NONE: it is needed"),
        ("${NONE?}", "NONE: is not allowed to be unset"),
        ("${EMPTY:?}", "EMPTY: is not allowed to be empty"),
        (r"${A#\x}", "invalid escape"),
        ("${A:-" * 60, "nested deeper"),
    ],
)
def test_mistakes(text: str, message: str) -> None:
    with pytest.raises(DockerfileError, match=re.escape(message)):
        expand(text, VARIABLES)


def test_words_are_split_after_variables_are_replaced_and_never_in_quotes() -> None:
    assert expand_words('a $B "$B" \'c d\'e f\\ g ""', VARIABLES) == [
        "a", "two", "words", "two words", "c de", "f g",
    ]  # fmt: skip


def test_another_escape_character() -> None:
    style = Style(escape="`")
    assert expand(r"C:\$A\`$A", VARIABLES, style) == r"C:\one\$A"


def test_in_a_heredoc_quotes_are_characters() -> None:
    style = Style(quotes_mean_nothing=True)
    assert expand('it\'s "$A" \\$A', VARIABLES, style) == 'it\'s "one" $A'


def test_all_values_of_one_env_see_what_was_before_it() -> None:
    env = expand_instruction(parse_instruction("ENV A=new C=$A D='$A' E=\"x $B\""), VARIABLES)
    assert isinstance(env, Env)
    assert env.pairs == (("A", "new"), ("C", "one"), ("D", "$A"), ("E", "x two words"))


def test_run_leaves_variables_to_its_shell() -> None:
    run = expand_instruction(
        parse_instruction("RUN --mount=type=cache,target=/$A echo $A"), VARIABLES
    )
    assert isinstance(run, Run)
    assert run.command.words == ("echo $A",)
    assert run.mounts == ("type=cache,target=/one",)


def test_copy_and_expose() -> None:
    copy = expand_instruction(
        parse_instruction("COPY --chown=$A:$A $A <<E <<'F' /$x1/\n$A 'x'\nE\n$A\nF"), VARIABLES
    )
    assert isinstance(copy, Copy)
    assert (copy.chown, copy.sources, copy.destination) == ("one:one", ("one",), "/y/")
    assert [one.content for one in copy.contents] == ["one 'x'\n", "$A\n"]
    expose = expand_instruction(parse_instruction("EXPOSE $P"), {"P": "80 81/udp"})
    assert isinstance(expose, Expose)
    assert expose.ports == ("80", "81/udp")


@given(st.text(st.sampled_from(list("ab$A{}:-+?#%/*'\"\\ \n_"))), st.booleans())
def test_every_text_is_expanded_or_refused(text: str, keep: bool) -> None:
    try:
        result = expand(text, VARIABLES, Style(keep_quotes=keep, keep_unset=keep))
    except DockerfileError:
        return
    assert isinstance(result, str)


@settings(max_examples=60, deadline=None)
@given(
    st.text(st.sampled_from("ab./"), max_size=8),
    st.text(st.sampled_from("ab./*?"), max_size=4),
    st.sampled_from(["#", "##", "%", "%%"]),
)
def test_patterns_cut_what_a_shell_cuts(value: str, pattern: str, operator: str) -> None:
    text = f"${{V{operator}{pattern}}}"
    shell = subprocess.run(
        ["sh", "-c", f'printf %s "{text}"'], env={"V": value}, capture_output=True, check=True
    )
    assert expand(text, {"V": value}) == shell.stdout.decode()
