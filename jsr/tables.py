"""Tables from rows: text, CSV, JSON.

A row is {"name", "dataset", "scale", "protocol", "lr", "psnr", "ssim", ..., "images"}; "images" is
a list of {"name", "psnr", "ssim", ...}. It may say more: "weights" (the file's hash), "parameters",
"ensemble" (whether the eight orientations were averaged), "tile" (their side, 0 for whole
pictures), "expected" (how many images the dataset has), "counts" ({figure: of how many images it is
the mean, where not of all}), "seeds" and "std" ({figure: its deviation over them}), "p" and
"reference" (see `jsr.seeds`), and figures that only CSV and JSON show.
"""

import csv
import dataclasses
import io
import json
import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from jsr.protocols import PROTOCOLS

LABELS = ("name", "dataset", "scale", "protocol", "lr")
# What a row may say of its method.
NOTES = ("weights", "parameters", "ensemble", "tile", "seeds", "p", "reference")
MARK = "*"
MARKED = f"{MARK} scored by another protocol than the first row: not comparable with it"


@dataclasses.dataclass(frozen=True)
class Figure:
    """How a figure is printed, and which of two is the better one."""

    label: str
    digits: int
    better: Literal["high", "low"]


FIGURES = {
    "psnr": Figure("PSNR", 2, "high"),
    "ssim": Figure("SSIM", 4, "high"),
    "ssim_matlab": Figure("SSIM (MATLAB)", 4, "high"),
    "ms_ssim": Figure("MS-SSIM", 4, "high"),
    "lpips_alexnet": Figure("LPIPS (AlexNet)", 4, "low"),
    "lpips_vgg16": Figure("LPIPS (VGG16)", 4, "low"),
    "niqe": Figure("NIQE (own fit)", 2, "low"),
    "niqe_published": Figure("NIQE", 2, "low"),
    "warping_error": Figure("warping error", 5, "low"),
    "megapixels_per_second": Figure("SR MP/s", 2, "high"),
    "memory_mb": Figure("peak MB", 0, "low"),
    "minutes": Figure("minutes", 1, "low"),
}


def mean_row(
    name: str,
    dataset: str,
    scale: int,
    protocol: str,
    lr: str,
    images: list[dict],
    labels: dict | None = None,
) -> dict:
    """The row of one method: every figure of the images averaged as the protocol says.

    Over clips: an image's clip is the folder in its name. NaN, a figure that an image has not, is
    left out of the mean, and "counts" says so. Raises ValueError when there are no images.
    """
    if not images:
        raise ValueError(f"there are no images to average for {name} on {dataset}")
    groups = [images]
    if protocol in PROTOCOLS and PROTOCOLS[protocol].average == "clips":
        clips: dict[str, list[dict]] = {}
        for image in images:
            clips.setdefault(image["name"].rpartition("/")[0], []).append(image)
        groups = list(clips.values())
    figures = [key for key in images[0] if key != "name"]
    means = {key: _mean([_mean([image[key] for image in g]) for g in groups]) for key in figures}
    counts = {key: sum(not math.isnan(image[key]) for image in images) for key in figures}
    partial = {key: count for key, count in counts.items() if count < len(images)}
    first = dict(zip(LABELS, (name, dataset, scale, protocol, lr), strict=True))
    told = {"counts": partial} if partial else {}
    return {**first, **(labels or {}), **means, **told, "images": images}


def shown_figures(rows: list[dict]) -> list[str]:
    """The figures that tables show, of those that any row has."""
    return [key for key in FIGURES if any(key in row for row in rows)]


def image_figures(rows: list[dict]) -> list[str]:
    """The figures that tables show of single images: those that any image of the rows has."""
    return [key for key in FIGURES if any(key in image for row in rows for image in row["images"])]


def cell(row: dict, key: str, plus_minus: str = " ± ") -> str:
    """A figure as printed, with its deviation over seeds; "-" where the row has none."""
    if row.get(key) is None:
        return "-"
    digits = FIGURES[key].digits
    deviation = row.get("std", {}).get(key)
    suffix = "" if deviation is None else f"{plus_minus}{deviation:.{digits}f}"
    return f"{row[key]:.{digits}f}{suffix}"


def check(rows: list[dict], mixed: bool = False) -> None:
    """Raise ValueError when there are no rows, or unless `mixed`, rows of several protocols."""
    if not rows:
        raise ValueError("there are no rows to print")
    protocols = sorted({row["protocol"] for row in rows})
    if len(protocols) > 1 and not mixed:
        raise ValueError(f"rows of different protocols in one table: {', '.join(protocols)}")


def marked(rows: list[dict], row: dict) -> bool:
    """Whether a row is of another protocol than the first."""
    return row["protocol"] != rows[0]["protocol"]


def count(row: dict) -> str:
    """How many images a row has, and of how many where some are missing."""
    images, expected = len(row["images"]), row.get("expected")
    return f"{images}" if expected in (None, images) else f"{images} of {expected}"


def captions(rows: list[dict]) -> list[str]:
    """What the rows' protocols and marks mean, and which of them are not what they seem; lines."""
    names = dict.fromkeys(row["protocol"] for row in rows)
    lines = [f"protocol {name}: {PROTOCOLS[name].says}" for name in names if name in PROTOCOLS]
    lines += [MARKED] if len(names) > 1 else []
    if ensembles := dict.fromkeys(row["name"] for row in rows if row.get("ensemble")):
        lines.append(f"self-ensemble, mean over the eight orientations: {', '.join(ensembles)}")
    for row in rows:
        for key, number in row.get("counts", {}).items():
            label = FIGURES[key].label if key in FIGURES else key
            where = f"{row['name']} on {row['dataset']} x{row['scale']}"
            lines.append(f"{label} of {where}: mean over {number} of {len(row['images'])} images")
    return lines


def to_text(rows: list[dict], mixed: bool = False) -> str:
    """Aligned columns, a line a row: labels, weights' hash, how many images, mean figures.

    Below stands what the protocol measures. Raises ValueError as `check` does.
    """
    check(rows, mixed)
    keys = shown_figures(rows)
    notes = [note for note in NOTES[:2] if any(note in row for row in rows)]
    has_p = any("p" in row for row in rows)
    head = [*LABELS, "images", *notes, *(FIGURES[key].label for key in keys)]
    cells = [[*head, *(["p"] if has_p else [])]]
    for row in rows:
        mark = MARK if marked(rows, row) else ""
        labels = [row["name"] + mark, *(str(row[label]) for label in LABELS[1:])]
        line = [*labels, count(row), *(_note(row.get(note)) for note in notes)]
        line += [cell(row, key) for key in keys]
        cells.append([*line, *([_p_value(row)] if has_p else [])])
    numbers = ">" * (len(cells[0]) - 6)
    return "\n".join([align(cells, "<<><<>" + numbers), *captions(rows), *_seed_lines(rows)])


def to_text_per_image(rows: list[dict], mixed: bool = False) -> str:
    """A block for each dataset, scale and LR family: an image a line, a method a column, the mean.

    Raises ValueError when there are no rows, their protocols differ, or the rows of a block have
    other images.
    """
    texts = []
    for title, lines in blocks(rows, mixed):
        group = lines[0][1]
        keys = image_figures(group)
        cells = [["image", *(row["name"] for row in group)]]
        for name, entries in lines[1:]:
            cells.append([name, *(" / ".join(cell(e, key) for key in keys) for e in entries)])
        texts.append(f"{title}\n{align(cells, '<' + '>' * (len(cells[0]) - 1))}")
    return "\n\n".join(texts)


def to_csv(rows: list[dict]) -> str:
    """One line an image and one a mean (image "mean"), at full precision.

    Means alone have speed and memory and, in columns called psnr_std ..., deviations over seeds.
    """
    images = [image for row in rows for image in row["images"]]
    figures = [key for image in images for key in image if key != "name"]
    figures = list(dict.fromkeys([*figures, *shown_figures(rows)]))
    spreads = [f"{key}_std" for key in figures if any(key in row.get("std", ()) for row in rows)]
    notes = [note for note in NOTES if any(note in row for row in rows)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = [*figures, *spreads]
    writer.writerow([*LABELS, *notes, "image", *columns])
    for row in rows:
        spread = {f"{key}_std": value for key, value in row.get("std", {}).items()}
        for image in [*row["images"], {**row, **spread, "name": "mean"}]:
            labels = [row.get(label, "") for label in (*LABELS, *notes)]
            writer.writerow([*labels, image["name"], *(image.get(c, "") for c in columns)])
    return text.getvalue()


def to_json(rows: list[dict]) -> str:
    """{"rows": rows} as strict JSON; what is not finite becomes null."""
    return json.dumps({"rows": _finite(rows)}, indent=1, allow_nan=False) + "\n"


def blocks(rows: list[dict], mixed: bool = False) -> list[tuple[str, list[tuple[str, list[dict]]]]]:
    """(title, lines) of each set of rows that may be compared, in order of appearance.

    A line is (image's name, its entry in each row); the first one is ("image", the rows), the
    last ("mean", the rows). Raises ValueError as `to_text_per_image` does.
    """
    check(rows, mixed)
    groups: dict[tuple, list[dict]] = {}
    for row in rows:
        groups.setdefault(tuple(row[label] for label in LABELS[1:]), []).append(row)
    result = []
    for (dataset, scale, protocol, lr), group in groups.items():
        found = [{image["name"]: image for image in row["images"]} for row in group]
        names = dict.fromkeys(name for images in found for name in images)
        labels = " / ".join(FIGURES[figure].label for figure in image_figures(group))
        title = f"{dataset} x{scale}, {labels}, protocol {protocol}, LR {lr}"
        lines = [(name, [images.get(name, {}) for images in found]) for name in names]
        result.append((title, [("image", group), *lines, ("mean", group)]))
    return result


def align(cells: Sequence[Sequence[str]], sides: str) -> str:
    """Lines of columns, each to the left (<) or to the right (>)."""
    widths = [max(len(cell) for cell in column) for column in zip(*cells, strict=True)]
    columns = list(zip(sides, widths, strict=True))
    lines = []
    for line in cells:
        padded = (f"{c:{side}{width}}" for c, (side, width) in zip(line, columns, strict=True))
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)


def _mean(values: list[float]) -> float:
    """Of those that are not NaN; NaN where all are."""
    there = [value for value in values if not math.isnan(value)]
    return float(np.mean(there)) if there else math.nan


def _note(value) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _p_value(row: dict) -> str:
    return "-" if row.get("p") is None else f"{row['p']:.2g}"


def _seed_lines(rows: list[dict]) -> list[str]:
    """What ± and p mean, where rows have them."""
    lines = []
    if any("std" in row for row in rows):
        seeds = sorted({row["seeds"] for row in rows if "seeds" in row})
        lines.append(f"±: standard deviation over {', '.join(map(str, seeds))} weights (seeds)")
    references = {row["reference"] for row in rows if row.get("reference")}
    if references:
        lines.append(
            f"p: that the PSNR of the images differs from that of {', '.join(sorted(references))}"
            " by chance (Wilcoxon's signed-rank test over pairs, two-sided)"
        )
    return lines


def _finite(value):
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
