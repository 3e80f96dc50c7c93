import pytest

from tilewright.sim.memory import MemoryModel, MemoryModelError


def test_a_memory_has_parameters_by_default():
    memory = MemoryModel(size_bytes=4096)
    assert (memory.latency, memory.outstanding, memory.silent_from) == (16, 8, None)


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"size_bytes": 100}, "size_bytes must be a multiple of 64, not 100"),
        ({"size_bytes": 0}, "size_bytes must be an integer from 64 to"),
        ({"size_bytes": 64, "latency": 0}, "latency must be an integer from 1 to 65535, not 0"),
        ({"size_bytes": 64, "outstanding": 256}, "outstanding must be an integer from 1 to 255, not 256"),
        ({"size_bytes": 64, "silent_from": -1}, "silent_from must be None or a cycle from 0 on, not -1"),
    ],
)
def test_a_memory_that_cannot_be_is_refused(wrong, text):
    with pytest.raises(MemoryModelError, match=text):
        MemoryModel(**wrong)


def test_all_reasons_come_at_once():
    with pytest.raises(MemoryModelError, match=r"latency.*; outstanding"):
        MemoryModel(size_bytes=64, latency=0, outstanding=0)
