"""The input of networks that may be shown pictures of HR's size: its sub-pixels as channels."""

import jax
import jax.numpy as jnp


def sub_pixels(
    picture: jax.Array, scale: int, mean: jax.Array | float = 0.0
) -> tuple[jax.Array, jax.Array]:
    """LR [b, h, w, c], and what a first convolution takes, less `mean`: [b, h, w, c * scale**2].

    picture: LR [b, h, w, c], which stands for its nearest-neighbour enlargement; or a picture of
    HR's size with the scale**2 pixels of each place last, [b, h, w, c, scale**2], as `with_cutblur`
    makes them. Yoo et al. 2020 (CutBlur) put such a layer first.
    """
    if picture.ndim == 4:
        return picture, jnp.repeat(picture - mean, scale**2, axis=-1)
    x = picture - jnp.asarray(mean)[..., None]
    return picture.mean(-1), x.reshape(*x.shape[:3], -1)
