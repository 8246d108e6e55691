"""`python -m jsr.upscale IN OUT --weights W`: enlarge a picture, or every picture of a folder."""

import dataclasses
import os
from pathlib import Path

import numpy as np
from absl import flags
from tqdm import tqdm

from jsr import command_line, resize
from jsr.errors import PartlyDone, UserError
from jsr.images import WRITERS, Picture, list_pictures, read_picture, write_picture
from jsr.weights import Network, load_network

WEIGHTS = flags.DEFINE_string("weights", None, "a weights file, or the workdir of a training run")


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


def upscale_folder(source: Path, target: Path, network: Network) -> None:
    """Enlarge every picture below `source` into the same place below `target`.

    Raises PartlyDone, naming them, when some files failed; UserError when all did.
    """
    pictures, failed = list_pictures(source), []
    for path in tqdm(pictures, unit="picture", disable=None):
        try:
            upscale_file(path, target / path.relative_to(source), network)
        except UserError as error:
            failed.append(str(error))
    if failed:
        lines = "\n".join(f"error: {line}" for line in failed)
        if len(failed) == len(pictures):
            raise UserError(f"none of the {len(pictures)} pictures could be enlarged:\n{lines}")
        raise PartlyDone(f"{lines}\n{len(pictures) - len(failed)} of {len(pictures)} enlarged")


def main(words: list[str]) -> None:
    """Read the command line, load the weights, enlarge."""
    if len(words) != 2:
        raise UserError("expected two paths: python -m jsr.upscale IN OUT --weights W")
    if WEIGHTS.value is None:
        raise UserError("--weights is missing: a .safetensors file of jsr or a training workdir")
    source, target = map(Path, words)
    if source.is_dir():
        _check_folders(source, target)
        upscale_folder(source, target, load_network(WEIGHTS.value))
    else:
        if target.is_dir() or words[1].endswith(os.sep):
            target = target / source.name
        _check_target(source, target)
        upscale_file(source, target, load_network(WEIGHTS.value))


def _check_target(source: Path, target: Path) -> None:
    if target.suffix.lower() not in WRITERS:
        known = ", ".join(WRITERS)
        raise UserError(f"{target}: cannot write {target.suffix!r}; use one of {known}")
    if target.exists() and source.exists() and target.samefile(source):
        raise UserError(f"{target}: is the picture itself; name another OUT")


def _check_folders(source: Path, target: Path) -> None:
    if target.is_file():
        raise UserError(f"{source} is a folder, but {target} is a file: name a folder")
    # Inside, the next run would enlarge what this one wrote.
    if target.resolve().is_relative_to(source.resolve()):
        raise UserError(f"{target} lies in {source}, the pictures to enlarge: name another OUT")


if __name__ == "__main__":
    command_line.run_command(main)
