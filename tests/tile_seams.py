"""How far tiles are from the whole picture, for networks that see farther than tiles overlap.

python tests/tile_seams.py PICTURE WEIGHTS [WEIGHTS ...]

Of the embedded astronaut's first 300x300, in levels of 256:

greatest (mean)   overlap 8     16            32            64
IMDN              19.7 (.244)   19.2 (.227)   12.3 (.139)    8.8 (.093)
RLFN              31.1 (.281)   31.2 (.268)   14.7 (.112)    8.0 (.066)
RFDN              22.6 (.266)   23.5 (.256)    6.8 (.069)    4.0 (.040)
BSRN              41.2 (.299)   36.0 (.280)   15.7 (.131)    9.3 (.079)
"""

import sys

import numpy as np

from jsr.images import read_rgb
from jsr.tiled_network import TiledNetwork
from jsr.weights import load_network

TILE = 128
OVERLAPS = (8, 16, 32, 64)


def joined(tiled: TiledNetwork, lr: np.ndarray) -> np.ndarray:
    """SR of float LR [h, w, c], in levels of 8 bits."""
    height, width = (side * tiled.scale for side in lr.shape[:2])
    sr = np.empty((height, width, lr.shape[2]), np.float32)
    for tile in tiled.tiles(lr):
        sr[tile.rows, tile.columns] = tile.sr
    return 255 * sr


def seams(spec: str, picture: np.ndarray) -> list[tuple[float, float]]:
    """The greatest and the mean difference from the whole picture, for each of OVERLAPS."""
    network = load_network(spec)
    lr = picture[..., : network.channels].astype(np.float32) / 255
    whole = joined(TiledNetwork(network, tile=0), lr)
    differences = (
        np.abs(joined(TiledNetwork(network, TILE, overlap), lr) - whole) for overlap in OVERLAPS
    )
    return [(float(d.max()), float(d.mean())) for d in differences]


def main(picture: str, *specs: str) -> None:
    """A line for each weights file: levels of 256, greatest (mean)."""
    print(f"tiles of {TILE}, levels of 256: greatest (mean)")
    print("weights".ljust(24) + "".join(f"overlap {overlap}".rjust(16) for overlap in OVERLAPS))
    pixels = read_rgb(picture)
    for spec in specs:
        found = "".join(f"{most:.1f} ({mean:.3f})".rjust(16) for most, mean in seams(spec, pixels))
        print(spec.rpartition("/")[2].ljust(24) + found, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
