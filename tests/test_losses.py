import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jsr import losses

ZERO = jnp.zeros((4, 1))


def numbers(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def test_pixel_losses_by_hand():
    sr, hr = jnp.array([[0.0, 0.5], [1.0, 0.0]]), jnp.array([[0.0, 0.0], [0.0, 0.0]])
    assert float(losses.l1(sr, hr)) == pytest.approx((0.5 + 1.0) / 4)
    assert float(losses.l2(sr, hr)) == pytest.approx((0.25 + 1.0) / 4)
    by_hand = (2 * 1e-3 + math.sqrt(0.25 + 1e-6) + math.sqrt(1 + 1e-6)) / 4
    assert float(losses.charbonnier(sr, hr)) == pytest.approx(by_hand, rel=1e-6)


@pytest.mark.parametrize("name", losses.PIXEL)
def test_pixel_losses_compute_in_float32_and_have_gradients_where_equal(name):
    loss = losses.PIXEL[name]
    # A sum of ones in bfloat16 stops at 256.
    sr, hr = jnp.full((300,), 1.0, jnp.bfloat16), jnp.zeros((300,), jnp.bfloat16)
    assert loss(sr, hr).dtype == jnp.float32
    assert float(loss(sr, hr)) == pytest.approx(1.0, abs=1e-5)
    assert np.isfinite(jax.grad(loss)(ZERO, ZERO)).all()


# Values at logits of zero, where every probability is a half: (generator, discriminator).
AT_ZERO = {
    "vanilla": (math.log(2), 2 * math.log(2)),
    "minimax": (-math.log(2), 2 * math.log(2)),
    "lsgan": (0.5, 0.5),
    "hinge": (0.0, 2.0),
    "wgan": (0.0, 0.0),
    "relativistic": (2 * math.log(2), 2 * math.log(2)),
}


def sigmoid(x):
    return 1 / (1 + np.exp(-np.asarray(x, np.float64)))


def formulas(real, fake):
    """The losses as the papers print them: (generator, discriminator)."""
    log_real, log_fake = np.log(sigmoid(real)).mean(), np.log(1 - sigmoid(fake)).mean()
    over_fake, over_real = sigmoid(real - fake.mean()), sigmoid(fake - real.mean())
    return {
        "vanilla": (-np.log(sigmoid(fake)).mean(), -log_real - log_fake),
        "minimax": (log_fake, -log_real - log_fake),
        "lsgan": (
            ((fake - 1) ** 2).mean() / 2,
            ((real - 1) ** 2).mean() / 2 + (fake**2).mean() / 2,
        ),
        "hinge": (
            -fake.mean(),
            -np.minimum(0, real - 1).mean() - np.minimum(0, -fake - 1).mean(),
        ),
        "wgan": (-fake.mean(), fake.mean() - real.mean()),
        "relativistic": (
            -np.log(1 - over_fake).mean() - np.log(over_real).mean(),
            -np.log(over_fake).mean() - np.log(1 - over_real).mean(),
        ),
    }


@pytest.mark.parametrize("name", losses.ADVERSARIAL)
def test_adversarial_losses_are_the_papers_formulas(name):
    pair = losses.ADVERSARIAL[name]
    at_zero = (float(pair.generator(ZERO, ZERO)), float(pair.discriminator(ZERO, ZERO)))
    assert at_zero == pytest.approx(AT_ZERO[name])
    # Maps of logits, as a patch discriminator gives them.
    real, fake = numbers(3, 4, 5, 1), 2.0 * numbers(3, 4, 5, 1, seed=1)
    values = (float(pair.generator(real, fake)), float(pair.discriminator(real, fake)))
    assert values == pytest.approx(formulas(np.asarray(real), np.asarray(fake))[name], rel=1e-5)


@pytest.mark.parametrize("name", losses.ADVERSARIAL)
def test_both_sides_pull_logits_apart_in_their_own_sense(name):
    pair = losses.ADVERSARIAL[name]
    real, fake = numbers(4, 1) * 0.1, numbers(4, 1, seed=1) * 0.1
    assert (jax.grad(pair.generator, 1)(real, fake) < 0).all()
    of_real, of_fake = jax.grad(pair.discriminator, (0, 1))(real, fake)
    assert (of_real < 0).all()
    # lsgan pulls a fake logit to zero, from either side.
    pushed_down = of_fake * jnp.sign(fake) if name == "lsgan" else of_fake
    assert (pushed_down > 0).all()


@pytest.mark.parametrize("name", losses.ADVERSARIAL)
def test_adversarial_losses_are_finite_float32_at_large_bfloat16_logits(name):
    pair = losses.ADVERSARIAL[name]
    for sign in (-1.0, 1.0):
        real, fake = (sign * jnp.full((4, 1), s * 1e4, jnp.bfloat16) for s in (1.0, -1.0))
        for loss in (pair.generator, pair.discriminator):
            value, gradients = jax.value_and_grad(loss, (0, 1))(real, fake)
            assert value.dtype == jnp.float32
            assert np.isfinite(value) and np.isfinite(gradients).all()


def test_minimax_saturates_where_vanilla_does_not():
    fake = jnp.full((1, 1), -10.0)
    steep = jax.grad(losses.ADVERSARIAL["vanilla"].generator, 1)(fake, fake)
    flat = jax.grad(losses.ADVERSARIAL["minimax"].generator, 1)(fake, fake)
    assert float(steep[0, 0]) == pytest.approx(-1.0, abs=1e-3)
    assert float(flat[0, 0]) == pytest.approx(-math.exp(-10), rel=1e-3)


@pytest.mark.parametrize("side", ["generator", "discriminator"])
@pytest.mark.parametrize("name", losses.ADVERSARIAL)
def test_means_over_four_shards_are_the_global_value_and_gradient(name, side):
    loss = getattr(losses.ADVERSARIAL[name], side)
    real, fake = numbers(8, 3, seed=2), 2.0 * numbers(8, 3, seed=3)

    def of_critic(w, real, fake, axis_name=None):
        return loss(real @ w, fake @ w + 0.3, axis_name)

    def shard(w, real, fake):
        return jax.lax.pmean(
            jax.value_and_grad(of_critic)(w, real, fake, axis_name="batch"), "batch"
        )

    w = numbers(3, 1, seed=4)
    value, gradient = jax.value_and_grad(of_critic)(w, real, fake)
    shards = (real.reshape(4, 2, 3), fake.reshape(4, 2, 3))
    run = jax.jit(jax.vmap(shard, in_axes=(None, 0, 0), axis_name="batch"))
    values, gradients = run(w, *shards)
    np.testing.assert_allclose(values, [value] * 4, atol=1e-5)
    np.testing.assert_allclose(gradients, jnp.stack([gradient] * 4), atol=1e-5)
    if name == "relativistic":
        alone = jnp.mean(jax.vmap(lambda r, f: of_critic(w, r, f))(*shards))
        assert abs(float(alone - value)) > 1e-3


def test_penalties_of_a_linear_critic_by_hand():
    weights = numbers(4, 4, 3)
    norm = float(jnp.linalg.norm(weights))

    def critic(x):
        return (x * weights).sum((1, 2, 3))[:, None]

    real, fake, key = numbers(5, 4, 4, 3, seed=1), numbers(5, 4, 4, 3, seed=2), jax.random.key(0)
    penalty = losses.gradient_penalty(critic, real, fake, key)
    assert float(penalty) == pytest.approx((norm - 1) ** 2, rel=1e-5)
    assert float(losses.r1_penalty(critic, real)) == pytest.approx(norm**2 / 2, rel=1e-5)


def test_penalties_are_of_each_picture_by_itself():
    # D(x) = |x|^2 / 2 has the gradient x; a map of equal logits is one judgement, not sixteen.
    def critic(x):
        return jnp.broadcast_to(0.5 * (x**2).sum((1, 2, 3), keepdims=True), (x.shape[0], 4, 4, 1))

    real = numbers(6, 4, 4, 3)
    norms = np.linalg.norm(np.asarray(real).reshape(6, -1), axis=1)
    assert float(losses.r1_penalty(critic, real)) == pytest.approx((norms**2).mean() / 2, rel=1e-5)
    penalty = losses.gradient_penalty(critic, real, real, jax.random.key(0))
    assert float(penalty) == pytest.approx(((norms - 1) ** 2).mean(), rel=1e-4)


@pytest.mark.parametrize("name", losses.SMOOTHED)
def test_a_smoothed_label_is_that_much_under_one_for_real_pictures_alone(name):
    real, fake = np.float32([-2.0, 0.5, 3.0]), np.float32([1.0, -1.0, 0.0])
    plain = losses.ADVERSARIAL[name]
    smooth = losses.with_smooth_labels(plain, 0.1)
    p = 1 / (1 + np.exp(-real.astype(np.float64)))
    expected = np.mean(-0.9 * np.log(p) - 0.1 * np.log(1 - p))
    expected += np.mean(np.log1p(np.exp(fake.astype(np.float64))))
    assert float(smooth.discriminator(real, fake)) == pytest.approx(expected, rel=1e-5)
    assert smooth.generator is plain.generator and smooth.decision == plain.decision


def test_gradient_penalty_looks_at_a_uniform_place_between_each_real_and_fake():
    # With the gradient x at x, one pixel a picture, and real 1, fake 0: x is the share itself.
    def penalty(key):
        real, fake = jnp.ones((4096, 1, 1, 1)), jnp.zeros((4096, 1, 1, 1))
        return losses.gradient_penalty(lambda x: 0.5 * x[:, 0, 0] ** 2, real, fake, key)

    # The mean of (share - 1)**2 over shares uniform in 0..1.
    assert float(penalty(jax.random.key(0))) == pytest.approx(1 / 3, abs=0.02)
    assert penalty(jax.random.key(0)) != penalty(jax.random.key(1))


def test_penalties_differentiate_through_the_critic():
    images, key = numbers(2, 4, 4, 3), jax.random.key(0)

    def penalty(w):
        def critic(x):
            return jax.nn.leaky_relu(x * w, 0.2).sum((1, 2, 3))[:, None]

        return losses.gradient_penalty(critic, images, 0.5 * images, key)

    w = 0.7
    slope = (penalty(w + 1e-2) - penalty(w - 1e-2)) / 2e-2
    assert float(jax.grad(penalty)(w)) == pytest.approx(float(slope), rel=1e-2)
    # A critic that ignores its input has a zero gradient, whose norm has none.
    assert np.isfinite(jax.grad(penalty)(0.0))


def test_accuracy_weighs_real_and_fake_the_same():
    real, fake = jnp.array([1.0, 2.0, -1.0, 3.0]), jnp.array([-1.0, 1.0])
    assert float(losses.accuracy(real, fake)) == pytest.approx((3 / 4 + 1 / 2) / 2)
    assert float(losses.accuracy(ZERO + 1, ZERO - 1)) == 1.0
    # A discriminator that calls everything real is right half of the time.
    assert float(losses.accuracy(ZERO + 1, ZERO + 1)) == 0.5


@pytest.mark.parametrize("name", losses.ADVERSARIAL)
def test_a_perfect_discriminator_is_right_by_its_losses_decision(name):
    pair = losses.ADVERSARIAL[name]
    if name in ("wgan", "relativistic"):
        # Their losses see only differences of logits: no fixed one separates.
        shifted = [float(pair.discriminator(ZERO + c + 2, ZERO + c)) for c in (0.0, 9.0)]
        assert pair.decision is None and shifted[0] == pytest.approx(shifted[1])
        return
    targets = (0.9, 0.1) if name == "lsgan" else (3.0, -3.0)
    assert float(losses.accuracy(ZERO + targets[0], ZERO + targets[1], pair.decision)) == 1.0
