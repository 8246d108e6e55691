"""Networks of film over frames: any number of them, in bounded device memory."""

import functools
from collections.abc import Iterable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn


def enlarge_frames(
    module: nn.Module, variables: Any, frames: Iterable[np.ndarray]
) -> Iterator[np.ndarray]:
    """SR [h*scale, w*scale, c] of frames [h, w, c] of one clip, in order; all float32 in [0, 1].

    A network that looks back alone streams: an SR comes as soon as its frame, and a frame is
    forgotten after the next one. One that looks ahead too keeps LR and features of the whole clip,
    in host memory. Raises FloatingPointError for an output with NaN.
    """
    way = _streamed if hasattr(module, "frame") else _both_ways
    for sr in way(module, variables, frames):
        if not np.isfinite(sr).all():
            raise FloatingPointError("the network's output is not finite")
        yield np.clip(sr[0], 0.0, 1.0)


def _streamed(module, variables, frames) -> Iterator[np.ndarray]:
    past = None
    for lr in map(_batched, frames):
        past = _apply(module, "begin", variables, lr) if past is None else past
        sr, past = _apply(module, "frame", variables, lr, past)
        yield np.asarray(sr)


def _both_ways(module, variables, frames) -> Iterator[np.ndarray]:
    clip = [_batched(lr) for lr in frames]
    last = len(clip) - 1
    features = jnp.zeros((*clip[0].shape[:3], module.features))
    standing = jnp.zeros((*clip[0].shape[:3], 2))

    def flow(index: int, other: int) -> jax.Array:
        inside = 0 <= other <= last
        return _apply(module, "flow", variables, clip[index], clip[other]) if inside else standing

    nothing, seen = features, [None] * len(clip)
    for i in reversed(range(len(clip))):
        features, kept = _apply(module, "look_back", variables, features, (clip[i], flow(i, i + 1)))
        seen[i] = np.asarray(kept)
    features = nothing
    for i, lr in enumerate(clip):
        step = (lr, flow(i, i - 1), seen[i])
        features, sr = _apply(module, "look_ahead", variables, features, step)
        seen[i] = None
        yield np.asarray(sr)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _apply(module, method, variables, *inputs):
    return module.apply(variables, *inputs, method=method)


def _batched(lr: np.ndarray) -> np.ndarray:
    return np.asarray(lr, np.float32)[None]
