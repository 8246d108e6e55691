"""How far frames before a seam of chunks are from those of the whole clip, by frames seen ahead.

python tests/film_seams.py WEIGHTS   # of a network that looks ahead: configs/video.py:basicvsr

jsr/film_network.py's figures are of `python -m jsr.main --config configs/video.py:basicvsr` with
--config.data.name sample_pans --config.generator.hparams.features 16
--config.generator.hparams.blocks 2 --config.data.frames 6 --config.data.batch_size 2
--config.data.patch 16 --config.pixel.steps 200 --config.ema 0.97 --config.pixel.optimizer.lr 1e-3
--config.pixel.optimizer.clip 1 --config.eval_every 100 --config.save_every 100
--config.log_every 20
"""

import sys
from unittest import mock

import numpy as np

from jsr import film_network
from jsr.datasets import sample_photos
from jsr.datasets.pans import make_pans
from jsr.resize import downscale
from jsr.weights import Network, load_network

AHEAD = (0, 2, 5, 10)
# LR frames of a side of 32, in two chunks.
FRAMES, CHUNK, SIDE = 24, 12, 128
# How many frames before the seam a frame is.
BEFORE = (1, 2, 4, 8)


def enlarged(network: Network, clip: list[np.ndarray], longest: int | None) -> np.ndarray:
    """SR of a clip in levels of 8 bits, [t, h, w, c]."""
    frames = ((lr.astype(np.float32) / 255, False) for lr in clip)
    made = film_network.enlarge_film(network.module, network.variables, frames, (), longest)
    return 255 * np.stack([sr for sr, _ in made])


def seams(network: Network, clip: list[np.ndarray]) -> np.ndarray:
    """The greatest and the mean difference from the whole clip, [AHEAD, BEFORE, 2]."""
    whole, found = enlarged(network, clip, None), []
    for ahead in AHEAD:
        with mock.patch.object(film_network, "AHEAD", ahead):
            apart = np.abs(enlarged(network, clip, CHUNK) - whole)[[CHUNK - b for b in BEFORE]]
        found.append(np.stack([apart.max((1, 2, 3)), apart.mean((1, 2, 3))], axis=1))
    return np.array(found)


def main(spec: str) -> None:
    """A line for each number of frames ahead: the greatest of the test's clips (mean of them)."""
    network = load_network(spec)
    films = make_pans(sample_photos.open_split("test", None), 1, FRAMES, SIDE)
    clips = [films.names[i : i + FRAMES] for i in range(0, len(films), FRAMES)]
    every = []
    for number, names in enumerate(clips):
        frames = [films[number * FRAMES + i] for i in range(len(names))]
        every.append(seams(network, [downscale(frame, network.scale) for frame in frames]))
    found = np.array(every)
    print(f"chunks of {CHUNK} of {FRAMES} frames, levels of 256: greatest (mean)")
    print("ahead".ljust(8) + "".join(f"{b} before the seam".rjust(22) for b in BEFORE))
    for index, ahead in enumerate(AHEAD):
        pairs = zip(found[:, index, :, 0].max(0), found[:, index, :, 1].mean(0), strict=True)
        told = "".join(f"{most:.2f} ({mean:.4f})".rjust(22) for most, mean in pairs)
        print(str(ahead).ljust(8) + told)


if __name__ == "__main__":
    main(*sys.argv[1:])
