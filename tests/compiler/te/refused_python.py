"""Functions that are no operators: each line says what it is that is refused."""
# Wrong on purpose.
# ruff: noqa: B007, B023, E731, F821, F841, SIM105

import numpy as np

from tilewright.compiler import te


@te.hybrid
def swap(array, i, j):
    array[i], array[j] = array[j], array[i]


@te.hybrid
def much_that_is_python(x):
    out = te.output(x.shape, np.float32)
    text = f"{x}"
    for i in range(len(x)):
        try:
            out[i] = text
        except ValueError:
            pass
    total = sum(x[i] for i in range(3))
    small = x[1:]
    for value in x:
        total += value
    for i in range(3):
        with te as t:
            pass
        later = lambda: i
        out[i] = x[i] ** 2
        out[i] = x[i] / 2
        x[i] = 1
    return out


CAPTURED = np.arange(3)


@te.hybrid
def calls_itself(x):
    out = te.output(1, np.int32)
    out[0] = calls_itself(x)
    return out


@te.hybrid
def changes(array):
    array[0] = 7
    return array[1]


@te.hybrid
def first_of(x, i):
    value = x[i]
    return value


@te.hybrid
def refused(x, f):
    out = te.output(3, np.int32)
    wide = te.allocate(3, np.int64)
    grown = te.allocate((x[0],), np.int32)
    i = int(x[0])
    out[i] = CAPTURED[2] + (1 << 3)
    out[i] = x[i] + f[i]
    out[i] = 1 << 40
    out[i] = 0.5
    out[i, i] = 1
    out[f[i]] = 1
    out[i] = x + 1
    out[i] = later
    later = 3
    out[i] = CAPTURED[x[i]]
    out[i] = x[i] if i > 0 and first_of(x, i) > 0 else 0
    out[i] = x[i] + changes(out)
    out[i] = changes(out, 1)
    swapped = swap(out, 0, 1)
    if x[i]:
        out[i] = 1
    for k in range(3):
        k = 4
        inside = te.output(3, np.int32)
    for k in range(0, 3, 0):
        pass
    for k in range(f[0]):
        pass
    while x[0] > 0:
        break
    else:
        pass
    a, b = 1, 2, 3
    a = b = 1
    out[i] = sum(1, 2)
    out[i] = min(x[i], key=3)
    out[i] = x.sum()
    out[i] = x[i] is i
    out[i] = np.sqrt(x[i])
    out[i] = (x[i] > 1) + (x[i] > 2)
    wide[0] = np.complex64(3)
    out[i] = x[i] // 0
    if i > 2:
        return out
    return out


@te.hybrid
def ends_with_nothing(x):
    x[0] = 1


@te.hybrid
def says_what_it_does(x):
    """Nothing."""


@te.hybrid
def returns_what_it_allocates(x):
    out = te.allocate(1, np.int32)
    out[0] = x[0]
    return out
