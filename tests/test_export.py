"""What is exported is read again, and computes what the network does, at more than one size."""

import functools
import json
import sys

import jax
import numpy as np
import pytest
from flax import linen as nn
from flax.traverse_util import flatten_dict
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from jsr import foreign, known_networks, weights, weights_command
from jsr.errors import UserError
from jsr.export import SHORTEST, export_network, side_multiple, torch_state
from jsr.models import MODELS, hat, make_model, takes_clips, window_attention
from jsr.steps import make_predict
from jsr.weights import Network, save_network

# Narrow networks; those that the tensors alone do not tell are named below.
NARROW = {
    "srresnet": {"features": 4, "blocks": 1},
    "msrresnet": {"features": 4, "blocks": 1},
    "srcnn": {"features": 4, "mapped": 4, "edges": "zeros"},
    "rrn": {"features": 4, "blocks": 1},
    "basicvsr": {"features": 4, "blocks": 1},
    "fsrcnn": {"features": 4, "shrunk": 3, "mappings": 2},
    "espcn": {"features": 4, "mapped": 4},
    "vdsr": {"features": 4, "layers": 3},
    "drcn": {"features": 4, "recursions": 2},
    "drrn": {"features": 4, "units": 2},
    "lapsrn": {"features": 4, "depth": 2},
    "mslapsrn": {"features": 4, "depth": 2, "recursions": 2},
    "edsr": {"features": 4, "blocks": 2},
    "mdsr": {"features": 4, "blocks": 2},
    "rdn": {"features": 4, "growth": 4, "blocks": 2, "layers": 2},
    "rcan": {"features": 8, "groups": 2, "blocks": 2, "reduction": 2},
    "carn": {"features": 4},
    "carn_m": {"features": 8, "groups": 2},
    "imdn": {"features": 16, "blocks": 2},
    "rfdn": {"features": 8, "blocks": 2},
    "rlfn": {"features": 4, "middle": 4, "blocks": 2, "attention": 2},
    "pan": {"features": 8, "up_features": 4, "blocks": 2},
    "bsrn": {"features": 16, "blocks": 2},
    "ecbsr": {"features": 4, "blocks": 2},
    "ecbsr_plain": {"features": 4, "blocks": 2},
    "rrdb": {"features": 4, "blocks": 1, "growth": 2},
    "srvgg": {"features": 4, "convs": 2},
    "span": {"features": 4},
    "safmn": {"features": 8, "blocks": 1},
    "swinir": {
        "features": 8,
        "groups": 1,
        "blocks": 2,
        "heads": 2,
        "window": 4,
        "upsampler": "pixelshuffledirect",
    },
    "hat": {
        "features": 8,
        "groups": 1,
        "blocks": 2,
        "heads": 2,
        "window": 4,
        "compress": 2,
        "squeeze": 2,
    },
}
PICTURES = [name for name in NARROW if not takes_clips(name)]
DISCRIMINATORS = {"srgan", "conditional", "patchgan", "unet", "vgg_style"}
# Only the metadata says what these are.
UNTOLD = ("srresnet", "msrresnet")


@pytest.fixture(autouse=True, scope="module")
def trace_once():
    """Tracing a network takes most of the time: once for writing and reading."""
    with pytest.MonkeyPatch.context() as patch:
        shapes = functools.cache(known_networks.variable_shapes)
        patch.setattr(known_networks, "variable_shapes", shapes)
        yield


def narrow(name, channels=3, **hparams) -> Network:
    """A network of the registry, every array with values of its own."""
    hparams = {"scale": 2, **NARROW[name], **hparams}
    module = make_model(name, **hparams)
    shapes = flatten_dict(dict(known_networks.variable_shapes(module, channels)))
    rng = np.random.default_rng(0)
    variables = {"params": {}, "batch_stats": {}}
    for path, leaf in shapes.items():
        # Kernels keep the variance; a variance is positive.
        bound = np.sqrt(3 / np.prod(leaf.shape[:-1])) if path[-1] == "kernel" else 0.3
        low, high = (0.5, 1.5) if path[-1] == "var" else (-bound, bound)
        *layers, last = path
        place = variables
        for layer in layers:
            place = place.setdefault(layer, {})
        place[last] = rng.uniform(low, high, leaf.shape).astype(np.float32)
    facts = {"model": name, "hparams": hparams, "scale": 2, "scales": [2]}
    facts |= {"channels": "rgb" if channels == 3 else "y", "protocol": "y"}
    return Network(module, variables, {**facts, "licence": "Apache-2.0", "data": "div2k"})


def assert_same(one, other):
    one, other = flatten_dict(one), flatten_dict(other)
    assert one.keys() == other.keys()
    for key, array in one.items():
        np.testing.assert_array_equal(array, other[key], err_msg="/".join(key))


def test_every_generator_is_tested():
    assert NARROW.keys() == MODELS.keys() - DISCRIMINATORS


# PyTorch


@pytest.mark.parametrize("name", NARROW)
def test_a_state_dict_is_read_again_as_it_was(tmp_path, name):
    network, path = narrow(name), tmp_path / "net_x2.safetensors"
    export_network(network, path)
    variables, facts = weights.read_weights(path)
    assert_same(network.variables, variables)
    assert facts == network.facts
    if name in UNTOLD:
        return
    # Without the metadata it is a file like the original project's.
    save_file(load_file(path), path)
    variables, facts = foreign.read_foreign(path)
    assert_same(network.variables, variables)
    assert facts["model"] == name


def test_networks_of_one_channel_are_read_again(tmp_path):
    for name in ("edsr", "carn"):
        network, path = narrow(name, channels=1), tmp_path / f"{name}.safetensors"
        export_network(network, path)
        variables, facts = weights.read_weights(path)
        assert_same(network.variables, variables)
        assert facts == network.facts


def test_the_metadata_says_what_the_file_is(tmp_path):
    for name, whose in (("edsr", "the original project's"), ("srresnet", "jsr's own")):
        path = tmp_path / f"{name}.safetensors"
        export_network(narrow(name), path)
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata()
        assert (metadata["format"], metadata["model"]) == ("pt", name)
        assert metadata["names"] == whose
        assert json.loads(metadata["hparams"]) == {"scale": 2, **NARROW[name]}


@pytest.mark.parametrize("more", [{"activation": "prelu"}, {"desubpixel": True}])
def test_what_the_original_cannot_compute_has_its_name_no_more(tmp_path, more):
    network, path = narrow("edsr", **more), tmp_path / "net.safetensors"
    export_network(network, path)
    with safe_open(path, framework="numpy") as file:
        assert file.metadata()["names"] == "jsr's own"
    variables, facts = weights.read_weights(path)
    assert_same(network.variables, variables)
    assert facts == network.facts


def test_constants_of_the_original_are_there():
    state = torch_state(narrow("edsr"))
    pixel = np.float32([0.4488, 0.4371, 0.4040]) * 255
    shifted = state["sub_mean.weight"][..., 0, 0] @ pixel + state["sub_mean.bias"]
    np.testing.assert_allclose(shifted, 0, atol=1e-5)
    np.testing.assert_array_equal(state["add_mean.bias"], -state["sub_mean.bias"])
    assert "add_mean.shifter.bias" in torch_state(narrow("carn"))
    assert "sub_mean.bias" not in torch_state(narrow("edsr", channels=1))
    masks = [a for n, a in torch_state(narrow("ecbsr")).items() if n.endswith(".mask")]
    assert {mask.shape for mask in masks} == {(4, 1, 3, 3), (12, 1, 3, 3)} and len(masks) == 12
    assert torch_state(narrow("span"))["block_1.c1_r.eval_conv.weight"].shape == (4, 4, 3, 3)


@pytest.mark.parametrize(("name", "places"), [("swinir", "attn"), ("hat", "overlap_attn")])
def test_indices_of_the_original_lead_to_the_same_bias(name, places):
    network = narrow(name)
    state = torch_state(network)
    prefix = "layers.0.residual_group."
    prefix += f"{places}." if name == "hat" else f"blocks.1.{places}."
    table = state[prefix + window_attention.TABLE]
    index = "relative_position_index"
    index = state["relative_position_index_OCA" if name == "hat" else prefix + index]

    class Bias(nn.Module):
        @nn.compact
        def __call__(self):
            if name == "hat":
                block = hat.OverlapBlock(2, 4, 2, 2.0)
                return block._position_bias.__func__(self, 6)
            apart = np.subtract.outer(np.arange(4), np.arange(4)) + 3
            return window_attention.position_bias(self, 2, apart)

        heads, window, overlap = 2, 4, 2

    bias = jax.jit(Bias().apply)({"params": {window_attention.TABLE: table}})
    np.testing.assert_array_equal(table[index].transpose(2, 0, 1), bias)


def test_masks_of_the_original_are_those_of_rolled_windows():
    mask = torch_state(narrow("swinir"))["layers.0.residual_group.blocks.1.attn_mask"]
    assert mask.shape == (16 * 16, 16, 16)
    assert set(np.unique(mask)) == {-100.0, 0.0}
    assert not mask[0].any() and mask[-1].any()


# Programs


def assert_computes(run, network, batch=1):
    """Compares `run(lr)` with the network at two sizes."""
    predict = jax.jit(make_predict(network.module.apply))
    k = max(side_multiple(network.module), 1)
    least = -(-SHORTEST // k) * k
    for h, w in ((least, least + 3 * k), (least + 2 * k, least + k)):
        shape = (batch, h, w, network.channels)
        lr = np.random.default_rng(h).random(shape, dtype=np.float32)
        sr = np.asarray(predict(network.variables, lr))
        assert sr.std() > 0
        np.testing.assert_allclose(run(lr), sr, atol=1e-4, rtol=0)


def stablehlo(network, path, **size):
    pytest.importorskip("flatbuffers")
    export_network(network, path, **size)
    return jax.export.deserialize(bytearray(path.read_bytes()))


def test_a_stablehlo_program_is_for_any_size(tmp_path):
    network = narrow("espcn")
    program = stablehlo(network, tmp_path / "net.stablehlo")
    assert program.platforms == ("cpu", "cuda", "tpu")
    assert_computes(program.call, network, batch=2)


def test_a_stablehlo_program_of_one_size(tmp_path):
    network = narrow("espcn", channels=1)
    program = stablehlo(network, tmp_path / "net.jaxexport", size=(5, 7))
    assert program.call(np.zeros((1, 5, 7, 1), np.float32)).shape == (1, 10, 14, 1)
    with pytest.raises(ValueError):
        program.call(np.zeros((1, 7, 5, 1), np.float32))


@pytest.mark.long
@pytest.mark.parametrize("name", PICTURES)
def test_every_network_as_stablehlo(tmp_path, name):
    network = narrow(name)
    assert_computes(stablehlo(network, tmp_path / "net.stablehlo").call, network)


def onnx_run(network, path, **size):
    """The exported model as a function of NHWC."""
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    export_network(network, path, **size)
    session = runtime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    assert [i.name for i in session.get_inputs()] == ["input"]

    def run(lr):
        (sr,) = session.run(["output"], {"input": lr.transpose(0, 3, 1, 2)})
        return sr.transpose(0, 2, 3, 1)

    return run


@pytest.mark.parametrize("activation", ["prelu", "gelu", "mish"])
def test_an_onnx_model_of_another_activation(tmp_path, activation):
    network = narrow("msrresnet", tail="light", activation=activation, desubpixel=True)
    assert_computes(onnx_run(network, tmp_path / "net.onnx"), network)


def test_an_onnx_model_is_for_any_size(tmp_path):
    network = narrow("srresnet", scale=4)
    assert_computes(onnx_run(network, tmp_path / "net.onnx"), network, batch=2)


def test_an_onnx_model_of_one_size(tmp_path):
    run = onnx_run(narrow("espcn", channels=1), tmp_path / "net.onnx", size=(5, 7))
    assert run(np.zeros((1, 5, 7, 1), np.float32)).shape == (1, 10, 14, 1)


def test_an_onnx_model_has_no_more_operations_than_needed(tmp_path):
    onnx = pytest.importorskip("onnx")
    export_network(narrow("srresnet"), tmp_path / "net.onnx")
    model = onnx.load(tmp_path / "net.onnx")
    kinds = [node.op_type for node in model.graph.node]
    assert {"PRelu", "DepthToSpace"} < set(kinds)
    assert not {"Transpose", "Reshape", "Where"} & set(kinds)
    assert {p.key: p.value for p in model.metadata_props}["scale"] == "2"


VARIANTS = {
    "srresnet": {"scale": 3},
    "msrresnet": {"scale": 4, "tail": "light", "base": "bicubic"},
    "srcnn": {"edges": "repeat", "mapping": 5},
    "fsrcnn": {"scale": 8},
    "lapsrn": {"scale": 8},
    "rrdb": {"scale": 4},
    "swinir": {"scale": 4, "upsampler": "nearest+conv", "padding": "needed"},
    "hat": {"scale": 3},
    "span": {"form": "single", "norm": False},
    "bsrn": {"scale": 3},
}


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "hparams"),
    [*((name, {}) for name in PICTURES), *VARIANTS.items()],
)
def test_every_network_as_onnx(tmp_path, name, hparams):
    network = narrow(name, **hparams)
    assert_computes(onnx_run(network, tmp_path / "net.onnx"), network)


# Mistakes


@pytest.mark.parametrize("suffix", ["onnx", "stablehlo"])
def test_programs_are_not_written_of_networks_for_films(tmp_path, suffix):
    with pytest.raises(UserError, match="rrn enlarges films"):
        export_network(narrow("rrn"), tmp_path / f"net.{suffix}")


def test_other_suffixes_name_the_three(tmp_path):
    with pytest.raises(UserError, match=r"expected \.safetensors, \.onnx or \.stablehlo"):
        export_network(narrow("espcn"), tmp_path / "net.pth")


@pytest.mark.parametrize(("package", "extra"), [("onnx", "onnx"), ("flatbuffers", "stablehlo")])
def test_an_absent_package_is_named(tmp_path, monkeypatch, package, extra):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=rf"pip install 'jsr-superres\[{extra}\]'"):
        export_network(narrow("espcn"), tmp_path / f"net.{extra}")
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_written_is_told(tmp_path):
    with pytest.raises(UserError, match="cannot be written"):
        export_network(narrow("espcn"), tmp_path / "absent" / "net.safetensors")


def test_a_network_for_some_sizes_alone_is_told(tmp_path):
    class Picky(nn.Module):
        @nn.compact
        def __call__(self, lr, train=False):
            return nn.Conv(3, (3, 3))(lr) if lr.shape[1] < 99 else lr

    facts = {**narrow("espcn").facts, "model": "mine:Picky"}
    variables = Picky().init(jax.random.key(0), np.zeros((1, 8, 8, 3), np.float32))
    network = Network(Picky(), variables, facts)
    pytest.importorskip("flatbuffers")
    with pytest.raises(UserError, match="mine:Picky is not for pictures of any size, give one"):
        export_network(network, tmp_path / "net.stablehlo")
    stablehlo(network, tmp_path / "net.stablehlo", size=(8, 8))


# The commands


def test_convert_and_export_from_the_command_line(tmp_path, capsys):
    network, files = narrow("edsr"), {n: str(tmp_path / f"{n}.safetensors") for n in "abc"}
    save_network(files["a"], network.variables, network.facts)
    weights_command.main(["export", files["a"], files["b"]])
    assert "sub_mean.bias" in load_file(files["b"])
    weights_command.main(["convert", files["b"], files["c"], "2"])
    assert capsys.readouterr().out.splitlines() == [
        f"{files[n]} is edsr x2; licence: Apache-2.0" for n in "bc"
    ]
    with open(files["a"], "rb") as one, open(files["c"], "rb") as other:
        assert one.read() == other.read()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["convert", "A", "net.onnx"], "jsr's own format is .safetensors"),
        (["convert", "A", "net.safetensors", "two"], "the scale must be a whole number"),
        (["export", "A", "net.onnx", "64"], "the size of LR must be as in 128x256"),
        (["export", "A"], "expected: python -m jsr.weights"),
    ],
)
def test_mistakes_on_the_command_line(words, reason):
    with pytest.raises(UserError, match=reason):
        weights_command.main(words)
