"""Writes and runs frozen TensorFlow graphs, independently of the reader under test."""

import struct

import numpy as np
import torch
from torch.nn import functional as F

CHANNELS = [(1, 8), (8, 8), (8, 16), (16, 16), (16, 32), (32, 32)]
CHANNELS += [(64, 32), (32, 16), (16, 8), (8, 1)]
UPS = [(32, 32), (32, 16), (16, 8)]


def varint(value):
    value %= 1 << 64
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def attribute(name, value):
    return field(5, field(1, name) + field(2, value))


def integers(values):
    return field(1, field(3, b"".join(varint(v) for v in values)))


def tensor(array):
    shape = b"".join(field(2, field(1, n)) for n in array.shape)
    raw = array.astype("<f4").tobytes()
    return field(8, field(1, 1) + field(2, shape) + field(4, raw))


def node(name, op, inputs=(), **attributes):
    body = field(1, name) + field(2, op)
    body += b"".join(field(3, i) for i in inputs)
    body += b"".join(attribute(k, v) for k, v in attributes.items())
    return field(1, body)


def constant(name, array):
    return node(name, "Const", value=tensor(array))


def numbered(name, i):
    return f"{name}_{i}" if i else name


def write_graph(path, seed=0, *, stride=2, kernel=3, drop=()):
    """A graph of deepbrain's structure with random weights (no dropout nodes)."""
    rng = np.random.default_rng(seed)
    parts = [node("img", "Placeholder")]

    def conv(i, source, relu=True):
        name, (inputs, outputs) = numbered("conv3d", i), CHANNELS[i]
        side = 1 if i == 9 else kernel
        values = rng.normal(0, 0.07, (side, side, side, inputs, outputs))
        parts.append(constant(f"{name}/kernel", values))
        parts.append(constant(f"{name}/bias", rng.normal(0, 0.2, outputs)))
        parts.append(
            node(
                f"{name}/Conv3D",
                "Conv3D",
                (source, f"{name}/kernel"),
                strides=integers([1] * 5),
                padding=field(2, "SAME"),
            )
        )
        parts.append(
            node(f"{name}/BiasAdd", "BiasAdd", (f"{name}/Conv3D", f"{name}/bias"))
        )
        if not relu:
            return f"{name}/BiasAdd"
        parts.append(node(f"{name}/Relu", "Relu", (f"{name}/BiasAdd",)))
        return f"{name}/Relu"

    last, skips = "img", []
    for level in range(3):
        last = conv(2 * level + 1, conv(2 * level, last))
        skips.append(last)
        name = numbered("max_pooling3d", level) + "/MaxPool3D"
        pooling = {"strides": integers([1, 2, 2, 2, 1]), "padding": field(2, "VALID")}
        parts.append(node(name, "MaxPool3D", (last,), **pooling))
        last = name
    for level in range(3):
        name, (inputs, outputs) = numbered("conv3d_transpose", level), UPS[level]
        values = rng.normal(0, 0.1, (3, 3, 3, outputs, inputs))
        parts.append(constant(f"{name}/kernel", values))
        parts.append(
            node(
                f"{name}/conv3d_transpose",
                "Conv3DBackpropInputV2",
                ("shape", f"{name}/kernel", last),
                strides=integers([1, stride, stride, stride, 1]),
                padding=field(2, "SAME"),
            )
        )
        joined = numbered("concat", level)
        sources = (f"{name}/conv3d_transpose", skips.pop(), "axis")
        parts.append(node(joined, "ConcatV2", sources))
        last = conv(6 + level, joined)
    parts.append(node("prob", "Sigmoid", (conv(9, last, relu=False),)))
    parts = [p for p in parts if not any(name.encode() in p for name in drop)]
    path.write_bytes(b"".join(parts))


def run_graph(nodes, image, output):
    """Value of node `output` for `image` (1, 1, D, H, W), training switched off."""
    done = {"img": image}

    def value(name):
        name = name.split(":")[0]
        if name not in done:
            done[name] = evaluate(nodes[name])
        return done[name]

    def evaluate(n):
        inputs = [i for i in n.inputs if not i.startswith("^")]
        if n.op == "Const":
            return torch.from_numpy(n.constant())
        if n.op == "Identity":
            return value(inputs[0])
        if n.op == "Switch":  # (data, condition): the condition is False
            return value(inputs[0])
        if n.op == "Merge":  # of the branches, the one without dropout
            return value(next(i for i in inputs if "Identity" in i))
        if n.op == "Conv3D":
            kernel = value(inputs[1]).permute(4, 3, 0, 1, 2)
            return F.conv3d(value(inputs[0]), kernel, padding=kernel.shape[-1] // 2)
        if n.op == "BiasAdd":
            return value(inputs[0]) + value(inputs[1])[:, None, None, None]
        if n.op == "Relu":
            return F.relu(value(inputs[0]))
        if n.op == "MaxPool3D":
            return F.max_pool3d(value(inputs[0]), 2)
        if n.op == "Conv3DBackpropInputV2":
            return transposed(value(inputs[2]), value(inputs[1]))
        if n.op == "ConcatV2":
            return torch.cat([value(i) for i in inputs[:-1]], dim=1)
        if n.op == "Sigmoid":
            return torch.sigmoid(value(inputs[0]))
        raise NotImplementedError(n.op)

    return value(output)


def transposed(x, kernel):
    """What the name says: the gradient of a strided SAME convolution's input."""
    kernel = kernel.permute(4, 3, 0, 1, 2)  # (out of the forward convolution, in)
    shape = (1, kernel.shape[1], *(2 * side for side in x.shape[2:]))
    source = torch.zeros(shape, requires_grad=True)
    with torch.enable_grad():
        result = F.conv3d(F.pad(source, (0, 1) * 3), kernel, stride=2)
        result.backward(x)
    return source.grad


def truncated_double():
    """A message whose fixed-width field is cut short."""
    return varint(1 << 3 | 1) + struct.pack("<d", 1.0)[:5]
