"""What a pull and a push say of their layers, and how it is shown."""

from __future__ import annotations

import re

import pytest

from cellcrate.images.progress import Transfers
from cellcrate.images.progress_view import TransfersView
from cellcrate.widgets import place

PULL = [
    {"status": "Pulling from team/app", "id": "1.0"},
    {"status": "Already exists", "progressDetail": {}, "id": "aaaaaaaaaaaa"},
    {"status": "Pulling fs layer", "progressDetail": {}, "id": "bbbbbbbbbbbb"},
    {"status": "Pulling fs layer", "progressDetail": {}, "id": "cccccccccccc"},
    {"status": "Waiting", "progressDetail": {}, "id": "cccccccccccc"},
]


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def transfers(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Transfers:
    monkeypatch.setenv("CELLCRATE_LANGUAGE", "en")
    found = Transfers("team/app:1.0", clock=clock)
    for message in PULL:
        found.take(message)
    return found


def moves(name: str, status: str, current: int, total: int) -> dict:
    return {
        "status": status,
        "id": name,
        "progressDetail": {"current": current, "total": total},
    }


def test_each_layer_has_a_state(transfers: Transfers):
    assert {layer.id: layer.state for layer in transfers.layers.values()} == {
        "aaaaaaaaaaaa": "present",
        "bbbbbbbbbbbb": "waiting",
        "cccccccccccc": "waiting",
    }
    assert transfers.status == "Pulling from team/app"


def test_rates_and_the_time_left_are_measured(transfers: Transfers, clock: Clock):
    for second in range(4):
        clock.now = 200.0 + second
        transfers.take(moves("bbbbbbbbbbbb", "Downloading", second * 1000, 10_000))
    layer = transfers.layers["bbbbbbbbbbbb"]
    assert layer.rate == pytest.approx(1000)
    assert layer.seconds_left == pytest.approx(7)
    assert layer.share == pytest.approx(0.3)


def test_the_end_of_a_download_counts_as_whole(transfers: Transfers):
    transfers.take(moves("bbbbbbbbbbbb", "Downloading", 4000, 10_000))
    transfers.take({"status": "Verifying Checksum", "progressDetail": {}, "id": "bbbbbbbbbbbb"})
    layer = transfers.layers["bbbbbbbbbbbb"]
    assert (layer.state, layer.transferred, layer.share) == ("verifying", 10_000, 1.0)
    transfers.take(moves("bbbbbbbbbbbb", "Extracting", 5000, 10_000))
    assert (layer.share, layer.transferred) == (0.5, 10_000)
    transfers.take({"status": "Pull complete", "id": "bbbbbbbbbbbb"})
    assert layer.state == "done"


def test_a_push_knows_what_is_there_already():
    push = Transfers("host/app", upload=True)
    push.take({"status": "The push refers to repository [host/app]"})
    for name, status in (("a", "Preparing"), ("b", "Mounted from host/other"), ("a", "Pushed")):
        push.take({"status": status, "id": name, "progressDetail": {}})
    push.take({"status": "latest: digest: sha256:12 size: 3"})
    assert [layer.state for layer in push.layers.values()] == ["done", "present"]


def test_an_error_in_the_stream_is_kept(transfers: Transfers):
    transfers.take({"errorDetail": {"message": "no space"}, "error": "no space left"})
    assert transfers.failure == "no space left"


def test_bars_tell_their_value_to_those_who_cannot_see_them(transfers: Transfers):
    transfers.take(moves("bbbbbbbbbbbb", "Downloading", 2500, 10_000))
    html = TransfersView(transfers).html()
    bars = re.findall(r'<div role="progressbar"[^>]*>', html)
    assert len(bars) == 3
    assert 'aria-valuenow="25"' in bars[1]
    assert "downloading" in bars[1]
    assert "aria-valuenow" not in bars[2]  # waiting: nobody knows


def test_the_text_has_a_line_for_each_layer(transfers: Transfers):
    transfers.take(moves("bbbbbbbbbbbb", "Downloading", 1 << 20, 4 << 20))
    lines = TransfersView(transfers).text().splitlines()
    assert lines[0] == "Fetching team/app:1.0"
    assert lines[2] == f"bbbbbbbbbbbb  [{'#' * 6}{'.' * 18}]  downloading  1 MiB of 4 MiB"


def test_the_end_is_one_line_with_the_rest_folded(transfers: Transfers, clock: Clock):
    for name in ("bbbbbbbbbbbb", "cccccccccccc"):
        transfers.take(moves(name, "Downloading", 1 << 20, 1 << 20))
        transfers.take({"status": "Pull complete", "id": name})
    clock.now += 2
    transfers.end()
    view = TransfersView(transfers)
    assert view.text().splitlines()[0] == (
        "Fetched team/app:1.0: 3 layers, 2 MiB in 2.0 s (1 of them already there)"
    )
    assert "<details>" in view.html()


def test_it_speaks_korean(transfers: Transfers, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CELLCRATE_LANGUAGE", "ko")
    assert "이미 있음" in TransfersView(transfers).html()
    assert "가져오는 중" in TransfersView(transfers).text()


def test_what_an_engine_says_is_never_html(transfers: Transfers):
    transfers.take(moves("<b>", "<script>", 1, 2))
    assert "<script>" not in TransfersView(transfers).html()
    assert "<b>&" not in TransfersView(transfers).html()


class Terminal:
    """A standard output that may be a terminal."""

    def __init__(self, *, is_terminal: bool) -> None:
        self.written = ""
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal

    def write(self, text: str) -> int:
        self.written += text
        return len(text)

    def flush(self) -> None:
        pass


@pytest.mark.parametrize("is_terminal", [True, False])
def test_without_a_notebook_it_is_text(transfers, monkeypatch, is_terminal: bool):
    terminal = Terminal(is_terminal=is_terminal)
    monkeypatch.setattr(place.sys, "stdout", terminal)
    shown = place.Place()
    shown.show(TransfersView(transfers))
    shown.show(TransfersView(transfers), final=True)
    whole = TransfersView(transfers).text() + "\n"
    assert terminal.written == (f"{whole}\x1b[4F\x1b[J{whole}" if is_terminal else whole)
