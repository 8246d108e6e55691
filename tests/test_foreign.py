"""Files of other projects: what network they hold is found by their tensors alone."""

import os
import struct
import zipfile
from pathlib import Path

import jax
import ml_dtypes
import numpy as np
import pytest
import scipy.io
from families import names, variables
from flax.traverse_util import flatten_dict
from safetensors.numpy import save_file
from test_rrdb import first_names, second_names
from test_torch_files import Writer, contiguous, save_state_dict

from jsr import foreign, known_networks
from jsr.errors import UserError
from jsr.models import MODELS, make_model
from jsr.torch_names import to_torch
from jsr.weights import load_network, read_weights, save_network

SHARED = Path(os.environ.get("JSR_SHARED", "../shared"))

# Every kind of network that is published, with fewer layers and features. The scale is left out
# where a file does not tell it.
NARROW = [
    ("rrn", {"scale": 2, "features": 8, "blocks": 2}),
    ("basicvsr", {"scale": 4, "features": 8, "blocks": 1}),
    ("srcnn", {"edges": "zeros", "features": 4, "mapped": 2}),
    ("srcnn", {"edges": "zeros", "features": 4, "mapped": 2, "mapping": 3}),
    ("srcnn", {"edges": "zeros", "features": 4, "mapped": 2, "mapping": 5}),
    ("fsrcnn", {"features": 6, "shrunk": 3, "mappings": 4}),
    ("fsrcnn", {"features": 6, "shrunk": 3, "mappings": 1}),
    ("fsrcnn", {"scale": 3, "features": 6, "shrunk": 3, "mappings": 1, "tail": "subpixel"}),
    ("espcn", {"scale": 2, "features": 4, "mapped": 3}),
    ("espcn", {"scale": 8, "features": 4, "mapped": 3}),
    ("vdsr", {"features": 3, "layers": 5}),
    ("drcn", {"features": 4, "recursions": 3}),
    ("drrn", {"features": 4, "blocks": 2, "units": 3}),
    ("drrn", {"features": 4, "norm": False}),
    ("lapsrn", {"scale": 2, "features": 4, "depth": 2}),
    ("lapsrn", {"scale": 8, "features": 4, "depth": 2}),
    ("mslapsrn", {"features": 4, "depth": 2}),
    ("edsr", {"scale": 2, "features": 4, "blocks": 2}),
    ("edsr", {"scale": 3, "features": 4, "blocks": 2}),
    ("edsr", {"scale": 8, "features": 4, "blocks": 2}),
    ("edsr", {"scale": 4, "features": 256, "blocks": 1, "res_scale": 0.1}),
    ("mdsr", {"features": 4, "blocks": 2}),
    ("rdn", {"scale": 2, "features": 4, "growth": 3, "blocks": 2, "layers": 2}),
    ("rdn", {"scale": 4, "features": 4, "growth": 3, "blocks": 2, "layers": 3}),
    ("rcan", {"scale": 3, "features": 8, "groups": 2, "blocks": 2, "reduction": 2}),
    ("rcan", {"scale": 8, "features": 8, "groups": 1, "blocks": 1, "reduction": 4}),
    ("carn", {"features": 8}),
    ("carn", {"scale": 2, "features": 8, "multi_scale": False}),
    ("carn_m", {"features": 8, "groups": 2}),
    ("carn_m", {"scale": 4, "features": 8, "groups": 4, "multi_scale": False}),
    ("imdn", {"scale": 2, "features": 8, "blocks": 2}),
    ("imdn", {"scale": 4, "features": 16, "blocks": 1}),
    ("rfdn", {"scale": 4, "features": 8, "blocks": 2}),
    ("rlfn", {"scale": 2, "features": 4, "middle": 6, "blocks": 2, "attention": 3}),
    ("rlfn", {"scale": 4, "features": 4, "middle": 4, "blocks": 1, "attention": 3}),
    ("pan", {"scale": 4, "features": 4, "up_features": 2, "blocks": 2}),
    ("pan", {"features": 4, "up_features": 2, "blocks": 2}),
    ("bsrn", {"scale": 3, "features": 8, "blocks": 2}),
    ("ecbsr", {"scale": 2, "features": 4, "blocks": 2}),
    ("ecbsr_plain", {"scale": 4, "features": 4, "blocks": 1}),
    ("rrdb", {"scale": 4, "features": 4, "blocks": 2, "growth": 2}),
    ("rrdb", {"scale": 2, "features": 4, "blocks": 1, "growth": 2}),
    ("rrdb", {"scale": 2, "features": 4, "blocks": 1, "growth": 2, "unshuffle": False}),
    ("rrdb", {"scale": 1, "features": 4, "blocks": 1, "growth": 2}),
    ("rrdb", {"scale": 8, "features": 4, "blocks": 1, "growth": 2}),
    ("srvgg", {"scale": 4, "features": 4, "convs": 2}),
    ("srvgg", {"scale": 2, "features": 4, "convs": 1, "activation": "relu"}),
    ("span", {"scale": 2, "features": 4}),
    ("span", {"scale": 4, "features": 4, "norm": False}),
    ("span", {"scale": 4, "features": 4, "form": "single"}),
    ("safmn", {"scale": 2, "features": 8, "blocks": 2}),
    ("swinir", {"scale": 2, "features": 8, "groups": 2, "blocks": 2, "heads": 2, "window": 4}),
    (
        "swinir",
        {"features": 8, "groups": 1, "blocks": 2, "heads": 4, "upsampler": "nearest+conv"}
        | {"scale": 4, "resi_connection": "3conv"},
    ),
    (
        "swinir",
        {"features": 8, "groups": 1, "blocks": 2, "heads": 2, "upsampler": "pixelshuffledirect"}
        | {"scale": 3},
    ),
    (
        "swinir",
        {"scale": 1, "features": 8, "groups": 1, "blocks": 2, "heads": 2, "window": 7}
        | {"img_range": 255.0},
    ),
    (
        "hat",
        {"scale": 4, "features": 16, "groups": 1, "blocks": 2, "heads": 2, "window": 4}
        | {"compress": 4, "squeeze": 8},
    ),
]
# As they are published.
WHOLE = [
    ("rrn", {"scale": 4, "features": 128, "blocks": 5}),
    ("basicvsr", {"scale": 4, "features": 64, "blocks": 30}),
    *(("srcnn", {"edges": "zeros", "mapping": m}) for m in (1, 3, 5)),
    ("fsrcnn", {}),
    ("fsrcnn", {"features": 32, "shrunk": 5, "mappings": 1}),
    ("espcn", {"scale": 3}),
    ("vdsr", {}),
    ("drcn", {}),
    ("drrn", {}),
    ("drrn", {"units": 25}),
    ("lapsrn", {"scale": 4}),
    ("lapsrn", {"scale": 8, "depth": 5}),
    ("mslapsrn", {}),
    ("edsr", {"scale": 4}),
    ("edsr", {"scale": 4, "features": 256, "blocks": 32, "res_scale": 0.1}),
    ("mdsr", {}),
    ("mdsr", {"blocks": 80}),
    ("rdn", {"scale": 4}),
    ("rcan", {"scale": 4}),
    ("carn", {}),
    ("carn_m", {}),
    ("imdn", {"scale": 4}),
    ("rfdn", {"scale": 4}),
    ("rlfn", {"scale": 4}),
    ("rlfn", {"scale": 4, "features": 46, "middle": 48, "blocks": 4}),
    ("pan", {"scale": 4}),
    ("pan", {}),
    ("bsrn", {"scale": 4}),
    ("ecbsr", {"scale": 4}),
    ("ecbsr_plain", {"scale": 4}),
    ("rrdb", {"scale": 4}),
    ("rrdb", {"scale": 4, "blocks": 6}),
    ("rrdb", {"scale": 2}),
    ("srvgg", {"scale": 4}),
    ("srvgg", {"scale": 4, "convs": 32}),
    ("span", {"scale": 4}),
    ("span", {"scale": 4, "features": 28}),
    ("safmn", {"scale": 4}),
    ("safmn", {"scale": 4, "features": 128, "blocks": 16}),
    ("swinir", {"scale": 4}),
    ("swinir", {"scale": 2, "features": 60, "groups": 4, "upsampler": "pixelshuffledirect"}),
    ("swinir", {"scale": 4, "upsampler": "nearest+conv"}),
    (
        "swinir",
        {"scale": 4, "features": 240, "groups": 9, "heads": 8, "upsampler": "nearest+conv"}
        | {"resi_connection": "3conv"},
    ),
    ("hat", {"scale": 4}),
    ("hat", {"scale": 4, "features": 144, "compress": 24, "squeeze": 24}),
    ("hat", {"scale": 4, "groups": 12}),
]
SMALL = {"scale": 2, "features": 4, "convs": 1}  # srvgg


def case(value):
    """The name of a case's part, for pytest."""
    return value if isinstance(value, str) else ""


def hollow(shapes):
    """Arrays of those shapes that take no memory."""
    return {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items()}


def with_scale(hparams):
    """The hyper-parameters with a scale, where the file does not tell it."""
    return {"scale": 2, **hparams}


def network(name, channels=3, seed=0, **hparams):
    """Variables of a network with values of their own."""
    rng = np.random.default_rng(seed)
    like = variables(name, channels, **hparams)
    return jax.tree.map(lambda s: rng.uniform(-0.3, 0.3, s.shape).astype(np.float32), dict(like))


def srvgg(seed=0):
    return to_torch(network("srvgg", seed=seed, **SMALL))


def assert_equal_variables(one, other):
    one, other = flatten_dict(one), flatten_dict(other)
    assert one.keys() == other.keys()
    for key, array in one.items():
        assert other[key].dtype == np.float32
        np.testing.assert_array_equal(other[key], array)


def assert_holds(path, state, **options):
    """Whether reading `path` gives the tensors of `state`."""
    found = to_torch(read_weights(path, **options)[0])
    assert found.keys() == state.keys()
    for name, array in state.items():
        assert found[name].dtype == np.float32
        np.testing.assert_array_equal(found[name], np.asarray(array, np.float32))


def complaint(path, scale=None) -> str:
    """The line with which reading `path` ends; it names the file and is one."""
    with pytest.raises(UserError) as caught:
        load_network(path, scale=scale)
    line = str(caught.value)
    assert str(path) in line and "\n" not in line
    return line


def check_recognised(name, hparams, channels=3):
    scaled = with_scale(hparams)
    arrays = hollow(names(name, channels=channels, **scaled))
    claims = [known_networks.recognise_as(family, arrays) for family in known_networks.families()]
    [(family, what, renamed)] = [claim for claim in claims if claim]
    assert MODELS[name].startswith(family.__name__ + ":")
    assert what["model"] == name
    assert {k: v.shape for k, v in renamed.items()} == {k: v.shape for k, v in arrays.items()}
    assert ("scale" in what["hparams"]) == ("scale" in hparams)
    found = make_model(name, **{**scaled, **what["hparams"]})
    assert found == make_model(name, **scaled)


# Which network a file holds


def test_every_family_of_generators_has_its_cases():
    generators = {name for name in MODELS if hasattr(known_networks._family(name), "recognise")}
    assert len(known_networks.families()) == len({MODELS[n].partition(":")[0] for n in generators})
    assert {name for name, _ in NARROW} == {name for name, _ in WHOLE} == generators


@pytest.mark.parametrize(("name", "hparams"), NARROW, ids=case)
def test_one_family_recognises_a_network_and_its_hyper_parameters(name, hparams):
    check_recognised(name, hparams)


@pytest.mark.parametrize("name", ["srcnn", "fsrcnn", "vdsr", "drcn", "lapsrn", "ecbsr", "imdn"])
def test_networks_of_luma_are_recognised_too(name):
    hparams = next(h for n, h in NARROW if n == name)
    check_recognised(name, hparams, channels=1)


@pytest.mark.long
@pytest.mark.parametrize(("name", "hparams"), WHOLE, ids=case)
def test_one_family_recognises_the_published_networks(name, hparams):
    check_recognised(name, hparams)


# One of each model, the first of its cases.
@pytest.mark.parametrize("name", list(dict(NARROW)))
def test_a_pytorch_file_of_any_network_comes_back_whole(tmp_path, name):
    hparams = next(h for n, h in NARROW if n == name)
    # Of those that do not tell, the name of the file does.
    scaled = with_scale(hparams)
    expected = network(name, **scaled)
    path = tmp_path / f"{name}_x{scaled['scale']}.safetensors"
    save_file(to_torch(expected), path)
    found = load_network(path)
    assert_equal_variables({"params": {}, "batch_stats": {}, **expected}, found.variables)
    assert (found.facts["model"], found.scale, found.channels) == (name, scaled["scale"], 3)
    assert found.module == make_model(name, **scaled, dtype="float32")


@pytest.mark.parametrize("rename", [first_names, second_names])
def test_older_names_of_the_same_network_are_read(tmp_path, rename):
    hparams = {"scale": 4, "features": 4, "blocks": 1, "growth": 2}
    state = to_torch(network("rrdb", **hparams))
    order = [*rename({name: array.shape for name, array in state.items()})]
    path = save_state_dict(tmp_path / "net.pth", dict(zip(order, state.values(), strict=True)))
    assert_holds(path, state)


def test_a_file_of_luma_makes_a_network_of_luma(tmp_path):
    state = to_torch(network("imdn", 1, scale=2, features=8, blocks=1))
    path = save_state_dict(tmp_path / "net.pth", state)
    found = load_network(path)
    assert (found.channels, found.facts["protocol"]) == (1, "classic")


def shuffled(rng, state):
    shapes = list(state.values())
    return dict(zip(state, (shapes[i] for i in rng.permutation(len(shapes))), strict=True))


def thinned(rng, state, share):
    return {name: shape for name, shape in state.items() if rng.random() < share}


def test_odd_tensors_are_claimed_by_one_family_at_most_and_break_none():
    rng = np.random.default_rng(0)
    known = [names(name, **with_scale(hparams)) for name, hparams in NARROW]
    old = names("rrdb", blocks=1)
    known += [first_names(old), second_names(old)]
    mats = {f"model.{kind}.{i}": (3, 3) for kind in ("weight", "bias") for i in range(5)}
    graphs = {f"{kind}{i}": (5, 5, 1, 4) for kind in ("f", "b", "alpha") for i in range(1, 9)}
    columns = {f"{k}_conv{i}": (81, 64) for k in ("weights", "biases") for i in (1, 2, 3)}
    shifts = {
        f"{s}_mean.{leaf}": (3, 3, 1, 1) for s in ("sub", "add") for leaf in ("weight", "bias")
    }
    known += [mats, graphs, columns]
    odd = [(), (0,), (0, 0, 0, 0), (1,), (1, 1, 1, 1), (3, 0, 3, 3), (2, 1), (7, 5, 3, 3)]
    for i in range(160):
        shapes = known[i % len(known)]
        match i % 4:
            case 0:
                shapes = thinned(rng, shapes, rng.choice([0.1, 0.7, 0.95]))
            case 1:
                shapes = shuffled(rng, shapes)
            case 2:
                other = known[rng.integers(len(known))]
                shapes = shifts | shapes | thinned(rng, other, 0.5)
            case 3:
                keep = rng.random(len(shapes)) < 0.7
                shapes = {
                    name: shape if kept else odd[rng.integers(len(odd))]
                    for (name, shape), kept in zip(shapes.items(), keep, strict=True)
                }
        arrays = hollow(shapes)
        claims = [
            known_networks.recognise_as(family, arrays) for family in known_networks.families()
        ]
        # Half of two networks in one file may be either; the rest is one network's at most.
        assert i % 4 == 2 or sum(map(bool, claims)) <= 1
        if i % 8 < 4:
            assert (known_networks.recognise(arrays) is None) == (not any(claims))


def test_odd_files_end_in_one_line(tmp_path):
    rng = np.random.default_rng(1)
    path = tmp_path / "net.safetensors"
    for name in ("imdn", "rlfn", "edsr", "vdsr", "swinir", "bsrn", "ecbsr"):
        hparams = next(h for n, h in NARROW if n == name)
        shapes = shuffled(rng, names(name, **with_scale(hparams)))
        save_file({n: np.zeros(s, np.float32) for n, s in shapes.items()}, path)
        complaint(path)


# What surrounds the tensors


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize(
    "wrap",
    [
        lambda best, last: best,
        lambda best, last: {"params_ema": best, "params": last},
        lambda best, last: {"params": last, "params_ema": best},
        lambda best, last: {"params": best},
        lambda best, last: {"ema": best, "model": last},
        lambda best, last: {"state_dict": best, "optimizer": {"state": last}},
        lambda best, last: {"epoch": 3, "model": {"state_dict": {"params_ema": best}}},
        lambda best, last: {"generator": best, "discriminator": last},
        lambda best, last: {"net_g": best, "net_d": last, "iter": 7},
    ],
)
def test_the_best_weights_are_taken_out_of_what_was_saved(tmp_path, wrap, zipped):
    best, last = srvgg(), srvgg(1)
    assert_holds(save_state_dict(tmp_path / "net.pth", wrap(best, last), zipped), best)


def test_training_state_and_plain_values_are_left_out(tmp_path):
    state = srvgg()
    moments = {name: array + 1 for name, array in state.items()}
    tree = {
        "epoch": 12,
        "best_psnr": 31.5,
        "name": "net",
        "betas": (0.9, 0.99),
        "nothing": None,
        "resume": False,
        "params": {**state, "note": "trained twice", "steps": 500, 7: state["body.0.bias"]},
        "optimizer": {"state": {0: {"exp_avg": moments}}, "param_groups": ({"lr": 1e-4},)},
    }
    assert_holds(save_state_dict(tmp_path / "net.pth", tree), state)


@pytest.mark.parametrize("prefix", ["module.", "module.module.", "_orig_mod.", "module._orig_mod."])
def test_prefixes_of_training_are_taken_off(tmp_path, prefix):
    state = srvgg()
    prefixed = {prefix + name: array for name, array in state.items()}
    assert_holds(save_state_dict(tmp_path / "net.pth", {"state_dict": prefixed}), state)
    save_file(prefixed, tmp_path / "net.safetensors")
    assert_holds(tmp_path / "net.safetensors", state)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64])
def test_any_precision_becomes_float32(tmp_path, dtype):
    state = {name: array.astype(dtype) for name, array in srvgg().items()}
    save_file(state, tmp_path / "net.safetensors")
    assert_holds(tmp_path / "net.safetensors", state)
    for zipped in (True, False):
        assert_holds(save_state_dict(tmp_path / "net.pth", state, zipped), state)


@pytest.mark.parametrize("suffix", [".pt", ".ckpt", ".PTH"])
def test_other_suffixes_of_the_same_format(tmp_path, suffix):
    assert_holds(save_state_dict(tmp_path / f"net{suffix}", srvgg()), srvgg())


# Scales


def vdsr_file(path):
    return save_state_dict(path, to_torch(network("vdsr", 1, features=3, layers=4)))


def pan_file(path):
    hparams = {"scale": 2, "features": 4, "up_features": 2, "blocks": 1}
    return save_state_dict(path, to_torch(network("pan", **hparams)))


def test_weights_that_serve_every_scale_take_the_one_that_is_asked_for(tmp_path):
    path = vdsr_file(tmp_path / "net.pth")
    facts = load_network(path).facts
    assert (facts["scale"], facts["scales"]) == (4, [2, 3, 4, 8])
    for scale in (2, 3, 8):
        assert load_network(path, scale=scale).scale == scale
    assert "enlarges by 2, 3, 4, 8, not by 5" in complaint(path, 5)


@pytest.mark.parametrize("name", ["VDSRx3", "vdsr_X3_best", "net-x3", "3x_net", "net.3x"])
def test_the_files_name_tells_the_scale_where_the_tensors_do_not(tmp_path, name):
    path = vdsr_file(tmp_path / f"{name}.pth")
    facts = load_network(path).facts
    assert (facts["scale"], facts["scales"]) == (3, [3])
    assert "enlarges by 3, not by 2" in complaint(path, 2)


def test_a_name_cannot_tell_a_scale_that_the_network_does_not_have(tmp_path):
    for name in ("vdsr_x5", "vdsr_x32", "vdsr_64x64"):
        assert load_network(vdsr_file(tmp_path / f"{name}.pth")).facts["scales"] == [2, 3, 4, 8]


def test_two_scales_of_the_same_tensors_are_told_apart_by_the_name_or_asked_for(tmp_path):
    for scale in (2, 3):
        path = pan_file(tmp_path / f"PANx{scale}_DF2K.pth")
        facts = load_network(path).facts
        assert (facts["scale"], facts["scales"]) == (scale, [scale])
        assert load_network(pan_file(tmp_path / "net.pth"), scale=scale).scale == scale
    assert load_network(tmp_path / "net.pth").facts["scales"] == [2, 3]
    assert "enlarges by 2, 3, not by 4" in complaint(tmp_path / "net.pth", 4)


def test_tensors_tell_more_than_a_name(tmp_path):
    path = save_state_dict(tmp_path / "net_x4.pth", srvgg())
    assert load_network(path).facts["scales"] == [2]
    assert "enlarges by 2, not by 4" in complaint(path, 4)


# Files that hold no network, or a damaged one


@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".param", ".mat", ".pb", ".ckpt"])
def test_a_pointer_of_git_lfs_is_told(tmp_path, suffix):
    path = tmp_path / f"net{suffix}"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 99\n")
    assert "is a git-LFS pointer" in complaint(path)


def test_an_unknown_network_has_its_tensors_named(tmp_path):
    arrays = {f"encoder.{i}.attention.query": np.ones((2, 2), np.float32) for i in range(5)}
    line = complaint(save_state_dict(tmp_path / "net.pth", arrays))
    assert "holds no network that is known; no known one has tensors with such names (" in line
    assert "(encoder.0.attention.query, encoder.1." in line


def test_a_network_that_is_nearly_known_has_its_sibling_named(tmp_path):
    state = to_torch(network("imdn", scale=2, features=8, blocks=2))
    # Without the first block's attention it is no IMDN.
    state = {name: array for name, array in state.items() if ".cca." not in name}
    line = complaint(save_state_dict(tmp_path / "net.pth", state))
    assert "holds no network that is known; the nearest is imdn, which shares " in line


@pytest.mark.parametrize(
    ("name", "missing", "misshaped"),
    [
        ("imdn", "IMDB2.c3.bias", "LR_conv.weight"),
        pytest.param("rfdn", "B2.esa.conv4.weight", "c.0.bias", marks=pytest.mark.long),
        pytest.param(
            "rlfn", "block_2.esa.conv_f.bias", "block_1.c5.weight", marks=pytest.mark.long
        ),
        pytest.param("bsrn", "B2.esa.conv3.dw.bias", "c1.weight", marks=pytest.mark.long),
        pytest.param("pan", "SCPA_trunk.1.k1.0.weight", "att2.conv.weight", marks=pytest.mark.long),
        ("rrdb", "body.1.rdb3.conv5.bias", "conv_hr.weight"),
        ("edsr", "body.1.body.2.bias", "body.2.weight"),
        pytest.param("rdn", "RDBs.1.LFF.bias", "GFF.1.weight", marks=pytest.mark.long),
        pytest.param("rcan", "body.1.body.0.body.2.bias", "body.2.bias", marks=pytest.mark.long),
        ("carn", "b2.b3.body.0.bias", "exit.weight"),
        pytest.param(
            "mdsr", "pre_process.2.1.body.0.bias", "tail.0.weight", marks=pytest.mark.long
        ),
        pytest.param("span", "block_6.c3_r.conv.2.bias", "conv_cat.weight", marks=pytest.mark.long),
        ("safmn", "feats.1.norm2.bias", "feats.0.safm.mfr.3.weight"),
        pytest.param(
            "swinir",
            "layers.1.residual_group.blocks.1.mlp.fc2.bias",
            "conv_after_body.weight",
            marks=pytest.mark.long,
        ),
        pytest.param(
            "hat",
            "layers.0.residual_group.blocks.1.norm1.bias",
            "conv_after_body.bias",
            marks=pytest.mark.long,
        ),
        pytest.param(
            "drrn", "block_1_conv_1.bias", "tail_norm.running_mean", marks=pytest.mark.long
        ),
        ("espcn", "last_part.0.bias", "first_part.0.bias"),
        ("fsrcnn", "mid_part.4.bias", "last_part.bias"),
        pytest.param(
            "ecbsr",
            "backbone.1.conv1x1_sbx.k0",
            "backbone.2.conv1x1_lpl.scale",
            marks=pytest.mark.long,
        ),
    ],
)
def test_all_that_does_not_fit_a_network_is_named_at_once(tmp_path, name, missing, misshaped):
    hparams = next(h for n, h in NARROW if n == name)
    state = to_torch(network(name, **with_scale(hparams)))
    state.pop(missing)
    right = list(state[misshaped].shape)
    state[misshaped] = np.zeros([*right[:-1], right[-1] + 3], np.float32)
    state["spare.weight"] = np.zeros(3, np.float32)
    line = complaint(save_state_dict(tmp_path / "net.pth", state))
    assert f"{missing} is missing" in line
    assert "spare.weight is one too many" in line
    assert f"{misshaped} is {[*right[:-1], right[-1] + 3]}, not {right}" in line
    assert line.count(";") == 2


def test_a_network_of_sizes_that_cannot_be_is_told(tmp_path):
    state = to_torch(network("imdn", scale=2, features=8, blocks=1))
    state["upsampler.0.weight"] = np.zeros((3, 8, 3, 3), np.float32)
    line = complaint(save_state_dict(tmp_path / "net.pth", state))
    assert "scale of model 'imdn' must be one of 2, 3, 4, not 1" in line


def test_tensors_without_elements_count_as_absent(tmp_path):
    state = srvgg()
    state["body.0.bias"] = np.zeros((10**9, 0), np.float32)
    assert "body.0.bias is missing" in complaint(save_state_dict(tmp_path / "net.pth", state))


def test_files_without_tensors_are_told(tmp_path):
    path = save_state_dict(tmp_path / "net.pth", {"epoch": 3, "losses": (0.1, 0.2)})
    assert "holds no tensors, only epoch, losses" in complaint(path)
    assert "holds no tensors" in complaint(save_state_dict(path, {}))


@pytest.mark.parametrize("protocol", [0, 2])
@pytest.mark.parametrize("wrapped", [False, True])
def test_code_in_a_file_is_never_run(tmp_path, wrapped, protocol):
    planted, path = tmp_path / "planted", tmp_path / "net.pth"
    code = b"cos\nsystem\n(" + Writer().value(f"touch {planted}") + b"tR"
    tree = {"params": {**srvgg(), "extra": code}} if wrapped else code
    if wrapped:
        Writer().save(path, tree, zipped=bool(protocol))
    else:
        path.write_bytes((b"\x80\x02" if protocol else b"") + code + b".")
    assert "os.system" in complaint(path)
    assert not planted.exists()


def test_truncated_files_are_told(tmp_path):
    whole = save_state_dict(tmp_path / "net.pth", srvgg(), zipped=True).read_bytes()
    legacy = save_state_dict(tmp_path / "net.pth", srvgg()).read_bytes()
    save_file(srvgg(), tmp_path / "net.safetensors")
    tensors = (tmp_path / "net.safetensors").read_bytes()
    for suffix, data in ((".pth", whole), (".pth", legacy), (".safetensors", tensors)):
        path = tmp_path / f"net{suffix}"
        for size in (0, 1, 9, len(data) // 3, len(data) - 1):
            path.write_bytes(data[:size])
            complaint(path)


@pytest.mark.parametrize("suffix", foreign.SUFFIXES)
def test_empty_files_and_noise_are_told(tmp_path, suffix):
    pytest.importorskip("h5py")
    path = tmp_path / f"net{suffix}"
    for data in (b"", b"\0" * 99, np.random.default_rng(0).bytes(999), b"PK\x03\x04" + b"x" * 99):
        path.write_bytes(data)
        complaint(path)


def test_a_packed_archive_is_not_unpacked(tmp_path):
    path = tmp_path / "net.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("net/data.pkl", b"\x80\x02}.")
        archive.writestr("net/data/0", bytes(10**7))
    assert path.stat().st_size < 2 * 10**4
    assert "its records are compressed" in complaint(path)


@pytest.mark.parametrize("size", [2**31, 2**32 - 2])
def test_an_archive_that_lies_about_its_sizes_is_told(tmp_path, size):
    path = save_state_dict(tmp_path / "net.pth", srvgg(), zipped=True)
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02", data.index(b"net/data/0"))  # the directory opens with data.pkl
    while not data[at + 46 :].startswith(b"net/data/0"):
        at = data.index(b"PK\x01\x02", at + 1)
    data[at + 20 : at + 28] = struct.pack("<II", size, size)
    path.write_bytes(data)
    complaint(path)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("strides", [(0, 0), (1, 1), (10**6, 1), (0, 1)])
def test_a_huge_tensor_in_a_small_file_is_told(tmp_path, strides, zipped):
    writer = Writer()
    storage = writer.storage(np.zeros(1000, np.float32))
    tree = {**srvgg(), "body.0.weight": writer.tensor(storage, 0, (10**6, 10**6), strides)}
    path = writer.save(tmp_path / "net.pth", tree, zipped)
    assert "[1000000, 1000000] lies outside its storage" in complaint(path)


def test_many_tensors_of_one_storage_do_not_fill_the_memory(tmp_path):
    writer = Writer()
    storage = writer.storage(np.zeros(10**4, np.float32))
    tree = {f"w{i}": writer.tensor(storage, 0, (10**4,), (1,)) for i in range(40)}
    path = writer.save(tmp_path / "net.pth", tree, True)
    assert "far larger than what is stored" in complaint(path)


def test_lists_of_lists_of_the_same_list_do_not_fill_the_memory(tmp_path):
    # Each of the lists in the tuple has the one before it ten times.
    lists = [b"](" + 10 * (b"h" + bytes([i])) + b"eq" + bytes([i + 1]) for i in range(30)]
    nested = b"(]q\x00" + b"".join(lists) + b"t"
    path = Writer().save(tmp_path / "net.pth", {"lists": nested, "params": srvgg()}, True)
    assert_holds(path, srvgg())


def test_a_place_in_the_memo_that_none_needs_is_refused(tmp_path):
    value = b"Nr" + struct.pack("<I", 2**32 - 1)
    for zipped in (True, False):
        path = Writer().save(tmp_path / "net.pth", {"epoch": value}, zipped)
        assert "would fill the memory" in complaint(path)


def test_storages_of_anything_but_numbers_are_refused(tmp_path):
    for kind in ("O", "S8", "V4"):
        storage = (
            b"(" + b"".join(map(Writer().value, ("storage", kind, "0", "cpu", 4, None))) + b"tQ"
        )
        writer = Writer()
        writer.storages["0"] = np.zeros(4, np.float64)
        tree = {"w": writer.tensor(storage, 0, (4,), contiguous((4,)))}
        assert "is no tensor storage" in complaint(writer.save(tmp_path / "net.pth", tree, True))


def test_safetensors_of_unknown_types_are_told(tmp_path):
    path = tmp_path / "net.safetensors"
    head = b'{"w":{"dtype":"F8_E4M3","shape":[4],"data_offsets":[0,4]}}'
    path.write_bytes(struct.pack("<Q", len(head)) + head + bytes(4))
    assert "is not a whole safetensors file" in complaint(path)


def test_folders_are_told(tmp_path):
    folder = tmp_path / "net.pth"
    folder.mkdir()
    assert "no weights at" in complaint(folder)
    with pytest.raises(UserError, match=r"net\.pth: Is a directory"):
        foreign.read_foreign(folder)


@pytest.mark.parametrize("name", ["net.onnx", "net.bin", "net", "net.png"])
def test_other_suffixes_are_told(tmp_path, name):
    (tmp_path / name).write_bytes(b"weights")
    assert "expected weights as one of .pth, .pt, .ckpt" in complaint(tmp_path / name)


# Files of other tools


def mat_file(path, sizes=((3, 3, 1, 4), (3, 3, 4, 4), (3, 3, 4)), drop=0):
    rng = np.random.default_rng(0)
    weights, biases = np.empty((1, len(sizes)), object), np.empty((1, len(sizes) - drop), object)
    for i, shape in enumerate(sizes):
        weights[0, i] = rng.random(shape, np.float32)
    for i in range(len(sizes) - drop):
        biases[0, i] = rng.random(((sizes[i] + (1,))[3], 1), np.float32)
    scipy.io.savemat(path, {"model": {"weight": weights, "bias": biases}})
    return path


def test_a_mat_file_makes_a_network_of_luma(tmp_path):
    found = load_network(mat_file(tmp_path / "net.mat"), scale=3)
    assert found.facts["hparams"] == {"features": 4, "layers": 3, "scale": 3}
    assert found.channels == 1
    assert found(np.zeros((5, 4, 3), np.uint8)).shape == (15, 12, 3)


def test_srcnns_own_mat_file_is_read(tmp_path):
    rng = np.random.default_rng(0)
    shapes = {"weights_conv1": (81, 6), "weights_conv2": (6, 25, 5), "weights_conv3": (5, 25)}
    shapes |= {"biases_conv1": (6, 1), "biases_conv2": (5, 1), "biases_conv3": (1, 1)}
    arrays = {name: rng.random(shape, np.float32) for name, shape in shapes.items()}
    scipy.io.savemat(tmp_path / "x3.mat", arrays)
    found = load_network(tmp_path / "x3.mat")
    hparams = {"features": 6, "mapped": 5, "mapping": 5, "scale": 3}
    assert (found.facts["model"], found.facts["hparams"]) == ("srcnn", hparams)
    kernel = found.variables["params"]["conv2"]["kernel"]
    np.testing.assert_array_equal(kernel[1, 2, 3, 4], arrays["weights_conv2"][3, 2 * 5 + 1, 4])
    arrays["biases_conv1"] = arrays["biases_conv1"][:4]
    scipy.io.savemat(tmp_path / "x3.mat", arrays)
    assert "conv1.bias is [4], not [6]" in complaint(tmp_path / "x3.mat")


def test_a_mat_file_that_lacks_an_array_is_told(tmp_path):
    assert "holds no network that is known" in complaint(mat_file(tmp_path / "net.mat", drop=1))


def test_names_of_another_tool_are_told(tmp_path):
    # PyTorch's names in MATLAB's format.
    state = to_torch(network("srcnn", edges="zeros", features=4, mapped=2))
    layers = {
        layer: {leaf: state[f"{layer}.{leaf}"] for leaf in ("weight", "bias")}
        for layer in ("conv1", "conv2", "conv3")
    }
    scipy.io.savemat(tmp_path / "net.mat", layers)
    assert "does not fit srcnn: 'weights_conv1' is missing" in complaint(tmp_path / "net.mat")
    state = to_torch(network("imdn", scale=2, features=8, blocks=1))
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "net.h5", "w") as file:
        for name, array in state.items():
            file[name] = array
    line = complaint(tmp_path / "net.h5")
    assert "holds imdn, whose .h5 files are not known" in line


# ncnn


def ncnn_file(path, lines, arrays, half=False):
    """A `.param` of these layers, and the `.bin` beside it."""
    path.write_text("\n".join(["7767517", f"{len(lines)} {len(lines)}", *lines]) + "\n")
    with path.with_suffix(".bin").open("wb") as file:
        for array in arrays:
            if array.ndim == 4:
                file.write(struct.pack("<I", 0x01306B47 if half else 0))
                data = array.astype("<f2" if half else "<f4").tobytes()
                file.write(data + b"\0" * (-len(data) % 4))
            else:
                file.write(array.astype("<f4").tobytes())
    return path


def convolution(i, weight):
    count, size = weight.shape[0], weight.size
    return f"Convolution conv_{i} 1 1 b{i} b{i + 1} 0={count} 1=3 4=1 5=1 6={size}"


def ncnn_srvgg(path, state, more=(), half=False):
    lines = ["Input input 0 1 data", "Split split 1 2 data b0 again"]
    convs = [name.removesuffix(".weight") for name in state if state[name].ndim == 4]
    convs.sort(key=lambda name: int(name.split(".")[1]))
    arrays = []
    for i, conv in enumerate(convs):
        weight = state[f"{conv}.weight"]
        lines.append(convolution(2 * i, weight))
        arrays += [weight, state[f"{conv}.bias"]]
        if conv != convs[-1]:
            lines.append(f"PReLU act_{i} 1 1 b{2 * i + 1} b{2 * i + 2} 0={weight.shape[0]}")
            arrays.append(state[f"body.{2 * i + 1}.weight"])
    scale = int((convs and state[f"{convs[-1]}.weight"].shape[0] / 3) ** 0.5)
    lines += [
        f"PixelShuffle shuffle 1 1 b{2 * len(convs) - 1} c 0={scale}",
        f"Interp base 1 1 again base 0=1 1={scale}.0 2={scale}.0",
        "BinaryOp add 2 1 c base output",
        *more,
    ]
    return ncnn_file(path, lines, arrays, half)


def ncnn_rrdb(path, state):
    order = ["conv_first"]
    order += [f"body.0.rdb{k}.conv{i}" for k in (1, 2, 3) for i in range(1, 6)]
    order += [f"conv_{name}" for name in ("body", "up1", "up2", "hr", "last")]
    lines = ["Input input 0 1 data"]
    for i, name in enumerate(order):
        if name.startswith("conv_up"):
            lines.append(f"Interp up_{i} 1 1 d{i} e{i} 0=1 1=2.0 2=2.0")
        lines.append(convolution(i, state[f"{name}.weight"]) + " 9=2 -23310=1,2.0e-01")
    leaves = [state[f"{name}.{leaf}"] for name in order for leaf in ("weight", "bias")]
    return ncnn_file(path, lines, leaves)


def check_same_output(one, other):
    lr = np.random.default_rng(0).integers(0, 256, (6, 7, 3), np.uint8)
    np.testing.assert_array_equal(one.enlarge(lr), other.enlarge(lr))


def test_ncnns_files_compute_what_pytorchs_do(tmp_path):
    state = srvgg()
    one = load_network(ncnn_srvgg(tmp_path / "net.param", state))
    other = load_network(save_state_dict(tmp_path / "net.pth", state))
    assert one.facts == other.facts
    check_same_output(one, other)
    state = to_torch(network("rrdb", scale=4, features=4, blocks=1, growth=2))
    one = load_network(ncnn_rrdb(tmp_path / "net.param", state))
    other = load_network(save_state_dict(tmp_path / "net.pth", state))
    assert one.facts == other.facts
    check_same_output(one, other)


def test_ncnns_halves_become_float32(tmp_path):
    state = {n: a.astype(np.float16).astype(np.float32) for n, a in srvgg().items()}
    assert_holds(ncnn_srvgg(tmp_path / "net.param", state, half=True), state)


def test_an_output_that_is_resized_afterwards_is_refused(tmp_path):
    resize = ("Interp shrink 1 1 output smaller 0=3 1=5.000000e-01 2=5.000000e-01",)
    state = to_torch(network("srvgg", scale=4, features=4, convs=1))
    line = complaint(ncnn_srvgg(tmp_path / "video-x2.param", state, resize))
    assert "its last layer (shrink) resizes what the network made, by 0.5" in line
    assert line.endswith("give video-x4.param")
    line = complaint(ncnn_srvgg(tmp_path / "video.param", state, resize))
    assert line.endswith("give the file of its own scale x4")


def test_ncnns_two_files_belong_together(tmp_path):
    path = ncnn_srvgg(tmp_path / "net.param", srvgg())
    weights = path.with_suffix(".bin")
    for data in (weights.read_bytes()[:-4], weights.read_bytes() + bytes(4), b""):
        weights.write_bytes(data)
        with pytest.raises(UserError, match=r"net\.bin: not a readable ncnn \.bin file for"):
            load_network(path)
    weights.unlink()
    with pytest.raises(UserError, match=r"net\.bin: No such file"):
        load_network(path)


def test_an_ncnn_network_of_another_order_is_told(tmp_path):
    lines = ["Input input 0 1 data", convolution(0, np.zeros((4, 3, 3, 3)))]
    path = ncnn_file(tmp_path / "net.param", lines, [np.zeros((4, 3, 3, 3)), np.zeros(4)])
    assert "no network that is known" in complaint(path)


# Files of other authors

REAL = {
    **{f"BSRN/net_g_BSRN_x{s}.pth": ("bsrn", [s]) for s in (2, 3, 4)},
    "CARN/carn_m.pth": ("carn_m", [2, 3, 4]),
    **{f"ECBSR/ECBSR_M4C16_x{s}.pth": ("ecbsr_plain", [s]) for s in (2, 3, 4)},
    **{f"ESPCN/ESPCN_x{s}.pb": ("espcn", [s]) for s in (2, 3, 4)},
    **{f"FSRCNN/FSRCNN-small_x{s}.pb": ("fsrcnn", [s]) for s in (2, 3, 4)},
    **{f"FSRCNN/FSRCNN_x{s}.pb": ("fsrcnn", [s]) for s in (2, 3, 4)},
    **{f"IMDN/IMDN_x{s}.pth": ("imdn", [s]) for s in (2, 3, 4)},
    **{f"LapSRN/LapSRN_x{s}.mat": ("lapsrn", [s]) for s in (2, 4, 8)},
    **{f"LapSRN/MSLapSRN_D5R{r}.mat": ("mslapsrn", [2, 4, 8]) for r in (2, 5, 8)},
    **{f"PAN/PANx{s}_DF2K.pth": ("pan", [s]) for s in (2, 3, 4)},
    "RFDN/RFDN_AIM.pth": ("rfdn", [4]),
    **{f"RLFN/rlfn_x{s}.pth": ("rlfn", [s]) for s in (2, 4)},
    "VDSR/VDSR_Adam.mat": ("vdsr", [2, 3, 4, 8]),
    "VDSR/VDSR_Official.mat": ("vdsr", [2, 3, 4, 8]),
}
needs_weights = pytest.mark.skipif(
    not (SHARED / "weights").is_dir(), reason="no weights under JSR_SHARED"
)


@pytest.mark.long
@needs_weights
@pytest.mark.parametrize("file", REAL)
def test_a_published_file_is_converted_without_a_bit_of_change(tmp_path, file):
    found = load_network(SHARED / "weights" / file)
    assert (found.facts["model"], found.facts["scales"]) == REAL[file]
    path = tmp_path / "net.safetensors"
    save_network(path, found.variables, found.facts)
    again = load_network(path)
    assert again.facts == found.facts
    lr = np.random.default_rng(0).integers(0, 256, (12, 17, 3), np.uint8)
    sr = found.enlarge(lr)
    assert sr.shape == (12 * found.scale, 17 * found.scale, 3) and np.isfinite(sr).all()
    np.testing.assert_array_equal(again.enlarge(lr), sr)


@pytest.mark.long
@needs_weights
def test_published_files_that_are_no_networks_are_told():
    files = {p for p in (SHARED / "weights").rglob("*") if p.suffix in foreign.SUFFIXES}
    for path in files - {SHARED / "weights" / file for file in REAL}:
        complaint(path)
