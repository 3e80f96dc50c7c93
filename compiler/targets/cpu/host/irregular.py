"""Primitives whose elements depend on each other in an order: sorting, running sums, scattering, searching.

Tensors are taken as (outer, n, inner) around the axis in question, or as one line.
"""

import numpy as np

from tilewright.compiler import te


@te.hybrid
def sorted_order(x, descending):  # type: ignore[no-untyped-def]
    """Indices that sort along n, equal elements in their order, NaN above all: longer runs are merged."""
    outer, n, inner = x.shape
    order = te.output((outer, n, inner), np.int64)
    line = te.allocate((n,), np.int64)
    other = te.allocate((n,), np.int64)
    for o in range(outer):
        for i in range(inner):
            for k in range(n):
                line[k] = k
            width = 1
            while width < n:
                begin = 0
                while begin < n:
                    middle = min(begin + width, n)
                    end = min(begin + 2 * width, n)
                    left = begin
                    right = middle
                    for k in range(begin, end):
                        takes_left = right >= end
                        if left < middle and right < end:
                            a = x[o, line[left], i]
                            b = x[o, line[right], i]
                            if descending:
                                takes_left = not (a < b or (b != b and a == a))
                            else:
                                takes_left = not (b < a or (a != a and b == b))
                        if takes_left:
                            other[k] = line[left]
                            left += 1
                        else:
                            other[k] = line[right]
                            right += 1
                    begin += 2 * width
                for k in range(n):
                    line[k] = other[k]
                width *= 2
            for k in range(n):
                order[o, k, i] = line[k]
    return order


@te.hybrid
def running_sum(x, exclusive, reverse):  # type: ignore[no-untyped-def]
    """Sums along n of all elements so far."""
    outer, n, inner = x.shape
    sums = te.output((outer, n, inner), x.dtype)
    line = te.allocate((1,), x.dtype)
    for o in range(outer):
        for i in range(inner):
            line[0] = 0
            for k in range(n):
                at = n - 1 - k if reverse else k
                if exclusive:
                    sums[o, at, i] = line[0]
                    line[0] += x[o, at, i]
                else:
                    line[0] += x[o, at, i]
                    sums[o, at, i] = line[0]
    return sums


@te.hybrid
def scattered(x, positions, updates, reduction):  # type: ignore[no-untyped-def]
    """x with updates at positions; `reduction` is none (0), add (1), mul (2), min (3) or max (4)."""
    result = te.output(x.shape, x.dtype)
    for k in range(x.shape[0]):
        result[k] = x[k]
    for k in range(positions.shape[0]):
        if reduction == 0:
            result[positions[k]] = updates[k]
        elif reduction == 1:
            result[positions[k]] = result[positions[k]] + updates[k]
        elif reduction == 2:
            result[positions[k]] = result[positions[k]] * updates[k]
        elif reduction == 3:
            result[positions[k]] = np.minimum(result[positions[k]], updates[k])
        else:
            result[positions[k]] = np.maximum(result[positions[k]], updates[k])
    return result


REDUCTIONS = {"none": 0, "add": 1, "mul": 2, "min": 3, "max": 4}
"""The numbers of the reductions of `scattered`, by name."""
