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


def mean_row(
    name: str, dataset: str, scale: int, protocol: str, lr: str, images: list[dict]
) -> dict:
    """The row of one method: every figure of the images is averaged."""
    figures = [key for key in images[0] if key != "name"]
    means = {key: float(np.mean([image[key] for image in images])) for key in figures}
    labels = dict(zip(LABELS, (name, dataset, scale, protocol, lr), strict=True))
    return {**labels, **means, "images": images}


def to_text(rows: list[dict]) -> str:
    """Aligned columns: PSNR and SSIM of each image and their mean. Raises ValueError when empty."""
    cells = _cells(rows)
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    lines = [_title(rows)]
    for row in cells:
        first = row[0].ljust(widths[0])
        lines.append(
            "  ".join([first, *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))])
        )
    return "\n".join(lines)


def to_markdown(rows: list[dict]) -> str:
    """The same as a Markdown table; the best mean is bold."""
    head, *body = _cells(rows)
    for figure, digits in (("psnr", 2), ("ssim", 4)):
        means = [round(row[figure], digits) for row in rows]
        column = len(head) - (2 if figure == "psnr" else 1)
        for line, mean in zip(body, means, strict=True):
            if mean == max(means):
                line[column] = f"**{line[column]}**"
    rule = ["---"] + ["---:"] * (len(head) - 1)
    lines = ["| " + " | ".join(line) + " |" for line in (head, rule, *body)]
    return "\n".join([_title(rows), "", *lines]) + "\n"


def to_csv(rows: list[dict]) -> str:
    """One line an image and one a mean (image "mean"), at full precision."""
    figures = [key for key in rows[0]["images"][0] if key != "name"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*LABELS, "image", *figures])
    for row in rows:
        labels = [row[label] for label in LABELS]
        for image in row["images"]:
            writer.writerow([*labels, image["name"], *(image[f] for f in figures)])
        writer.writerow([*labels, "mean", *(row[f] for f in figures)])
    return text.getvalue()


def to_json(rows: list[dict]) -> str:
    """{"rows": rows} as strict JSON; what is not finite becomes null."""
    return json.dumps({"rows": _finite(rows)}, indent=1, allow_nan=False) + "\n"


def write_tables(rows: list[dict], folder: Path) -> None:
    """Write table.md, table.csv and table.json, each whole or not at all."""
    texts = {"md": to_markdown(rows), "csv": to_csv(rows), "json": to_json(rows)}
    for suffix, text in texts.items():
        path = Path(folder) / f"table.{suffix}"
        temporary = path.with_name(f".{path.name}.tmp")
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)


def _title(rows: list[dict]) -> str:
    row = rows[0]
    return (
        f"PSNR / SSIM, protocol {row['protocol']}, x{row['scale']} on {row['dataset']}"
        f" ({len(row['images'])} images, LR {row['lr']})"
    )


def _cells(rows: list[dict]) -> list[list[str]]:
    """A head and a line a row: name, each image's PSNR / SSIM, the means in two cells.

    Raises ValueError when the rows do not belong into one table.
    """
    if not rows:
        raise ValueError("there are no rows to print")
    for label in LABELS[1:]:
        values = sorted({str(row[label]) for row in rows})
        if len(values) > 1:
            raise ValueError(f"rows of different {label} in one table: {', '.join(values)}")
    names = [image["name"] for image in rows[0]["images"]]
    cells = [["method", *names, "PSNR", "SSIM"]]
    for row in rows:
        images = [f"{i['psnr']:.2f} / {i['ssim']:.4f}" for i in row["images"]]
        cells.append([row["name"], *images, f"{row['psnr']:.2f}", f"{row['ssim']:.4f}"])
    return cells


def _finite(value):
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
