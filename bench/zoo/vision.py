"""Classifiers of images, and a detector."""

import numpy as np
from bench.zoo.net import Net


def convolution(net, x, channels, outputs, kernel=3, stride=1, groups=1, norm=True):
    """A convolution that keeps the size at stride 1, and its batch norm."""
    pad = kernel // 2
    w = net.weight(outputs, channels // groups, kernel, kernel)
    x = net("Conv", x, w, strides=[stride] * 2, pads=[pad] * 4, kernel_shape=[kernel] * 2, group=groups)
    if not norm:
        return net("Add", x, net.weight(outputs, 1, 1, scale=0.1))
    scale = net.constant(net.rng.uniform(0.8, 1.2, outputs).astype(np.float32))
    variance = net.constant(net.rng.uniform(0.5, 1.5, outputs).astype(np.float32))
    bias, mean = net.weight(outputs, scale=0.1), net.weight(outputs, scale=0.1)
    return net("BatchNormalization", x, scale, bias, mean, variance)


def classifier(net, x, channels, classes):
    """Pooled, flattened, dense."""
    x = net("Flatten", net("GlobalAveragePool", x))
    return net("Gemm", x, net.weight(classes, channels), net.weight(classes, scale=0.1), transB=1)


def resnet18(size=224, classes=1000, seed=0):
    """ResNet-18 (He et al., 2015): x (batch, 3, size, size) to logits."""
    net = Net(seed)
    x = net.input("x", ["batch", 3, size, size])
    x = net("Relu", convolution(net, x, 3, 64, 7, 2))
    x = net("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    before = 64
    for channels in (64, 128, 256, 512):
        for block in range(2):
            stride = 2 if block == 0 and channels > 64 else 1
            short = x
            y = net("Relu", convolution(net, x, before, channels, 3, stride))
            y = convolution(net, y, channels, channels)
            if before != channels:
                short = convolution(net, x, before, channels, 1, stride)
            x, before = net("Relu", net("Add", y, short)), channels
    net.output(classifier(net, x, 512, classes), "logits", ["batch", classes])
    return net.model()


def resnet50(size=224, classes=1000, seed=6):
    """ResNet-50 (He et al., 2015; strides in the 3 x 3 convolutions): x (batch, 3, size, size) to logits."""
    net = Net(seed)
    x = net.input("x", ["batch", 3, size, size])
    x = net("Relu", convolution(net, x, 3, 64, 7, 2))
    x, before = net("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4), 64
    for channels, blocks in ((64, 3), (128, 4), (256, 6), (512, 3)):
        for block in range(blocks):
            stride, short = 2 if block == 0 and channels > 64 else 1, x
            y = net("Relu", convolution(net, x, before, channels, 1))
            y = net("Relu", convolution(net, y, channels, channels, 3, stride))
            y = convolution(net, y, channels, 4 * channels, 1)
            if block == 0:
                short = convolution(net, x, before, 4 * channels, 1, stride)
            x, before = net("Relu", net("Add", y, short)), 4 * channels
    net.output(classifier(net, x, 2048, classes), "logits", ["batch", classes])
    return net.model()


MOBILE_BLOCKS = (
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
)  # fmt: skip
"""Expansion, channels, blocks, first stride."""


def mobilenet_v2(size=224, classes=1000, seed=1):
    """MobileNetV2 (Sandler et al., 2018): x (batch, 3, size, size) to logits."""
    net = Net(seed)
    x = _clipped(net, convolution(net, net.input("x", ["batch", 3, size, size]), 3, 32, 3, 2))
    x, before = _mobile_blocks(net, x, 32, MOBILE_BLOCKS)
    x = _clipped(net, convolution(net, x, before, 1280, 1))
    net.output(classifier(net, x, 1280, classes), "logits", ["batch", classes])
    return net.model()


def _clipped(net, x):
    return net("Clip", x, net.number(0), net.number(6))


def _mobile_blocks(net, x, before, blocks):
    for expansion, channels, count, stride in blocks:
        for block in range(count):
            wide = before * expansion
            y = _clipped(net, convolution(net, x, before, wide, 1)) if expansion > 1 else x
            first = stride if block == 0 else 1
            y = _clipped(net, convolution(net, y, wide, wide, 3, first, groups=wide))
            y = convolution(net, y, wide, channels, 1)
            x, before = (net("Add", x, y) if before == channels and first == 1 else y), channels
    return x, before


def detector(size=64, classes=5, seed=2):
    """A small single-shot detector (Liu et al., 2015) on two feature maps.

    x (1, 3, size, size) to boxes that stay (kept, 3): image, class and anchor; boxes (1, anchors, 4) as
    corners; scores (1, classes, anchors).
    """
    net = Net(seed)
    x = net("Relu", convolution(net, net.input("x", [1, 3, size, size]), 3, 16, 3, 2))
    x = net("Relu", convolution(net, x, 16, 32, 3, 2))
    maps = [net("Relu", convolution(net, x, 32, 32, 3, 2))]
    maps.append(net("Relu", convolution(net, maps[0], 32, 64, 3, 2)))
    offsets, logits, anchors = [], [], []
    for feature_map, channels, cells, side in (
        (maps[0], 32, size // 8, 0.25),
        (maps[1], 64, size // 16, 0.5),
    ):
        offsets.append(_per_anchor(net, convolution(net, feature_map, channels, 8, norm=False), 4))
        logits.append(
            _per_anchor(net, convolution(net, feature_map, channels, 2 * classes, norm=False), classes)
        )
        anchors.append(_anchors(cells, side))
    boxes = _decoded(net, net("Concat", *offsets, axis=1), np.concatenate(anchors))
    scores = net("Softmax", net("Concat", *logits, axis=1), axis=-1)
    scores = net("Transpose", scores, perm=[0, 2, 1])
    kept = net("NonMaxSuppression", boxes, scores, net.ints(10), net.number(0.45), net.number(0.25))
    count = sum(map(len, anchors))
    net.output(kept, "kept", ["count", 3], "i")
    net.output(boxes, "boxes", [1, count, 4])
    net.output(scores, "scores", [1, classes, count])
    return net.model()


def _per_anchor(net, x, numbers):
    """(1, 2·numbers, h, w) as (1, anchors, numbers), by the shape that the graph computes."""
    x = net("Transpose", x, perm=[0, 2, 3, 1])
    batch = net("Gather", net("Shape", x), net.ints(0), axis=0)
    return net("Reshape", x, net("Concat", batch, net.ints(-1, numbers), axis=0))


def _anchors(cells, side):
    """Two a cell, as (y, x, height, width) with y and x of the centre."""
    places = (np.arange(cells) + 0.5) / cells
    y, x = np.meshgrid(places, places, indexing="ij")
    shapes = ((side, side), (side * 1.4, side / 1.4))
    rows = [np.stack([y, x, np.full_like(y, h), np.full_like(y, w)], -1) for h, w in shapes]
    return np.stack(rows, 2).reshape(-1, 4).astype(np.float32)


def _decoded(net, offsets, anchors):
    """Corners from offsets to anchors."""
    moves, sizes = net("Split", offsets, net.ints(2, 2), axis=2, outputs=2)
    centre = net("Mul", net("Mul", moves, net.number(0.1)), net.constant(anchors[:, 2:]))
    centre = net("Add", centre, net.constant(anchors[:, :2]))
    half = net("Mul", net("Exp", net("Mul", sizes, net.number(0.2))), net.constant(anchors[:, 2:] / 2))
    return net("Concat", net("Sub", centre, half), net("Add", centre, half), axis=2)
