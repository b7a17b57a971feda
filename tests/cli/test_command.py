"""Help, versions, and how the command fails."""

from __future__ import annotations

import json
import platform
import subprocess
import sys

import pytest

from cli.conftest import COMMAND, Cellcrate

COMMANDS = [
    (),
    ("doctor",),
    ("env",),
    ("version",),
    ("engine",),
    *(("engine", verb) for verb in ("run", "status", "stop")),
    ("image",),
    *(
        ("image", verb)
        for verb in (
            *("pack", "build", "pull", "push", "tags", "login", "logout"),
            *("ls", "rm", "save", "load", "tag", "inspect", "history"),
        )
    ),
]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_everything_has_help(cellcrate: Cellcrate, words: tuple[str, ...]) -> None:
    shown = cellcrate(*words, "--help").stdout
    assert shown.startswith(f"usage: {' '.join(('cellcrate', *words))} ")
    assert max(map(len, shown.splitlines())) <= 100


def test_help_imports_next_to_nothing(environment: dict[str, str]) -> None:
    program = (
        "import sys; from cellcrate_runtime.cli import main\n"
        "try: main(['image', 'pack', '--help'])\n"
        "except SystemExit: print(sorted(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    for module in ("msgspec", "tornado", "asyncio", "tarfile", "cellcrate_runtime.images"):
        assert f"'{module}'" not in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("nonsense",),
        ("image",),
        ("image", "rm"),
        ("image", "pack", "--nonsense"),
        ("env", "--shell", "powershell"),
        ("engine", "run", "--idle", "soon"),
    ],
    ids=" ".join,
)
def test_wrong_words_are_explained_on_standard_error(
    cellcrate: Cellcrate, words: tuple[str, ...]
) -> None:
    done = cellcrate(*words, status=2)
    assert done.stdout == ""
    assert done.stderr.startswith("usage: cellcrate")


def test_versions(cellcrate: Cellcrate) -> None:
    assert cellcrate("--version").stdout.startswith("cellcrate ")
    versions = json.loads(cellcrate("version", "--json").stdout)
    assert versions["python"] == platform.python_version()
    assert versions["engine"] == "not running"
    assert "engine     not running" in cellcrate("version").stdout


def test_output_that_nobody_reads_is_no_error(
    cellcrate: Cellcrate, environment: dict[str, str]
) -> None:
    cellcrate("image", "pack", "ls")
    with subprocess.Popen(
        [*COMMAND, "image", "save", "ls"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(1)
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 141


def test_a_home_of_somebody_else_is_refused(cellcrate: Cellcrate) -> None:
    done = cellcrate("image", "ls", status=1, CELLCRATE_HOME="/proc")
    assert done.stderr.startswith("cellcrate: ")


def test_the_doctor_says_the_same_in_both_forms(cellcrate: Cellcrate) -> None:
    report = json.loads(cellcrate("doctor", "--json").stdout)
    assert report["verdict"] in ("root", "rootless")
    text = cellcrate("doctor").stdout
    assert "\x1b" not in text, "no colour where there is no terminal"
    for finding in report["findings"]:
        assert finding["name"] in text
