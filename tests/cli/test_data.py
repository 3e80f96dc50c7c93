"""Files of arrays, labels and pictures are read as they are, or refused."""

import zipfile
import zlib

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


HEADERS = [
    b"{'descr': '<f4', 'fortran_order': False, 'shape': (9",
    b"{'descr': '<f4', 'fortran_order': False, 'shape': (-2, -3), }",
    b"{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776, 1099511627776), }",
    b"{'descr': '<f4', 'fortran_order': False, 'shape': (0, 1208925819614629174706176), }",
    b"{'descr': '|V0', 'fortran_order': False, 'shape': (3,), }",
    b"{'descr': '|O', 'fortran_order': False, 'shape': (3,), }",
    b"{'descr': '<x7', 'fortran_order': False, 'shape': (3,), }",
    b"{'descr': [], 'fortran_order': 1, 'shape': (3L,), }",
    b"(" * 5000,
    b"\x00\xff",
]


@pytest.mark.parametrize("version", [b"\x01\x00", b"\x02\x00", b"\x03\x00", b"\x09\x09"])
@pytest.mark.parametrize("header", HEADERS, ids=range(len(HEADERS)))
@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
def test_a_damaged_array_is_told_in_one_line(folder, header, version, name):
    length = len(header).to_bytes(2 if version == b"\x01\x00" else 4, "little")
    data = b"\x93NUMPY" + version + length + header + bytes(24)
    if name == "a.npz":
        with zipfile.ZipFile("a.npz", "w") as archive:
            archive.writestr("x.npy", data)
    else:
        (folder / name).write_bytes(data)
    with pytest.raises(TilewrightError, match=rf"{name}: must be a whole NumPy file \(.npy, .npz\): [^\n]+$"):
        read_arrays(name, COLOUR)


def test_an_archive_that_unpacks_to_far_more_is_refused():
    with zipfile.ZipFile("a.npz", "w", zipfile.ZIP_DEFLATED) as archive, archive.open("x.npy", "w") as member:
        for _ in range(300):
            member.write(bytes(1 << 20))
    with pytest.raises(TilewrightError, match=r"a.npz: must not unpack to 300 MiB from [\d,]+ bytes"):
        read_arrays("a.npz", COLOUR)


def test_a_picture_of_too_many_pixels_is_refused(folder):
    size = (1 << 20).to_bytes(4, "big") * 2 + b"\x08\x02\x00\x00\x00"
    chunk = b"IHDR" + size
    crc = zlib.crc32(chunk).to_bytes(4, "big")
    (folder / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + len(size).to_bytes(4, "big") + chunk + crc)
    with pytest.raises(TilewrightError, match=r"a.png: must be an .npz or .npy file or a whole picture"):
        read_arrays("a.png", COLOUR)


def test_columns_first_and_odd_places_are_read_as_they_are(folder):
    np.save("a.npy", np.asfortranarray(PIXELS))
    found = read_arrays("a.npy", COLOUR)["x"]
    assert np.array_equal(found, PIXELS)
    assert found.flags.writeable
