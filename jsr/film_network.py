"""Networks of film over frames: any number of them, in bounded memory."""

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

# How many frames after the last one of a chunk are looked at, so that little is seen of its end.
# By `tests/film_seams.py`, of a BasicVSR of 16 features and 2 blocks after 200 steps, that last
# frame's greatest (mean) difference from the whole clip is 1.36 (0.07) levels of 256 with none,
# 0.14 (0.01) with 2, 0.01 (0.001) with 5, 0.00 with 10. What is trained for longer may see farther.
AHEAD = 5
# Gives the arrays with which a later run goes on from a frame on.
Past = Callable[[], list[np.ndarray]]


def enlarge_frames(
    module: nn.Module, variables: Any, frames: Iterable[np.ndarray]
) -> Iterator[np.ndarray]:
    """SR [h*scale, w*scale, c] of frames [h, w, c] of one clip, in order; all float32 in [0, 1].

    A network that looks back alone streams: an SR comes as soon as its frame, and a frame is
    forgotten after the next one. One that looks ahead too keeps LR and features of the whole clip,
    in host memory. Raises FloatingPointError for an output with NaN.
    """
    for sr, _ in enlarge_film(module, variables, ((lr, False) for lr in frames)):
        yield sr


def enlarge_film(
    module: nn.Module,
    variables: Any,
    frames: Iterable[tuple[np.ndarray, bool]],
    past: Sequence[np.ndarray] = (),
    longest: int | None = None,
    dtype=np.float32,
    ahead: int = 0,
) -> Iterator[tuple[np.ndarray, Past | None]]:
    """SR of (frame [h, w, c] in [0, 1], whether another shot begins with it), in order, and its
    past, where a later run may go on from that frame.

    Nothing is remembered from one shot to the next. A network that looks ahead takes chunks of at
    most `longest` frames of a shot: its features go on from chunk to chunk exactly, and those that
    come from the frames ahead begin AHEAD frames after the chunk's end. It may go on from chunks'
    first frames, and keeps `longest` frames' features and AHEAD more frames in host memory. past:
    of the first frame, by an earlier run, which so gives what one run would have given. SR is
    clipped; dtype: float32, or uint8 or uint16 for levels. ahead: how many SR are begun before one
    is waited for. Raises FloatingPointError for an output with NaN.
    """
    if hasattr(module, "frame"):
        made = _streamed(module, variables, frames, past)
    else:
        made = _both_ways(module, variables, frames, past, longest)
    begun: list = []
    for sr, before in made:
        begun.append((*_finished(sr, np.dtype(dtype)), before))
        del sr
        if len(begun) > ahead:
            yield _landed(*begun.pop(0))
    while begun:
        yield _landed(*begun.pop(0))


def _streamed(module, variables, frames, past) -> Iterator[tuple[jax.Array, Past]]:
    known = None
    for lr, first in frames:
        lr = _batched(lr)
        if known is None or first:
            known = _apply(module, "begin", variables, lr)
            restored = past and not first
            known = jax.tree.unflatten(jax.tree.structure(known), past) if restored else known
            fetch = functools.partial(_fetch, known) if restored else list
            past = ()
        else:
            fetch = functools.partial(_fetch, known)
        sr, known = _apply(module, "frame", variables, lr, known)
        yield sr, fetch


def _both_ways(module, variables, frames, past, longest) -> Iterator[tuple[jax.Array, Past | None]]:
    waiting: list[np.ndarray] = []
    known = tuple(past) or None

    def chunk():
        nonlocal known
        count = len(waiting) if longest is None else min(longest, len(waiting))
        known = yield from _chunk(module, variables, waiting, count, known)
        del waiting[:count]

    for lr, first in frames:
        while first and waiting:
            yield from chunk()
        known = None if first else known
        waiting.append(_batched(lr))
        if longest is not None and len(waiting) == longest + AHEAD:
            yield from chunk()
    while waiting:
        yield from chunk()


def _chunk(module, variables, clip, count, known):
    """SR of the first `count` frames of a clip, which are forgotten on the way.

    known: features and LR of the frame before them, or None; returns those of the last of them.
    """
    nothing = jnp.zeros((*clip[0].shape[:3], module.features))
    standing = jnp.zeros((*clip[0].shape[:3], 2))

    def flow(lr, other) -> jax.Array:
        return standing if other is None else _apply(module, "flow", variables, lr, other)

    features, following, seen = nothing, None, []
    for index, lr in reversed(list(enumerate(clip))):
        step = (lr, flow(lr, following))
        features = _apply(module, "look_back", variables, features, step)[0]
        following = lr
        if index < count:
            seen.append(np.asarray(features))
    fetch = list if known is None else functools.partial(_fetch, known)
    features, before = known or (nothing, None)
    for lr in clip[:count]:
        step = (lr, flow(lr, before), seen.pop())
        features, sr = _apply(module, "look_ahead", variables, features, step)
        yield sr, fetch
        before, fetch = lr, None
    return features, before


@functools.partial(jax.jit, static_argnums=(0, 1))
def _apply(module, method, variables, *inputs):
    return module.apply(variables, *inputs, method=method)


@functools.partial(jax.jit, static_argnums=1)
def _finished(sr: jax.Array, dtype: np.dtype) -> tuple[jax.Array, jax.Array]:
    """SR in [0, 1], or as the nearest levels, and whether it was finite."""
    clipped = jnp.clip(sr[0], 0.0, 1.0)
    if dtype.kind == "u":
        clipped = jnp.rint(clipped * np.float32(np.iinfo(dtype).max)).astype(dtype)
    return clipped, jnp.isfinite(sr).all()


def _landed(sr: jax.Array, finite: jax.Array, past: Past | None) -> tuple[np.ndarray, Past | None]:
    if not finite:
        raise FloatingPointError("the network's output is not finite")
    return np.asarray(sr), past


def _fetch(known: Any) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in jax.tree.leaves(known)]


def _batched(lr: np.ndarray) -> np.ndarray:
    return np.asarray(lr, np.float32)[None]
