"""What moves elements, as nodes of ONNX: reshaping, transposing, cutting, joining, padding.

One rule for each of JAX's operations: (graph, equation, values, shape of the first result) to
values.
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from jsr.errors import UserError
from jsr.onnx_nodes import Graph, Value, constant

LARGEST = np.iinfo(np.int64).max


def _broadcast(graph: Graph, equation, values, shape):
    value, axes = values[0], equation.params["broadcast_dimensions"]
    if len(axes) == len(shape):
        return dataclasses.replace(value, shape=shape)
    return _unsqueeze(graph, value, [a for a in range(len(shape)) if a not in axes], shape)


def _reshape(graph: Graph, equation, values, shape):
    shuffled = _pixel_shuffle(graph, values[0], shape)
    if shuffled is not None:
        return shuffled
    value = values[0]
    for i in range(len(value.shape) - 1):
        pair = math.prod(value.shape[i : i + 2])
        if shape == (*value.shape[:i], pair, *value.shape[i + 2 :]):
            return _merge(graph, value, i, shape)
    name = graph.emit("Reshape", graph.plain(values[0]), graph.sizes(shape))
    return Value(shape, shape, tuple(range(len(shape))), name)


def _merge(graph: Graph, value: Value, axis: int, shape: tuple) -> Value:
    """The value with `axis` and the next as one, in the same order where they are neighbours."""
    order = value.order
    if axis + 1 not in order[order.index(axis) + 1 :][:1]:
        order = tuple(range(len(value.shape)))
    name = graph.stored(graph.whole(value), order)
    order = tuple(a - (a > axis) for a in order if a != axis + 1)
    name = graph.emit("Reshape", name, graph.sizes([shape[a] for a in order]))
    return Value(shape, shape, order, name)


def _pixel_shuffle(graph: Graph, value: Value, shape: tuple) -> Value | None:
    """One DepthToSpace for the reshape, transposition and reshape of `layers.pixel_shuffle`."""
    if value.order != (0, 1, 3, 5, 2, 4) or len(shape) != 4 or value.name not in graph.origin:
        return None
    equation, (source,) = graph.origin[value.name]
    b, h, rows, w, columns, c = value.shape
    if equation.primitive.name != "reshape" or len(source.shape) != 4 or rows != columns:
        return None
    if source.shape[:3] != (b, h, w) or shape != (b, h * rows, w * rows, c):
        return None
    order = (0, 3, 1, 2)
    name = graph.stored(graph.whole(source), order)
    name = graph.emit("DepthToSpace", name, blocksize=rows, mode="CRD")
    return Value(shape, shape, order, name)


def _transpose(graph: Graph, equation, values, shape):
    value, moved = values[0], equation.params["permutation"]
    actual = tuple(value.actual[axis] for axis in moved)
    return Value(shape, actual, tuple(moved.index(a) for a in value.order), value.name)


def _squeeze(graph: Graph, equation, values, shape):
    name = graph.emit("Reshape", graph.plain(values[0]), graph.sizes(shape))
    return Value(shape, shape, tuple(range(len(shape))), name)


def _concatenate(graph: Graph, equation, values, shape):
    axis = equation.params["dimension"]
    values = [graph.whole(v) for v in values if v.name or v.constant is not None]
    order = next((v.order for v in values if v.constant is None), tuple(range(len(shape))))
    names = (graph.stored(value, order) for value in values)
    return Value(shape, shape, order, graph.emit("Concat", *names, axis=order.index(axis)))


def _stack(graph: Graph, equation, values, shape):
    axis = equation.params["axis"]
    single = (*shape[:axis], 1, *shape[axis + 1 :])
    values = [_unsqueeze(graph, graph.whole(value), [axis], single) for value in values]
    order = values[0].order
    names = (graph.stored(value, order) for value in values)
    return Value(shape, shape, order, graph.emit("Concat", *names, axis=order.index(axis)))


def _unsqueeze(graph: Graph, value: Value, axes: Sequence[int], shape: tuple) -> Value:
    """The value with `axes` of one element, each of which lies behind the axis before it."""
    kept = [axis for axis in range(len(shape)) if axis not in axes]
    actual, order = [1] * len(shape), [kept[axis] for axis in value.order]
    for axis, side in zip(kept, value.actual, strict=True):
        actual[axis] = side
    if value.constant is not None:
        return constant(value.constant.reshape(actual), shape)
    for axis in sorted(axes):
        order.insert(order.index(axis - 1) + 1 if axis else 0, axis)
    places = graph.sizes(sorted(map(order.index, axes)))
    name = graph.emit("Unsqueeze", graph.stored(value, value.order), places)
    return Value(shape, tuple(actual), tuple(order), name)


def _cut(graph: Graph, value: Value, shape, axes, starts, ends, steps) -> Value:
    """A strided part; the axes are JAX's."""
    value = graph.whole(value)
    order = value.order
    bounds = [graph.sizes(x) for x in (starts, ends, [order.index(a) for a in axes], steps)]
    return Value(shape, shape, order, graph.emit("Slice", graph.stored(value, order), *bounds))


def _slice(graph: Graph, equation, values, shape):
    value, params = values[0], equation.params
    starts, ends = params["start_indices"], params["limit_indices"]
    steps = params["strides"] or (1,) * len(shape)
    cut = [
        axis
        for axis in range(len(shape))
        if (starts[axis], ends[axis], steps[axis]) != (0, value.shape[axis], 1)
    ]
    parts = ([of[axis] for axis in cut] for of in (starts, ends, steps))
    return _cut(graph, value, shape, cut, *parts) if cut else value


def _split(graph: Graph, equation, values, shape):
    axis, start, parts = equation.params["axis"], 0, []
    for variable in equation.outvars:
        end = start + variable.aval.shape[axis]
        parts.append(_cut(graph, values[0], variable.aval.shape, [axis], [start], [end], [1]))
        start = end
    return parts


def _reverse(graph: Graph, equation, values, shape):
    axes = list(equation.params["dimensions"])
    n = len(axes)
    return _cut(graph, values[0], shape, axes, [-1] * n, [-LARGEST] * n, [-1] * n)


def _pad(graph: Graph, equation, values, shape):
    value, config = graph.whole(values[0]), equation.params["padding_config"]
    if any(interior for _, _, interior in config):
        raise UserError("ONNX export does not know padding between elements: export .stablehlo")
    ends = [config[axis][k] for k in (0, 1) for axis in value.order]
    name = graph.stored(value, value.order)
    name = graph.emit("Pad", name, graph.sizes(ends), graph.stored(values[1]))
    return Value(shape, shape, value.order, name)


def _take(graph: Graph, equation, values, shape):
    """`jnp.take` along one axis, and what basic indexing becomes where sides are symbols."""
    value = graph.whole(values[0])
    numbers, sizes = equation.params["dimension_numbers"], equation.params["slice_sizes"]
    axes, starts = numbers.start_index_map, values[1].constant
    if not numbers.collapsed_slice_dims and starts is not None and starts.ndim == 1:
        ends = [start + sizes[axis] for start, axis in zip(starts.tolist(), axes, strict=True)]
        return _cut(graph, value, shape, axes, starts.tolist(), ends, [1] * len(axes))
    axis, places = axes[0], graph.plain(values[1])
    others = all(sizes[a] == side for a, side in enumerate(value.shape) if a != axis)
    if numbers.collapsed_slice_dims != axes or not others or len(values[1].shape) != 2:
        raise UserError("ONNX export does not know such an indexing: export .stablehlo")
    places = graph.emit("Reshape", places, graph.sizes([-1]))
    name = graph.stored(value, value.order)
    name = graph.emit("Gather", name, places, axis=value.order.index(axis))
    return Value(shape, shape, value.order, name)


def _iota(graph: Graph, equation, values, shape):
    from onnx import helper

    axis, dtype = equation.params["dimension"], np.dtype(equation.params["dtype"])
    ends = [graph.emit("Squeeze", graph.size(side)) for side in (0, shape[axis], 1)]
    name = graph.emit("Range", *ends)
    name = graph.emit("Cast", name, to=helper.np_dtype_to_tensor_dtype(dtype))
    sides = [1] * len(shape)
    sides[axis] = -1
    name = graph.emit("Reshape", name, graph.sizes(sides))
    sides[axis] = shape[axis]
    return Value(shape, tuple(sides), tuple(range(len(shape))), name)


def _side(graph: Graph, equation, values, shape):
    from onnx import helper

    name = graph.emit("Squeeze", graph.size(equation.params["dim"]))
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(equation.outvars[0].aval.dtype))
    return Value((), (), (), graph.emit("Cast", name, to=kind))


RULES = {
    "broadcast_in_dim": _broadcast,
    "concatenate": _concatenate,
    "dim_as_value": _side,
    "gather": _take,
    "iota": _iota,
    "pad": _pad,
    "reshape": _reshape,
    "rev": _reverse,
    "slice": _slice,
    "split": _split,
    "squeeze": _squeeze,
    "stack": _stack,
    "transpose": _transpose,
}
