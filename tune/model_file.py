"""Files of models of cost: a head in JSON, and beside it the trees in xgboost's own binary form, `.ubj`."""

import hashlib
import json
from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any

from tilewright.tune.error import TuneError

_VERSION = 1
NUMBERS = ("slope", "scale", "gain", "offset")
"""Of a model, besides its trees."""


def write(path: Path, head: Mapping[str, object], trees: bytes) -> None:
    """Write `path`, and its trees beside it, bound to each other by a digest."""
    path.with_suffix(".ubj").write_bytes(trees)
    bound = {"version": _VERSION, **head, "sha256": hashlib.sha256(trees).hexdigest()}
    path.write_text(json.dumps(bound, indent=1) + "\n")


def read(path: Path) -> tuple[dict[str, Any], bytes]:
    """The head and the trees of a model.

    The head has `features`, a list of names, and the numbers `NUMBERS` and `probe`.

    Raises:
        TuneError: if they cannot be read, are of another version, or not of one model.
    """
    try:
        head = json.loads(path.read_text())
        trees = path.with_suffix(".ubj").read_bytes()
    except (OSError, ValueError) as error:
        raise TuneError(f"{path} cannot be read as a model of costs: {error}") from error
    if problem := _problem(head, trees):
        raise TuneError(f"{path} {problem}: train it anew")
    return head, trees


def _problem(head: object, trees: bytes) -> str | None:
    if not isinstance(head, dict) or head.get("version") != _VERSION:
        return f"must be a model of version {_VERSION}"
    names = head.get("features")
    if not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        return "must list the names of its features"
    numbers = [head.get(name) for name in (*NUMBERS, "probe")]
    if not all(isinstance(number, float) and isfinite(number) for number in numbers):
        return f"must have the numbers {', '.join(NUMBERS)} and probe"
    if head.get("sha256") != hashlib.sha256(trees).hexdigest():
        return "must lie beside its own trees, not those of another model"
    return None
