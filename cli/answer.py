"""What a network answers, as text."""

from typing import TYPE_CHECKING, Any

from tilewright.cli.table import format_table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tilewright.api.result import RunResult

_SHOWN_SAMPLES = 10
"""Samples whose answers are printed."""


def format_answer(result: "RunResult", labels: "NDArray[np.int64] | None") -> str:
    """The top class of the first samples, beside what is right where that is known.

    Outputs that are not one score for each class are told by their shapes and their ranges.
    """
    import numpy as np

    name, values = next(iter(result.outputs.items()))
    if len(result.outputs) > 1 or not _is_scores(values, result.samples):
        return _format_outputs(result)
    shown = values[:_SHOWN_SAMPLES].reshape(min(len(values), _SHOWN_SAMPLES), -1)
    rows = [
        [str(index), str(top), f"{scores[top]:.4g}"]
        for index, (scores, top) in enumerate(zip(shown, np.argmax(shown, axis=1), strict=True))
    ]
    header = ["sample", "class", name]
    if labels is not None:
        header.append("label")
        rows = [[*row, str(label)] for row, label in zip(rows, labels, strict=False)]
    more = len(values) - len(shown)
    return format_table(header, rows) + (f"\nand {more:,} more samples" if more else "")


def _is_scores(values: "NDArray[Any]", samples: int) -> bool:
    """Whether an output has one number for each class."""
    if values.ndim < 2 or len(values) != samples or not values.size or values.dtype.kind != "f":
        return False
    return bool(1 < values[0].size == max(values.shape[1:]))


def _format_outputs(result: "RunResult") -> str:
    """A line each; the types are told where they are not all float32."""
    is_plain = all(values.dtype == "float32" for values in result.outputs.values())
    header = ("output", "shape", *(() if is_plain else ("type",)), "least", "most")
    rows = []
    for name, values in result.outputs.items():
        shape = "×".join(map(str, values.shape)) or "one number"
        rows.append((name, shape, *(() if is_plain else (str(values.dtype),)), *_range(values)))
    return format_table(header, rows)


def _range(values: "NDArray[Any]") -> tuple[str, str]:
    if not values.size:
        return "", ""
    least, most = values.min(), values.max()
    return (f"{least:.4g}", f"{most:.4g}") if values.dtype.kind == "f" else (str(least), str(most))
