"""The end of a run: its table on the test split and the comparison sheet."""

from pathlib import Path

import numpy as np

from jsr import color, markup, methods, parallel, sheet, tables
from jsr.protocols import get_protocol
from jsr.scoring import evaluate, high_frequency, read_items
from jsr.temporal import Motions, with_flicker
from jsr.weights import load_network
from jsr.whole_files import write_whole

BASELINES = ("bicubic", "nearest", "lanczos")
# Photos on the sheet.
SHOWN = 3


def report(workdir: Path, config, photos) -> str:
    """Score baselines and stages on `photos` and write table.{md,csv,json} and sheet.png.

    The stages' weights lie in `workdir`. Every process scores its share; process 0 writes. Returns
    the table as text: each image, the means, and how much of each method's power lies where the LR
    image holds none.
    """
    parallel.gather(None)  # process 0 has written the weights
    compared = [methods.classical(name) for name in BASELINES]
    for stage in config.stages:
        path = workdir / f"{stage}.safetensors"
        compared.append(methods.from_network(f"{stage} stage", path, load_network(path)))
    protocol = get_protocol(config.protocol)
    lr, motions = config.data.lr, Motions(photos.names)

    def power(sr, _hr):
        y = color.rgb_to_y(sr) if sr.shape[-1] == 3 else sr[..., 0].astype(np.float64)
        return high_frequency(y, config.scale)

    def row(method: methods.Method) -> dict:
        produce, over_time = method.over(photos, protocol, config.scale, lr), {}
        if config.data.frames > 1:
            parts = (photos, protocol, config.scale, lr, motions)
            produce, over_time = with_flicker(produce, *parts)
        return evaluate(
            method.name,
            produce,
            photos,
            config.data.name,
            config.scale,
            protocol,
            lr=lr,
            extra={"high_frequency": power},
            over_time=over_time,
            labels=method.labels,
            spread=True,
        )

    rows = [row(method) for method in compared]
    if parallel.process_index() == 0:
        write_tables(rows, workdir)
        shown = [
            (method.name, method.over(photos, protocol, config.scale, lr))
            for method in compared
            if method.name not in ("nearest", "lanczos")
        ]
        film = config.data.frames > 1
        made = sheet.compare(shown, photos, config.scale, protocol, SHOWN, lr, film=film)
        sheet.write_sheet(workdir / "sheet.png", made)
    powers = {row["name"]: row["high_frequency"] for row in rows}
    items = read_items(photos, config.scale, protocol, lr)
    powers["HR"] = np.mean([power(item.hr, None) for item in items])
    listed = ", ".join(f"{name} {power:.1f}" for name, power in powers.items())
    return f"{tables.to_text_per_image(rows)}\npower above the Nyquist frequency of LR: {listed}"


def write_tables(rows: list[dict], folder: Path) -> None:
    """Write table.md, table.csv and table.json, each whole or not at all.

    Raises ValueError, and writes nothing, for rows that no table per image takes.
    """
    writers = {
        "md": markup.to_markdown_per_image,
        "csv": tables.to_csv,
        "json": tables.to_json,
    }
    texts = {suffix: write(rows) for suffix, write in writers.items()}
    for suffix, text in texts.items():
        write_whole(folder / f"table.{suffix}", text.encode())
