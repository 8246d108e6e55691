"""`python -m jsr.upscale IN OUT --weights W`: enlarge a picture, or every picture of a folder."""

import dataclasses
import os
from functools import partial
from pathlib import Path

import numpy as np
from absl import flags

from jsr import command_line, resize
from jsr.errors import UserError
from jsr.folders import check_folders, convert_folder
from jsr.images import WRITERS, Picture, read_picture, write_picture
from jsr.weights import Network, load_network


def upscale(picture: Picture, network: Network) -> Picture:
    """Enlarge a picture by the network's scale, colour by the network, alpha by bicubic.

    A gray picture goes through the network as three equal channels and comes back gray. ICC
    profile, EXIF and DPI stay. Raises UserError when the network's output is not finite.
    """
    gray = picture.pixels.shape[-1] == 1
    lr = np.repeat(picture.pixels, 3, axis=-1) if gray else picture.pixels
    try:
        sr = network(lr)
    except FloatingPointError as error:
        raise UserError(f"{error}: use other weights") from error
    if gray:
        sr = np.round(sr.mean(axis=-1, keepdims=True)).astype(np.uint8)
    alpha = picture.alpha
    if alpha is not None:
        alpha = resize.imresize(alpha, scale=network.scale)
    return dataclasses.replace(picture, pixels=sr, alpha=alpha)


def upscale_file(source: Path, target: Path, network: Network) -> None:
    """Enlarge one file. Raises UserError for a file that cannot be read or written.

    A target of an unknown format, or that is the source itself, is refused at once.
    """
    _check_target(source, target)
    write_picture(target, upscale(read_picture(source), network))


def define_flags() -> None:
    """Define the options of the command line."""
    flags.DEFINE_string("weights", None, "a weights file, or the workdir of a training run")


def main(words: list[str], options) -> None:
    """Load the weights, enlarge what `words` name; `options` has the values of the flags."""
    if len(words) != 2:
        raise UserError("expected two paths: python -m jsr.upscale IN OUT --weights W")
    if options.weights is None:
        raise UserError("--weights is missing: a .safetensors file of jsr or a training workdir")
    source, target = map(Path, words)
    if source.is_dir():
        check_folders(source, target)
        network = load_network(options.weights)
        convert_folder(source, target, partial(upscale_file, network=network), "enlarged")
    else:
        if target.is_dir() or words[1].endswith(os.sep):
            target = target / source.name
        _check_target(source, target)
        upscale_file(source, target, load_network(options.weights))


def _check_target(source: Path, target: Path) -> None:
    if target.suffix.lower() not in WRITERS:
        known = ", ".join(WRITERS)
        raise UserError(f"{target}: cannot write {target.suffix!r}; use one of {known}")
    if target.exists() and source.exists() and target.samefile(source):
        raise UserError(f"{target}: is the picture itself; name another OUT")


if __name__ == "__main__":
    define_flags()
    command_line.run_command(lambda words: main(words, flags.FLAGS))
