"""What computes, as nodes of ONNX: element by element, over axes, convolutions and products.

One rule for each of JAX's operations: (graph, equation, values, shape of the first result) to
values.
"""

import string
from collections.abc import Callable, Mapping

import numpy as np

from jsr.errors import UserError
from jsr.onnx_nodes import Graph, Value, constant, is_zero

_UNARY = {
    "abs": "Abs",
    "ceil": "Ceil",
    "erf": "Erf",
    "exp": "Exp",
    "floor": "Floor",
    "log": "Log",
    "logistic": "Sigmoid",
    "neg": "Neg",
    "not": "Not",
    "sign": "Sign",
    "sqrt": "Sqrt",
    "tanh": "Tanh",
}
_BINARY = {
    "add": "Add",
    "add_any": "Add",
    "and": "And",
    "div": "Div",
    "eq": "Equal",
    "ge": "GreaterOrEqual",
    "gt": "Greater",
    "le": "LessOrEqual",
    "lt": "Less",
    "max": "Max",
    "min": "Min",
    "mul": "Mul",
    "or": "Or",
    "pow": "Pow",
    "sub": "Sub",
}


def _unary(operation: str) -> Callable:
    return lambda graph, equation, values, shape: graph.elementwise(operation, values, shape)


def _binary(operation: str) -> Callable:
    def rule(graph: Graph, equation, values, shape):
        if operation == "Max" and is_zero(values[1]):
            return graph.elementwise("Relu", values[:1], shape)
        return graph.elementwise(operation, values, shape)

    return rule


def _reduce(operation: str) -> Callable:
    def rule(graph: Graph, equation, values, shape):
        value, axes = graph.whole(values[0]), equation.params["axes"]
        kept = [axis for axis in range(len(value.shape)) if axis not in axes]
        order = tuple(kept.index(axis) for axis in value.order if axis in kept)
        name, axes = graph.stored(value, value.order), sorted(map(value.order.index, axes))
        if operation == "ReduceSum":
            name = graph.emit(operation, name, graph.sizes(axes), keepdims=0)
        else:
            name = graph.emit(operation, name, axes=axes, keepdims=0)
        return Value(shape, shape, order, name)

    return rule


def _convolution(graph: Graph, equation, values, shape):
    params = equation.params
    numbers = params["dimension_numbers"]
    lr, kernel = (graph.whole(value) for value in values)
    name = graph.stored(lr, numbers.lhs_spec)
    inserted = params["lhs_dilation"]
    if params["batch_group_count"] != 1 or (max(inserted) > 1 and _groups(params) > 1):
        raise UserError("ONNX export does not know such a convolution: export .stablehlo")
    sides = [kernel.shape[axis] for axis in numbers.rhs_spec[2:]]
    low, high = zip(*params["padding"], strict=True)
    if max(inserted) == 1:
        weights = graph.stored(kernel, numbers.rhs_spec)
        name = graph.emit(
            "Conv",
            name,
            weights,
            kernel_shape=sides,
            pads=[*low, *high],
            strides=list(params["window_strides"]),
            dilations=list(params["rhs_dilation"]),
            group=_groups(params),
        )
    else:
        # Zeros between the elements: what ONNX has the other way round.
        outputs, inputs, *space = numbers.rhs_spec
        flipped = constant(np.flip(kernel.constant, space))
        cut = [side - 1 - p for p in (low, high) for side, p in zip(sides, p, strict=True)]
        beyond = [max(-p, 0) for p in cut[len(sides) :]]
        name = graph.emit(
            "ConvTranspose",
            name,
            graph.stored(flipped, (inputs, outputs, *space)),
            kernel_shape=sides,
            pads=[max(p, 0) for p in cut],
            output_padding=beyond,
            strides=list(inserted),
        )
    return Value(shape, shape, numbers.out_spec, name)


def _groups(params: Mapping) -> int:
    return params["feature_group_count"]


def _max_pool(graph: Graph, equation, values, shape):
    params, value, order = equation.params, graph.whole(values[0]), (0, 3, 1, 2)
    window, steps, padding = (
        params[key] for key in ("window_dimensions", "window_strides", "padding")
    )
    if len(shape) != 4 or {window[0], window[3], steps[0], steps[3]} != {1}:
        raise UserError("ONNX export does not know such a maximum: export .stablehlo")
    low, high = zip(*padding[1:3], strict=True)
    name = graph.emit(
        "MaxPool",
        graph.stored(value, order),
        kernel_shape=list(window[1:3]),
        strides=list(steps[1:3]),
        pads=[*low, *high],
    )
    return Value(shape, shape, order, name)


def _select(graph: Graph, equation, values, shape):
    chosen, otherwise, then = values
    slope = _slope(graph, chosen, otherwise, then)
    if slope is None:
        return graph.elementwise("Where", [chosen, then, otherwise], shape)
    if slope.size == 1:
        return graph.elementwise("LeakyRelu", [then], shape, alpha=slope.item())
    return graph.elementwise("PRelu", [then, constant(slope, shape)], shape)


def _slope(graph: Graph, chosen: Value, otherwise: Value, then: Value) -> np.ndarray | None:
    """The slope of `where(x >= 0, x, slope * x)`, which ONNX has as one operation."""
    asked, (x, zero) = graph.origin.get(chosen.name, (None, (then, then)))
    made, factors = graph.origin.get(otherwise.name, (None, ()))
    if None in (asked, made) or asked.primitive.name not in ("ge", "gt"):
        return None
    if made.primitive.name != "mul" or not _same(x, then) or not is_zero(zero):
        return None
    slopes = [factor.constant for factor in factors if not _same(factor, then)]
    if len(slopes) != 1 or slopes[0] is None:
        return None
    rank = len(then.shape)
    return slopes[0].reshape((1,) * (rank - slopes[0].ndim) + slopes[0].shape)


def _same(one: Value, other: Value) -> bool:
    """Whether two values are one tensor of the graph, with its axes in the same order."""
    return bool(one.name) and (one.name, one.order) == (other.name, other.order)


def _clamp(graph: Graph, equation, values, shape):
    low, x, high = values
    return graph.elementwise("Min", [graph.elementwise("Max", [x, low], shape), high], shape)


def _cast(graph: Graph, equation, values, shape):
    from onnx import helper

    value, dtype = values[0], np.dtype(equation.params["new_dtype"])
    if equation.invars[0].aval.dtype == dtype:
        return value
    kind = helper.np_dtype_to_tensor_dtype(dtype)
    return graph.elementwise("Cast", [value], shape, to=kind)


def _product(graph: Graph, equation, values, shape):
    (left, right), (batch_left, batch_right) = equation.params["dimension_numbers"]
    letters = iter(string.ascii_lowercase)
    first = [next(letters) for _ in values[0].shape]
    second = [next(letters) for _ in values[1].shape]
    pairs = zip((*left, *batch_left), (*right, *batch_right), strict=True)
    for a, b in pairs:
        second[b] = first[a]
    made = [first[a] for a in batch_left]
    made += [x for a, x in enumerate(first) if a not in (*left, *batch_left)]
    made += [x for a, x in enumerate(second) if a not in (*right, *batch_right)]
    equals = f"{''.join(first)},{''.join(second)}->{''.join(made)}"
    name = graph.emit("Einsum", *(graph.plain(value) for value in values), equation=equals)
    return Value(shape, shape, tuple(range(len(shape))), name)


def _power(graph: Graph, equation, values, shape):
    exponent = equation.params.get("y", 2)
    if exponent == 2:
        return graph.elementwise("Mul", values * 2, shape)
    number = graph.scalar(exponent, equation.invars[0].aval.dtype)
    return graph.elementwise("Pow", [values[0], number], shape)


def _rsqrt(graph: Graph, equation, values, shape):
    return graph.elementwise("Reciprocal", [graph.elementwise("Sqrt", values, shape)], shape)


def _erfc(graph: Graph, equation, values, shape):
    one = graph.scalar(1, equation.invars[0].aval.dtype)
    return graph.elementwise("Sub", [one, graph.elementwise("Erf", values, shape)], shape)


def _not_equal(graph: Graph, equation, values, shape):
    return graph.elementwise("Not", [graph.elementwise("Equal", values, shape)], shape)


def _remainder(graph: Graph, equation, values, shape):
    return graph.elementwise("Mod", values, shape, fmod=1)


RULES = {
    **{name: _unary(operation) for name, operation in _UNARY.items()},
    **{name: _binary(operation) for name, operation in _BINARY.items()},
    "clamp": _clamp,
    "conv_general_dilated": _convolution,
    "convert_element_type": _cast,
    "dot_general": _product,
    "erfc": _erfc,
    "integer_pow": _power,
    "ne": _not_equal,
    "reduce_max": _reduce("ReduceMax"),
    "reduce_min": _reduce("ReduceMin"),
    "reduce_sum": _reduce("ReduceSum"),
    "reduce_window_max": _max_pool,
    "rem": _remainder,
    "rsqrt": _rsqrt,
    "select_n": _select,
    "square": _power,
}
