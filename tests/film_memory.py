"""The most memory that `jsr.upscale` takes for films of more and more frames.

python tests/film_memory.py WEIGHTS 854x480 12,60,120     # size and numbers of frames of the films
"""

import os
import sys
import tempfile
import time
from pathlib import Path

import psutil
from films import moving, write_film

ROOT = Path(__file__).parents[1]


def enlarge(source: Path, target: Path, *words: str) -> int:
    """Enlarge a film by the command; returns the bytes that it held at most, every 20 ms."""
    command = [sys.executable, "-m", "jsr.upscale", str(source), str(target), *words]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    process, peak = psutil.Popen(command, env=environment), 0
    while process.poll() is None:
        try:
            peak = max(peak, process.memory_info().rss)
        except psutil.NoSuchProcess:
            break
        time.sleep(0.02)
    if process.wait():
        raise RuntimeError(f"{' '.join(command)} ended with code {process.returncode}")
    return peak


def main(weights: str, size: str, counts: str) -> None:
    """A line for each number of frames."""
    width, height = map(int, size.split("x"))
    with tempfile.TemporaryDirectory() as folder:
        for count in map(int, counts.split(",")):
            frames = moving(count, height, width)
            source = write_film(Path(folder) / f"{count}.mp4", frames, codec="libx264")
            target = source.with_suffix(".big.mp4")
            began = time.monotonic()
            peak = enlarge(source, target, "--weights", weights, "--preset", "ultrafast")
            target.unlink()
            minutes = (time.monotonic() - began) / 60
            print(
                f"{count} frames of {size}: {peak / 1e9:.2f} GB, {minutes:.1f} minutes", flush=True
            )


if __name__ == "__main__":
    main(*sys.argv[1:])
