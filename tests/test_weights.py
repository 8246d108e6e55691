"""Weights files: what is written is read again, and what is not whole or not ours is refused."""

import json
import os

import jax
import numpy as np
import pytest
from flax import linen as nn
from flax.traverse_util import flatten_dict
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from jsr import weights
from jsr.errors import UserError
from jsr.models import make_model

MSRRESNET = {"scale": 2, "features": 4, "blocks": 1, "tail": "light"}
SRRESNET = {"scale": 2, "features": 4, "blocks": 1}


def facts(model="msrresnet", hparams=MSRRESNET, **changes) -> dict:
    return {
        "model": model,
        "hparams": hparams,
        "scale": 2,
        "channels": "rgb",
        "protocol": "y",
        "licence": "research-only",
        "data": "sample_photos",
        **changes,
    }


def random_variables(model="msrresnet", hparams=MSRRESNET) -> dict:
    """Variables of a network, every array with values of its own."""
    module = make_model(model, **hparams)
    shapes = jax.eval_shape(module.init, jax.random.key(0), np.zeros((1, 8, 8, 3), np.float32))
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda s: rng.uniform(-0.1, 0.1, s.shape).astype(np.float32), dict(shapes))


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "net.safetensors"
    weights.save_network(path, random_variables(), facts())
    return path


def assert_equal_variables(one, other):
    one, other = flatten_dict(one), flatten_dict(other)
    assert one.keys() == other.keys()
    for key, array in one.items():
        assert other[key].dtype == array.dtype
        np.testing.assert_array_equal(other[key], array)


def test_variables_and_facts_come_back(tmp_path):
    path = tmp_path / "net.safetensors"
    variables = random_variables("srresnet", SRRESNET)
    assert len(flatten_dict(variables["batch_stats"])) > 4
    described = facts("srresnet", SRRESNET, stage="pixel", step=7)
    weights.save_network(path, variables, described)
    network = weights.load_network(path)
    assert_equal_variables(variables, network.variables)
    assert network.facts == {**described, "scales": [2]}
    assert network.scale == 2


def test_jax_arrays_and_views_are_written_by_their_values(tmp_path):
    path = tmp_path / "net.safetensors"
    variables = random_variables()
    views = jax.tree.map(lambda a: np.asarray(a.T.copy()).T, variables)
    weights.save_network(path, views, facts())
    assert_equal_variables(variables, weights.read_weights(path)[0])
    weights.save_network(path, jax.tree.map(jax.numpy.asarray, variables), facts())
    assert_equal_variables(variables, weights.read_weights(path)[0])


def test_the_file_is_plain_safetensors_with_the_facts_in_its_header(saved):
    with safe_open(saved, framework="numpy") as file:
        described = json.loads(file.metadata()["jsr"])
    assert set(described) == set(weights.FACTS)
    assert load_file(saved)["params/head/kernel"].shape == (3, 3, 3, 4)


def test_slashes_inside_a_name_are_kept(tmp_path):
    class Normed(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.SpectralNorm(nn.Conv(2, (3, 3)))(x, update_stats=False)

    variables = Normed().init(jax.random.key(0), np.zeros((1, 8, 8, 3), np.float32))
    assert any("/" in part for key in flatten_dict(variables) for part in key)
    path = tmp_path / "net.safetensors"
    weights.save_network(path, variables, facts())
    assert_equal_variables(variables, weights.read_weights(path)[0])


def test_enlarges_uint8_and_rounds_to_the_nearest_level(saved):
    network = weights.load_network(saved)
    lr = np.random.default_rng(1).integers(0, 256, (5, 7, 3), np.uint8)
    sr = network(lr)
    assert sr.shape == (10, 14, 3) and sr.dtype == np.uint8
    exact = network.module.apply(network.variables, lr[None].astype(np.float32) / 255.0)[0]
    exact = np.clip(np.asarray(exact, np.float64), 0, 1) * 255.0
    assert np.abs(sr - exact).max() <= 0.5 + 1e-3
    assert 0 < sr.mean() < 255


@pytest.mark.parametrize("lr", [np.zeros((4, 4, 3)), np.zeros((1, 4, 4, 3), np.uint8)])
def test_refuses_other_types_and_axes(saved, lr):
    with pytest.raises(ValueError, match="lr must be uint8"):
        weights.load_network(saved)(lr)


def test_output_that_is_not_finite_is_an_error():
    def predict(_, lr):
        return np.full_like(lr, np.nan)

    with pytest.raises(FloatingPointError):
        weights.run(predict, {}, np.zeros((4, 4, 3)))


def test_programs_of_a_few_sizes_are_kept(saved, monkeypatch):
    monkeypatch.setattr(weights, "PROGRAMS", 2)
    rng = np.random.default_rng(0)
    pictures = [rng.random((7 + i, 9, 3)) for i in (0, 1, 0, 2, 3, 0)]
    fresh = [weights.load_network(saved)(np.uint8(255 * p)) for p in pictures]
    network = weights.load_network(saved)
    for picture, expected in zip(pictures, fresh, strict=True):
        np.testing.assert_array_equal(network(np.uint8(255 * picture)), expected)
        assert network._predict._cache_size() <= 2


def test_a_workdir_stands_for_its_best(saved):
    best = saved.rename(saved.with_name("best.safetensors"))
    assert weights.find_weights(str(saved.parent)) == best
    assert weights.load_network(saved.parent).scale == 2


def test_missing_weights_say_what_was_expected(tmp_path):
    for spec in (tmp_path / "absent.safetensors", tmp_path, tmp_path / "absent" / "run"):
        with pytest.raises(UserError, match=r"no weights at .*: give a weights file"):
            weights.load_network(spec)


@pytest.mark.parametrize("length", [0, 5, 100, -4])
def test_a_truncated_file_is_refused(saved, length):
    saved.write_bytes(saved.read_bytes()[:length])
    with pytest.raises(UserError, match=r"net\.safetensors is not a whole safetensors file"):
        weights.load_network(saved)


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "other.safetensors"
    path.write_bytes(b"\x89PNG" + bytes(200))
    with pytest.raises(UserError, match="is not a whole safetensors file"):
        weights.load_network(path)
    save_file({"layer.weight": np.zeros((3, 3), np.float32)}, path, {"format": "pt"})
    with pytest.raises(UserError, match="holds no network that is known"):
        weights.load_network(path)


def test_a_damaged_description_is_refused(saved):
    data = saved.read_bytes()
    saved.write_bytes(data.replace(rb"{\"channels\"", rb"{ \"channels ", 1))
    with pytest.raises(UserError, match="is damaged"):
        weights.load_network(saved)
    saved.write_bytes(data.replace(b"channels", b"chanells", 1))
    with pytest.raises(UserError, match="does not state its network's channels"):
        weights.load_network(saved)


def test_weights_of_another_architecture_name_the_array(tmp_path):
    path = tmp_path / "net.safetensors"
    weights.save_network(path, random_variables(), facts(hparams={**MSRRESNET, "features": 8}))
    with pytest.raises(UserError, match=r"does not fit MSRResNet: params/\S+ is \(.*\) there"):
        weights.load_network(path)
    weights.save_network(path, random_variables(), facts(hparams={**MSRRESNET, "blocks": 2}))
    with pytest.raises(UserError, match=r"params/block_1_conv_0/bias is absent there, but \(4,\)"):
        weights.load_network(path)


def test_an_unknown_network_names_the_file(tmp_path):
    path = tmp_path / "net.safetensors"
    for described in (facts("nonet"), facts(hparams={**MSRRESNET, "heads": 2})):
        weights.save_network(path, random_variables(), described)
        with pytest.raises(UserError, match=r"net\.safetensors holds a network that this jsr"):
            weights.load_network(path)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(saved, monkeypatch):
    old = saved.read_bytes()

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(UserError, match=r"cannot be written \(No space left on device"):
        weights.save_network(saved, random_variables(), facts(step=2))
    assert saved.read_bytes() == old
    assert list(saved.parent.iterdir()) == [saved]


def test_a_folder_that_is_not_there_is_told(tmp_path):
    with pytest.raises(UserError, match="cannot be written"):
        weights.save_network(tmp_path / "absent" / "net.safetensors", {}, facts())


def test_the_hash_tells_files_apart(saved):
    first = weights.weights_hash(saved)
    assert first == weights.weights_hash(saved) and len(first) == 12
    weights.save_network(saved, random_variables(), facts(data="div2k"))
    assert weights.weights_hash(saved) != first
