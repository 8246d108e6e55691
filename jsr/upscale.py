"""Pictures and films enlarged, from the command line and from Python.

python -m jsr.upscale photo.jpg big.png                    # by the best weights that are shipped
python -m jsr.upscale photo.jpg big.png --weights W        # a file, a workdir, a name of --list
python -m jsr.upscale PHOTOS BIG --fit 3840x2160           # a folder, mirrored; rerun to go on
JAX_NUM_PROCESSES=2 JAX_PROCESS_ID=0 python -m jsr.upscale PHOTOS BIG     # 1 of 2 processes' share
python -m jsr.upscale 'in/**/*.jpg' BIG --format webp --suffix _x4
python -m jsr.upscale PHOTOS BIG --compare page.html        # before and after, with a slider
python -m jsr.upscale film.mp4 big.mp4 --fit 3840x2160     # with its sound; rerun to go on
python -m jsr.upscale film.mp4 big.mp4 --weights runs/video  # by what RRN, BasicVSR remember
python -m jsr.upscale - - --format png < photo.jpg > big.png
"""

from contextlib import nullcontext
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from jsr import command_line, film_formats, heap, images, methods, picture_jobs, shipped_weights
from jsr.comparison import Comparison
from jsr.enlarged_files import STREAM, EnlargedFiles
from jsr.enlargement import Enlargement, Interpolation
from jsr.errors import UserError
from jsr.film_formats import FilmOptions
from jsr.images import WRITERS
from jsr.picture_jobs import Job
from jsr.streamed_network import StreamedNetwork
from jsr.target_size import TargetSize, parse_target
from jsr.tiled_network import TiledNetwork
from jsr.weights import Network, find_weights, load_network

# Of `upscale`, so that calling it again compiles nothing again.
_opened: list[tuple[object, Enlargement]] = []


def upscale(array, model: Enlargement | Network | str | Path):
    """Enlarge a picture, a NumPy or JAX array, by `model`; the result is of the same kind.

    array: [h, w] or [h, w, c]: gray, gray and alpha, RGB, RGB and alpha for c of 1 to 4; uint8,
    uint16, or floats in [0, 1], which come back as float32 in [0, 1]. Integers are rounded to the
    nearest level. Any size: large pictures are cut into tiles. model: what `open_model` returns, a
    `jsr.weights.Network`, or what `--weights` takes. Raises ValueError for another array, UserError
    for weights that cannot be read and pictures too large, FloatingPointError for NaN.
    """
    image = np.asarray(array)
    known = image.dtype in (np.uint8, np.uint16) or jnp.issubdtype(image.dtype, jnp.floating)
    depth = image.shape[2] if image.ndim == 3 else 1
    if not known or image.ndim not in (2, 3) or not 1 <= depth <= 4 or image.size == 0:
        raise ValueError(
            "array must be [h, w] or [h, w, 1 to 4] of uint8, uint16 or floats in [0, 1], but is"
            f" {image.dtype} {list(image.shape)}"
        )
    if image.dtype.kind != "u":
        image = image.astype(np.float32)
    planes = image[..., None] if image.ndim == 2 else image
    transparent = depth % 2 == 0
    pixels = planes[..., : depth - transparent]
    sr, alpha = _open_once(model)(pixels, planes[..., -1] if transparent else None)
    sr = np.dstack([sr, alpha]) if transparent else sr
    sr = sr[..., 0] if image.ndim == 2 else sr
    return jnp.asarray(sr) if isinstance(array, jax.Array) else sr


def open_model(
    model: Network | str | Path,
    target: TargetSize | None = None,
    tile: int | None = None,
    overlap: int | None = None,
    ensemble: bool = False,
    films: bool = False,
    **wishes,
) -> Enlargement:
    """What enlarges pictures: weights by path, a network, or a classical way by name.

    target: to which size, by default the network's; tile, overlap, ensemble as in
    `jsr.tiled_network.TiledNetwork`; films: whether it is for films, for which alone there are
    networks of film; wishes: alpha, linear, back_projection of `jsr.enlargement.Enlargement`.
    Raises UserError for weights that cannot be read, or are not for what is wished.
    """
    target = target or TargetSize()
    if isinstance(model, str) and model in methods.CLASSICAL and not Path(model).exists():
        scale = _classical_scale(model, target)
        return Enlargement({scale: Interpolation(model, scale)}, target, **wishes)
    if isinstance(model, Network):
        networks = [model]
    else:
        path = find_weights(model)
        networks = [load_network(path)]
        scales = networks[0].facts["scales"]
        if len(scales) > 1 and target != TargetSize():
            networks = [load_network(path, scale=scale) for scale in scales]
    if networks[0].facts["channels"] == "ct":
        raise UserError(f"{model} enlarges CT in Hounsfield units: use python -m jsr.ct")
    if networks[0].takes_clips:
        _check_streaming(model, networks[0], films, (tile, overlap) != (None, None) or ensemble)
        return Enlargement({n.scale: StreamedNetwork(n) for n in networks}, target, **wishes)
    ways = {n.scale: TiledNetwork(n, tile, overlap, ensemble) for n in networks}
    return Enlargement(ways, target, **wishes)


def _check_streaming(model, network: Network, films: bool, cut: bool) -> None:
    """Raise UserError where a network of film is not for what is wished."""
    name = network.facts["model"] if isinstance(model, Network) else model
    if not films:
        raise UserError(f"{name} enlarges films, and none is given: use weights for pictures")
    if network.channels != 3:
        raise UserError(
            f"{name} enlarges Y alone, and a network of film must take RGB: use other weights"
        )
    if cut:
        raise UserError(
            f"{name} enlarges films, each frame whole and as it is: leave out --tile, --overlap,"
            " --exact and --ensemble"
        )


def list_weights() -> str:
    """What `--weights` takes, a line each."""
    lines = ["shipped:"] if shipped_weights.list_names() else ["no weights are shipped"]
    for name in shipped_weights.list_names():
        network = load_network(name)
        count = sum(array.size for array in jax.tree.leaves(network.variables["params"]))
        licence = network.facts["licence"] or "not stated"
        lines.append(f"  {name}  {network.facts['model']}, {count:,} parameters, {licence}")
    lines.append("any weights file, or the workdir of a training")
    lines += ["classical ways, which need --scale (or --width, --height, --fit):"]
    return "\n".join([*lines, *(f"  {name}" for name in methods.CLASSICAL)])


def define_flags() -> None:
    """Define the options of the command line."""
    text, whole, yes = flags.DEFINE_string, flags.DEFINE_integer, flags.DEFINE_bool
    text("weights", None, "a file, a training's workdir, a name of --list; default the best one")
    yes("list", False, "print what there is and leave")
    flags.DEFINE_float("scale", None, "by how much to enlarge: 4, or 2.5; default the network's")
    whole("width", None, "the width of the result; the height keeps the proportions")
    whole("height", None, "the height of the result; the width keeps the proportions")
    text("fit", None, "the box that the result fits into, as in 3840x2160")
    text("tile", "auto", "cut pictures into tiles of this side; auto: what memory allows; 0: never")
    whole("overlap", None, "pixels around a tile that count; default what the network sees", 0)
    yes("exact", False, "take pictures whole, whatever memory it needs")
    yes("ensemble", False, "average over the eight orientations (x8): slower, a little better")
    flags.DEFINE_enum("alpha", "network", ["network", "bicubic"], "how transparency is enlarged")
    yes("linear", False, "resample to other sizes than the network's in linear light")
    whole("back_projection", 0, "rounds that make the result agree with the picture", 0)
    whole(
        "quality", None, "1 to 100, for JPEG, WebP, AVIF, HEIC, and films instead of --crf", 1, 100
    )
    text("codec", None, "of films: h264, hevc, av1, vp9, ffv1, prores, or PyAV's name of another")
    flags.DEFINE_float("crf", None, "of films: the codec's own quality, less is better and larger")
    text("preset", None, "of films: the codec's speed, as in slow; for prores its profile")
    text("suffix", "", "appended to names in an OUT folder: _x4")
    text("format", None, f"the format in an OUT folder or pipe: {', '.join(_forms())}")
    flags.DEFINE_enum("frames", "first", ["first", "all"], "of animations")
    text("compare", None, "a page.html that shows the pictures before and after, with a slider")
    yes("overwrite", False, "make again what lies finished in an OUT folder")
    whole("max_pixels", images.MAX_PIXELS, "larger pictures are refused", 1)


def main(words: list[str], options) -> None:
    """Enlarge what `words` name; `options` has the values of the flags."""
    if options.list:
        print(list_weights())
        return
    if len(words) < 2:
        raise UserError("expected two paths: python -m jsr.upscale IN OUT")
    if options.format and options.format.lower() not in _forms():
        raise UserError(f"--format {options.format}: use one of {', '.join(_forms())}")
    films = FilmOptions(options.codec, options.crf, options.quality, options.preset)
    weights = options.weights or shipped_weights.default_name(options.scale)
    target = parse_target(options.scale, options.width, options.height, options.fit)
    tile = _parse_tile(options)
    images.allow_pixels(options.max_pixels)
    piped = STREAM in words
    jobs = [] if piped else picture_jobs.plan_jobs(words, options.suffix, options.format)
    _check_films([job for job in jobs if job.is_film], films)
    page = _plan_page(options.compare, jobs, weights)
    model = open_model(
        weights,
        target,
        tile,
        options.overlap,
        options.ensemble,
        films=any(job.is_film for job in jobs),
        alpha=options.alpha,
        linear=options.linear,
        back_projection=options.back_projection,
    )
    with page or nullcontext():
        files = EnlargedFiles(model, options.quality, options.frames == "all", films, page)
        if piped:
            files.pipe(words, options.format)
        else:
            files.run(jobs, options.overwrite)


def _open_once(model) -> Enlargement:
    if isinstance(model, Enlargement):
        return model
    for known, opened in _opened:
        if known is model or (isinstance(model, (str, Path)) and known == model):
            return opened
    _opened[:] = [*_opened[-1:], (model, open_model(model))]
    return _opened[-1][1]


def _classical_scale(name: str, target: TargetSize) -> int:
    """The whole scale at which a classical way is used: bicubic does the rest."""
    if target == TargetSize():
        raise UserError(f"--weights {name} enlarges by any scale: give --scale, as in --scale 4")
    return int(np.ceil(target.scale)) if target.scale else 4


def _parse_tile(options) -> int | None:
    if options.exact:
        return 0
    if options.tile == "auto":
        return None
    if not options.tile.isdecimal() or 0 < int(options.tile) < 8:
        raise UserError(f"--tile {options.tile}: give auto, 0, or pixels of the picture from 8 on")
    return int(options.tile)


def _check_films(jobs: list[Job], options: FilmOptions) -> None:
    """Raise UserError for films that cannot be made, before weights are loaded."""
    if not jobs:
        return
    film_formats.require_pyav()
    from jsr import film_encoders, film_reader  # PyAV is optional

    for job in jobs:
        film_encoders.find_encoder(options, film_formats.default_codec(job.target))
    if len(jobs) == 1:
        film_reader.FilmReader(jobs[0].source)


def _plan_page(path: str | None, jobs: list[Job], weights: str) -> Comparison | None:
    """The page of --compare. Raises UserError where it cannot be made, before any work."""
    if path is None:
        return None
    if all(job.is_film for job in jobs):
        raise UserError("--compare shows pictures from files: none are given (pipes, films)")
    return Comparison(Path(path), weights)


def _forms() -> list[str]:
    return [suffix[1:] for suffix in (*WRITERS, *film_formats.WRITERS)]


if __name__ == "__main__":
    # Here alone, where the process is the command's own.
    heap.keep()
    define_flags()
    command_line.run_command(lambda words: main(words, flags.FLAGS))
