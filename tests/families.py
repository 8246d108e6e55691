"""Checks that every family of networks passes."""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from golden.weights import golden_weights

from jsr.model_cost import multiply_adds, parameters
from jsr.models import make_model
from jsr.torch_names import from_torch, torch_shapes


@functools.cache
def variables(name, channels=3, **hparams):
    """The shapes of a network's variables."""
    lr = jax.ShapeDtypeStruct((1, 16, 16, channels), "float32")
    return jax.eval_shape(make_model(name, **hparams).init, jax.random.key(0), lr)


def learnt(name, **hparams):
    return parameters(variables(name, **hparams))


def giga(name, height, width, channels=3, **hparams):
    """10**9 multiply-adds for an LR of that size."""
    return multiply_adds(make_model(name, **hparams), (1, height, width, channels)) / 1e9


def names(name, **hparams):
    """The tensors of a checkpoint."""
    return torch_shapes(variables(name, **hparams))


def check_sizes(name, scale, sizes=((1, 2), (33, 19)), channels=(3,), **hparams):
    """Shapes and type of what it makes of pictures of any size, in half the precision too."""
    for c in channels:
        like = variables(name, c, scale=scale, **hparams)
        for (h, w), dtype in zip(sizes, ("float32", "bfloat16"), strict=True):
            module = make_model(name, scale=scale, dtype=dtype, **hparams)
            lr = jax.ShapeDtypeStruct((2, h, w, c), "float32")
            sr = jax.eval_shape(module.apply, like, lr)
            assert sr.shape == (2, h * scale, w * scale, c) and sr.dtype == jnp.float32


def start(module, *inputs):
    """Variables whose values come from the tensors' names."""
    like = jax.eval_shape(module.init, jax.random.key(0), *inputs)
    return from_torch(golden_weights(torch_shapes(like)), like)


def golden(family, scale, tolerance=5e-6, channels=3, **hparams):
    """Compares with what the published implementation gave; gives variables, LR and SR."""
    module = make_model(family, scale=scale, **hparams)
    lr = np.random.default_rng(0).random((1, 24, 20, channels), dtype=np.float32)
    # Not compiled as a whole: the layers of a block are compiled once for all of them.
    values = start(module, lr)
    sr = module.apply(values, lr)
    with np.load(Path(__file__).parent / "golden" / f"{family}.npz") as corners:
        np.testing.assert_allclose(sr[:, -24:, -20:], corners[f"x{scale}"], atol=tolerance, rtol=0)
    return values, lr, sr


def golden_case(family, case, size, values=None, tolerance=5e-6, **hparams):
    """The same for one of a family's variants, for an LR of that size."""
    module = make_model(family, **hparams)
    lr = np.random.default_rng(0).random((1, *size, 3), dtype=np.float32)
    values = start(module, lr) if values is None else values
    sr = np.asarray(jax.jit(module.apply)(values, lr))
    with np.load(Path(__file__).parent / "golden" / f"{family}.npz") as corners:
        expected = corners[case]
    _, h, w, _ = expected.shape
    np.testing.assert_allclose(sr[:, -h:, -w:], expected, atol=tolerance, rtol=0)
    return values, lr, sr
