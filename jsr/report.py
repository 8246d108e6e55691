"""The end of a run: its table on the test split and the comparison sheet."""

from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np

from jsr import color, protocols, sheet, tables
from jsr.evaluate import BASELINES, evaluate, evaluation_pairs, high_frequency
from jsr.weights import load_network

# Photos on the sheet.
SHOWN = 3


def report(workdir: Path, config, photos) -> str:
    """Score baselines and stages on `photos` and write table.{md,csv,json} and sheet.png.

    The stages' weights lie in `workdir`. Returns the table as text: each image, the means, and how
    much of each method's power lies where the LR image holds none.
    """
    methods = {name: partial(method, scale=config.scale) for name, method in BASELINES.items()}
    for stage in config.stages:
        methods[f"{stage} stage"] = load_network(workdir / f"{stage}.safetensors")
    rows = [
        evaluate(name, method, photos, config.data.name, config.scale, config.protocol)
        for name, method in methods.items()
    ]
    tables.write_tables(rows, workdir)
    write_sheet(workdir / "sheet.png", methods, photos, config)
    powers = {row["name"]: row["high_frequency"] for row in rows}
    powers["HR"] = np.mean(
        [
            high_frequency(color.rgb_to_y(hr), config.scale)
            for _, _, hr in evaluation_pairs(photos, config.scale)
        ]
    )
    listed = ", ".join(f"{name} {power:.1f}" for name, power in powers.items())
    return f"{tables.to_text_per_image(rows)}\npower above the Nyquist frequency of LR: {listed}"


def write_sheet(path: Path, methods: dict, photos, config) -> None:
    """The sheet of the first photos: LR, bicubic, the stages, HR."""
    rule = protocols.get_protocol(config.protocol)
    shown = {n: m for n, m in methods.items() if n not in ("nearest", "lanczos")}
    strips = []
    for name, lr, hr in islice(evaluation_pairs(photos, config.scale), SHOWN):
        panels = [("LR", sheet.as_hr_size(lr, config.scale), f"{lr.shape[1]}x{lr.shape[0]}")]
        for title, method in shown.items():
            sr = method(lr)
            scores = protocols.score(sr, hr, config.scale, rule)
            panels.append((title, sr, f"{scores['psnr']:.2f} dB  {scores['ssim']:.4f}"))
        panels.append(("HR", hr, "PSNR  SSIM"))
        strips.append((name, hr, panels))
    sheet.write_sheet(path, sheet.make_sheet(strips))
