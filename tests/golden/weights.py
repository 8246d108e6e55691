"""Weights that NumPy makes from a tensor's name, the same beside PyTorch and beside JAX."""

import zlib
from collections.abc import Mapping

import numpy as np


def golden_weights(shapes: Mapping[str, tuple[int, ...]], seed: int = 0) -> dict[str, np.ndarray]:
    """{name: float32 tensor}; a running variance is positive."""
    return {name: _tensor(name, shape, seed) for name, shape in shapes.items()}


def _tensor(name: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    normal = np.random.default_rng([seed, zlib.crc32(name.encode())]).standard_normal(shape)
    tensor = (normal * 0.5 / max(1, np.prod(shape[1:])) ** 0.5).astype(np.float32)
    return np.abs(tensor) + np.float32(0.5) if name.endswith("running_var") else tensor
