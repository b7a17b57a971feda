"""What the lesson says of a computer that cannot do everything."""

from __future__ import annotations

from pathlib import Path

import pytest

from cellcrate import connection
from cellcrate.lessons import Computer, LessonError, check, clean_up, computer, measure

ABLE = {"--cpus": True, "--cpu-shares": True, "--memory": False}


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELLCRATE_LANGUAGE", "en")


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An address at which nobody listens."""
    monkeypatch.setenv("CELLCRATE_HOST", f"unix://{tmp_path}/nobody.sock")
    connection.forget()


def some_computer(start_seconds: float | None = 0.02, why_not: str = "") -> Computer:
    return Computer(2, 4 << 30, "Linux 6.18", start_seconds, "Cellcrate", why_not, ABLE)


def test_limits_that_can_be_kept_are_passed_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert some_computer().allow("--cpus 0.5 --cpu-shares 2") == "--cpus 0.5 --cpu-shares 2"
    assert capsys.readouterr().out == ""


def test_a_limit_that_cannot_be_kept_is_left_out_and_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert some_computer().allow("--cpus 0.5 --memory 256m") == "--cpus 0.5"
    said = capsys.readouterr().out
    assert "cannot keep --memory 256m" in said
    assert "%cellcrate doctor" in said


def test_the_table_tells_what_works_and_what_does_not() -> None:
    text = repr(some_computer())
    assert "✔ Containers: one started, ran and ended in 20 ms (Cellcrate)" in text
    assert "✔ --cpus" in text
    assert "✘ --memory: this limit cannot be set here" in text
    assert some_computer()._repr_html_().count("✘") == 1


def test_a_reason_is_shown_as_text() -> None:
    html = some_computer(None, "<b>no</b> namespaces")._repr_html_()
    assert "&lt;b&gt;no&lt;/b&gt; namespaces" in html
    assert "first half of the lesson works" in html


@pytest.mark.usefixtures("no_engine")
class TestWithoutAnEngine:
    def test_the_computer_is_still_described(self) -> None:
        found = computer()
        assert found.cpus >= 1
        assert found.start_seconds is None
        assert "nobody.sock" in found.why_not
        assert found.allow("--cpus 0.5") == ""

    def test_measuring_a_container_says_what_to_do(self) -> None:
        with pytest.raises(LessonError, match="%cellcrate doctor"):
            measure("bank", "game")

    def test_checking_an_exercise_says_what_to_do(self, capsys: pytest.CaptureFixture[str]) -> None:
        check(1)
        said = capsys.readouterr().out
        assert said.startswith("✘ Exercise 1: not yet.")
        assert "%cellcrate doctor" in said

    def test_cleaning_up_goes_through(self, capsys: pytest.CaptureFixture[str]) -> None:
        clean_up("bank", "game")
        assert "nothing was left" in capsys.readouterr().out


def test_an_exercise_that_is_not_there_is_refused() -> None:
    with pytest.raises(LessonError, match="numbered 1 to 2"):
        check(3)
