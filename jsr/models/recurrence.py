"""A network's step from frame to frame, over the frames of a clip."""

from collections.abc import Callable
from typing import Any

from flax import linen as nn

from jsr import loops


def over_time(
    module: nn.Module, step: Callable, carry: Any, frames: Any, reverse: bool = False
) -> tuple[Any, Any]:
    """`step(module, carry, frame) -> (carry, out)` over [b, t, ...]: the last carry, and all outs.

    On accelerators by `lax.scan`, where the gradient keeps each frame's carry alone and computes
    the rest again (Chen et al. 2016); on a CPU frame after frame. reverse: from the last frame on.
    """
    if loops.written_out():

        def body(carry, frame):
            return step(module, carry, frame)

        return loops.write_out(body, carry, frames, axis=1, reverse=reverse)
    scanned = nn.scan(
        nn.remat(step, prevent_cse=False),
        variable_broadcast="params",
        split_rngs={"params": False},
        in_axes=1,
        out_axes=1,
        reverse=reverse,
    )
    return scanned(module, carry, frames)


def as_clip(lr, enlarge: Callable):
    """`enlarge` on a clip [b, t, h, w, c]; a picture [b, h, w, c] is a clip of one frame."""
    return enlarge(lr) if lr.ndim == 5 else enlarge(lr[:, None])[:, 0]
