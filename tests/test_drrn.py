import functools

import jax
import numpy as np
import pytest
from families import check_sizes, giga, golden, learnt, names, start, variables
from flax.traverse_util import flatten_dict, unflatten_dict

from jsr.models import make_model
from jsr.models.drrn import recognise

LUMA = {"channels": 1}
WEIGHTS = 297_216


@pytest.mark.parametrize("units, giga_adds", [(9, 2_448.2), (25, 6_796.9)])
def test_the_published_networks(units, giga_adds):
    hparams = {"features": 128, "blocks": 1, "units": units, "norm": True}
    params = variables("drrn", **LUMA, **hparams)["params"]
    kernels = sum(leaves["kernel"].size for leaves in params.values() if "kernel" in leaves)
    assert kernels == WEIGHTS
    norms = 2 * (1 + 128 * (2 * units + 1))
    assert learnt("drrn", **LUMA, **hparams) == WEIGHTS + 3 * 128 + 1 + norms
    # CARN's table has B1U25; B1U9 follows from its layers.
    assert giga("drrn", 180, 320, scale=4, **LUMA, **hparams) == pytest.approx(giga_adds, abs=0.05)
    assert recognise(names("drrn", **LUMA, **hparams)) == {"model": "drrn", "hparams": hparams}


@pytest.mark.parametrize("scale", [1, 2, 3, 4, 8])
def test_any_size(scale):
    check_sizes("drrn", scale, channels=(1, 3), features=4, blocks=2, units=1)


SMALL = {"features": 8, "blocks": 2, "units": 3}


def test_the_original():
    values, lr, sr = golden("drrn", 1, norm=False, **SMALL, **LUMA)
    # Neutral statistics make the normalised network the same one.
    neutral = {"scale": 1.0, "bias": 0.0, "mean": 0.0, "var": 1.0 - 1e-5}
    like = flatten_dict(dict(variables("drrn", **SMALL, **LUMA)))
    flat = {path: np.full(leaf.shape, neutral.get(path[-1], 0.0)) for path, leaf in like.items()}
    flat |= flatten_dict({"params": values["params"]})
    same = make_model("drrn", scale=1, **SMALL).apply(unflatten_dict(flat), lr)
    np.testing.assert_allclose(same, sr, atol=1e-5)


def test_training_changes_the_statistics_of_every_unit():
    module = make_model("drrn", scale=1, features=2, units=2)
    lr = np.random.default_rng(0).random((2, 6, 5, 1), dtype=np.float32)
    values = start(module, lr)
    train = jax.jit(functools.partial(module.apply, train=True, mutable=["batch_stats"]))
    _, new = train(values, lr)
    assert len(values["batch_stats"]) == 1 + 2 * 2 + 1
    for name, leaves in values["batch_stats"].items():
        assert not np.array_equal(leaves["mean"], new["batch_stats"][name]["mean"])


def test_others_are_not_recognised():
    for other in ("vdsr", "drcn", "msrresnet"):
        assert recognise(names(other)) is None
    assert recognise({}) is None
