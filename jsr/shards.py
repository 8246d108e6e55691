"""Large arrays of the training state split over the devices, so that each holds a part of them.

As ZeRO has it (Rajbhandari et al. 2020): inside a step the parameters are put together, their
gradients summed up in parts, and each device updates its part of parameters, optimizer and average.
Norms and checks are of all parts together.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jax.sharding import PartitionSpec as P

from jsr.state import Net, TrainState
from jsr.steps import AXIS, Exchange

# Numbers of an array below which it stays whole: biases and the like are not worth a transfer.
SMALLEST = 2048
# In place of an axis, for an array that is not split (None would vanish from a tree).
UNSPLIT = -1


def split_axis(shape: tuple[int, ...], devices: int) -> int:
    """The axis that is split over the devices: the longest that they divide, UNSPLIT for none."""
    if devices == 1 or math.prod(shape) < SMALLEST:
        return UNSPLIT
    fitting = [axis for axis, side in enumerate(shape) if side % devices == 0]
    return max(fitting, key=lambda axis: shape[axis], default=UNSPLIT)


def state_specs(state: TrainState, devices: int) -> TrainState:
    """How each array of `state`, or of its shapes, lies on a flat mesh of so many devices."""

    def split(tree):
        return jax.tree.map(lambda x: _spec(split_axis(x.shape, devices)), tree)

    def whole(tree):
        return jax.tree.map(lambda _: P(), tree)

    def of_net(net: Net) -> Net:
        return Net(split(net.params), whole(net.stats), split(net.opt_state))

    nets = {"gen": of_net(state.gen), "disc": None if state.disc is None else of_net(state.disc)}
    # Statistics are read as they are by the networks.
    ema = {"params": split(state.ema["params"]), "batch_stats": whole(state.ema["batch_stats"])}
    return whole(state).replace(**nets, ema=ema)


class Shards:
    """How the parameters of networks by name are split, and what that asks of a step.

    shapes: gives the shapes of a network's parameters, as a tree; called when a step is traced.
    """

    def __init__(self, shapes: Callable[[str], Any], devices: int):
        self._shapes, self._devices = shapes, devices
        self._known: dict[str, Any] = {}

    def axes(self, name: str) -> Any:
        """A tree of the axes that are split, as `split_axis` has them."""
        if name not in self._known:
            shapes = self._shapes(name)
            axes = jax.tree.map(lambda x: split_axis(x.shape, self._devices), shapes)
            self._known[name] = axes
        return self._known[name]

    @property
    def exchange(self) -> Exchange:
        """For the steps."""
        return Exchange(self._whole, self._mean, lambda count: lax.psum(count, AXIS))

    def clip(self, name: str) -> Callable[[float], optax.GradientTransformation]:
        """`optax.clip_by_global_norm` for parts of that network's gradients."""

        def clip_by_global_norm(largest: float) -> optax.GradientTransformation:
            def update(updates, opt_state, params=None):
                norm = self._norm(updates, self.axes(name))
                small = norm < largest
                clipped = jax.tree.map(lambda u: jnp.where(small, u, u / norm * largest), updates)
                return clipped, opt_state

            return optax.GradientTransformation(lambda _params: optax.EmptyState(), update)

        return clip_by_global_norm

    def _whole(self, params: dict) -> dict:
        return jax.tree.map(_put_together, params, {name: self.axes(name) for name in params})

    def _mean(self, grads: dict, others: Any) -> tuple[dict, Any]:
        flat, tree = jax.tree.flatten(grads)
        axes = jax.tree.leaves({name: self.axes(name) for name in grads})
        # What stays whole goes with the others, in one sum.
        whole = [g for g, axis in zip(flat, axes, strict=True) if axis == UNSPLIT]
        whole, others = lax.pmean((whole, others), AXIS)
        rest = iter(whole)
        means = [
            next(rest) if axis == UNSPLIT else _mean_part(g, axis)
            for g, axis in zip(flat, axes, strict=True)
        ]
        return jax.tree.unflatten(tree, means), others

    def _norm(self, tree, axes) -> jax.Array:
        """The root of the sum of the squares over all parts of all arrays."""
        split = whole = jnp.zeros(())
        for x, axis in zip(jax.tree.leaves(tree), jax.tree.leaves(axes), strict=True):
            squares = jnp.sum(jnp.square(x))
            split, whole = (split, whole + squares) if axis == UNSPLIT else (split + squares, whole)
        return jnp.sqrt(lax.psum(split, AXIS) + whole)


def _put_together(part: jax.Array, axis: int) -> jax.Array:
    return part if axis == UNSPLIT else lax.all_gather(part, AXIS, axis=axis, tiled=True)


def _mean_part(grad: jax.Array, axis: int) -> jax.Array:
    total = lax.psum_scatter(grad, AXIS, scatter_dimension=axis, tiled=True)
    return total / lax.axis_size(AXIS)


def _spec(axis: int) -> P:
    return P() if axis == UNSPLIT else P(*[None] * axis, AXIS)
