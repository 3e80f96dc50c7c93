"""What is damaged, and the commands that are then given it."""

import hashlib
import io
import json
import struct
import sys
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image
from tests.hostile.mutate import damaged_bytes, damaged_text, damaged_value
from tests.hostile.onnx_mutant import damaged_model, shape_network
from tests.onnx_file import X, save_network

from tilewright.cli.main import main
from tilewright.compiler.frontend.onnx import import_model
from tilewright.isa.config import PRESETS
from tilewright.isa.container import FORMAT_VERSION, MAGIC
from tilewright.isa.error import TilewrightError

PROGRAM = """\
.config tiny
.region 0 256 "input"
.region 1 256 "output"
load n_y=4 stride_y=16 chip_stride_y=1 signal=matrix
nop runs_on=matrix wait=load signal=store
store base=1 n_y=4 stride_y=16 chip_stride_y=1 wait=matrix
finish
"""
_PREFIX = struct.Struct("<8sIQQ")
_FORMATS = {
    "png": "PNG",
    "jpg": "JPEG",
    "gif": "GIF",
    "bmp": "BMP",
    "ppm": "PPM",
    "tiff": "TIFF",
    "webp": "WEBP",
}
_ARRAYS = ("x.npz", "x.npy", "packed.npz", "y.npy")


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Members:
        files: what is damaged, in the folder of the samples.
        damage: another content of one of them.
        commands: given the damaged file as {}; each must answer, or say in one line why not.
        run: what runs a command, as `cli.main` does: 0 if it is answered, 1 after one line on stderr.
        many_lines: whether an error may have a line for each mistake.
    """

    files: tuple[str, ...]
    damage: Callable[[Random, str, bytes], bytes]
    commands: tuple[str, ...]
    run: Callable[[list[str]], int] = main
    many_lines: bool = False


def make_samples() -> None:
    """Sound files of every kind, in the current folder."""
    save_network("net.onnx")
    Path("shapes.onnx").write_bytes(shape_network().SerializeToString())
    np.savez("x.npz", x=X)
    np.savez_compressed("packed.npz", x=X[:2])
    np.save("x.npy", X[:2])
    np.save("y.npy", np.zeros(2, np.int64))
    Path("p.s").write_text(PROGRAM)
    Path("p2.s").write_text("finish\n")
    Path("m.toml").write_text(PRESETS["tiny"].to_toml())
    Path("zeros").write_bytes(bytes(256))
    pixels = np.random.default_rng(1).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    for ending, name in _FORMATS.items():
        Image.fromarray(pixels).save(f"x.{ending}", name)
    for command in (
        "asm p.s -o p.twx",
        "compile net.onnx --config tiny --calibrate x.npz -o net.twx --schedules s.txt",
        "run net.twx --input x.npz",
        "run net.twx --input x.npy --device cpu",
        "run p.twx --memory 0=zeros",
    ):
        if main(command.split()):
            raise RuntimeError(f"{command!r} must succeed on sound files")


def import_network(arguments: list[str]) -> int:
    """`import FILE`: read a network, as the commands do before anything else; 1 if it is refused."""
    try:
        import_model(arguments[1])
    except TilewrightError as error:
        print(f"tilewright: error: {error}", file=sys.stderr)
        return 1
    return 0


# --- damages -----------------------------------------------------------------------------------------------


def _bytes(random: Random, name: str, data: bytes) -> bytes:
    return damaged_bytes(random, data)


def _text(random: Random, name: str, data: bytes) -> bytes:
    return damaged_text(random, data)


def _executable(random: Random, name: str, data: bytes) -> bytes:
    """Bytes, or parts inside a frame whose sizes and digest are right."""
    if random.random() < 0.2:
        return damaged_bytes(random, data)
    size = _PREFIX.unpack_from(data)[3]
    header = json.loads(data[_PREFIX.size : _PREFIX.size + size])
    sections, first = {}, _PREFIX.size + size
    for part in header["sections"]:
        sections[part["name"]] = data[first : first + part["bytes"]]
        first += part["bytes"]
    if random.random() < 0.4:
        header = damaged_value(random, header)
    else:
        _damage_section(random, header, sections)
    text = _json(header)
    if random.random() < 0.05:
        text = damaged_text(random, text)
    return _framed(random, text, b"".join(sections.values()))


def _damage_section(random: Random, header: dict, sections: dict[str, bytes]) -> None:
    name = random.choice(list(sections))
    if name == "model":
        sections[name] = _json(damaged_value(random, json.loads(sections[name])))
    elif name == "graph":
        sections[name] = damaged_text(random, sections[name])
    elif name == "tensors" and random.random() < 0.5:
        sections[name] = _archive(random, sections[name])
    else:
        sections[name] = damaged_bytes(random, sections[name])
    for part in header["sections"]:
        part["bytes"] = len(sections[part["name"]])


def _json(value: object) -> bytes:
    try:
        return json.dumps(value).encode()
    except ValueError:
        return b'{"a": ' + b"9" * 5000 + b"}"


def _framed(random: Random, text: bytes, payload: bytes) -> bytes:
    size = _PREFIX.size + len(text) + len(payload) + 32
    length = len(text) if random.random() < 0.95 else random.choice((0, 1, size, 1 << 62))
    body = _PREFIX.pack(MAGIC, FORMAT_VERSION, size, length) + text + payload
    return body + hashlib.sha256(body).digest()


def _array(random: Random, name: str, data: bytes) -> bytes:
    if name.endswith("npz") and random.random() < 0.7:
        return _archive(random, data)
    return damaged_text(random, data) if random.random() < 0.5 else damaged_bytes(random, data)


def _archive(random: Random, data: bytes) -> bytes:
    """A sound zip of damaged members."""
    result = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(result, "w") as new:
        for member in old.namelist():
            contents = old.read(member)
            if random.random() < 0.7:
                contents = damaged_text(random, contents[:128]) + contents[128:]
            name = member if random.random() < 0.9 else random.choice(("a.npy", ".npy", "../x.npy", "x"))
            new.writestr(name, contents, compress_type=random.choice((0, zipfile.ZIP_DEFLATED)))
    return result.getvalue()


KINDS: Mapping[str, Kind] = {
    "executable": Kind(
        ("p.twx", "net.twx"),
        _executable,
        ("disasm {}", "check {}", "run {} --memory 0=zeros", "run {} --input x.npz", "run {} --device cpu"),
        many_lines=True,
    ),
    "config": Kind(("m.toml",), _text, ("asm p2.s --config {} -o out",)),
    "assembler": Kind(("p.s",), _text, ("asm {} -o out", "run {} --memory 0=zeros"), many_lines=True),
    "schedule": Kind(
        ("s.txt",),
        _text,
        ("compile net.onnx --config tiny --calibrate x.npz -o out --schedule {}",),
        many_lines=True,
    ),
    "array": Kind(
        _ARRAYS,
        _array,
        ("run net.twx --device cpu --input {}", "run net.twx --device cpu --input x.npy --labels {}"),
    ),
    "picture": Kind(
        tuple(f"x.{ending}" for ending in _FORMATS), _bytes, ("run net.twx --device cpu --input {}",)
    ),
    "onnx": Kind(("net.onnx", "shapes.onnx"), damaged_model, ("import {}",), run=import_network),
}
