"""An ONNX graph in the making: its nodes, its constants, and what is known of its values.

A side is an expression of symbols in JAX's trace, and arithmetic on `Shape` in the graph.
"""

import ast
import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jsr.errors import UserError


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


def constant(array: np.ndarray, shape: tuple | None = None) -> Value:
    """An array as a value; `shape` is that to which it is repeated, if it is."""
    return Value(shape or array.shape, array.shape, tuple(range(array.ndim)), constant=array)


class Graph:
    """Nodes in order, and what is known of the variables of the trace.

    symbols: see `jsr.onnx_graph.convert`.
    """

    def __init__(self, symbols: Mapping[str, tuple]):
        self.nodes, self.arrays = [], {}
        self._symbols, self._counter, self._made = symbols, itertools.count(), {}
        # Variables to the equation that defines them and its inputs.
        self.origin = {}

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

    def scalar(self, number: float, like: np.dtype) -> Value:
        return constant(np.array(number, like))


def _is_one(side) -> bool:
    return isinstance(side, int) and side == 1


def is_zero(value: Value) -> bool:
    """Whether it is a floating constant of zeros."""
    array = value.constant
    return array is not None and array.dtype.kind == "f" and not array.any()
