"""A start from weights: all of them, or what another scale of the same network shares."""

import jax
import numpy as np
import pytest
import safetensors.numpy
from flax.traverse_util import flatten_dict

from jsr.errors import UserError
from jsr.models import make_model
from jsr.warm_start import warm_start
from jsr.weights import save_network

SMALL = {
    "edsr": {"features": 4, "blocks": 1},
    "srresnet": {"features": 4, "blocks": 1},
    "rcan": {"features": 4, "groups": 1, "blocks": 1, "reduction": 2},
    "swinir": {"features": 4, "groups": 1, "blocks": 1, "heads": 1, "window": 4},
    "vdsr": {"features": 4, "layers": 3},
}


def variables(module, value, channels=3):
    """Every array of a network, filled with a number."""
    lr = jax.ShapeDtypeStruct((1, 8, 8, channels), "float32")
    shapes = dict(jax.eval_shape(module.init, jax.random.key(0), lr))
    shapes.setdefault("batch_stats", {})
    return jax.tree.map(lambda s: np.full(s.shape, value, np.float32), shapes)


def save(path, name, scale, channels="rgb", **changes):
    hparams = {**SMALL[name], "scale": scale, **changes}
    module = make_model(name, **hparams)
    facts = {"model": name, "hparams": hparams, "scale": scale, "channels": channels}
    facts |= {"protocol": "y", "licence": "", "data": ""}
    save_network(path, variables(module, 1.0, 1 if channels == "y" else 3), facts)
    return str(path)


def start(spec, name, scale, channels="rgb", **changes):
    module = make_model(name, **{**SMALL[name], "scale": scale, **changes})
    fresh = variables(module, 2.0, 1 if channels == "y" else 3)
    started, note = warm_start(spec, module, channels, fresh)
    assert jax.tree.map(np.shape, started) == jax.tree.map(np.shape, fresh)
    kept = ["/".join(k) for k, v in flatten_dict(started).items() if (np.asarray(v) == 2.0).all()]
    return kept, note


@pytest.mark.parametrize("name", SMALL)
def test_the_same_scale_is_taken_whole(tmp_path, name):
    assert start(save(tmp_path / "net.safetensors", name, 3), name, 3) == ([], "")


@pytest.mark.parametrize(
    ("name", "of", "to", "layers"),
    [
        ("edsr", 2, 4, ["tail.0.2"]),
        ("edsr", 2, 3, ["tail.0.0"]),
        ("edsr", 4, 2, []),
        ("rcan", 2, 3, ["tail.0.0"]),
        ("swinir", 2, 4, ["upsample.2"]),
        ("vdsr", 2, 4, []),
    ],
)
def test_another_scale_leaves_only_its_upsampler_fresh(tmp_path, name, of, to, layers):
    path = save(tmp_path / "net.safetensors", name, of)
    kept, note = start(path, name, to)
    assert {key.split("/")[1] for key in kept} == set(layers)
    assert ("fresh" in note) == bool(layers)
    if layers:
        count = len(flatten_dict(variables(make_model(name, scale=to, **SMALL[name]), 0.0)))
        assert f"{count - len(kept)} of {count} arrays are those of {path} (x{of})" in note
        assert note.endswith(": " + ", ".join(layers))


def test_another_network_is_refused_with_what_differs(tmp_path):
    path = save(tmp_path / "net.safetensors", "edsr", 2)
    with pytest.raises(UserError, match=r"another network than this config's RCAN: it is EDSR$"):
        start(path, "rcan", 2)
    with pytest.raises(UserError, match=r"config's EDSR: features \(4 there, 8 here\), blocks \("):
        start(path, "edsr", 4, features=8, blocks=2)
    with pytest.raises(UserError, match=r"res_scale \(1\.0 there, 0\.1 here\)$"):
        start(path, "edsr", 2, res_scale=0.1)
    with pytest.raises(UserError, match=r"channels \(rgb there, y here\)$"):
        start(path, "edsr", 2, channels="y")


def test_weights_kept_in_half_precision_are_trained_on_in_single(tmp_path):
    path = save(tmp_path / "net.safetensors", "edsr", 2)
    whole = safetensors.numpy.load_file(path)
    with safetensors.safe_open(path, "np") as file:
        facts = file.metadata()
    halves = {name: array.astype(np.float16) for name, array in whole.items()}
    safetensors.numpy.save_file(halves, path, facts)
    module = make_model("edsr", **SMALL["edsr"], scale=2)
    started, _ = warm_start(path, module, "rgb", variables(module, 2.0))
    assert {array.dtype for array in jax.tree.leaves(started)} == {np.dtype("float32")}
