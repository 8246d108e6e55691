"""Examples are mixed as their step and number say, whatever the devices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jsr import mixtures
from jsr.errors import UserError
from jsr.mixtures import draw_mixture, make_mixture
from jsr.steps import AXIS

RNG = np.random.default_rng(0)
LR = RNG.random((8, 5, 5, 3), np.float32)
HR = RNG.random((8, 10, 10, 3), np.float32)


def run(devices=1, step=7, lr=LR, hr=HR, **shares):
    """The batch after mixing, put together from so many devices."""
    mix = make_mixture(3, **{"permute": 0.0, "mixup": 0.0, "cutblur": 0.0, **shares})
    split = {n: x.reshape(devices, -1, *x.shape[1:]) for n, x in {"lr": lr, "hr": hr}.items()}
    mixed = jax.vmap(lambda batch: mix(batch, jnp.int32(step)), axis_name=AXIS)(split)
    return {name: np.asarray(x).reshape(8, *x.shape[2:]) for name, x in mixed.items()}


def test_numpy_and_jax_draw_the_same():
    index = np.arange(1000)
    ours, theirs = draw_mixture(1, 2, index), draw_mixture(1, 2, jnp.asarray(index))
    for name, x, y in zip(ours._fields, ours, theirs, strict=True):
        assert isinstance(x, np.ndarray) and x.tobytes() == np.asarray(y).tobytes(), name
    for x in (ours.permute, ours.mixup, ours.weight, ours.cutblur, ours.top, ours.left):
        assert 0 <= x.min() < 0.01 and 0.99 < x.max() < 1 and abs(x.mean() - 0.5) < 0.05
    assert set(ours.order) == set(range(6)) and 0.4 < ours.inverted.mean() < 0.6


def test_one_device_mixes_as_four():
    shares = {"permute": 0.5, "mixup": 0.7, "cutblur": 0.6}
    one, four = run(1, **shares), run(4, **shares)
    assert one.keys() == four.keys() == {"lr", "hr", "input"}
    for name in one:
        np.testing.assert_array_equal(one[name], four[name])
    assert (run(1, step=8, **shares)["lr"] != one["lr"]).any()


def test_nothing_is_mixed_by_default():
    batch = {"lr": LR, "hr": HR}
    assert make_mixture(0, 0.0, 0.0, 0.0)(batch, 1) is batch


def test_mixup_blends_lr_and_hr_with_a_neighbour_by_the_same_weight():
    # Pictures of one colour, from which the weights can be read.
    level = np.arange(8, dtype=np.float32)[:, None, None, None] ** 2
    mixed = run(mixup=1.0, lr=LR * 0 + level, hr=HR * 0 + level)
    levels = mixed["lr"][:, 0, 0, 0]
    assert (mixed["lr"] == levels[:, None, None, None]).all()
    assert (mixed["hr"] == levels[:, None, None, None]).all()
    mine, other = np.arange(8) ** 2, (np.arange(8) ^ 1) ** 2
    weights = (levels - other) / (mine - other)
    np.testing.assert_allclose(weights, draw_mixture(3, 7, np.arange(8)).weight, atol=1e-6)
    rare = run(mixup=1e-6)
    np.testing.assert_array_equal(rare["hr"], HR)


def test_colours_change_places_the_same_way_in_lr_and_hr():
    mixed = run(permute=1.0)
    for i, order in enumerate(mixtures.ORDERS[draw_mixture(3, 7, np.arange(8)).order]):
        np.testing.assert_array_equal(mixed["lr"][i], LR[i][..., order])
        np.testing.assert_array_equal(mixed["hr"][i], HR[i][..., order])


def test_cutblur_shows_parts_of_hr_in_a_rectangle_or_around_it():
    mixed, drawn = run(cutblur=1.0), draw_mixture(3, 7, np.arange(8))
    np.testing.assert_array_equal(mixed["lr"], LR)
    np.testing.assert_array_equal(mixed["hr"], HR)
    # [b, h, w, c, s * s] to [b, h * s, w * s, c]
    shown = mixed["input"].reshape(8, 5, 5, 3, 2, 2).transpose(0, 1, 4, 2, 5, 3)
    shown = shown.reshape(HR.shape)
    nearest = LR.repeat(2, 1).repeat(2, 2)
    is_hr, is_lr = (shown == HR).all(-1), (shown == nearest).all(-1)
    assert (is_hr ^ is_lr).all()
    for i in range(8):
        part = is_lr[i] if drawn.inverted[i] else is_hr[i]
        rows, columns = (np.flatnonzero(part.any(axis)) for axis in (1, 0))
        assert len(rows) == len(columns) == 7 and part.sum() == 49
        assert rows.max() - rows.min() == columns.max() - columns.min() == 6
    assert 0 < drawn.inverted.sum() < 8
    rare = run(cutblur=1e-6)["input"]
    np.testing.assert_array_equal(rare, np.repeat(LR[..., None], 4, axis=-1))


def test_an_example_alone_has_no_neighbour():
    mixtures.check_pairs(0.0, 1)
    mixtures.check_pairs(0.5, 2)
    with pytest.raises(UserError, match=r"data\.mixup .* two by two, and there are 3"):
        mixtures.check_pairs(0.5, 3)
