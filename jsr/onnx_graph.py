"""A traced JAX function as an ONNX graph, of what super-resolution networks are made of.

Own code in place of a general converter, since it must follow pictures whose size is not known:
a side is an expression of symbols in JAX's trace, and arithmetic on `Shape` in the graph. What
JAX has as [b, h, w, c] stays in ONNX's order [b, c, h, w] from one convolution to the next; what
depends on weights alone is computed here.
"""

import ast
import dataclasses
import itertools
import math
import string
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from jsr.errors import UserError

# Widely read: ONNX 1.12 of 2022, and its file format.
OPSET, IR_VERSION = 17, 8
LARGEST = np.iinfo(np.int64).max

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
# Calls that hold their function under one of these names.
_INNER = ("jaxpr", "call_jaxpr", "fun_jaxpr")
_SAME = ("copy", "copy_p", "stop_gradient", "optimization_barrier", "reduce_precision")


@dataclasses.dataclass(frozen=True, eq=False)
class Value:
    """A tensor of the graph, or a constant array.

    `shape` is JAX's. `actual` has 1 in place of a side along which the tensor is only repeated:
    ONNX broadcasts. The tensor's axis j is JAX's axis order[j]; a constant's order is JAX's own.
    """

    shape: tuple
    actual: tuple
    order: tuple[int, ...]
    name: str = ""
    constant: np.ndarray | None = None


def convert(function: Callable, example: jax.ShapeDtypeStruct, symbols: Mapping[str, tuple]):
    """`function` of one array as an ONNX model with the tensors `input` and `output`.

    example: shape and type of the argument [b, h, w, c], whose sides may be symbolic; in the
    model it is [b, c, h, w], and so is the result. symbols: which axis of the argument a symbol
    is a side of, and by how much that side is larger. Raises UserError for an operation that is
    not known here.
    """
    from onnx import TensorProto, checker, helper

    closed = jax.make_jaxpr(function)(example)
    graph = _Graph(symbols)
    order = (0, 3, 1, 2)
    lr = Value(example.shape, example.shape, order, "input")
    (sr,) = graph.run(closed.jaxpr, [constant(np.asarray(c)) for c in closed.consts], [lr])
    graph.nodes.append(helper.make_node("Identity", [graph.stored(sr, order)], ["output"]))

    def describe(name, shape):
        sides = [side if isinstance(side, int) else str(side) for side in shape]
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, [sides[a] for a in order])

    nodes, arrays = graph.needed("output")
    inputs, outputs = [describe("input", lr.shape)], [describe("output", sr.shape)]
    model = helper.make_model(
        helper.make_graph(nodes, "jsr", inputs, outputs, arrays),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="jsr",
    )
    checker.check_model(model)
    return model


def constant(array: np.ndarray, shape: tuple | None = None) -> Value:
    """An array as a value; `shape` is that to which it is repeated, if it is."""
    return Value(shape or array.shape, array.shape, tuple(range(array.ndim)), constant=array)


class _Graph:
    """Nodes in order, and what is known of the variables of the trace."""

    def __init__(self, symbols: Mapping[str, tuple]):
        self.nodes, self.arrays = [], {}
        self._symbols, self._counter, self._made = symbols, itertools.count(), {}
        # Variables to the equation that defines them and its inputs.
        self.origin = {}

    def run(self, jaxpr, constants: list[Value], arguments: list[Value]) -> list[Value]:
        known = dict(zip(jaxpr.constvars, constants, strict=True))
        known |= dict(zip(jaxpr.invars, arguments, strict=True))

        def read(atom):
            return (
                constant(np.asarray(atom.val, atom.aval.dtype))
                if hasattr(atom, "val")
                else known[atom]
            )

        for equation in jaxpr.eqns:
            values = [read(atom) for atom in equation.invars]
            results = self._convert(equation, values)
            for variable, result in zip(equation.outvars, results, strict=True):
                known[variable] = result
                if result.constant is None:
                    self.origin.setdefault(result.name, (equation, values))
        return [read(atom) for atom in jaxpr.outvars]

    def _convert(self, equation, values: list[Value]) -> list[Value]:
        name, params = equation.primitive.name, equation.params
        inner = next((params[key] for key in _INNER if key in params), None)
        if inner is not None:
            consts = [constant(np.asarray(c)) for c in getattr(inner, "consts", ())]
            return self.run(getattr(inner, "jaxpr", inner), consts, values)
        if name in _SAME:
            return values
        if name != "broadcast_in_dim" and _foldable(equation, values):
            return _fold(equation, values)
        shapes = [tuple(variable.aval.shape) for variable in equation.outvars]
        if any(isinstance(side, int) and side == 0 for side in shapes[0]):
            return [Value(shape, shape, tuple(range(len(shape)))) for shape in shapes]
        if name in _UNARY:
            return [self.elementwise(_UNARY[name], values, shapes[0])]
        if name in _BINARY:
            return [self._binary(_BINARY[name], values, shapes[0])]
        if name not in _RULES:
            raise UserError(f"ONNX export does not know JAX's operation {name}: export .stablehlo")
        made = _RULES[name](self, equation, values, shapes[0])
        return made if isinstance(made, list) else [made]

    # Making nodes

    def emit(self, operation: str, *inputs: str, **attributes) -> str:
        """A node with one output, whose name it gives; the same node is made once."""
        from onnx import helper

        key = (operation, inputs, str(sorted(attributes.items())))
        if key not in self._made:
            self._made[key] = f"{operation}_{next(self._counter)}"
            node = helper.make_node(operation, list(inputs), [self._made[key]], **attributes)
            self.nodes.append(node)
        return self._made[key]

    def array(self, array: Any) -> str:
        """The name of a constant tensor; the same one is stored once."""
        array = np.ascontiguousarray(array).reshape(np.shape(array))
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self.arrays:
            self.arrays[key] = (f"constant_{len(self.arrays)}", array)
        return self.arrays[key][0]

    def needed(self, output: str) -> tuple[list, list]:
        """The nodes that `output` depends on, and their constants."""
        from onnx import numpy_helper

        wanted, nodes = {output}, []
        for node in reversed(self.nodes):
            if wanted.intersection(node.output):
                nodes.append(node)
                wanted.update(node.input)
        arrays = [numpy_helper.from_array(a, n) for n, a in self.arrays.values() if n in wanted]
        return nodes[::-1], arrays

    # Sizes

    def sizes(self, sides: Sequence) -> str:
        """A tensor [n] of int64 with these sides, symbolic or not."""
        if all(isinstance(side, (int, np.integer)) for side in sides):
            return self.array(np.array(sides, np.int64))
        return self.emit("Concat", *(self.size(side) for side in sides), axis=0)

    def size(self, side) -> str:
        """A tensor [1] of int64 with this side."""
        if isinstance(side, (int, np.integer)):
            return self.array(np.array([side], np.int64))
        # The printed form is the public one of a symbolic side: 2*h + -1*mod(h, 8).
        return self._expression(ast.parse(str(side).replace("^", "**"), mode="eval").body)

    def _expression(self, node: ast.expr) -> str:
        match node:
            case ast.Constant(value):
                return self.size(value)
            case ast.Name(symbol):
                return self._symbol(symbol)
            case ast.UnaryOp(ast.USub(), operand):
                return self.emit("Neg", self._expression(operand))
            case ast.BinOp(left, operator, right):
                operation = type(operator).__name__.replace("Mult", "Mul")
                parts = self._expression(left), self._expression(right)
            case ast.Call(ast.Name(operation), parts):
                parts = tuple(map(self._expression, parts))
                operation = operation.capitalize()
            case _:
                raise UserError(f"ONNX export does not know the size {ast.unparse(node)}")
        if operation == "Floordiv":
            # ONNX rounds quotients towards zero.
            return self.emit("Div", self.emit("Sub", parts[0], self.emit("Mod", *parts)), parts[1])
        return self.emit(operation, *parts)

    def _symbol(self, symbol: str) -> str:
        axis, factor = self._symbols[symbol]
        axis = self.array(np.array([(0, 2, 3, 1)[axis]], np.int64))
        side = self.emit("Gather", self.emit("Shape", "input"), axis, axis=0)
        return side if factor == 1 else self.emit("Div", side, self.size(factor))

    # Values

    def stored(self, value: Value, order: Sequence[int] | None = None) -> str:
        """The name of the value's tensor with its axes in this order, JAX's own by default."""
        order = tuple(range(len(value.actual))) if order is None else tuple(order)
        if value.constant is not None:
            return self.array(value.constant.transpose(order))
        if order == value.order:
            return value.name
        return self.emit("Transpose", value.name, perm=[value.order.index(a) for a in order])

    def whole(self, value: Value) -> Value:
        """The value with every side there that it has in JAX."""
        if tuple(value.actual) == tuple(value.shape):
            return value
        sides = self.sizes([value.shape[axis] for axis in value.order])
        name = self.emit("Expand", self.stored(value, value.order), sides)
        return Value(value.shape, value.shape, value.order, name)

    def plain(self, value: Value) -> str:
        """The name of the whole value's tensor in JAX's order."""
        return self.stored(self.whole(value))

    def elementwise(self, operation: str, values: list[Value], shape: tuple, **attributes) -> Value:
        rank = len(shape)
        full = [value for value in values if len(value.actual) == rank]
        order = next((v.order for v in full if v.constant is None), tuple(range(rank)))
        names = [self.stored(v, order if len(v.actual) == rank else None) for v in values]
        sides = zip(*(value.actual for value in full), strict=True)
        actual = tuple(next((s for s in side if not _is_one(s)), 1) for side in sides)
        return Value(shape, actual, order, self.emit(operation, *names, **attributes))

    def _binary(self, operation: str, values: list[Value], shape: tuple) -> Value:
        if operation == "Max" and _is_zero(values[1]):
            return self.elementwise("Relu", values[:1], shape)
        return self.elementwise(operation, values, shape)

    def scalar(self, number: float, like: np.dtype) -> Value:
        return constant(np.array(number, like))


def _is_one(side) -> bool:
    return isinstance(side, int) and side == 1


def _is_zero(value: Value) -> bool:
    array = value.constant
    return array is not None and array.dtype.kind == "f" and not array.any()


def _foldable(equation, values: list[Value]) -> bool:
    static = all(isinstance(side, int) for v in equation.outvars for side in v.aval.shape)
    params = equation.primitive.name != "dim_as_value"
    return static and params and all(v.constant is not None for v in values)


def _fold(equation, values: list[Value]) -> list[Value]:
    """What an equation gives for constants."""
    arrays = [np.broadcast_to(v.constant, v.shape) for v in values]
    with jax.default_matmul_precision("highest"):
        made = equation.primitive.bind(*map(jax.numpy.asarray, arrays), **equation.params)
    made = made if equation.primitive.multiple_results else [made]
    return [constant(np.asarray(array)) for array in made]


# One rule for each operation: (graph, equation, values, shape of the first result) to values.


def _broadcast(graph: _Graph, equation, values, shape):
    value, axes = values[0], equation.params["broadcast_dimensions"]
    if len(axes) == len(shape):
        return dataclasses.replace(value, shape=shape)
    return _unsqueeze(graph, value, [a for a in range(len(shape)) if a not in axes], shape)


def _reshape(graph: _Graph, equation, values, shape):
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


def _merge(graph: _Graph, value: Value, axis: int, shape: tuple) -> Value:
    """The value with `axis` and the next as one, in the same order where they are neighbours."""
    order = value.order
    if axis + 1 not in order[order.index(axis) + 1 :][:1]:
        order = tuple(range(len(value.shape)))
    name = graph.stored(graph.whole(value), order)
    order = tuple(a - (a > axis) for a in order if a != axis + 1)
    name = graph.emit("Reshape", name, graph.sizes([shape[a] for a in order]))
    return Value(shape, shape, order, name)


def _pixel_shuffle(graph: _Graph, value: Value, shape: tuple) -> Value | None:
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


def _transpose(graph: _Graph, equation, values, shape):
    value, moved = values[0], equation.params["permutation"]
    actual = tuple(value.actual[axis] for axis in moved)
    return Value(shape, actual, tuple(moved.index(a) for a in value.order), value.name)


def _squeeze(graph: _Graph, equation, values, shape):
    name = graph.emit("Reshape", graph.plain(values[0]), graph.sizes(shape))
    return Value(shape, shape, tuple(range(len(shape))), name)


def _concatenate(graph: _Graph, equation, values, shape):
    axis = equation.params["dimension"]
    values = [graph.whole(v) for v in values if v.name or v.constant is not None]
    order = next((v.order for v in values if v.constant is None), tuple(range(len(shape))))
    names = (graph.stored(value, order) for value in values)
    return Value(shape, shape, order, graph.emit("Concat", *names, axis=order.index(axis)))


def _stack(graph: _Graph, equation, values, shape):
    axis = equation.params["axis"]
    single = (*shape[:axis], 1, *shape[axis + 1 :])
    values = [_unsqueeze(graph, graph.whole(value), [axis], single) for value in values]
    order = values[0].order
    names = (graph.stored(value, order) for value in values)
    return Value(shape, shape, order, graph.emit("Concat", *names, axis=order.index(axis)))


def _unsqueeze(graph: _Graph, value: Value, axes: Sequence[int], shape: tuple) -> Value:
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


def _cut(graph: _Graph, value: Value, shape, axes, starts, ends, steps) -> Value:
    """A strided part; the axes are JAX's."""
    value = graph.whole(value)
    order = value.order
    bounds = [graph.sizes(x) for x in (starts, ends, [order.index(a) for a in axes], steps)]
    return Value(shape, shape, order, graph.emit("Slice", graph.stored(value, order), *bounds))


def _slice(graph: _Graph, equation, values, shape):
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


def _split(graph: _Graph, equation, values, shape):
    axis, start, parts = equation.params["axis"], 0, []
    for variable in equation.outvars:
        end = start + variable.aval.shape[axis]
        parts.append(_cut(graph, values[0], variable.aval.shape, [axis], [start], [end], [1]))
        start = end
    return parts


def _reverse(graph: _Graph, equation, values, shape):
    axes = list(equation.params["dimensions"])
    n = len(axes)
    return _cut(graph, values[0], shape, axes, [-1] * n, [-LARGEST] * n, [-1] * n)


def _pad(graph: _Graph, equation, values, shape):
    value, config = graph.whole(values[0]), equation.params["padding_config"]
    if any(interior for _, _, interior in config):
        raise UserError("ONNX export does not know padding between elements: export .stablehlo")
    ends = [config[axis][k] for k in (0, 1) for axis in value.order]
    name = graph.stored(value, value.order)
    name = graph.emit("Pad", name, graph.sizes(ends), graph.stored(values[1]))
    return Value(shape, shape, value.order, name)


def _reduce(operation: str) -> Callable:
    def rule(graph: _Graph, equation, values, shape):
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


def _convolution(graph: _Graph, equation, values, shape):
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


def _max_pool(graph: _Graph, equation, values, shape):
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


def _select(graph: _Graph, equation, values, shape):
    chosen, otherwise, then = values
    slope = _slope(graph, chosen, otherwise, then)
    if slope is None:
        return graph.elementwise("Where", [chosen, then, otherwise], shape)
    if slope.size == 1:
        return graph.elementwise("LeakyRelu", [then], shape, alpha=slope.item())
    return graph.elementwise("PRelu", [then, constant(slope, shape)], shape)


def _slope(graph: _Graph, chosen: Value, otherwise: Value, then: Value) -> np.ndarray | None:
    """The slope of `where(x >= 0, x, slope * x)`, which ONNX has as one operation."""
    asked, (x, zero) = graph.origin.get(chosen.name, (None, (then, then)))
    made, factors = graph.origin.get(otherwise.name, (None, ()))
    if None in (asked, made) or asked.primitive.name not in ("ge", "gt"):
        return None
    if made.primitive.name != "mul" or not _same(x, then) or not _is_zero(zero):
        return None
    slopes = [factor.constant for factor in factors if not _same(factor, then)]
    if len(slopes) != 1 or slopes[0] is None:
        return None
    rank = len(then.shape)
    return slopes[0].reshape((1,) * (rank - slopes[0].ndim) + slopes[0].shape)


def _same(one: Value, other: Value) -> bool:
    """Whether two values are one tensor of the graph, with its axes in the same order."""
    return bool(one.name) and (one.name, one.order) == (other.name, other.order)


def _clamp(graph: _Graph, equation, values, shape):
    low, x, high = values
    return graph.elementwise("Min", [graph.elementwise("Max", [x, low], shape), high], shape)


def _cast(graph: _Graph, equation, values, shape):
    from onnx import helper

    value, dtype = values[0], np.dtype(equation.params["new_dtype"])
    if equation.invars[0].aval.dtype == dtype:
        return value
    kind = helper.np_dtype_to_tensor_dtype(dtype)
    return graph.elementwise("Cast", [value], shape, to=kind)


def _take(graph: _Graph, equation, values, shape):
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


def _iota(graph: _Graph, equation, values, shape):
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


def _side(graph: _Graph, equation, values, shape):
    from onnx import helper

    name = graph.emit("Squeeze", graph.size(equation.params["dim"]))
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(equation.outvars[0].aval.dtype))
    return Value((), (), (), graph.emit("Cast", name, to=kind))


def _product(graph: _Graph, equation, values, shape):
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


def _power(graph: _Graph, equation, values, shape):
    exponent = equation.params.get("y", 2)
    if exponent == 2:
        return graph.elementwise("Mul", values * 2, shape)
    number = graph.scalar(exponent, equation.invars[0].aval.dtype)
    return graph.elementwise("Pow", [values[0], number], shape)


def _rsqrt(graph: _Graph, equation, values, shape):
    return graph.elementwise("Reciprocal", [graph.elementwise("Sqrt", values, shape)], shape)


def _erfc(graph: _Graph, equation, values, shape):
    one = graph.scalar(1, equation.invars[0].aval.dtype)
    return graph.elementwise("Sub", [one, graph.elementwise("Erf", values, shape)], shape)


def _not_equal(graph: _Graph, equation, values, shape):
    return graph.elementwise("Not", [graph.elementwise("Equal", values, shape)], shape)


def _remainder(graph: _Graph, equation, values, shape):
    return graph.elementwise("Mod", values, shape, fmod=1)


_RULES = {
    "broadcast_in_dim": _broadcast,
    "clamp": _clamp,
    "concatenate": _concatenate,
    "conv_general_dilated": _convolution,
    "convert_element_type": _cast,
    "dim_as_value": _side,
    "dot_general": _product,
    "erfc": _erfc,
    "gather": _take,
    "integer_pow": _power,
    "iota": _iota,
    "ne": _not_equal,
    "pad": _pad,
    "reduce_max": _reduce("ReduceMax"),
    "reduce_min": _reduce("ReduceMin"),
    "reduce_sum": _reduce("ReduceSum"),
    "reduce_window_max": _max_pool,
    "rem": _remainder,
    "reshape": _reshape,
    "rev": _reverse,
    "rsqrt": _rsqrt,
    "select_n": _select,
    "slice": _slice,
    "split": _split,
    "square": _power,
    "squeeze": _squeeze,
    "stack": _stack,
    "transpose": _transpose,
}
