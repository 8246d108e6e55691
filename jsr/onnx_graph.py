"""A traced JAX function as an ONNX graph, of what super-resolution networks are made of.

Own code in place of a general converter, since it must follow pictures whose size is not known:
a side is an expression of symbols in JAX's trace, and arithmetic on `Shape` in the graph. What
JAX has as [b, h, w, c] stays in ONNX's order [b, c, h, w] from one convolution to the next; what
depends on weights alone is computed here.
"""

from collections.abc import Callable, Mapping

import jax
import numpy as np

from jsr import onnx_arithmetic, onnx_layout
from jsr.errors import UserError
from jsr.onnx_nodes import Graph, Value, constant

# Widely read: ONNX 1.12 of 2022, and its file format.
OPSET, IR_VERSION = 17, 8
RULES = onnx_arithmetic.RULES | onnx_layout.RULES

# Calls that hold their function under one of these names.
_INNER = ("jaxpr", "call_jaxpr", "fun_jaxpr")
_SAME = ("copy", "copy_p", "stop_gradient", "optimization_barrier", "reduce_precision")


def convert(function: Callable, example: jax.ShapeDtypeStruct, symbols: Mapping[str, tuple]):
    """`function` of one array as an ONNX model with the tensors `input` and `output`.

    example: shape and type of the argument [b, h, w, c], whose sides may be symbolic; in the
    model it is [b, c, h, w], and so is the result. symbols: which axis of the argument a symbol
    is a side of, and by how much that side is larger. Raises UserError for an operation that is
    not known here.
    """
    from onnx import TensorProto, checker, helper

    closed = jax.make_jaxpr(function)(example)
    graph = Graph(symbols)
    order = (0, 3, 1, 2)
    lr = Value(example.shape, example.shape, order, "input")
    (sr,) = _run(graph, closed.jaxpr, [constant(np.asarray(c)) for c in closed.consts], [lr])
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


def _run(graph: Graph, jaxpr, constants: list[Value], arguments: list[Value]) -> list[Value]:
    known = dict(zip(jaxpr.constvars, constants, strict=True))
    known |= dict(zip(jaxpr.invars, arguments, strict=True))

    def read(atom):
        if hasattr(atom, "val"):
            return constant(np.asarray(atom.val, atom.aval.dtype))
        return known[atom]

    for equation in jaxpr.eqns:
        values = [read(atom) for atom in equation.invars]
        results = _translate(graph, equation, values)
        for variable, result in zip(equation.outvars, results, strict=True):
            known[variable] = result
            if result.constant is None:
                graph.origin.setdefault(result.name, (equation, values))
    return [read(atom) for atom in jaxpr.outvars]


def _translate(graph: Graph, equation, values: list[Value]) -> list[Value]:
    name, params = equation.primitive.name, equation.params
    inner = next((params[key] for key in _INNER if key in params), None)
    if inner is not None:
        consts = [constant(np.asarray(c)) for c in getattr(inner, "consts", ())]
        return _run(graph, getattr(inner, "jaxpr", inner), consts, values)
    if name in _SAME:
        return values
    if name != "broadcast_in_dim" and _foldable(equation, values):
        return _fold(equation, values)
    shapes = [tuple(variable.aval.shape) for variable in equation.outvars]
    if any(isinstance(side, int) and side == 0 for side in shapes[0]):
        return [Value(shape, shape, tuple(range(len(shape)))) for shape in shapes]
    if name not in RULES:
        raise UserError(f"ONNX export does not know JAX's operation {name}: export .stablehlo")
    made = RULES[name](graph, equation, values, shapes[0])
    return made if isinstance(made, list) else [made]


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
