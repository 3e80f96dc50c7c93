"""Feature maps read at places that data tell."""

from tilewright.compiler.frontend.error import require
from tilewright.compiler.frontend.onnx.node import Node, Result, converter
from tilewright.compiler.ops.nn.sample import Pooling, SampleSettings, grid_sample, roi_align

_MODES = {"bilinear": "linear", "bicubic": "cubic"}
"""Names of before opset 20."""


def _sizes(node: Node) -> list[int]:
    sizes = [size for size in node.type(0).shape[2:] if isinstance(size, int) and size > 0]
    require(len(sizes) == node.rank(0) - 2 > 0, f"must have spatial sizes that are known, not {node.type(0)}")
    return sizes


@converter("GridSample")
def _grid_sample(node: Node) -> Result:
    sizes = _sizes(node)
    grid = node.type(1)
    require(grid.rank == node.rank(0) and grid.shape[-1] == len(sizes), f"grid must be of {len(sizes)} axes")
    mode = node.choice("mode", "linear", ["linear", "nearest", "cubic", *_MODES])
    padding = node.choice("padding_mode", "zeros", ["zeros", "border", "reflection"])
    settings = SampleSettings(_MODES.get(mode, mode), padding, bool(node.integer("align_corners", 0)))
    return grid_sample(node.b, node.x(0), node.x(1), sizes, settings)


@converter("RoiAlign")
def _roi_align(node: Node) -> Result:
    # Before opset 16 there was no half pixel.
    usual = "half_pixel" if node.opset >= 16 else "output_half_pixel"
    where = node.choice("coordinate_transformation_mode", usual, ["half_pixel", "output_half_pixel"])
    samples = node.integer("sampling_ratio", 0)
    require(samples > 0, "sampling_ratio must be 1 or more: 0 takes as many samples as a region is large")
    how = Pooling(
        node.integer("output_height", 1),
        node.integer("output_width", 1),
        samples,
        node.number("spatial_scale", 1.0),
        where == "half_pixel",
        node.choice("mode", "avg", ["avg", "max"]) == "max",
    )
    return roi_align(node.b, node.x(0), node.x(1), node.x(2), _sizes(node), how)
