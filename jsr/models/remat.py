"""Blocks whose insides are computed again for the gradient instead of being kept."""

from flax import linen as nn


def rematerialised(
    block: type[nn.Module], remat: bool, static: tuple[int, ...] = ()
) -> type[nn.Module]:
    """`block`, or where `remat` a block of the same variables that keeps its input alone.

    static: the positions (of `self`: 0) of its arguments that are no arrays. Chen et al. 2016,
    Training Deep Nets with Sublinear Memory Cost.
    """
    return nn.remat(block, static_argnums=static) if remat else block
