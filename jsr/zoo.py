"""The table of weights that other projects published: printed figures beside jsr's.

`python -m jsr.weights zoo WEIGHTS BENCH set5,set14,bsd100` scores the known files of a folder.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from jsr import markup, methods, protocols, scoring
from jsr.datasets.benchmarks import BENCHMARKS, open_test_pictures
from jsr.errors import UserError
from jsr.foreign import SUFFIXES
from jsr.known_weights import KNOWN, Known
from jsr.weights import load_network, weights_hash


def zoo_table(folder: Path, bench: Path, datasets: list[str]) -> str:
    """A Markdown table: for each dataset a line a network, its files at all scales together.

    A cell is jsr's PSNR / SSIM and, in brackets, by how much the printed ones differ. Raises
    UserError when the folder has no known file, and for datasets that are not below `bench`.
    """
    found = list(_known_files(folder))
    if not found:
        raise UserError(f"{folder}: holds no weights file that jsr knows the figures of")
    networks = _group(found)
    used = sorted({scale for scales in networks.values() for scale in scales})
    columns = [f"x{scale}" for scale in used]
    cells = [["weights", "parameters", *columns, "scored by", "source", "licence"]]
    for name in datasets:
        title = f" ({BENCHMARKS[name][0] if name in BENCHMARKS else name})" * (len(datasets) > 1)
        for file, scales in networks.items():
            cells.append(_line(f"{file}{title}", scales, used, name, bench))
    return "\n".join(markup.markdown_lines(cells, 1)) + "\n"


def _group(found: list[tuple[Path, Known]]) -> dict[str, dict[int, tuple[Path, Known]]]:
    """Files by name and scale: IMDN_x2.pth and IMDN_x4.pth are one network."""
    networks: dict[str, dict] = {}
    for path, known in found:
        name = re.sub(r"(?i)x[2348](?![0-9])", "x*", path.name)
        networks.setdefault(name, {}).update({scale: (path, known) for scale in known.published})
    return networks


def _line(title: str, scales: dict, used: list[int], dataset: str, bench: Path) -> list[str]:
    counts, scores = [], dict.fromkeys(used, "")
    for scale, (path, known) in scales.items():
        method = methods.from_network(path.stem, path, load_network(path, scale=scale))
        counts.append(method.labels["parameters"])
        scores[scale] = _score(method, known, dataset, bench, scale)
    # All of a network's files are of one source and scored in one way.
    how = known.protocol + ("" if known.lr == "symmetric" else f", LR {known.lr}")
    how += "" if known.ssim == "ssim" else ", MATLAB's ssim"
    count = " to ".join(f"{n:,}" for n in sorted({min(counts), max(counts)}))
    return [title, count, *scores.values(), how, known.source, known.licence]


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
        method.name,
        method.produce,
        photos,
        photos.title,
        scale,
        rule,
        known.lr,
        ("psnr", known.ssim),
        progress=True,
    )
    ours = f"{row['psnr']:.2f} / {row[known.ssim]:.4f}"
    if name not in known.published[scale]:
        return ours
    psnr, ssim = known.published[scale][name]
    gaps = [f"{round(row['psnr'], 2) - psnr:+.2f}"]
    if ssim is not None:
        gaps.append(f"{round(row[known.ssim], known.digits) - ssim:+.{known.digits}f}")
    return f"{ours} ({', '.join(gaps)})"
