"""Poolings."""

from tilewright.compiler.frontend.draft import Draft
from tilewright.compiler.frontend.error import require
from tilewright.compiler.frontend.node import OnnxNode
from tilewright.compiler.frontend.shape import read_axes
from tilewright.compiler.frontend.window import picture, read_pads, with_ceiling
from tilewright.compiler.ops.average_pool2d import AveragePool2d
from tilewright.compiler.ops.flatten import Flatten
from tilewright.compiler.ops.global_average_pool import GlobalAveragePool
from tilewright.compiler.ops.max_pool2d import MaxPool2d
from tilewright.compiler.ops.window import Window


def convert_max_pool(node: OnnxNode, draft: Draft) -> None:
    """MaxPool."""
    require(not any(node.outputs[1:]), "its second result, the indices, is not supported")
    window, _ = _window(node, draft)
    draft.emit(node, MaxPool2d(window), node.inputs)


def convert_average_pool(node: OnnxNode, draft: Draft) -> None:
    """AveragePool."""
    window, is_complete = _window(node, draft)
    counted = bool(node.integer("count_include_pad", 0)) and any(window.pads)
    require(
        is_complete or not counted,
        "count_include_pad must be 0 where ceil_mode adds an incomplete window",
    )
    draft.emit(node, AveragePool2d(window, counted), node.inputs)


def convert_global_average(node: OnnxNode, draft: Draft) -> None:
    """GlobalAveragePool."""
    draft.emit(node, GlobalAveragePool(), node.inputs)


def convert_global_maximum(node: OnnxNode, draft: Draft) -> None:
    """GlobalMaxPool: one window as large as the picture."""
    size = picture(draft.activation(node.input(0)))
    draft.emit(node, MaxPool2d(Window(size)), node.inputs)


def convert_reduce_mean(node: OnnxNode, draft: Draft) -> None:
    """ReduceMean over height and width."""
    x = draft.activation(node.input(0))
    axes = read_axes(node, draft, len(x.shape))
    require(
        len(x.shape) == 4 and sorted(axes) == [2, 3],
        f"axes must be height and width, 2 and 3, of pictures, not {axes} of {x}",
    )
    if node.integer("keepdims", 1):
        draft.emit(node, GlobalAveragePool(), node.inputs[:1])
        return
    mean = draft.emit(node, GlobalAveragePool(), node.inputs[:1], draft.fresh(f"{node.outputs[0]}.mean"))
    draft.emit(node, Flatten(), (mean,))


def _window(node: OnnxNode, draft: Draft) -> tuple[Window, bool]:
    """The window, and whether each lies within the padding that the model gives."""
    size = picture(draft.activation(node.input(0)))
    dilations = node.pair("dilations")
    require(dilations == (1, 1), f"dilations of a pooling must be 1, not {list(dilations)}")
    kernel, strides = node.pair("kernel_shape"), node.pair("strides")
    pads = read_pads(node, size, kernel, strides, dilations)
    padded = with_ceiling(pads, size, kernel, strides) if node.integer("ceil_mode", 0) else pads
    return Window(kernel, strides, padded), padded == pads


CONVERTERS = {
    "MaxPool": convert_max_pool,
    "AveragePool": convert_average_pool,
    "GlobalAveragePool": convert_global_average,
    "GlobalMaxPool": convert_global_maximum,
    "ReduceMean": convert_reduce_mean,
}
