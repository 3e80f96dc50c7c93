"""Normalisations."""

from tilewright.compiler.frontend.error import require
from tilewright.compiler.frontend.onnx.node import Node, Result, converter, normal_axes
from tilewright.compiler.ops import emit as e
from tilewright.compiler.ops.nn import norm


@converter("BatchNormalization")
def _batch_norm(node: Node) -> Result:
    b, x = node.b, node.x(0)
    epsilon = node.number("epsilon", 1e-5)
    channels = x.type.shape[1:2] or (1,)
    for index, what in ((1, "scale"), (2, "bias"), (3, "mean"), (4, "variance")):
        require(node.type(index).shape == channels, f"{what} must be [{channels[0]}], not {node.type(index)}")
    scale, bias, mean, variance = (node.x(index) for index in range(1, 5))
    if not node.integer("training_mode", 0):
        return norm.batch_norm(b, x, scale, bias, mean, variance, epsilon)
    return norm.batch_norm_training(b, x, scale, bias, mean, variance, epsilon, node.number("momentum", 0.9))


@converter("InstanceNormalization")
def _instance_norm(node: Node) -> Result:
    return norm.instance_norm(node.b, node.x(0), node.x(1), node.x(2), node.number("epsilon", 1e-5))


@converter("LayerNormalization")
def _layer_norm(node: Node) -> Result:
    axis = node.axis("axis", node.rank(0), -1)
    results = norm.layer_norm(
        node.b, node.x(0), node.x(1), node.optional(2), axis, node.number("epsilon", 1e-5)
    )
    return results[: node.outputs]


@converter("RMSNormalization")
def _rms_norm(node: Node) -> Result:
    axis = node.axis("axis", node.rank(0), -1)
    return norm.rms_norm(node.b, node.x(0), node.x(1), axis, node.number("epsilon", 1e-5))


@converter("LpNormalization")
def _lp_norm(node: Node) -> Result:
    b, x = node.b, node.x(0)
    axis = node.axis("axis", x.type.rank, -1)
    if node.integer("p", 2) == 1:
        length = e.reduce_sum(b, e.abs(b, x), (axis,), True)
    else:
        length = e.sqrt(b, e.reduce_sum(b, e.mul(b, x, x), (axis,), True))
    is_zero = e.equal(b, length, 0.0)
    return e.select(b, is_zero, e.zeros_like(b, x), e.div(b, x, e.select(b, is_zero, 1.0, length)))


@converter("MeanVarianceNormalization")
def _mean_variance(node: Node) -> Result:
    x = node.x(0)
    axes = normal_axes(node.integers("axes", (0, 2, 3)), x.type.rank)
    b = node.b
    centred = e.sub(b, x, e.mean(b, x, axes, True))
    spread = e.sqrt(b, e.mean(b, e.mul(b, centred, centred), axes, True))
    return e.div(b, centred, e.add(b, spread, 1e-9))
