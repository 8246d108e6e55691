"""Equal blocks one after another, unrolled or as one loop, whose body is compiled once."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from jsr.loops import written_out


def in_turn(
    blocks: Sequence[nn.Module], x: jax.Array, *args: Any, scan: bool, cycle: int = 1
) -> jax.Array:
    """`x` through all `blocks`, bound modules of `params` alone that keep its shape and type.

    scan: as `lax.scan`, of which TPUs and GPUs compile `cycle` blocks instead of all of them; on a
    CPU it is written out all the same. Every `cycle`-th block is equal in all but its weights and
    in fields of numbers, such as a rate; what is left over at the end is unrolled. args: further
    arguments of the blocks, equal for all. Rounds have draws of their own from the rng `dropout`,
    other ones than unrolled.
    """
    rounds = len(blocks) // cycle
    looped = scan and rounds > 1 and not written_out()
    if looped and not blocks[0].is_initializing():
        x = _loop(blocks[: rounds * cycle], x, args, cycle)
        blocks = blocks[rounds * cycle :]
    for block in blocks:
        x = block(x, *args)
    return x


def _loop(blocks: Sequence[nn.Module], x: jax.Array, args: tuple, cycle: int) -> jax.Array:
    places = [blocks[i::cycle] for i in range(cycle)]
    params = [_stack([block.variables["params"] for block in place]) for place in places]
    fields = [_differing(place) for place in places]
    bodies = [place[0].clone(parent=None, name=None) for place in places]
    draws = blocks[0].has_rng("dropout")
    keys = jax.random.split(blocks[0].make_rng("dropout"), len(blocks)) if draws else None
    keys = keys.reshape(-1, cycle) if draws else None

    def round_(x, given):
        params, fields, keys = given
        for i, body in enumerate(bodies):
            rngs = {"dropout": keys[i]} if draws else None
            x = body.clone(**fields[i]).apply({"params": params[i]}, x, *args, rngs=rngs)
        return x, None

    return lax.scan(round_, x, (params, fields, keys))[0]


def _stack(trees: list) -> Any:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def _differing(blocks: Sequence[nn.Module]) -> dict[str, jax.Array]:
    """The fields whose values differ, stacked."""
    found = {}
    for field in dataclasses.fields(blocks[0]):
        values = [getattr(block, field.name) for block in blocks]
        if field.name in ("parent", "name"):
            continue
        # Those of a loop around this one cannot be compared.
        if any(isinstance(v, jax.Array) for v in values) or any(v != values[0] for v in values):
            found[field.name] = jnp.asarray(values)
    return found
