import pytest

from task_machine import check, machine
from task_program import Conv
from tilewright.isa.memory import Engine


def most_in_use(work, name):
    """The largest number of instances of buffers of a name that have a use before and one not before a task."""
    first, last = {}, {}
    for place, task in enumerate(work):
        for instance in task.operands.values():
            if instance.buffer.name.startswith(name):
                first.setdefault(instance.number, place)
                last[instance.number] = place
    return max(sum(first[n] <= place <= last[n] for n in first) for place in range(len(work)))


def count(work, engine, name=None):
    names = [[item.buffer.name for item in t.operands.values()] for t in work if t.engine is engine]
    return sum(name is None or any(item.startswith(name) for item in items) for items in names)


@pytest.mark.parametrize(
    "conv",
    [
        Conv(),
        Conv(stride=2, height=9, width=8),
        Conv(dilation=2, pad=2, height=9, width=7),
        Conv(kernel=(1, 1), pad=0, stride=2, height=7, width=7),
        Conv(kernel=(3, 2), pad=0, tile=(4, 4)),
        Conv(rows=4, cols=8, in_blocks=2),
        Conv(rows=4, cols=16, in_blocks=1, kernel=(2, 1), pad=0),
        Conv(tile=(8, 8), height=3, width=3),
        Conv(pad=3, tile=(1, 1), height=2, width=2),
    ],
    ids=str,
)
def test_a_convolution_computes_what_its_loops_mean(conv):
    check(conv.program(), machine(conv.rows, conv.cols))
