"""Blocks whose insides are computed again for the gradient instead of being kept."""

from flax import linen as nn


def rematerialised(block: type[nn.Module], remat: bool) -> type[nn.Module]:
    """`block`, or where `remat` a block of the same variables that keeps its input alone.

    Chen et al. 2016, Training Deep Nets with Sublinear Memory Cost.
    """
    return nn.remat(block) if remat else block
