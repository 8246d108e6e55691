"""Training steps: pure functions of one device's batch, with a named axis over the devices.

A step is `step(key, state, batch) -> (state, metrics)`. `batch` is {"lr": [b, h, w, c],
"hr": [b, h*s, w*s, c]} in [0, 1], the part of one device; "input", where there is one, is shown to
the generator in place of "lr" (see `jsr.mixtures`). `key` is the same on all devices.
Metrics are float32 scalars, equal on all devices.
"""

import contextlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jax import lax
from jax.flatten_util import ravel_pytree

from jsr import loops, losses
from jsr.models.tails import tails_in_parts
from jsr.state import Net, TrainState

AXIS = "batch"


def mean_of_all(grads: Any, others: Any) -> tuple[Any, Any]:
    """Means over the devices of two trees of floats, for a CPU as those of one vector.

    XLA joins the sums of a tree for TPUs and GPUs; for a CPU each is a message of its own,
    which processes wait for (`tests/process_overhead.py`). Every number is the same.
    """
    if not loops.written_out():
        return lax.pmean((grads, others), AXIS)
    vector, unravel = ravel_pytree((grads, others))
    return unravel(lax.pmean(vector, AXIS))


class Exchange(NamedTuple):
    """What the devices of a step give one another; REPLICATED where each holds all parameters.

    whole: the networks' parameters, by name, from what a device holds of them. mean: their
    gradients as the optimizers of a device take them, and other values: means over the devices.
    total: a count over what all devices hold, from a device's own.
    """

    whole: Callable = lambda params: params
    mean: Callable = mean_of_all
    total: Callable = lambda count: count


REPLICATED = Exchange()


def make_pixel_step(
    generator: nn.Module,
    optimizer: optax.GradientTransformation,
    pixel_loss: Callable,
    pixel_weight: float,
    perceptual: Callable | None,
    perceptual_weight: float,
    ema_decay: float,
    accumulate: int,
    exchange: Exchange = REPLICATED,
) -> Callable:
    """A step of the pixel stage: the generator alone, on pixel and perceptual losses.

    `pixel_loss` and `perceptual` take (sr, hr) and return a scalar; `perceptual` may be None.
    """

    generator_loss = make_generator_loss(
        generator, pixel_loss, pixel_weight, perceptual, perceptual_weight
    )

    def gradients(nets, stats, batch, key):
        grad = jax.value_and_grad(generator_loss, has_aux=True)
        (_, (gen_stats, parts)), grads = grad(nets["gen"], stats["gen"], batch, key)
        return {"gen": grads}, {"gen": gen_stats}, parts

    return _make_step(gradients, {"gen": optimizer}, ema_decay, accumulate, exchange)


def make_generator_loss(
    generator: nn.Module,
    pixel_loss: Callable,
    pixel_weight: float,
    perceptual: Callable | None,
    perceptual_weight: float,
) -> Callable:
    """What the pixel stage minimises.

    Returns `loss(params, stats, batch, key) -> (loss, (stats, metrics))`.
    """

    def content_loss(sr, hr):
        parts = {"pixel": pixel_loss(sr, hr)}
        loss = pixel_weight * parts["pixel"]
        if perceptual is not None:
            parts["perceptual"] = perceptual(sr, hr)
            loss = loss + perceptual_weight * parts["perceptual"]
        return loss, {"loss": loss, **parts}

    def generator_loss(params, stats, batch, key=None):
        sr, stats = apply_train(generator, params, stats, _input(batch), key=key)
        loss, parts = content_loss(sr, batch["hr"])
        return loss, (stats, parts)

    return generator_loss


def make_gan_step(
    generator: nn.Module,
    discriminator: nn.Module,
    optimizer: optax.GradientTransformation,
    disc_optimizer: optax.GradientTransformation,
    pixel_loss: Callable,
    pixel_weight: float,
    perceptual: Callable | None,
    perceptual_weight: float,
    adversarial: losses.Adversarial,
    adversarial_weight: float,
    penalty: str,
    penalty_weight: float,
    ema_decay: float,
    accumulate: int,
    exchange: Exchange = REPLICATED,
) -> Callable:
    """A step of the adversarial stage: G and D updated *simultaneously*, from the same old state.

    D sees real pairs (lr, hr) and fake pairs (lr, G(lr)), each as a batch of its own (so that
    BatchNorm never mixes them). Ledig et al. 2017, eq. 2-6, with the losses of `losses`.
    """

    def judge(params, stats, hr, lr):
        return apply_train(discriminator, params, stats, hr, lr)

    def generator_loss(gen_params, disc_params, stats, batch, key):
        sr, gen_stats = apply_train(generator, gen_params, stats["gen"], _input(batch), key=key)
        logits_fake, _ = judge(disc_params, stats["disc"], sr, batch["lr"])
        logits_real, _ = judge(disc_params, stats["disc"], batch["hr"], batch["lr"])
        parts = {
            "pixel": pixel_loss(sr, batch["hr"]),
            "adversarial": adversarial.generator(logits_real, logits_fake, AXIS),
        }
        loss = pixel_weight * parts["pixel"] + adversarial_weight * parts["adversarial"]
        if perceptual is not None:
            parts["perceptual"] = perceptual(sr, batch["hr"])
            loss = loss + perceptual_weight * parts["perceptual"]
        return loss, (gen_stats, sr, {"loss": loss, **parts})

    def discriminator_loss(disc_params, stats, sr, batch, key):
        lr, hr = batch["lr"], batch["hr"]
        logits_real, stats_real = judge(disc_params, stats["disc"], hr, lr)
        logits_fake, disc_stats = judge(disc_params, stats_real, sr, lr)
        loss = adversarial.discriminator(logits_real, logits_fake, AXIS)
        parts = {"d_loss": loss}
        if adversarial.decision is not None:
            right = losses.accuracy(logits_real, logits_fake, adversarial.decision)
            parts["d_accuracy"] = right
        if penalty != "none":

            def critic(images):
                return judge(disc_params, stats["disc"], images, lr)[0]

            if penalty == "r1":
                parts["penalty"] = losses.r1_penalty(critic, hr)
            else:
                parts["penalty"] = losses.gradient_penalty(critic, hr, sr, key)
            loss = loss + penalty_weight * parts["penalty"]
        return loss, (disc_stats, parts)

    def gradients(nets, stats, batch, key):
        gen_grad = jax.value_and_grad(generator_loss, has_aux=True)
        gen_inputs = (nets["gen"], nets["disc"], stats, batch, key)
        (_, (gen_stats, sr, parts)), gen_grads = gen_grad(*gen_inputs)
        disc_grad = jax.value_and_grad(discriminator_loss, has_aux=True)
        sr = lax.stop_gradient(sr)
        (_, (disc_stats, disc_parts)), disc_grads = disc_grad(nets["disc"], stats, sr, batch, key)
        grads = {"gen": gen_grads, "disc": disc_grads}
        return grads, {"gen": gen_stats, "disc": disc_stats}, {**parts, **disc_parts}

    optimizers = {"gen": optimizer, "disc": disc_optimizer}
    return _make_step(gradients, optimizers, ema_decay, accumulate, exchange)


def repeat(
    step: Callable,
    cut: Callable = lambda _data, batch: batch,
    mix: Callable = lambda batch, _step: batch,
) -> Callable:
    """`run(key, state, batches, data)`: one step for each of `batches`' leading axis, in order.

    A step's batch is `cut(data, batch)`, of which what is uint8 becomes [0, 1], after `mix(batch,
    number of the step)`. The metrics are means over the steps, with the last state's
    `skipped_in_row` among them.
    """

    def run(key, state, batches, data):
        def one(state, batch):
            batch = jax.tree.map(to_unit, cut(data, batch))
            return step(key, state, mix(batch, state.step))

        state, metrics = loops.scan(one, state, batches)
        metrics = jax.tree.map(lambda m: m.mean(0), metrics)
        return state, {**metrics, "skipped_in_row": state.skipped_in_row}

    return run


def to_unit(x: jax.Array) -> jax.Array:
    """uint8 levels to float32 in [0, 1]; anything else as it is."""
    return x.astype(jnp.float32) / 255.0 if x.dtype == jnp.uint8 else x


def make_predict(apply: Callable, parts: bool = False) -> Callable:
    """`predict(variables, lr) -> sr`: lr [b, h, w, c] in [0, 1] to [b, h*s, w*s, c], clipped.

    apply: a module's, or one like it with further inputs. parts: on a CPU a network's tail is run
    part by part; the result is the same.
    """

    def predict(variables, *inputs):
        split = parts and loops.written_out()
        with tails_in_parts() if split else contextlib.nullcontext():
            return jnp.clip(apply(variables, *inputs), 0.0, 1.0)

    return predict


def make_judge(discriminator: nn.Module) -> Callable:
    """`judge(variables, hr, lr) -> logits`, as in a training step: by the batch's own statistics.

    Running statistics are a mixture of real and fake batches, which D never judges by. The
    discriminator must not name an axis over devices.
    """

    def judge(variables, hr, lr):
        params, stats = variables["params"], variables["batch_stats"]
        return apply_train(discriminator, params, stats, hr, lr)[0]

    return judge


def apply_train(module: nn.Module, params, stats, *inputs, key=None) -> tuple[jax.Array, Any]:
    """A forward pass that also returns the new running statistics.

    `key` is for the modules that draw (`rngs={"dropout": key}`), each its own numbers from it.
    """
    variables = {"params": params, "batch_stats": stats}
    rngs = None if key is None else {"dropout": key}
    out, new = module.apply(variables, *inputs, train=True, mutable=["batch_stats"], rngs=rngs)
    return out, new.get("batch_stats", stats)


def _input(batch: dict) -> jax.Array:
    return batch.get("input", batch["lr"])


def _make_step(
    gradients: Callable, optimizers: dict, ema_decay: float, accumulate: int, exchange: Exchange
):
    """A step from `gradients(params, stats, batch, key) -> (grads, stats, metrics)` by net name."""

    def step(key: jax.Array, state: TrainState, batch: dict) -> tuple[TrainState, dict]:
        key = jax.random.fold_in(key, state.step)
        key = jax.random.fold_in(key, lax.axis_index(AXIS))
        nets = {name: getattr(state, name) for name in optimizers}
        params = exchange.whole({name: net.params for name, net in nets.items()})
        stats = {name: net.stats for name, net in nets.items()}
        grads, stats, metrics = _accumulate(gradients, params, stats, batch, key, accumulate)
        grads, (stats, metrics) = exchange.mean(grads, (stats, metrics))
        updated = {
            name: _update(net, optimizers[name], grads[name], stats[name], state.lr_scale)
            for name, net in nets.items()
        }
        ema = _moving_average(state.ema, updated["gen"], ema_decay)
        made = (grads, metrics, [net.params for net in updated.values()])
        finite = exchange.total(_count_broken(made)) == 0
        # A step that is not finite leaves everything as it was, but for the counters.
        kept = {name: _where(finite, updated[name], nets[name]) for name in nets}
        skipped = jnp.where(finite, 0, 1).astype(jnp.int32)
        state = state.replace(
            step=state.step + 1,
            ema=_where(finite, ema, state.ema),
            skipped=state.skipped + skipped,
            skipped_in_row=(state.skipped_in_row + skipped) * skipped,
            **kept,
        )
        return state, metrics

    return step


def _accumulate(gradients, params, stats, batch, key, parts: int):
    """Average of the gradients over `parts` equal parts of the batch, one after the other."""
    if parts == 1:
        return gradients(params, stats, batch, key)
    split = jax.tree.map(lambda x: x.reshape(parts, x.shape[0] // parts, *x.shape[1:]), batch)
    keys = jax.random.split(key, parts)

    def one(stats, part):
        grads, stats, metrics = gradients(params, stats, part[0], part[1])
        return stats, (grads, metrics)

    stats, stacked = loops.scan(one, stats, (split, keys))
    grads, metrics = jax.tree.map(lambda x: x.mean(0), stacked)
    return grads, stats, metrics


def _update(net: Net, optimizer, grads, stats, lr_scale) -> Net:
    updates, opt_state = optimizer.update(grads, net.opt_state, net.params)
    updates = jax.tree.map(lambda u: u * lr_scale, updates)
    return Net(optax.apply_updates(net.params, updates), stats, opt_state)


def _moving_average(ema, gen: Net, decay: float):
    new = {"params": gen.params, "batch_stats": gen.stats}
    return jax.tree.map(lambda old, now: decay * old + (1.0 - decay) * now, ema, new)


def _count_broken(tree) -> jax.Array:
    """Of arrays that hold a number which is not finite; its root, in fact."""
    broken = [jnp.any(~jnp.isfinite(x)).astype(jnp.float32) for x in jax.tree.leaves(tree)]
    # XLA computes what is cheap anew in each of the selections that it decides, which for a network
    # of many tensors takes it minutes to compile; a root counts as dear, and is taken once.
    return jnp.sqrt(jnp.sum(jnp.stack(broken)))


def _where(condition, new, old):
    return jax.tree.map(lambda n, o: jnp.where(condition, n, o), new, old)
