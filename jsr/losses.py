"""Losses: arrays in, a float32 scalar out.

Pixel losses take sr and hr [b, h, w, c]; adversarial ones take logits of any shape [b, ...].
Everything is a mean over the examples of one device; the mean over devices is the caller's.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.nn import relu, softplus


def _difference(sr: jax.Array, hr: jax.Array) -> jax.Array:
    return sr.astype(jnp.float32) - hr.astype(jnp.float32)


def l1(sr: jax.Array, hr: jax.Array) -> jax.Array:
    """Mean absolute error."""
    return jnp.mean(jnp.abs(_difference(sr, hr)))


def l2(sr: jax.Array, hr: jax.Array) -> jax.Array:
    """Mean squared error."""
    return jnp.mean(jnp.square(_difference(sr, hr)))


def charbonnier(sr: jax.Array, hr: jax.Array, eps: float = 1e-3) -> jax.Array:
    """Mean of sqrt(difference**2 + eps**2) (Lai et al. 2017, eq. 4)."""
    return jnp.mean(jnp.sqrt(jnp.square(_difference(sr, hr)) + eps**2))


PIXEL = {"l1": l1, "l2": l2, "charbonnier": charbonnier}


class Adversarial(NamedTuple):
    """The two sides of a game, each `loss(logits_real, logits_fake, axis_name=None)` -> scalar.

    `axis_name` is the axis over the devices; only a loss that compares an example with the others
    uses it. `decision` is the logit above which D calls a picture real; None where a logit means
    something only beside others.
    """

    generator: Callable
    discriminator: Callable
    decision: float | None = 0.0


def _mean(x: jax.Array) -> jax.Array:
    return jnp.mean(x.astype(jnp.float32))


def _vanilla_generator(logits_real, logits_fake, axis_name=None):
    """-log D(fake) (Goodfellow et al. 2014, section 3, the non-saturating form)."""
    return jnp.mean(softplus(-logits_fake.astype(jnp.float32)))


def _vanilla_discriminator(logits_real, logits_fake, axis_name=None):
    """-log D(real) - log(1 - D(fake)) (Goodfellow et al. 2014, eq. 1)."""
    real, fake = logits_real.astype(jnp.float32), logits_fake.astype(jnp.float32)
    return jnp.mean(softplus(-real)) + jnp.mean(softplus(fake))


def _minimax_generator(logits_real, logits_fake, axis_name=None):
    """log(1 - D(fake)), which saturates (Goodfellow et al. 2014, eq. 1)."""
    return -jnp.mean(softplus(logits_fake.astype(jnp.float32)))


def _lsgan_generator(logits_real, logits_fake, axis_name=None):
    """(D(fake) - 1)**2 / 2 (Mao et al. 2017, eq. 9)."""
    return 0.5 * jnp.mean(jnp.square(logits_fake.astype(jnp.float32) - 1.0))


def _lsgan_discriminator(logits_real, logits_fake, axis_name=None):
    """(D(real) - 1)**2 / 2 + D(fake)**2 / 2 (Mao et al. 2017, eq. 9)."""
    real, fake = logits_real.astype(jnp.float32), logits_fake.astype(jnp.float32)
    return 0.5 * (jnp.mean(jnp.square(real - 1.0)) + jnp.mean(jnp.square(fake)))


def _hinge_discriminator(logits_real, logits_fake, axis_name=None):
    """max(0, 1 - D(real)) + max(0, 1 + D(fake)) (Miyato et al. 2018, eq. 16)."""
    real, fake = logits_real.astype(jnp.float32), logits_fake.astype(jnp.float32)
    return jnp.mean(relu(1.0 - real)) + jnp.mean(relu(1.0 + fake))


def _critic_generator(logits_real, logits_fake, axis_name=None):
    """-D(fake) (Miyato et al. 2018, eq. 17; Arjovsky et al. 2017, algorithm 1)."""
    return -_mean(logits_fake)


def _wgan_discriminator(logits_real, logits_fake, axis_name=None):
    """D(fake) - D(real) (Arjovsky et al. 2017, algorithm 1)."""
    return _mean(logits_fake) - _mean(logits_real)


def _relativistic_discriminator(logits_real, logits_fake, axis_name=None):
    """Real is more real than the average fake, and fake less than the average real.

    RaSGAN of Jolicoeur-Martineau 2018, eq. 10. The averages are those of all devices.
    """
    real, fake = logits_real.astype(jnp.float32), logits_fake.astype(jnp.float32)
    mean_real, mean_fake = jnp.mean(real), jnp.mean(fake)
    if axis_name is not None:
        mean_real, mean_fake = lax.pmean((mean_real, mean_fake), axis_name)
    return jnp.mean(softplus(mean_fake - real)) + jnp.mean(softplus(fake - mean_real))


def _relativistic_generator(logits_real, logits_fake, axis_name=None):
    """The discriminator's loss with real and fake exchanged (Jolicoeur-Martineau 2018, eq. 11)."""
    return _relativistic_discriminator(logits_fake, logits_real, axis_name)


ADVERSARIAL = {
    "vanilla": Adversarial(_vanilla_generator, _vanilla_discriminator),
    "minimax": Adversarial(_minimax_generator, _vanilla_discriminator),
    "lsgan": Adversarial(_lsgan_generator, _lsgan_discriminator, 0.5),
    "hinge": Adversarial(_critic_generator, _hinge_discriminator),
    "wgan": Adversarial(_critic_generator, _wgan_discriminator, None),
    "relativistic": Adversarial(_relativistic_generator, _relativistic_discriminator, None),
}


# Losses whose D sees cross entropy, in which a label can be smoothed.
SMOOTHED = ("minimax", "vanilla")


def with_smooth_labels(adversarial: Adversarial, smoothing: float) -> Adversarial:
    """One of SMOOTHED with D's label of the real pictures at 1 - smoothing in place of 1.

    Fake ones keep theirs (Salimans et al. 2016, section 3.4): -log(1 - D(real)) weighs `smoothing`
    beside -log D(real) with the rest, which are as far apart as the logit is from 0.
    """

    def discriminator(logits_real, logits_fake, axis_name=None):
        loss = adversarial.discriminator(logits_real, logits_fake, axis_name)
        return loss + smoothing * _mean(logits_real)

    return adversarial._replace(discriminator=discriminator)


def gradient_penalty(
    critic: Callable, real: jax.Array, fake: jax.Array, key: jax.Array
) -> jax.Array:
    """(|gradient| - 1)**2 at a random point between each real and fake picture.

    `critic` takes pictures [b, h, w, c] to logits [b, ...]. The weight (10 in the paper) is the
    caller's. The critic must judge each picture alone, so without batch normalisation. Gulrajani
    et al. 2017, eq. 3.
    """
    share = jax.random.uniform(key, (real.shape[0], 1, 1, 1))
    squares = _squared_gradients(critic, share * real + (1.0 - share) * fake)
    # The square root has no gradient at zero.
    norms = jnp.sqrt(jnp.maximum(squares, 1e-12))
    return jnp.mean(jnp.square(norms - 1.0))


def r1_penalty(critic: Callable, real: jax.Array) -> jax.Array:
    """|gradient|**2 / 2 at the real pictures; its weight is the paper's gamma.

    `critic` takes pictures [b, h, w, c] to logits [b, ...]. Mescheder et al. 2018, eq. 9.
    """
    return 0.5 * jnp.mean(_squared_gradients(critic, real))


def _squared_gradients(critic: Callable, images: jax.Array) -> jax.Array:
    """Squared norm [b] of the gradient of each picture's mean logit."""

    def total(x):
        logits = critic(x).astype(jnp.float32)
        return jnp.sum(jnp.mean(logits.reshape(x.shape[0], -1), axis=1))

    gradients = jax.grad(total)(images.astype(jnp.float32))
    return jnp.sum(jnp.square(gradients), axis=(1, 2, 3))


def accuracy(logits_real: jax.Array, logits_fake: jax.Array, decision: float = 0.0) -> jax.Array:
    """Share of logits on the right side of `decision`, real and fake weighing the same: 0..1."""
    return 0.5 * (_mean(logits_real > decision) + _mean(logits_fake < decision))
