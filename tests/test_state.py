"""Optimizers and their schedules from a config; the states that stages start with."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs.base import optimizer
from jsr import state
from jsr.errors import UserError
from jsr.models import make_model


def test_schedules():
    flat = state.make_schedule(optimizer(lr=3.0), 10)
    assert [float(flat(s)) for s in (0, 9)] == [3.0, 3.0]
    drops = state.make_schedule(optimizer(lr=8.0, schedule="step", milestones=(4, 6)), 10)
    assert [float(drops(s)) for s in (3, 4, 5, 6)] == [8.0, 4.0, 4.0, 2.0]
    cosine = state.make_schedule(optimizer(lr=2.0, schedule="cosine", final=0.5), 10)
    assert [float(cosine(s)) for s in (0, 5, 10)] == pytest.approx([2.0, 1.5, 1.0])


def test_a_cosine_starts_anew_in_each_cycle():
    config = optimizer(lr=2.0, schedule="cosine", final=0.5, cycles=2)
    schedule = state.make_schedule(config, 8)
    expected = [2.0, 1.5, 2.0, 1.5, 1.0]
    assert [float(schedule(s)) for s in (0, 2, 4, 6, 8)] == pytest.approx(expected)
    config = optimizer(lr=2.0, schedule="cosine", cycles=2, warmup=4)
    schedule = state.make_schedule(config, 12)
    expected = [1.0, 2.0, 1.0, 2.0, 1.0]
    assert [float(schedule(s)) for s in (2, 4, 6, 8, 10)] == pytest.approx(expected)
    # Shorter than its cycles, as one step of a smoke test is.
    assert float(state.make_schedule(optimizer(schedule="cosine", cycles=4), 1)(0)) > 0
    with pytest.raises(UserError, match="cycles is 0: expected at least 1"):
        state.make_schedule(optimizer(schedule="cosine", cycles=0), 10)


def test_a_warm_up_rises_to_the_schedule_and_leaves_its_milestones_where_they_were():
    config = optimizer(lr=8.0, schedule="step", milestones=(6,), warmup=4)
    schedule = state.make_schedule(config, 10)
    assert [float(schedule(s)) for s in (0, 2, 4, 5, 6)] == [0.0, 4.0, 8.0, 8.0, 4.0]
    config = optimizer(lr=2.0, schedule="cosine", warmup=4)
    schedule = state.make_schedule(config, 10)
    assert [float(schedule(s)) for s in (2, 4, 10)] == pytest.approx([1.0, 2.0, 0.0], abs=1e-6)


def test_clipping_bounds_the_norm_of_an_update():
    gradient = {"w": jnp.full(4, 100.0)}
    for clip, norm in ((1.0, 1.0), (0.0, 200.0)):
        sgd = state.make_optimizer(optimizer(name="sgd", lr=1.0, b1=0.0, clip=clip), 10)
        update, _ = sgd.update(gradient, sgd.init(gradient), gradient)
        assert float(jnp.linalg.norm(update["w"])) == pytest.approx(norm)


@pytest.mark.parametrize("name", state.OPTIMIZERS)
def test_every_optimizer_goes_down_a_parabola(name):
    descent = state.make_optimizer(optimizer(name=name, lr=0.05, weight_decay=1e-4), 200)
    x = jnp.array([1.0, -2.0])
    opt_state = descent.init(x)
    for _ in range(200):
        update, opt_state = descent.update(2 * x, opt_state, x)
        x = x + update
    assert float(jnp.abs(x).max()) < 0.2


def test_slow_layers_learn_at_a_tenth_of_the_rate():
    params = {"conv1": {"kernel": jnp.ones(2)}, "conv3": {"kernel": jnp.ones(2)}}
    adam = state.make_optimizer(optimizer(lr=0.1), 10)
    slow = state.make_optimizer(optimizer(lr=0.1, slow=("conv3",)), 10)
    plain, _ = adam.update(params, adam.init(params), params)
    update, _ = slow.update(params, slow.init(params), params)
    np.testing.assert_array_equal(update["conv1"]["kernel"], plain["conv1"]["kernel"])
    np.testing.assert_allclose(update["conv3"]["kernel"], 0.1 * plain["conv3"]["kernel"])
    with pytest.raises(UserError, match="slow names 'conv4'; the layers are conv1, conv3"):
        state.make_optimizer(optimizer(slow=("conv4",)), 10).init(params)


def test_weight_decay_is_decoupled_from_adams_moments():
    adamw = state.make_optimizer(optimizer(name="adamw", lr=0.1, weight_decay=0.5), 10)
    x = jnp.array([4.0])
    update, _ = adamw.update(jnp.zeros(1), adamw.init(x), x)
    assert float(update[0]) == pytest.approx(-0.1 * 0.5 * 4.0)


@pytest.mark.parametrize("name", state.OPTIMIZERS)
def test_weight_decay_is_a_gradient_of_some_and_a_share_of_the_weights_of_others(name):
    # Without a gradient, the only decay that follows the weight's size is a decoupled one, or that
    # of plain momentum.
    keys = {"name": name, "lr": 0.1, "weight_decay": 0.5, "b2": 0.9}
    x = jnp.array([4.0, 1.0])
    descent = state.make_optimizer(optimizer(**keys), 10)
    update, _ = descent.update(jnp.zeros(2), descent.init(x), x)
    share = np.asarray(update / x)
    assert (share < 0).all()
    assert (share[0] == pytest.approx(share[1])) == (name not in ("adam", "rmsprop"))
    if name not in state.COUPLED:
        np.testing.assert_allclose(share, -0.1 * 0.5, rtol=1e-6)


def test_unknown_names_are_refused():
    with pytest.raises(UserError, match="optimizer 'adamm' is unknown; known: adam"):
        state.make_optimizer(optimizer(name="adamm"), 10)
    with pytest.raises(UserError, match="schedule 'cos' is unknown"):
        state.make_schedule(optimizer(schedule="cos"), 10)


def test_the_gan_stage_starts_from_the_moving_average_with_a_fresh_optimizer():
    module = make_model("msrresnet", scale=2, features=4, blocks=1)
    adam = state.make_optimizer(optimizer(), 10)
    lr = np.zeros((1, 8, 8, 3), np.float32)
    begun = state.start_training(state.init_net(jax.random.key(0), module, adam, lr))
    ema = jax.tree.map(lambda x: x + 1.0, begun.ema)
    used = begun.gen.replace(opt_state=jax.tree.map(lambda x: x + 5, begun.gen.opt_state))
    begun = begun.replace(ema=ema, gen=used, step=jnp.int32(7))
    judge = make_model("srgan", features=4, dense=4, pool=True)
    hr = np.zeros((1, 32, 32, 3), np.float32)
    disc = state.init_net(jax.random.key(1), judge, adam, hr, lr)
    gan = state.start_gan(begun, disc, adam)
    for now, average in zip(
        jax.tree.leaves(gan.gen.params), jax.tree.leaves(ema["params"]), strict=True
    ):
        np.testing.assert_array_equal(now, average)
        assert now.unsafe_buffer_pointer() != average.unsafe_buffer_pointer()
    assert all(float(jnp.abs(x).max()) == 0 for x in jax.tree.leaves(gan.gen.opt_state))
    assert int(gan.step) == 7 and gan.disc is disc
