"""Other projects' files: recognised by their tensors, refused with what is wrong named."""

import os
from pathlib import Path

import jax
import numpy as np
import pytest
from safetensors.numpy import save_file

from jsr import foreign, weights
from jsr.errors import UserError
from jsr.models import MODELS, hyper_parameters, make_model
from jsr.torch_names import to_torch, torch_shapes

SHARED = Path(os.environ.get("JSR_SHARED", "../shared"))
FAMILIES = {family.__name__: family for family in foreign.families()}
GENERATORS = [
    name
    for name, target in MODELS.items()
    if target.partition(":")[0] in FAMILIES and "scale" in hyper_parameters(name)
]
SMALL = {"features": 16, "blocks": 2}


def variables(name, **hparams):
    module = make_model(name, **hparams)
    lr = jax.ShapeDtypeStruct((1, 16, 16, 3), "float32")
    like = jax.eval_shape(module.init, jax.random.key(0), lr)
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda s: rng.normal(0, 0.1, s.shape).astype(np.float32), dict(like))


@pytest.fixture
def state():
    return to_torch(variables("imdn", **SMALL))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.safetensors"


@pytest.mark.parametrize("name", GENERATORS)
def test_each_network_is_recognised_by_its_own_family_alone(name):
    lr = jax.ShapeDtypeStruct((1, 16, 16, 3), "float32")
    few = {"blocks": 2, "groups": 2} if name in ("rcan", "swinir", "hat") else {"blocks": 2}
    chosen = {key: value for key, value in few.items() if key in hyper_parameters(name)}
    module = make_model(name, **chosen)
    shapes = torch_shapes(jax.eval_shape(module.init, jax.random.key(0), lr))
    claimed = {}
    for family, module in FAMILIES.items():
        renamed = getattr(module, "canonical", dict)(shapes)
        if all(isinstance(shape, tuple) for shape in renamed.values()):
            found = module.recognise(renamed)
            if found is not None:
                claimed[family] = found["model"]
    assert claimed == {MODELS[name].partition(":")[0]: name}


def test_a_file_becomes_the_network_that_it_holds(state, path):
    save_file(state, path)
    network = weights.load_network(path)
    assert network.facts["model"] == "imdn" and network.scale == 4
    assert network.facts["hparams"] == {"scale": 4, **SMALL}
    again = to_torch(network.variables)
    assert again.keys() == state.keys()
    for name, array in state.items():
        np.testing.assert_array_equal(again[name], array)


def test_what_is_saved_of_it_gives_the_same_picture(state, path):
    save_file(state, path)
    network = weights.load_network(path)
    converted = path.with_name("converted.safetensors")
    weights.save_network(converted, network.variables, network.facts)
    lr = np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8)
    np.testing.assert_array_equal(weights.load_network(converted)(lr), network(lr))


def test_prefixes_and_half_precision_are_understood(state, path):
    half = {f"module.{name}": array.astype(np.float16) for name, array in state.items()}
    save_file(half, path)
    read = to_torch(weights.load_network(path).variables)
    for name, array in state.items():
        np.testing.assert_array_equal(read[name], array.astype(np.float16).astype(np.float32))


def test_every_tensor_that_does_not_fit_is_named(state, path):
    del state["IMDB1.c2.bias"]
    state["extra.weight"] = np.zeros((3, 3), np.float32)
    state["LR_conv.bias"] = np.zeros(5, np.float32)
    save_file(state, path)
    with pytest.raises(UserError) as caught:
        weights.load_network(path)
    line = str(caught.value)
    assert "\n" not in line and "does not fit IMDN" in line
    for part in (
        "IMDB1.c2.bias is missing",
        "extra.weight is one too many",
        "LR_conv.bias is [5], not [16]",
    ):
        assert part in line


def test_an_unknown_network_gets_the_nearest_guess(state, path):
    odd = {name.replace("fea_conv", "first"): array for name, array in state.items()}
    save_file(odd, path)
    with pytest.raises(UserError, match=r"no network that is known; the nearest is imdn, which"):
        weights.load_network(path)
    save_file({"layer.weight": np.zeros((3, 3), np.float32)}, path)
    with pytest.raises(UserError, match=r"no known one has tensors with such names \(layer\.wei"):
        weights.load_network(path)


def test_other_files_are_refused_in_one_line(tmp_path):
    pointer = tmp_path / "net.pth"
    pointer.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(UserError, match="is a git-LFS pointer, not the file"):
        weights.load_network(pointer)
    (tmp_path / "net.onnx").write_bytes(b"x")
    with pytest.raises(UserError, match=r"expected weights as one of \.pth"):
        weights.load_network(tmp_path / "net.onnx")


def test_a_file_that_does_not_tell_its_scale_tells_it_by_its_name(tmp_path):
    tensors = to_torch(variables("pan", scale=2))
    for name, scales in (("PANx3.safetensors", [3]), ("pan.safetensors", [2, 3])):
        save_file(tensors, tmp_path / name)
        assert weights.load_network(tmp_path / name).facts["scales"] == scales
    assert weights.load_network(tmp_path / "pan.safetensors", scale=2).scale == 2
    with pytest.raises(UserError, match=r"PANx3\.safetensors enlarges by 3, not by 4"):
        weights.load_network(tmp_path / "PANx3.safetensors", scale=4)


@pytest.mark.long
@pytest.mark.skipif(not (SHARED / "weights").is_dir(), reason="no weights under JSR_SHARED")
def test_every_file_at_hand_is_recognised():
    kinds = (".pth", ".mat", ".pb")
    files = [p for p in sorted((SHARED / "weights").rglob("*")) if p.suffix in kinds]
    networks = [p for p in files if "LPIPS" not in str(p) and not p.stem.endswith("_opts")]
    assert len(networks) > 30
    for file in networks:
        folder = file.parent.name.lower().removesuffix("_aim")
        assert weights.load_network(file).facts["model"].removeprefix("ms").startswith(folder)
