"""Progress: a line that is drawn anew, with a bar where the share is known, on terminals alone."""

import io
from types import SimpleNamespace

import pytest

from tilewright.cli import terminal


@pytest.fixture
def clock(monkeypatch):
    """Seconds that stand still, as a list of one."""
    seconds = [100.0]
    monkeypatch.setattr(terminal.time, "monotonic", lambda: seconds[0])
    monkeypatch.setattr(terminal, "_drawn", {})
    return seconds


class Screen(io.TextIOWrapper):
    """A terminal."""

    def isatty(self):
        return True

    def lines(self):
        """What was drawn since the last time, line by line."""
        self.flush()
        data = self.buffer.getvalue()
        self.buffer.truncate(0)
        self.buffer.seek(0)
        return data.decode(self.encoding).split("\r\x1b[K")[1:]


def show(monkeypatch, encoding):
    screen = Screen(io.BytesIO(), encoding)
    monkeypatch.setattr(terminal, "sys", SimpleNamespace(stderr=screen))
    return screen.lines


@pytest.fixture
def drawn(monkeypatch, clock):
    """What was drawn since the last time, line by line."""
    monkeypatch.setenv("COLUMNS", "60")
    return show(monkeypatch, "utf-8")


def test_a_share_is_a_bar(drawn):
    terminal.say("reading")
    terminal.say("step", 0.0)
    terminal.say("step", 1.0)
    assert drawn() == ["reading", "·" * 24 + "   0%  step", "█" * 24 + " 100%  step"]


def test_a_step_is_drawn_as_often_as_an_eye_sees(drawn, clock):
    for done in range(100):
        terminal.say(f"{done} of 100 samples", done / 100)
        clock[0] += 0.01
    count = len(drawn())
    assert 15 <= count <= 25
    terminal.say("another step", 0.5)
    terminal.say("100 of 100 samples", 1.0)
    assert len(drawn()) == 2


def test_a_line_fits_the_terminal(drawn):
    terminal.say("x" * 200, 0.5)
    (line,) = drawn()
    assert len(line) == 59


def test_terminals_of_few_characters_have_a_bar_too(clock, monkeypatch):
    drawn = show(monkeypatch, "ascii")
    terminal.say("step", 0.5)
    assert drawn() == ["#" * 12 + "." * 12 + "  50%  step"]


def test_nothing_is_drawn_elsewhere(capsys):
    terminal.say("step", 0.5)
    assert capsys.readouterr().err == ""
