"""The quantised convolution of the accelerator as tensor expressions, and the same in plain numpy."""

from dataclasses import dataclass

import numpy as np

from tilewright.compiler import te
from tilewright.compiler.dtype import DType
from tilewright.numerics.requantise import pack_scale, requantise
from tilewright.numerics.saturate import saturating_add


@dataclass(frozen=True, kw_only=True)
class Convolution:
    """Sizes in pixels and in blocks; `lanes` = C, `rows` = R."""

    height: int = 7
    width: int = 9
    blocks_in: int = 1
    blocks_out: int = 2
    kernel: tuple[int, int] = (3, 3)
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    pad: tuple[int, int] = (1, 1)
    lanes: int = 4
    rows: int = 4
    zero_point: int = -3

    @property
    def out_size(self):
        sizes = zip((self.height, self.width), self.kernel, self.stride, self.dilation, self.pad, strict=True)
        return tuple((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, d, p in sizes)

    @property
    def slices_in(self):
        return self.blocks_in * self.lanes // self.rows


def tensors(conv):
    """Placeholders x, w, params, and the output."""
    lanes, rows, (kh, kw) = conv.lanes, conv.rows, conv.kernel
    x = te.placeholder((conv.blocks_in, conv.height, conv.width, lanes), DType.INT8, "x")
    w = te.placeholder((conv.blocks_out, kh, kw, conv.slices_in, rows, lanes), DType.INT8, "w")
    params = te.placeholder((conv.blocks_out, 2, lanes), DType.INT32, "params")
    xp = padded(conv, x)
    acc = accumulated(conv, xp, w)

    def result(o, y, x, c):
        t = te.saturating_add(acc[o, y, x, c], params[o, 0, c])
        return te.cast(te.clamp(te.requantise(t, params[o, 1, c]) + 5, -128, 127), DType.INT8)

    out = te.compute(acc.shape, result, "out")
    return (x, w, params), out


def padded(conv, x):
    """The input with its border."""
    top, left = conv.pad
    shape = (conv.blocks_in, conv.height + 2 * top, conv.width + 2 * left, conv.lanes)

    def at(z, y, x_, c):
        inside = te.both([y >= top, y < conv.height + top, x_ >= left, x_ < conv.width + left])
        return te.select(inside, x[z, y - top, x_ - left, c], conv.zero_point)

    return te.compute(shape, at, "xp")


def accumulated(conv, xp, w):
    """The sums of products, int32."""
    kh, kw = conv.kernel
    ky, kx = te.reduce_axis(kh, "ky"), te.reduce_axis(kw, "kx")
    ci, r = te.reduce_axis(conv.slices_in, "ci"), te.reduce_axis(conv.rows, "r")
    (sy, sx), (dy, dx) = conv.stride, conv.dilation

    def at(o, y, x, c):
        at_y, at_x = y * sy + ky * dy, x * sx + kx * dx
        if conv.rows == conv.lanes:
            value = xp[ci, at_y, at_x, r]
        else:
            lane = ci * conv.rows + r
            value = xp[lane // conv.lanes, at_y, at_x, lane % conv.lanes]
        product = te.cast(value, DType.INT32) * te.cast(w[o, ky, kx, ci, r, c], DType.INT32)
        return te.sum_of(product, [ky, kx, ci, r])

    return te.compute((conv.blocks_out, *conv.out_size, conv.lanes), at, "acc")


def random_inputs(conv, seed=0):
    """x, w, params by name."""
    rng = np.random.default_rng(seed)
    kh, kw = conv.kernel
    shape = (conv.blocks_in, conv.height, conv.width, conv.lanes)
    weights = (conv.blocks_out, kh, kw, conv.slices_in, conv.rows, conv.lanes)
    params = np.empty((conv.blocks_out, 2, conv.lanes), np.int32)
    params[:, 0] = rng.integers(-5000, 5000, params[:, 0].shape)
    params[:, 1] = pack_scale(rng.integers(1 << 16, 1 << 17, params[:, 1].shape), 0)
    return {
        "x": rng.integers(-128, 128, shape, np.int8),
        "w": rng.integers(-128, 128, weights, np.int8),
        "params": params,
    }


def reference(conv, inputs):
    """The output by a loop over kernel positions, int8 [blocks, y, x, lanes]."""
    (top, left), (sy, sx), (dy, dx) = conv.pad, conv.stride, conv.dilation
    border = ((0, 0), (top, top), (left, left), (0, 0))
    x = np.pad(inputs["x"].astype(np.int64), border, constant_values=conv.zero_point)
    x = x.transpose(1, 2, 0, 3).reshape(x.shape[1], x.shape[2], -1)
    height, width = conv.out_size
    total = np.zeros((conv.blocks_out, height, width, conv.lanes), np.int64)
    for ky in range(conv.kernel[0]):
        for kx in range(conv.kernel[1]):
            rows = slice(ky * dy, ky * dy + (height - 1) * sy + 1, sy)
            columns = slice(kx * dx, kx * dx + (width - 1) * sx + 1, sx)
            w = inputs["w"][:, ky, kx].astype(np.int64).reshape(conv.blocks_out, -1, conv.lanes)
            total += np.einsum("yxi,oic->oyxc", x[rows, columns], w)
    bias, scale = inputs["params"][:, 0, None, None], inputs["params"][:, 1, None, None]
    y = requantise(saturating_add(total.astype(np.int32), bias), scale) + 5
    return np.clip(y, -128, 127).astype(np.int8)
