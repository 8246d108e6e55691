"""What a training run carries from step to step, and the optimizers that change it."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from flax import struct

from jsr.errors import UserError
from jsr.initializers import draw_kernels
from jsr.lookup import find

OPTIMIZERS = {
    "adam": lambda c: optax.scale_by_adam(b1=c.b1, b2=c.b2),
    # Of its three averages that of the gradients' differences keeps the paper's decay.
    "adan": lambda c: optax.scale_by_adan(b1=c.b1, b3=c.b2),
    "adamw": lambda c: optax.scale_by_adam(b1=c.b1, b2=c.b2),
    "lion": lambda c: optax.scale_by_lion(b1=c.b1, b2=c.b2),
    "rmsprop": lambda c: optax.scale_by_rms(decay=c.b2),
    "sgd": lambda c: optax.trace(decay=c.b1),
}
# Those whose weight decay is a gradient among the others, as first published; that of any other
# is decoupled, a share of the weights that every step takes away (Loshchilov & Hutter 2019).
COUPLED = ("adam", "rmsprop", "sgd")


@struct.dataclass
class Net:
    """One network in training: its parameters, its running statistics, its optimizer's state."""

    params: Any
    stats: Any
    opt_state: Any


@struct.dataclass
class TrainState:
    """Everything that a step changes; modules and optimizers are closed over, not stored.

    `step` is global over the stages. `disc` is None in the pixel stage. `ema` is the moving
    average of the generator's variables ({"params", "batch_stats"}). `skipped` counts non-finite
    steps, `skipped_in_row` those since the last good one. `lr_scale` multiplies every update;
    `rollbacks` counts the returns from a collapse.
    """

    step: jax.Array
    gen: Net
    disc: Net | None
    ema: Any
    skipped: jax.Array
    skipped_in_row: jax.Array
    lr_scale: jax.Array
    rollbacks: jax.Array


def make_schedule(config, steps: int) -> optax.Schedule:
    """Learning rate by step of the stage, from an optimizer's config.

    Raises UserError for an unknown schedule, a warm-up as long as the stage, or no cycle.
    """
    if config.warmup >= max(steps, 1) and config.warmup > 0:
        config_says = f"warmup is {config.warmup}, but the stage has {steps} steps"
        raise UserError(f"{config_says}: choose a warm-up shorter than the stage")
    if config.schedule == "constant":
        main = optax.constant_schedule(config.lr)
    elif config.schedule == "step":
        drops = {int(m) - config.warmup: config.gamma for m in config.milestones}
        main = optax.piecewise_constant_schedule(config.lr, drops)
    elif config.schedule == "cosine":
        main = _cosine(config, steps - config.warmup)
    else:
        raise UserError(f"schedule {config.schedule!r} is unknown; known: constant, step, cosine")
    if not config.warmup:
        return main
    rise = optax.linear_schedule(0.0, config.lr, config.warmup)
    return optax.join_schedules([rise, main], [config.warmup])


def _cosine(config, steps: int) -> optax.Schedule:
    """Equal cycles, each from lr to `final` times lr (SGDR, Loshchilov & Hutter 2017, eq. 5)."""
    if config.cycles < 1:
        raise UserError(f"cycles is {config.cycles}: expected at least 1")
    period = steps / config.cycles
    cycle = optax.cosine_decay_schedule(config.lr, period, config.final)
    starts = [period * i for i in range(1, config.cycles)]
    return optax.join_schedules([cycle] * config.cycles, starts)


def make_optimizer(
    config, steps: int, clip: Callable = optax.clip_by_global_norm
) -> optax.GradientTransformation:
    """An optimizer from its config, for a stage of `steps` steps.

    Gradients are clipped by their global norm, by `clip(largest)`, before anything else; all that
    follows takes each number by itself. Weight decay is added to the gradients for COUPLED, to the
    updates otherwise. Raises UserError for an unknown name, and when it is
    initialised without the layers that are to be slow.
    """
    make = find("optimizer", config.name, OPTIMIZERS)
    parts = [clip(config.clip)] if config.clip > 0 else []
    decay = [optax.add_decayed_weights(config.weight_decay)] if config.weight_decay > 0 else []
    parts += [*decay, make(config)] if config.name in COUPLED else [make(config), *decay]
    parts.append(optax.scale_by_learning_rate(make_schedule(config, steps)))
    if config.slow:
        parts.append(_slow(tuple(config.slow)))
    return optax.chain(*parts)


def _slow(layers: tuple[str, ...]) -> optax.GradientTransformation:
    """A tenth of the updates of these layers (Dong et al. 2014, section 4.1)."""

    def init(params):
        for layer in layers:
            if layer not in params:
                raise UserError(f"slow names {layer!r}; the layers are {', '.join(params)}")
        return optax.EmptyState()

    def update(updates, opt_state, params=None):
        slower = {layer: jax.tree.map(lambda u: 0.1 * u, updates[layer]) for layer in layers}
        return {**updates, **slower}, opt_state

    return optax.GradientTransformation(init, update)


def init_net(
    key: jax.Array, module: nn.Module, optimizer, *inputs: jax.Array, initializer: str = ""
) -> Net:
    """Initialise a network and its optimizer; `inputs` are the arrays that the module takes.

    initializer: as `initializers.draw_kernels` has it.
    """
    # Compiled as a whole, hundreds of random draws take XLA minutes.
    shapes = (jax.ShapeDtypeStruct(x.shape, x.dtype) for x in inputs)
    variables = module.lazy_init(key, *shapes)
    params = draw_kernels(key, variables["params"], initializer)
    return Net(params, variables.get("batch_stats", {}), optimizer.init(params))


def copy_tree(tree: Any) -> Any:
    """Fresh buffers with the same values: donating an alias fails."""
    return jax.tree.map(jnp.copy, tree)


def start_training(gen: Net) -> TrainState:
    """The state before the first step of the pixel stage."""
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        gen=gen,
        disc=None,
        ema=copy_tree({"params": gen.params, "batch_stats": gen.stats}),
        skipped=jnp.zeros((), jnp.int32),
        skipped_in_row=jnp.zeros((), jnp.int32),
        lr_scale=jnp.ones((), jnp.float32),
        rollbacks=jnp.zeros((), jnp.int32),
    )


def start_gan(state: TrainState, disc: Net, optimizer) -> TrainState:
    """The state before the first step of the adversarial stage.

    The generator goes on from the moving average, with a fresh optimizer.
    """
    ema = copy_tree(state.ema)
    gen = Net(ema["params"], ema["batch_stats"], optimizer.init(ema["params"]))
    return state.replace(gen=gen, disc=disc)
