"""What `python -m jsr.resize HR_DIR LR_DIR --scale 4` does: the LR picture of every picture."""

import dataclasses
import math
from functools import partial
from pathlib import Path

from absl import flags

from jsr import images, resize
from jsr.errors import UserError
from jsr.folders import convert_folder


def define_flags() -> None:
    """Define the options of the command line."""
    flags.DEFINE_float("scale", None, "by how much the pictures shrink: 4, or 2.5")
    flags.DEFINE_enum(
        "edges", "symmetric", resize.EDGES, "beyond the border: today's or older MATLAB"
    )
    flags.DEFINE_enum("method", "bicubic", list(resize.METHODS), "the kernel")
    flags.DEFINE_bool("antialias", True, "stretch the kernel, as MATLAB does by default")
    flags.DEFINE_bool("rounded", True, "round between the passes, as MATLAB does for uint8")


def main(words: list[str], options) -> None:
    """`HR_DIR LR_DIR`: shrink every picture by --scale into PNG files of the same names.

    Where the scale is whole, the picture is first cropped to a multiple of it, as benchmarks are.
    """
    if len(words) != 2 or options.scale is None:
        raise UserError("expected two folders and a scale: python -m jsr.resize HR LR --scale 4")
    if not 1 <= options.scale < math.inf:
        raise UserError(f"--scale is {options.scale:g}: give by how much to shrink, 1 or more")
    source, target = map(Path, words)
    convert_folder(source, target, partial(_shrink_file, options=options), "shrunk", ".png")


def _shrink_file(path: Path, target: Path, options) -> None:
    picture = images.read_picture(path)

    def shrink(image):
        if options.scale == int(options.scale):
            try:
                image = resize.crop_to_multiple(image, int(options.scale))
            except ValueError as error:
                raise UserError(f"{path}: {error}") from error
        return resize.imresize(
            image,
            scale=1 / options.scale,
            method=options.method,
            edges=options.edges,
            antialias=options.antialias,
            rounded=options.rounded,
        )

    alpha = None if picture.alpha is None else shrink(picture.alpha)
    pixels = shrink(picture.pixels)
    images.write_picture(target, dataclasses.replace(picture, pixels=pixels, alpha=alpha))
