"""PSNR and SSIM of Y for 100 pairs of Urban100's size: jsr against the usual NumPy/OpenCV way.

python tests/scoring_speed.py [PAIRS]
"""

import os
import sys
import time
import tracemalloc

import cv2
import numpy as np

from jsr.protocols import get_protocol
from jsr.scoring import evaluate

# Urban100's mean size; the pairs share eight pictures, so that only scoring takes memory.
HEIGHT, WIDTH, SCALE, DISTINCT = 796, 984, 4, 8


class Pictures:
    """HR pictures, and SR of each, made once."""

    def __init__(self, count: int):
        rng = np.random.default_rng(0)
        coarse = [rng.integers(0, 256, (HEIGHT // 8, WIDTH // 8, 3), np.uint8) for _ in range(8)]
        self._hrs = [cv2.resize(c, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC) for c in coarse]
        noise = rng.integers(-9, 10, (HEIGHT, WIDTH, 3))
        self._srs = [np.clip(hr + noise, 0, 255).astype(np.uint8) for hr in self._hrs]
        self.names = [f"img_{i:03d}" for i in range(count)]

    def __getitem__(self, index: int) -> np.ndarray:
        return self._hrs[index % DISTINCT]

    def sr(self, index: int) -> np.ndarray:
        return self._srs[index % DISTINCT]


def usual(sr: np.ndarray, hr: np.ndarray, border: int) -> tuple[float, float]:
    """PSNR and SSIM of Y as most projects compute them: whole pictures, five 11x11 filters."""
    weights = np.array([65.481, 128.553, 24.966])
    planes = []
    for image in (sr, hr):
        image = image[border:-border, border:-border].astype(np.float64)
        planes.append(np.dot(image, weights) / 255.0 + 16.0)
    x, y = planes
    kernel = cv2.getGaussianKernel(11, 1.5)
    window = np.outer(kernel, kernel.transpose())

    def blur(image):
        return cv2.filter2D(image, -1, window)[5:-5, 5:-5]

    mean_x, mean_y = blur(x), blur(y)
    variance_x, variance_y = blur(x**2) - mean_x**2, blur(y**2) - mean_y**2
    covariance = blur(x * y) - mean_x * mean_y
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    numerator = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    similarity = numerator / ((mean_x**2 + mean_y**2 + c1) * (variance_x + variance_y + c2))
    return 10 * np.log10(255**2 / np.mean((x - y) ** 2)), similarity.mean()


def compare(count: int) -> dict[str, float]:
    """Seconds of both ways, their ratio, and jsr's peak memory as multiples of a float64 plane."""
    pictures = Pictures(count)

    def ours():
        protocol = get_protocol("y")
        return evaluate("sr", lambda item: pictures.sr(item.index), pictures, "", SCALE, protocol)

    def theirs():
        return np.mean([usual(pictures.sr(i), pictures[i], SCALE) for i in range(count)], axis=0)

    seconds = {}
    for name, run in (("usual", theirs), ("jsr", ours)):
        start = time.perf_counter()
        result = run()
        seconds[name] = time.perf_counter() - start
        if name == "usual":
            expected = result
    np.testing.assert_allclose([result["psnr"], result["ssim"]], expected, rtol=1e-9)
    tracemalloc.start()
    ours()
    peak = tracemalloc.get_traced_memory()[1] / (HEIGHT * WIDTH * 8)
    tracemalloc.stop()
    return {**seconds, "ratio": seconds["usual"] / seconds["jsr"], "peak_planes": peak}


if __name__ == "__main__":
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    found = compare(pairs)
    print(
        f"{pairs} pairs of {WIDTH}x{HEIGHT}, {os.cpu_count()} cores: usual {found['usual']:.1f} s,"
        f" jsr {found['jsr']:.1f} s, {found['ratio']:.1f} times as fast; peak memory"
        f" {found['peak_planes']:.1f} planes of float64"
    )
