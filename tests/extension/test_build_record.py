"""The stream of a build becomes steps; a Dockerfile's lines are found again."""

from __future__ import annotations

from textwrap import dedent

import pytest

from cellcrate.images.building.advice import advice, failure
from cellcrate.images.building.instructions import instructions
from cellcrate.images.building.record import LINES, BuildRecord
from cellcrate.images.building.view import BuildView, Lines

DOCKERFILE = dedent(
    """\
    # syntax=docker/dockerfile:1
    FROM base

    RUN one \\
        # a remark
        two
    CMD ["x"]
    """
)

DONE = [
    "Step 1/3 : FROM base",
    "\n",
    " ---> 60dbc3bce9e9\n",
    "Step 2/3 : RUN one     two",
    "\n",
    " ---> Using cache\n",
    " ---> 70dbc3bce9e9\n",
    'Step 3/3 : CMD ["x"]',
    "\n",
    " ---> Running in 0123456789ab\n",
    "Removing intermediate container 0123456789ab\n",
    " ---> 80dbc3bce9e9\n",
    "Successfully built 80dbc3bce9e9\n",
    "Successfully tagged app:latest\n",
]


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELLCRATE_LANGUAGE", "en")


def record(*messages: str | dict, dockerfile: str = DOCKERFILE) -> BuildRecord:
    moments = iter(range(10_000))
    found = BuildRecord("app", dockerfile, clock=lambda: float(next(moments)))
    for message in messages:
        found.take(message if isinstance(message, dict) else {"stream": message})
    return found


def test_the_steps_of_a_build_that_ends_well():
    found = record(*DONE, {"aux": {"ID": "sha256:80db"}})
    found.end()
    assert [(step.number, step.state) for step in found.steps] == [
        (1, "done"),
        (2, "cached"),
        (3, "done"),
    ]
    assert (found.state, found.image, found.cached) == ("done", "sha256:80db", 1)
    assert [list(step.output) for step in found.steps] == [[], [], []]
    assert found.containers == ["0123456789ab"]


def test_output_belongs_to_its_step():
    found = record(
        "Step 1/1 : RUN x",
        "\n",
        " ---> Running in 0123456789ab\n",
        "\x1b[91mred\x1b[0m\n",
        "half ",
        "a line\n",
        "10%\r50%\r100%\r\n",
        "the last",
        "\x1b[0m",
    )
    found.fail("x")
    assert list(found.steps[0].output) == ["red", "half a line", "100%", "the last"]


def test_of_much_output_the_end_is_kept():
    found = record("Step 1/1 : RUN x", *(f"{number}\n" for number in range(LINES + 7)))
    step = found.steps[0]
    assert (len(step.output), step.output[-1], step.written) == (LINES, str(LINES + 6), LINES + 7)
    found.fail("x")
    assert "7 earlier lines" in BuildView(found).html()


def test_a_failing_step_names_its_line_and_its_exit_status():
    found = record(
        *DONE[:5],
        " ---> Running in 0123456789ab\n",
        {
            "errorDetail": {"code": 127, "message": "The command 'one' returned a non-zero code"},
            "error": "The command 'one' returned a non-zero code: 127",
        },
    )
    assert (found.state, found.code, found.line) == ("failed", 127, 4)
    assert "line 4 of the Dockerfile" in failure(found)
    assert "no program of that name" in advice(found)
    html = BuildView(found).html()
    assert "line 4 of the Dockerfile" in html
    assert "# a remark" in html


def test_a_code_may_stand_in_the_sentence_alone():
    found = record("Step 1/1 : RUN x", {"error": "The command 'x' returned a non-zero code: 9"})
    assert found.code == 9


def test_a_dockerfile_that_cannot_be_read_names_its_line():
    found = record()
    found.fail("Dockerfile parse error line 3: unknown instruction: FOO")
    assert found.line == 3
    assert failure(found).startswith("Line 3 of the Dockerfile:")


@pytest.mark.parametrize(
    ("step", "error", "helps"),
    [
        ("COPY a b", "COPY failed: file not found in build context", "--context"),
        ("FROM nosuch", "pull access denied for nosuch", "%image login"),
        ("FROM nosuch", "manifest unknown", "%image ls"),
        ("RUN x", "no space left on device", "%image prune"),
    ],
)
def test_advice(step: str, error: str, helps: str):
    assert helps in advice(record(f"Step 1/1 : {step}", {"error": error}))


def test_without_an_image_a_stream_that_ends_was_broken_off():
    found = record(*DONE[:3])
    found.end()
    assert found.state == "failed"


def test_a_pull_within_a_step_is_shown_by_layers():
    found = record(
        "Step 1/1 : FROM --platform=linux/amd64 base AS x",
        {"status": "Pulling from library/base", "id": "latest"},
        {
            "status": "Downloading",
            "id": "aaaaaaaaaaaa",
            "progressDetail": {"current": 1, "total": 2},
        },
    )
    assert found.steps[0].pull is not None
    assert found.steps[0].pull.image == "base"
    assert 'role="progressbar"' in BuildView(found).html()


def test_lines_come_as_they_are_written():
    moments = iter(range(1000))
    found = BuildRecord("app", DOCKERFILE, clock=lambda: float(next(moments)))
    lines = Lines(found)
    seen: list[list[str]] = []
    for text in ("Step 1/1 : RUN x", "one\n", "two\n", "Successfully built 80dbc3bce9e9\n"):
        found.take({"stream": text})
        seen.append(lines.new())
    found.end()
    seen.append(lines.new())
    assert [len(each) for each in seen] == [1, 1, 1, 1, 1]
    assert (seen[0], seen[1], seen[2]) == (["[1/1] RUN x"], ["      one"], ["      two"])
    assert seen[4][0].startswith("Built app: 1 steps")


def test_output_is_never_html():
    found = record("Step 1/1 : RUN <script>", "<img src=x>\n")
    html = BuildView(found).html()
    assert "<script>" not in html
    assert "<img" not in html


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("FROM a\nRUN b\n", [(1, 1), (2, 2)]),
        ("\n# x\nFROM a\n\nRUN b \\\n c \\\n\n # y\n d\nCMD e", [(3, 3), (5, 9), (10, 10)]),
        ("# escape=`\nFROM a\nRUN b `\n c\nRUN d \\\nCMD e", [(2, 2), (3, 4), (5, 5), (6, 6)]),
        ("FROM a\nRUN <<EOF\nCMD x\nEOF\nCMD y", [(1, 1), (2, 4), (5, 5)]),
        ("COPY <<A <<-'B' /x/\n1\nA\n2\n\tB\nCMD y", [(1, 5), (6, 6)]),
        ("RUN cat <<<x\nCMD y", [(1, 1), (2, 2)]),
        ("ENV A=<<EOF\nCMD y", [(1, 1), (2, 2)]),
        ("ONBUILD RUN <<E\nx\nE\nCMD y", [(1, 3), (4, 4)]),
        ("", []),
    ],
)
def test_where_instructions_stand(text: str, places: list[tuple[int, int]]):
    assert [(each.first, each.last) for each in instructions(text)] == places
