"""Memory that kernels work in: blocks that nobody shares, kept for the next one."""

import ctypes
from concurrent.futures import ThreadPoolExecutor

import pytest

from tilewright.compiler.targets.cpu.machine import HostMachine, load_code, object_code
from tilewright.compiler.targets.cpu.scratch import (
    ALLOCATE_FUNCTION,
    RELEASE_FUNCTION,
    SLOTS,
    scratch_text,
)


@pytest.fixture(scope="module")
def scratch():
    """Both functions, with blocks of their own."""
    machine = HostMachine.host()
    engine = load_code(object_code(scratch_text(), machine), machine)
    allocate = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_int64)
    release = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
    found = (
        allocate(engine.get_function_address(ALLOCATE_FUNCTION)),
        release(engine.get_function_address(RELEASE_FUNCTION)),
    )
    yield found
    del engine


def test_a_block_is_taken_again(scratch):
    allocate, release = scratch
    first = allocate(1 << 20)
    assert first % 64 == 0
    release(first)
    assert allocate(1 << 19) == first
    release(first)
    assert allocate(1 << 21) != first


def test_a_block_is_as_large_as_was_asked(scratch):
    allocate, release = scratch
    sizes = [64 << number for number in range(SLOTS + 3)]
    for size in [*sizes, *reversed(sizes)]:
        at = allocate(size)
        ctypes.memset(at, 0xAA, size)
        release(at)


def test_no_two_have_the_same_block(scratch):
    allocate, release = scratch
    blocks = [allocate(4096) for _ in range(2 * SLOTS)]
    assert len(set(blocks)) == 2 * SLOTS
    for block in blocks:
        release(block)


def test_threads_share_no_block(scratch):
    allocate, release = scratch

    def work(number):
        for _ in range(300):
            at = allocate(8192)
            ctypes.memset(at, number, 8192)
            if ctypes.string_at(at, 8192) != bytes([number]) * 8192:
                return False
            release(at)
        return True

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(work, range(4)))
