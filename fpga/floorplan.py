"""Gives the products of the array sites in the order of their columns and rows.

Sums go down the columns of the array and activations along its rows: with neighbours side by side their
wires are short. Left alone, the router's placer scatters the products over all sites. Each column of the
array gets a strip of the chip, its rows and the product of its lane's requantisation from top to bottom.
"""

import re
from itertools import product
from typing import NamedTuple

from tilewright.fpga.netlist import MULTIPLIER, Netlist

_STRIPS = (*range(4, 60, 9), *range(69, 115, 9))
"""The first tile, from the left, of each four multipliers of a row of the 85F; clocks come in between."""
_OFFSETS = ((0, 0), (1, 1), (4, 4), (5, 5))
"""Of these four: tiles from there, and the multiplier's number."""
_ROWS = (10, 34, 58)
_ELEMENT = re.compile(r"row_(?P<row>\d+)\.product_(?P<col>\d+)_")
_GROUP = re.compile(r"group_(?P<group>\d+)\.product_\d+_")


class Site(NamedTuple):
    """A multiplier of the device: its tile, and its number there."""

    x: int
    y: int
    number: int

    def __str__(self) -> str:
        return f"X{self.x}/Y{self.y}/MULT18_{self.number}"


def sites() -> list[Site]:
    """All multipliers of the 85F, from left to right, those of one x from top to bottom."""
    return [
        Site(strip + tiles, y, number)
        for (strip, (tiles, number)), y in product(product(_STRIPS, _OFFSETS), _ROWS)
    ]


def place_products(netlist: Netlist) -> int:
    """Fix the sites of all multipliers if there is an array; how many were fixed.

    Rows go through a column's strip from top to bottom. Multipliers that are left for lack of an array, and
    more than there are sites, are the placer's.
    """
    places = _places(netlist)
    columns = sorted({column for column, _ in places.values()})
    available = sites()
    if len(columns) < 2 or len(places) > len(available):
        return 0
    start = (len(available) - len(places)) // 2
    for column in columns:
        names = sorted((name for name in places if places[name][0] == column), key=lambda name: places[name])
        strip = sorted(available[start : start + len(names)], key=lambda site: (site.y, site.x))
        for name, site in zip(names, strip, strict=True):
            netlist.cells[name].setdefault("attributes", {})["BEL"] = str(site)
        start += len(names)
    return len(places)


def _places(netlist: Netlist) -> dict[str, tuple[int, int]]:
    """Column and row of each product of the array, and of the products of the lanes, which come last."""
    elements: dict[str, tuple[int, int]] = {}
    groups: dict[str, int] = {}
    for name in netlist.names(MULTIPLIER):
        if found := _ELEMENT.search(name):
            elements[name] = (int(found["col"]), int(found["row"]))
        elif found := _GROUP.search(name):
            groups[name] = int(found["group"])
    if not elements:
        return {}
    cols = 1 + max(col for col, _ in elements.values())
    count = 1 + max(groups.values(), default=0)
    last = 1 + max(row for _, row in elements.values())
    return elements | {name: (group * cols // count, last) for name, group in groups.items()}
