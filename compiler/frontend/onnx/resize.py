"""Resizing of pictures and volumes: an axis at a time, by weights known at import."""

import numpy as np

from tilewright.compiler.frontend.error import UnsupportedError, require
from tilewright.compiler.frontend.onnx.node import Node, Result, converter, normal_axis
from tilewright.compiler.ir.function import Value
from tilewright.compiler.ops import emit as e
from tilewright.compiler.ops.nn import resize as rs


@converter("Upsample")
def _upsample(node: Node) -> Result:
    x = node.x(0)
    scales = [float(each) for each in (node.array(1) if node.has(1) else np.array(node.floats("scales")))]
    settings = rs.ResizeSettings(node.choice("mode", "nearest", ["nearest", "linear"]), "asymmetric", "floor")
    return _resized(node, x, {axis: (scale, None) for axis, scale in enumerate(scales)}, settings, {})


@converter("Resize", since=11)
def _resize(node: Node) -> Result:
    x = node.x(0)
    mode = node.choice("mode", "nearest", ["nearest", "linear", "cubic"])
    where = node.string("coordinate_transformation_mode", "half_pixel")
    if where not in rs.COORDINATES:
        raise UnsupportedError(
            f"coordinate_transformation_mode must be one of {', '.join(rs.COORDINATES)}, not {where!r}"
        )
    settings = rs.ResizeSettings(
        mode,
        where,
        node.string("nearest_mode", "round_prefer_floor"),
        node.number("cubic_coeff_a", -0.75),
        bool(node.integer("exclude_outside", 0)),
        bool(node.integer("antialias", 0)),
        node.number("extrapolation_value", 0.0),
    )
    axes = [normal_axis(axis, x.type.rank, "axes") for axis in node.integers("axes", range(x.type.rank))]
    return _resized(node, x, _targets(node, x, axes), settings, _regions(node, axes, where))


def _regions(node: Node, axes: list[int], where: str) -> dict[int, tuple[float, float]]:
    if where != "tf_crop_and_resize":
        return {}
    roi = node.array(1).astype(float).reshape(-1)
    require(len(roi) == 2 * len(axes), f"roi must have {2 * len(axes)} numbers, not {len(roi)}")
    return {axis: (roi[place], roi[place + len(axes)]) for place, axis in enumerate(axes)}


def _targets(node: Node, x: Value, axes: list[int]) -> dict[int, tuple[float, int | None]]:
    """The scale of each axis, and its size if that is given."""
    if node.has(3):
        wanted = node.numbers(3)
        if len(wanted):
            return _by_sizes(node, x, axes, wanted)
    scales = [float(each) for each in node.array(2).reshape(-1)]
    require(len(scales) == len(axes), f"scales must have {len(axes)} numbers, not {len(scales)}")
    return {axis: (scale, None) for axis, scale in zip(axes, scales, strict=True)}


def _by_sizes(
    node: Node, x: Value, axes: list[int], wanted: list[int]
) -> dict[int, tuple[float, int | None]]:
    require(len(wanted) == len(axes), f"sizes must have {len(axes)} numbers, not {len(wanted)}")
    scales = [size / _number(x, axis) for axis, size in zip(axes, wanted, strict=True)]
    policy = node.choice("keep_aspect_ratio_policy", "stretch", ["stretch", "not_larger", "not_smaller"])
    if policy == "stretch":
        return {axis: (scale, size) for axis, scale, size in zip(axes, scales, wanted, strict=True)}
    scale = min(scales) if policy == "not_larger" else max(scales)
    return {axis: (scale, int(np.floor(scale * _number(x, axis) + 0.5))) for axis in axes}


def _number(x: Value, axis: int) -> int:
    size = x.type.shape[axis]
    if not isinstance(size, int):
        raise UnsupportedError(f"axis {axis} is resized and must have a known size, not {size}")
    return size


def _resized(
    node: Node,
    x: Value,
    targets: dict[int, tuple[float, int | None]],
    settings: rs.ResizeSettings,
    regions: dict[int, tuple[float, float]],
) -> Value:
    b, kind = node.b, x.type.dtype
    for axis, (scale, size) in targets.items():
        region = regions.get(axis, (0.0, 1.0))
        if scale == 1.0 and size in (None, x.type.shape[axis]) and region == (0.0, 1.0):
            continue
        require(scale > 0, f"scales must be positive, not {scale}")
        x = rs.resize_axis(b, x, axis, rs.ResizeAxis(_number(x, axis), scale, size, region), settings)
    return e.cast(b, x, kind)
