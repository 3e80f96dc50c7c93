"""Windows of convolutions and poolings, as model files describe them."""

from tilewright.compiler.frontend.error import UnsupportedError, require
from tilewright.compiler.frontend.node import OnnxNode
from tilewright.compiler.graph.type import TensorType
from tilewright.compiler.ops.window import Pads, Pair


def picture(x: TensorType) -> Pair:
    """Height and width of an activation."""
    require(len(x.shape) == 4, f"its input must be pictures with 4 axes, not {x}")
    return x.shape[2], x.shape[3]


def read_pads(node: OnnxNode, size: Pair, kernel: Pair, strides: Pair, dilations: Pair) -> Pads:
    """The padding, given or by the rule that the model names."""
    rule = node.string("auto_pad", "NOTSET")
    if rule == "NOTSET":
        pads = tuple(int(value) for value in node.attributes.get("pads", (0, 0, 0, 0)))
        require(len(pads) == 4 and min(pads) >= 0, f"pads must be 4 numbers from 0 up, not {list(pads)}")
        return pads[0], pads[1], pads[2], pads[3]
    if rule == "VALID":
        return 0, 0, 0, 0
    if rule not in ("SAME_UPPER", "SAME_LOWER"):
        raise UnsupportedError(f"auto_pad must be NOTSET, VALID, SAME_UPPER or SAME_LOWER, not {rule}")
    upper = rule == "SAME_UPPER"
    top, bottom = _same(size[0], kernel[0], strides[0], dilations[0], upper)
    left, right = _same(size[1], kernel[1], strides[1], dilations[1], upper)
    return top, left, bottom, right


def with_ceiling(pads: Pads, size: Pair, kernel: Pair, strides: Pair) -> Pads:
    """Padding below and right so that the last, incomplete window counts too (ceil_mode)."""
    bottom = pads[2] + _incomplete(size[0], pads[0], pads[2], kernel[0], strides[0])
    right = pads[3] + _incomplete(size[1], pads[1], pads[3], kernel[1], strides[1])
    return pads[0], pads[1], bottom, right


def _same(size: int, kernel: int, stride: int, dilation: int, upper: bool) -> Pair:
    results = -(-size // stride)
    total = max(0, (results - 1) * stride + (kernel - 1) * dilation + 1 - size)
    small, large = total // 2, total - total // 2
    return (small, large) if upper else (large, small)


def _incomplete(size: int, before: int, after: int, kernel: int, stride: int) -> int:
    free = size + before + after - kernel
    last = -(-free // stride) * stride
    # A window that would begin behind the picture is none.
    return 0 if last >= size + before else last - free if last > free else 0
