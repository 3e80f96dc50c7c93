"""Files of arrays, labels and pictures are read as they are, or refused."""

import numpy as np
import pytest
from PIL import Image

from tilewright.cli.data import npz_bytes, read_arrays, read_labels
from tilewright.isa.error import TilewrightError

GREY = {"x": (1, 4, 6)}
COLOUR = {"x": (3, 4, 6)}
PIXELS = np.random.default_rng(5).integers(0, 256, (4, 6, 3), dtype=np.uint8)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_arrays_come_by_name():
    np.savez("a.npz", x=PIXELS, y=np.arange(3))
    found = read_arrays("a.npz", {"x": (), "y": ()})
    assert np.array_equal(found["x"], PIXELS)
    assert np.array_equal(found["y"], np.arange(3))


def test_one_array_goes_to_the_only_input():
    np.save("a.npy", PIXELS)
    assert np.array_equal(read_arrays("a.npy", COLOUR)["x"], PIXELS)
    with pytest.raises(TilewrightError, match=r"a.npy: must be an .npz file with arrays named x, y"):
        read_arrays("a.npy", {"x": (1,), "y": (2,)})


def test_a_picture_is_its_pixels():
    Image.fromarray(PIXELS).save("a.png")
    assert np.array_equal(read_arrays("a.png", COLOUR)["x"], PIXELS.transpose(2, 0, 1))


def test_grey_pictures_go_to_one_channel_and_to_three():
    Image.fromarray(PIXELS[..., 0]).save("a.png")
    assert np.array_equal(read_arrays("a.png", GREY)["x"], PIXELS[None, ..., 0])
    assert np.array_equal(read_arrays("a.png", COLOUR)["x"], np.stack([PIXELS[..., 0]] * 3))


def test_a_colour_picture_becomes_grey_where_there_is_one_channel():
    Image.fromarray(PIXELS).save("a.png")
    grey = np.asarray(Image.fromarray(PIXELS).convert("L"))
    assert np.array_equal(read_arrays("a.png", GREY)["x"], grey[None])


@pytest.mark.parametrize(
    ("mode", "size", "shape", "message"),
    [
        ("RGB", (5, 4), (3, 4, 6), "must be 6×4 pixels, not 5×4: resize it"),
        ("RGBA", (6, 4), (3, 4, 6), "pixels must be grey or RGB, not RGBA: convert them"),
        ("L", (6, 4), (2, 4, 6), "must go to an input of 1 or 3 channels, not"),
        ("L", (6, 4), (24,), "must go to an input of 1 or 3 channels, not"),
    ],
)
def test_a_picture_that_does_not_fit_is_refused(mode, size, shape, message):
    Image.new(mode, size).save("a.png")
    with pytest.raises(TilewrightError, match=f"a.png: .*{message}"):
        read_arrays("a.png", {"x": shape})


@pytest.mark.parametrize("data", [b"", b"abc", b"\x89PNG\r\n\x1a\n broken"])
def test_what_is_neither_array_nor_picture_is_refused(folder, data):
    (folder / "a").write_bytes(data)
    with pytest.raises(TilewrightError, match=r"a: must be an .npz or .npy file or a whole picture"):
        read_arrays("a", COLOUR)


def test_a_picture_cut_short_is_refused(folder):
    Image.fromarray(PIXELS).save("a.png")
    (folder / "a.png").write_bytes((folder / "a.png").read_bytes()[:-40])
    with pytest.raises(TilewrightError, match=r"a.png: must be an .npz or .npy file or a whole picture"):
        read_arrays("a.png", COLOUR)


def test_a_zip_of_something_else_is_refused(folder):
    (folder / "a.npz").write_bytes(b"PK\x03\x04 and nothing")
    with pytest.raises(TilewrightError, match=r"a.npz: must be a whole NumPy file"):
        read_arrays("a.npz", COLOUR)


@pytest.mark.parametrize("labels", [np.zeros(3), np.zeros((3, 1), int), np.zeros(2, int)])
def test_labels_that_are_none_are_refused(labels):
    np.save("a.npy", labels)
    with pytest.raises(TilewrightError, match=r"a.npy: labels must be 3 integers, one for each sample, not"):
        read_labels("a.npy", 3, 10)


@pytest.mark.parametrize("label", [-1, 10])
def test_labels_are_below_the_classes(label):
    np.save("a.npy", np.array([0, label]))
    with pytest.raises(TilewrightError, match=f"a.npy: labels must be from 0 to 9, not {label}"):
        read_labels("a.npy", 2, 10)


def test_any_name_can_be_written(folder):
    arrays = {"file": PIXELS, "a/b:0": np.arange(3.0)}
    (folder / "a.npz").write_bytes(npz_bytes(arrays))
    with np.load("a.npz") as found:
        assert found.files == list(arrays)
        assert all(np.array_equal(found[name], array) for name, array in arrays.items())
    assert npz_bytes(arrays) == npz_bytes(arrays)
