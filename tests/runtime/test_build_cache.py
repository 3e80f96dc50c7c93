"""Builds are made once, are complete or absent, and lie where the user's cache is."""

import threading
from pathlib import Path

import pytest

from tilewright.runtime.build_cache import built, cache_folder, digest


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
