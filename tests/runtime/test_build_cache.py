"""Builds are made once, are complete or absent, and lie where the user's cache is."""

import os
import threading
import time
from pathlib import Path

import pytest

from tilewright.runtime.build_cache import UNUSED_DAYS, built, cache_folder, digest


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def test_the_cache_is_where_the_user_has_it(monkeypatch, tmp_path):
    assert cache_folder() == tmp_path / "tilewright"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "tilewright"


def test_a_build_happens_once():
    calls = []

    def produce(folder):
        calls.append(folder)
        (folder / "result").write_text("made")

    for _ in range(2):
        assert (built("thing", produce) / "result").read_text() == "made"
    assert len(calls) == 1


def test_a_build_that_fails_leaves_nothing_and_is_tried_again():
    def fail(folder):
        (folder / "half").write_text("")
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError):
        built("thing", fail)
    assert [path for path in cache_folder().iterdir() if path.is_dir()] == []
    assert list(built("thing", lambda folder: None).iterdir()) == []


def test_builders_at_the_same_time_build_once():
    calls, inside = [], threading.Barrier(2)

    def produce(folder):
        calls.append(folder)

    def build():
        inside.wait()
        built("thing", produce)

    threads = [threading.Thread(target=build) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1


def test_names_depend_on_every_part_and_on_where_it_ends():
    names = {digest("ab", "c"), digest("a", "bc"), digest("abc"), digest("ab", "d")}
    assert len(names) == 4
    assert digest("ab", b"c") == digest("ab", "c")


def aged(name: str, days: float) -> Path:
    """A build, or what is left of one, that was last used so long ago."""
    folder = cache_folder() / name
    folder.mkdir(parents=True)
    (folder / "result").write_text("made")
    then = time.time() - days * 86_400
    os.utime(folder, (then, then))
    return folder


def test_what_nobody_used_for_long_goes_when_something_is_built():
    name = digest("gates")
    old, young = aged(f"rtl-{name}", UNUSED_DAYS + 1), aged(f"verilog-{name}", UNUSED_DAYS - 1)
    left, other = aged(f".rtl-{name}-x1y2", UNUSED_DAYS + 1), aged("cpu", UNUSED_DAYS + 1)
    built(f"rtl-{digest('others')}", lambda folder: None)
    assert [folder.exists() for folder in (old, young, left, other)] == [False, True, False, True]


def test_a_build_in_use_stays():
    old = aged(f"rtl-{digest('gates')}", UNUSED_DAYS + 1)
    built(old.name, lambda folder: None)
    built(f"rtl-{digest('others')}", lambda folder: None)
    assert old.exists()
