"""How fast pictures go from file to file, how much memory that takes, and what tiles cost.

`python -m jsr.bench upscale` prints these rows.
"""

import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
import psutil

from jsr import timing
from jsr.enlarged_files import EnlargedFiles
from jsr.enlargement import Enlargement
from jsr.errors import UserError
from jsr.images import Picture, write_picture
from jsr.picture_jobs import Job
from jsr.resize import imresize
from jsr.steps import make_predict
from jsr.tiled_network import TiledNetwork
from jsr.timing import Work
from jsr.weights import Network, save_network

# Of the picture that is enlarged in tiles and whole, and of the one that goes from file to file.
TILED, PHOTO = (1365, 2048), (1080, 1920)
TILE = 512
COARSE = 4
# Pictures after which memory must have found its size.
SETTLED = 50


def tiling_row(network: Network, rounds: int) -> dict:
    """Tiles of 512 against the whole picture of 2048x1365; "bound" is (1 + 2 R / 512)^2 + 0.1."""
    lr = _noise(TILED).astype(np.float32) / 255.0
    tiled, whole = TiledNetwork(network, tile=TILE), TiledNetwork(network, tile=0)
    works = {
        "jsr": Work(lambda: _drain(tiled, lr)),
        "whole picture": Work(lambda: _drain(whole, lr)),
    }
    turns = timing.alternate(works, rounds)
    bound = (1 + 2 * tiled.radius / TILE) ** 2 + 0.1 if tiled.radius is not None else None
    name = f"tiles of {TILE}: {_describe(network)}, {TILED[1]}x{TILED[0]}"
    row = timing.make_row(name, turns, bound=bound)
    return {**row, "over_whole": row["jsr_s"] / row["peer_s"]}


def file_row(network: Network, rounds: int) -> dict:
    """A PNG of 1920x1080 to a PNG, against the network alone, run as often as its tiles are."""
    with tempfile.TemporaryDirectory() as folder:
        job = _write(Path(folder), PHOTO)
        tiled = TiledNetwork(network)
        files = EnlargedFiles(Enlargement({network.scale: tiled}))
        lr = _noise((TILE, TILE)).astype(np.float32)[None] / 255.0
        program = jax.jit(make_predict(network.module.apply))
        pixels = PHOTO[0] * PHOTO[1] / TILE**2

        def alone():
            jax.block_until_ready(program(network.variables, lr))

        works = {"jsr": Work(lambda: files.run([job], overwrite=True)), "alone": Work(alone)}
        turns = timing.alternate(works, rounds)
    turns["the network alone"] = [pixels * seconds for seconds in turns.pop("alone")]
    name = f"file to file: {_describe(network)}, {PHOTO[1]}x{PHOTO[0]}"
    return timing.make_row(name, turns)


def command_row(network: Network) -> dict:
    """The command itself on that PNG, in a process of its own; memory is its largest."""
    with tempfile.TemporaryDirectory() as folder:
        job = _write(Path(folder), PHOTO)
        weights = Path(folder) / "network.safetensors"
        save_network(weights, network.variables, network.facts)
        words = [str(job.source), str(job.target), "--weights", str(weights)]
        start = time.perf_counter()
        peak = _peak_of([sys.executable, "-m", "jsr.upscale", *words])
        seconds = time.perf_counter() - start
    name = f"command: {_describe(network)}, {PHOTO[1]}x{PHOTO[0]}"
    return timing.make_row(name, {"jsr": [seconds]}, memory_bytes=peak)


def many_row(network: Network, count: int) -> dict:
    """`count` small files of random sizes; memory is what they add after the first fifty."""
    draw = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        sizes = draw.integers(8, 65, (count, 2))
        jobs = [_write(Path(folder), tuple(size), str(i)) for i, size in enumerate(sizes)]
        files = EnlargedFiles(Enlargement({network.scale: TiledNetwork(network)}))
        files.run(jobs[:SETTLED])
        before, start = psutil.Process().memory_info().rss, time.perf_counter()
        files.run(jobs[SETTLED:])
        seconds = (time.perf_counter() - start) / max(count - SETTLED, 1)
        grown = psutil.Process().memory_info().rss - before
    name = f"each of {count} small files: {_describe(network)}"
    return timing.make_row(name, {"jsr": [seconds]}, memory_bytes=grown)


def rows(network: Network, rounds: int, count: int) -> Iterator[dict]:
    """All of them. The whole picture of the first must fit into memory."""
    if count <= SETTLED:
        raise UserError(f"--files {count}: expected more than {SETTLED}")
    yield tiling_row(network, rounds)
    yield file_row(network, rounds)
    yield command_row(network)
    yield many_row(network, count)


def _describe(network: Network) -> str:
    return f"{network.facts['model']} x{network.scale}"


def _noise(size: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)


def _write(folder: Path, size: tuple[int, int], name: str = "photo") -> Job:
    job = Job(folder / f"{name}.png", folder / f"{name}_enlarged.png")
    # As smooth as photographs are: noise takes PNG's encoder several times as long.
    coarse = _noise(tuple(-(-side // COARSE) for side in size))
    picture = imresize(coarse, shape=size)
    write_picture(job.source, Picture(picture, None, None, None, None))
    return job


def _drain(tiled: TiledNetwork, lr: np.ndarray) -> None:
    for tile in tiled.tiles(lr):
        np.asarray(tile.sr)


def _peak_of(command: list[str]) -> int:
    """Run it; the most bytes that it had in memory."""
    with (
        tempfile.TemporaryFile("w+") as said,
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=said) as process,
    ):
        watched, peak = psutil.Process(process.pid), 0
        while process.poll() is None:
            with contextlib.suppress(psutil.Error):
                peak = max(peak, watched.memory_info().rss)
            time.sleep(0.01)
        if process.returncode:
            said.seek(0)
            raise UserError(f"{' '.join(command)}: {said.read().strip()}")
    return peak
