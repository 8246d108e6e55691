"""Tables from rows: text, Markdown, CSV, JSON.

A row is {"name", "dataset", "scale", "protocol", "lr", "psnr", "ssim", "images"}; "images" is a
list of {"name", "psnr", "ssim"}. Both may have further figures, which only CSV and JSON show.
"""

import csv
import io
import json
import math
import os
from pathlib import Path

import numpy as np

LABELS = ("name", "dataset", "scale", "protocol", "lr")
# What text and Markdown show, and with how many decimals; the larger the better.
DIGITS = {"psnr": 2, "ssim": 4}


def mean_row(
    name: str, dataset: str, scale: int, protocol: str, lr: str, images: list[dict]
) -> dict:
    """The row of one method: every figure of the images is averaged.

    Raises ValueError when there are no images.
    """
    if not images:
        raise ValueError(f"there are no images to average for {name} on {dataset}")
    figures = [key for key in images[0] if key != "name"]
    means = {key: float(np.mean([image[key] for image in images])) for key in figures}
    labels = dict(zip(LABELS, (name, dataset, scale, protocol, lr), strict=True))
    return {**labels, **means, "images": images}


def to_text(rows: list[dict]) -> str:
    """Aligned columns, a line a row: its labels, how many images it has, mean PSNR and SSIM.

    Raises ValueError when there are no rows or their protocols differ.
    """
    _check(rows)
    cells = [[*LABELS, "images", "PSNR", "SSIM"]]
    for row in rows:
        means = [f"{row[figure]:.{digits}f}" for figure, digits in DIGITS.items()]
        cells.append([*(str(row[label]) for label in LABELS), str(len(row["images"])), *means])
    return _align(cells, "<<><<>>>")


def to_text_per_image(rows: list[dict]) -> str:
    """A block for each dataset, scale and LR family: an image a line, a method a column, the mean.

    Raises ValueError when there are no rows, their protocols differ, or the rows of a block have
    other images.
    """
    blocks = []
    for title, cells in _blocks(rows, bold=False):
        blocks.append(f"{title}\n{_align(cells, '<' + '>' * (len(cells[0]) - 1))}")
    return "\n\n".join(blocks)


def to_markdown(rows: list[dict]) -> str:
    """`to_text_per_image` as Markdown tables, the best figures of each line in bold."""
    blocks = []
    for title, cells in _blocks(rows, bold=True):
        head, *body = ([cell.replace("|", "\\|") for cell in line] for line in cells)
        rule = ["---"] + ["---:"] * (len(head) - 1)
        lines = ["| " + " | ".join(line) + " |" for line in (head, rule, *body)]
        blocks.append("\n".join([title, "", *lines]))
    return "\n\n".join(blocks) + "\n"


def to_csv(rows: list[dict]) -> str:
    """One line an image and one a mean (image "mean"), at full precision."""
    images = [image for row in rows for image in row["images"]]
    figures = list(dict.fromkeys(key for image in images for key in image if key != "name"))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*LABELS, "image", *figures])
    for row in rows:
        for image in [*row["images"], {**row, "name": "mean"}]:
            labels = [row[label] for label in LABELS]
            writer.writerow([*labels, image["name"], *(image.get(f, "") for f in figures)])
    return text.getvalue()


def to_json(rows: list[dict]) -> str:
    """{"rows": rows} as strict JSON; what is not finite becomes null."""
    return json.dumps({"rows": _finite(rows)}, indent=1, allow_nan=False) + "\n"


def write_tables(rows: list[dict], folder: Path) -> None:
    """Write table.md, table.csv and table.json, each whole or not at all.

    Raises ValueError, and writes nothing, for rows that `to_markdown` does not take.
    """
    texts = {"md": to_markdown(rows), "csv": to_csv(rows), "json": to_json(rows)}
    for suffix, text in texts.items():
        path = Path(folder) / f"table.{suffix}"
        temporary = path.with_name(f".{path.name}.tmp")
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)


def _check(rows: list[dict]) -> None:
    if not rows:
        raise ValueError("there are no rows to print")
    protocols = sorted({row["protocol"] for row in rows})
    if len(protocols) > 1:
        raise ValueError(f"rows of different protocols in one table: {', '.join(protocols)}")


def _align(cells: list[list[str]], sides: str) -> str:
    """Lines of columns, each to the left (<) or to the right (>)."""
    widths = [max(len(cell) for cell in column) for column in zip(*cells, strict=True)]
    columns = list(zip(sides, widths, strict=True))
    lines = []
    for line in cells:
        padded = (f"{c:{side}{width}}" for c, (side, width) in zip(line, columns, strict=True))
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)


def _blocks(rows: list[dict], bold: bool) -> list[tuple[str, list[list[str]]]]:
    """(title, lines of cells) of each set of rows that may be compared, in order of appearance."""
    _check(rows)
    groups: dict[tuple, list[dict]] = {}
    for row in rows:
        groups.setdefault((row["dataset"], row["scale"], row["lr"]), []).append(row)
    blocks = []
    for (dataset, scale, lr), group in groups.items():
        names = [image["name"] for image in group[0]["images"]]
        if any([image["name"] for image in row["images"]] != names for row in group):
            raise ValueError(f"the rows of {dataset} x{scale} do not have the same images")
        title = f"{dataset} x{scale}, PSNR / SSIM, protocol {rows[0]['protocol']}, LR {lr}"
        cells = [["image", *(row["name"] for row in group)]]
        for name, *images in zip(names, *(row["images"] for row in group), strict=True):
            cells.append([name, *_figures(images, bold)])
        blocks.append((title, [*cells, ["mean", *_figures(group, bold)]]))
    return blocks


def _figures(entries: list[dict], bold: bool) -> list[str]:
    """PSNR / SSIM of each entry; in bold what is best as printed, where there is a choice."""
    columns = []
    for figure, digits in DIGITS.items():
        shown = [f"{entry[figure]:.{digits}f}" for entry in entries]
        best = max((float(text) for text in shown if text != "nan"), default=None)
        if bold and len(entries) > 1:
            shown = [f"**{text}**" if float(text) == best else text for text in shown]
        columns.append(shown)
    return [" / ".join(pair) for pair in zip(*columns, strict=True)]


def _finite(value):
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
