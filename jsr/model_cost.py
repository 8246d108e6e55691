"""What a network costs: its parameters and its multiply-adds."""

import math
import time
from collections.abc import Mapping

import jax
from flax import linen as nn

from jsr.steps import make_predict

# Of SR, what papers on efficient networks state costs for.
HEIGHT, WIDTH = 720, 1280
RUNS = 3


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
    return _count(jax.make_jaxpr(run)(lr).jaxpr)


def measure(module: nn.Module, variables: Mapping, scale: int, channels: int) -> dict[str, float]:
    """Throughput and memory on the first device, at 1280x720 pixels of SR.

    "megapixels_per_second" of SR is the best of three runs after the first, "memory_mb" what the
    compiled program needs: weights, input, output and all that lies between.
    """
    lr = jax.numpy.zeros((1, HEIGHT // scale, WIDTH // scale, channels))
    program = jax.jit(make_predict(module)).lower(variables, lr).compile()
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


def _count(jaxpr) -> int:
    return sum(_cost(equation) for equation in jaxpr.eqns)


def _cost(equation) -> int:
    name, params = equation.primitive.name, equation.params
    if name == "conv_general_dilated":
        kernel = equation.invars[1].aval.shape
        output = equation.outvars[0].aval.shape
        features = kernel[params["dimension_numbers"].rhs_spec[0]]
        positions = math.prod(output) // features
        if (dilation := math.prod(params["lhs_dilation"])) > 1:
            # A transposed convolution: the inserted zeros are not multiplied.
            positions //= dilation
        return positions * math.prod(kernel)
    if name == "dot_general":
        (contracted, _), _ = params["dimension_numbers"]
        depth = math.prod(equation.invars[0].aval.shape[axis] for axis in contracted)
        return depth * math.prod(equation.outvars[0].aval.shape)
    times = params.get("length", 1) if name == "scan" else 1
    inner = (getattr(p, "jaxpr", p) for p in params.values())
    return times * sum(_count(p) for p in inner if hasattr(p, "eqns"))
