"""What a network costs: its parameters and its multiply-adds."""

import math
import time
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import jax
from flax import linen as nn

from jsr.steps import make_predict

# Of SR, what papers on efficient networks state costs for.
HEIGHT, WIDTH = 720, 1280
RUNS = 3


class Product(NamedTuple):
    """A convolution or matrix product: its multiply-adds, and the bytes of what goes in and out."""

    multiply_adds: int
    nbytes: int


def parameters(variables: Mapping) -> int:
    """How many numbers a network has learnt; batch statistics do not count."""
    return sum(leaf.size for leaf in jax.tree.leaves(variables.get("params", {})))


def multiply_adds(module: nn.Module, lr_shape: tuple[int, ...]) -> int:
    """Multiply-adds of the convolutions and matrix products for an input [b, h, w, c].

    As papers count them: a convolution costs its kernel's elements by its output's positions,
    wherever the input is padding too; additions, activations and enlargements cost nothing.
    """

    def run(lr):
        return module.init_with_output(jax.random.key(0), lr)[0]

    lr = jax.ShapeDtypeStruct(lr_shape, "float32")
    return sum(product.multiply_adds for product in products(jax.make_jaxpr(run)(lr).jaxpr))


def products(jaxpr) -> Iterator[Product]:
    """Every convolution and matrix product that a jaxpr computes, in order.

    Those of a scan are one for all its rounds; of several branches it is the one that multiplies
    most.
    """
    for equation in jaxpr.eqns:
        if equation.primitive.name in COUNTED:
            yield Product(COUNTED[equation.primitive.name](equation), _bytes(equation))
            continue
        branches = [list(products(b.jaxpr)) for b in equation.params.get("branches", ())]
        yield from max(branches, key=lambda b: sum(p.multiply_adds for p in b), default=())
        times = equation.params.get("length", 1) if equation.primitive.name == "scan" else 1
        for inner in (getattr(p, "jaxpr", p) for p in equation.params.values()):
            if hasattr(inner, "eqns"):
                for product in products(inner):
                    yield Product(times * product.multiply_adds, times * product.nbytes)


def measure(module: nn.Module, variables: Mapping, scale: int, channels: int) -> dict[str, float]:
    """Throughput and memory on the first device, at 1280x720 pixels of SR.

    "megapixels_per_second" of SR is the best of three runs after the first, "memory_mb" what the
    compiled program needs: weights, input, output and all that lies between.
    """
    lr = jax.numpy.zeros((1, HEIGHT // scale, WIDTH // scale, channels))
    program = jax.jit(make_predict(module.apply, parts=True)).lower(variables, lr).compile()
    program(variables, lr).block_until_ready()
    seconds = []
    for _ in range(RUNS):
        start = time.perf_counter()
        program(variables, lr).block_until_ready()
        seconds.append(time.perf_counter() - start)
    used = program.memory_analysis()
    total = used.argument_size_in_bytes + used.output_size_in_bytes + used.temp_size_in_bytes
    pixels = lr.shape[1] * lr.shape[2] * scale**2
    return {"megapixels_per_second": pixels / min(seconds) / 1e6, "memory_mb": total / 1e6}


def _convolution(equation) -> int:
    params, kernel = equation.params, equation.invars[1].aval.shape
    output = equation.outvars[0].aval.shape
    features = kernel[params["dimension_numbers"].rhs_spec[0]]
    positions = math.prod(output) // features
    if (dilation := math.prod(params["lhs_dilation"])) > 1:
        # A transposed convolution: the inserted zeros are not multiplied.
        positions //= dilation
    return positions * math.prod(kernel)


def _matrix_product(equation) -> int:
    (contracted, _), _ = equation.params["dimension_numbers"]
    depth = math.prod(equation.invars[0].aval.shape[axis] for axis in contracted)
    return depth * math.prod(equation.outvars[0].aval.shape)


COUNTED = {"conv_general_dilated": _convolution, "dot_general": _matrix_product}


def _bytes(equation) -> int:
    arrays = (v.aval for v in (*equation.invars, *equation.outvars))
    return sum(math.prod(a.shape) * a.dtype.itemsize for a in arrays)
