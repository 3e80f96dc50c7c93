"""The loader lays programs and regions out, and refuses what does not fit, all at once."""

import numpy as np
import pytest

from tilewright.isa.config import PRESETS
from tilewright.isa.executable import Executable
from tilewright.isa.instruction import Finish, Load, Store
from tilewright.isa.region import Region
from tilewright.runtime.loader import ALIGNMENT_BYTES, LoadError, load

TINY = PRESETS["tiny"]
COPY = (Load(base=1, stride_x=4), Store(base=2, stride_x=4, bytes=4), Finish())


def executable(*regions, program=COPY, config=TINY):
    return Executable.of(program, config, regions)


def test_code_and_regions_lie_apart_at_aligned_addresses():
    made = executable(Region(1, 5000, "in"), Region(2, 16, "out"))
    given = bytes(range(250)) * 20
    image = load(made, {1: given}, TINY)
    first = image.program_address
    assert image.dram[first : first + len(made.code)].tobytes() == made.code
    assert all(base % ALIGNMENT_BYTES == 0 for base in (first, *image.bases))
    assert image.bases[1] >= first + len(made.code)
    assert image.bases[2] >= image.bases[1] + 5000
    assert len(image.dram) % ALIGNMENT_BYTES == 0
    assert image.regions() == {1: given, 2: bytes(16)}


def test_a_region_is_what_the_memory_holds_now():
    image = load(executable(Region(1, 4, "in"), Region(2, 4, "out")), {1: b"abcd"}, TINY)
    image.dram[image.bases[2] :][:4] = np.frombuffer(b"efgh", np.uint8)
    assert image.region(2) == b"efgh"


def test_bytes_alone_make_a_region():
    image = load(executable(), {1: b"abcd", 2: bytes(8)}, TINY)
    assert image.sizes == {1: 4, 2: 8}


def test_more_bytes_than_declared_make_a_longer_region():
    image = load(executable(Region(1, 2, "in"), Region(2, 4, "out")), {1: b"abcd"}, TINY)
    assert image.region(1) == b"abcd"


def test_a_program_without_memory_needs_none():
    image = load(executable(program=(Finish(),)), {}, TINY)
    assert len(image.dram) == ALIGNMENT_BYTES
    assert image.sizes == {}


@pytest.mark.parametrize(
    ("regions", "given", "message"),
    [
        ((), {2: b""}, "base register 1 is used: give its bytes with --memory 1=FILE"),
        ((Region(1, 4, "in"), Region(2, 4, "")), {}, r"region 1 \(in\) is read: give its bytes"),
        ((Region(1, 4, "in"), Region(2, 4, "")), {1: b"abc"}, r"region 1 \(in\) must have 4 bytes, not 3"),
        ((Region(2, 4, ""),), {1: b"abcd", 2: b""}, "region 2 must have 4 bytes, not 0"),
    ],
)
def test_what_does_not_fit_is_refused(regions, given, message):
    with pytest.raises(LoadError, match=message):
        load(executable(*regions), given, TINY)


def test_everything_that_does_not_fit_is_said_at_once():
    with pytest.raises(LoadError, match=r"region 1 .* must have 8 bytes.*; region 2 .* must have 9 bytes"):
        load(executable(Region(1, 8, "a"), Region(2, 9, "b")), {1: b"", 2: b""}, TINY)


def test_a_program_for_another_configuration_is_refused():
    digest = PRESETS["reference"].digest().hex()
    with pytest.raises(LoadError, match=f"{TINY.digest().hex()} of the device, not {digest}"):
        load(executable(config=PRESETS["reference"]), {1: b"abcd", 2: b""}, TINY)
