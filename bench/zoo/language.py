"""Networks over sequences: a recurrent classifier, an encoder, a decoder with a cache."""

import numpy as np
from bench.zoo.net import Net


def lstm_classifier(features=12, hidden=16, classes=4, seed=3):
    """x (time, batch, features) and lengths (batch) to probabilities (batch, classes), by two LSTM layers."""
    net = Net(seed)
    x = net.input("x", ["time", "batch", features])
    lengths = net("Cast", net.input("lengths", ["batch"], "i"), to=6)
    wide = features
    for _ in range(2):
        w, r = net.weight(2, 4 * hidden, wide, scale=0.3), net.weight(2, 4 * hidden, hidden, scale=0.3)
        bias = net.weight(2, 8 * hidden, scale=0.1)
        y, last, _ = net(
            "LSTM", x, w, r, bias, lengths, outputs=3, hidden_size=hidden, direction="bidirectional"
        )
        y = net("Transpose", y, perm=[0, 2, 1, 3])
        x, wide = net("Reshape", y, net.ints(0, 0, 2 * hidden)), 2 * hidden
    both = net("Reshape", net("Transpose", last, perm=[1, 0, 2]), net.ints(-1, 2 * hidden))
    logits = net("Gemm", both, net.weight(classes, 2 * hidden), net.weight(classes, scale=0.1), transB=1)
    net.output(net("Softmax", logits, axis=1), "p", ["batch", classes])
    return net.model()


def linear(net, x, wide, outputs):
    """x·w + b on the last axis."""
    return net(
        "Add", net("MatMul", x, net.weight(wide, outputs, scale=wide**-0.5)), net.weight(outputs, scale=0.1)
    )


def layer_norm(net, x, wide):
    """As exporters wrote it before there was an operator for it."""
    centred = net("Sub", x, net("ReduceMean", x, axes=[-1]))
    variance = net("ReduceMean", net("Pow", centred, net.number(2)), axes=[-1])
    y = net("Div", centred, net("Sqrt", net("Add", variance, net.number(1e-5))))
    scale = net.constant(net.rng.uniform(0.8, 1.2, wide).astype(np.float32))
    return net("Add", net("Mul", y, scale), net.weight(wide, scale=0.1))


def gelu(net, x):
    """By erf, as exporters write it."""
    inner = net("Add", net("Erf", net("Div", x, net.number(2**0.5))), net.number(1))
    return net("Mul", net("Mul", x, inner), net.number(0.5))


def gelu_by_tanh(net, x):
    """By tanh, as exporters write it."""
    cube = net("Mul", net("Pow", x, net.number(3)), net.number(0.044715))
    inner = net("Mul", net("Add", x, cube), net.number((2 / np.pi) ** 0.5))
    return net("Mul", net("Mul", x, net.number(0.5)), net("Add", net("Tanh", inner), net.number(1)))


def size_of(net, x, axis):
    """The size of an axis, on one axis, as graphs compute shapes."""
    return net("Gather", net("Shape", x), net.ints(axis), axis=0)


def heads_of(net, x, heads, wide):
    """(batch, length, wide) as (batch, heads, length, each)."""
    shape = net("Concat", size_of(net, x, 0), size_of(net, x, 1), net.ints(heads, wide // heads), axis=0)
    return net("Transpose", net("Reshape", x, shape), perm=[0, 2, 1, 3])


def attention(net, q, k, v, mask, wide, heads):
    """softmax(q·kᵀ / √each + mask)·v, heads together again."""
    scores = net("MatMul", q, net("Transpose", k, perm=[0, 1, 3, 2]))
    scores = net("Div", scores, net.number((wide // heads) ** 0.5))
    y = net("MatMul", net("Softmax", net("Add", scores, mask), axis=-1), v)
    y = net("Transpose", y, perm=[0, 2, 1, 3])
    shape = net("Concat", size_of(net, y, 0), size_of(net, y, 1), net.ints(wide), axis=0)
    return net("Reshape", y, shape)


def attention_alone(heads, size, with_softmax=False, seed=6):
    """Queries, keys, values (batch, sequence, heads·size), a mask (batch, 1, 1, sequence) to what they make.

    No weights: the products are all there is. `with_softmax` hands back that, too.
    """
    net, wide = Net(seed), heads * size
    names = [net.input(name, ["batch", "sequence", wide]) for name in ("q", "k", "v")]
    mask = net.input("mask", ["batch", 1, 1, "sequence"])
    q, k, v = (heads_of(net, name, heads, wide) for name in names)
    scores = net("MatMul", q, net("Transpose", k, perm=[0, 1, 3, 2]))
    shares = net("Softmax", net("Add", net("Div", scores, net.number(size**0.5)), mask), axis=-1)
    y = net("Transpose", net("MatMul", shares, v), perm=[0, 2, 1, 3])
    shape = net("Concat", size_of(net, y, 0), size_of(net, y, 1), net.ints(wide), axis=0)
    net.output(net("Reshape", y, shape), "y", ["batch", "sequence", wide])
    if with_softmax:
        net.output(shares, "shares", ["batch", heads, "sequence", "sequence"])
    return net.model()


def encoder_block(net, x, bias, wide, heads, inner):
    """Attention and two linear layers, each with its input added and normalised behind it."""
    q, k, v = (heads_of(net, linear(net, x, wide, wide), heads, wide) for _ in range(3))
    y = linear(net, attention(net, q, k, v, bias, wide, heads), wide, wide)
    x = layer_norm(net, net("Add", x, y), wide)
    y = linear(net, gelu(net, linear(net, x, wide, inner)), inner, wide)
    return layer_norm(net, net("Add", x, y), wide)


def mask_bias(net, mask):
    """0 where a mask, int64 (batch, sequence), is 1, and −10,000 elsewhere: (batch, 1, 1, sequence)."""
    wide = net("Cast", net("Unsqueeze", mask, net.ints(1, 2)), to=1)
    return net("Mul", net("Sub", net.number(1), wide), net.number(-10000))


def encoder_layer(wide=768, heads=12, inner=3072, seed=4):
    """A layer of an encoder, of BERT's base by default: x (batch, sequence, wide) and a mask to states."""
    net = Net(seed)
    x, mask = net.input("x", ["batch", "sequence", wide]), net.input("mask", ["batch", "sequence"], "i")
    states = encoder_block(net, x, mask_bias(net, mask), wide, heads, inner)
    net.output(states, "states", ["batch", "sequence", wide])
    return net.model()


def encoder(wide=32, heads=4, layers=2, words=50, most=64, classes=3, seed=4):
    """A BERT-like encoder (Devlin et al., 2018) with symbolic batch and sequence.

    ids, types and mask, int64 (batch, sequence), to states (batch, sequence, wide), logits (batch, classes).
    """
    net = Net(seed)
    ids, types, mask = (net.input(name, ["batch", "sequence"], "i") for name in ("ids", "types", "mask"))
    length = size_of(net, ids, 1)
    places = net("Slice", net.constant(np.arange(most)[None]), net.ints(0), length, net.ints(1))
    x = net("Gather", net.weight(words, wide, scale=1), ids)
    x = net("Add", x, net("Gather", net.weight(2, wide, scale=1), types))
    x = net("Add", x, net("Gather", net.weight(most, wide, scale=1), places))
    x = layer_norm(net, x, wide)
    bias = mask_bias(net, mask)
    for _ in range(layers):
        x = encoder_block(net, x, bias, wide, heads, 4 * wide)
    first = net("Gather", x, net.constant(np.array(0)), axis=1)
    logits = linear(net, net("Tanh", linear(net, first, wide, wide)), wide, classes)
    net.output(x, "states", ["batch", "sequence", wide])
    net.output(logits, "logits", ["batch", classes])
    return net.model()


def decoder(wide=32, heads=4, layers=2, words=50, most=64, seed=5):
    """A GPT-like decoder (Radford et al., 2019) with a cache of keys and values.

    ids (batch, length) and for each layer keys and values (batch, heads, past, each) to logits
    (batch, length, words) and the longer keys and values.
    """
    net = Net(seed)
    ids = net.input("ids", ["batch", "length"], "i")
    cache = ["batch", heads, "past", wide // heads]
    past = [[net.input(f"{what}{layer}", cache) for what in ("keys", "values")] for layer in range(layers)]
    before = size_of(net, past[0][0], 2)
    total = net("Add", before, size_of(net, ids, 1))
    places = net("Slice", net.constant(np.arange(most)[None]), before, total, net.ints(1))
    table = net.weight(words, wide, scale=1)
    x = net("Add", net("Gather", table, ids), net("Gather", net.weight(most, wide, scale=1), places))
    allowed = net("Slice", net.constant(np.tri(most, dtype=bool)[None, None]), before, total, net.ints(2))
    allowed = net("Slice", allowed, net.ints(0), total, net.ints(3))
    mask = net("Where", allowed, net.number(0), net.number(-10000))
    for layer in range(layers):
        y = linear(net, layer_norm(net, x, wide), wide, 3 * wide)
        parts = net("Split", y, net.ints(wide, wide, wide), axis=-1, outputs=3)
        q, k, v = (heads_of(net, part, heads, wide) for part in parts)
        k, v = (net("Concat", old, new, axis=2) for old, new in zip(past[layer], (k, v), strict=True))
        grown = ["batch", heads, "total", wide // heads]
        net.output(k, f"new_keys{layer}", grown)
        net.output(v, f"new_values{layer}", grown)
        x = net("Add", x, linear(net, attention(net, q, k, v, mask, wide, heads), wide, wide))
        y = linear(net, layer_norm(net, x, wide), wide, 4 * wide)
        x = net("Add", x, linear(net, gelu_by_tanh(net, y), 4 * wide, wide))
    logits = net("MatMul", layer_norm(net, x, wide), net("Transpose", table, perm=[1, 0]))
    net.output(logits, "logits", ["batch", "length", words])
    return net.model()
