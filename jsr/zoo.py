"""The table of weights that other projects published: printed figures beside jsr's.

`python -m jsr.weights zoo WEIGHTS BENCH set5,set14,bsd100` scores the known files of a folder.
"""

from collections.abc import Iterator
from pathlib import Path

from jsr import markup, methods, protocols, scoring
from jsr.datasets.benchmarks import BENCHMARKS, open_test_pictures
from jsr.errors import UserError
from jsr.foreign import SUFFIXES
from jsr.known_weights import KNOWN, Known
from jsr.weights import load_network, weights_hash


def zoo_table(folder: Path, bench: Path, datasets: list[str]) -> str:
    """A Markdown table: a line for each known file below `folder` and each of its scales.

    A cell is jsr's PSNR / SSIM and, in brackets, by how much the printed ones differ. Raises
    UserError when the folder has no known file, and for datasets that are not below `bench`.
    """
    found = list(_known_files(folder))
    if not found:
        raise UserError(f"{folder}: holds no weights file that jsr knows the figures of")
    titles = [BENCHMARKS[name][0] if name in BENCHMARKS else name for name in datasets]
    cells = [["weights", "parameters", "scale", *titles, "scored by", "source", "licence"]]
    for path, known in found:
        for scale in known.published:
            method = methods.from_network(path.stem, path, load_network(path, scale=scale))
            scores = [_score(method, known, name, bench, scale) for name in datasets]
            how = known.protocol + ("" if known.lr == "symmetric" else f", LR {known.lr}")
            count = f"{method.labels['parameters']:,}"
            told = [how, known.source, known.licence]
            cells.append([path.name, count, f"x{scale}", *scores, *told])
    return "\n".join(markup.markdown_lines(cells, 1)) + "\n"


def _known_files(folder: Path) -> Iterator[tuple[Path, Known]]:
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in SUFFIXES and path.is_file():
            known = KNOWN.get(weights_hash(path))
            if known is not None:
                yield path, known


def _score(method: methods.Method, known: Known, name: str, bench: Path, scale: int) -> str:
    photos = open_test_pictures(name, scale, str(bench))
    rule = protocols.get_protocol(known.protocol)
    row = scoring.evaluate(
        method.name, method.produce, photos, photos.title, scale, rule, known.lr, progress=True
    )
    ours = f"{row['psnr']:.2f} / {row['ssim']:.4f}"
    if name not in known.published[scale]:
        return ours
    psnr, ssim = known.published[scale][name]
    gaps = [f"{round(row['psnr'], 2) - psnr:+.2f}"]
    gaps += [] if ssim is None else [f"{round(row['ssim'], 4) - ssim:+.4f}"]
    return f"{ours} ({', '.join(gaps)})"
