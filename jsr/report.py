"""The end of a run: its table on the test split and the comparison sheet."""

from pathlib import Path

from jsr import protocols, sheet, tables
from jsr.evaluate import BASELINES, evaluate, evaluation_pairs
from jsr.weights import load_network

# Photos on the sheet.
SHOWN = 3


def report(workdir: Path, config, photos) -> str:
    """Score baselines and stages on `photos` and write table.{md,csv,json} and sheet.png.

    The stages are those whose weights lie in `workdir`. Returns the table as text.
    """
    methods = {
        name: lambda lr, method=method: method(lr, config.scale)
        for name, method in BASELINES.items()
    }
    for stage in config.stages:
        methods[f"{stage} stage"] = load_network(workdir / f"{stage}.safetensors")
    rows = [
        evaluate(name, method, photos, config.data.name, config.scale, config.protocol)
        for name, method in methods.items()
    ]
    tables.write_tables(rows, workdir)
    write_sheet(workdir / "sheet.png", methods, photos, config)
    return tables.to_text(rows)


def write_sheet(path: Path, methods: dict, photos, config) -> None:
    """The sheet of the first photos: LR, bicubic, the stages, HR."""
    rule = protocols.get_protocol(config.protocol)
    shown = {n: m for n, m in methods.items() if n not in ("nearest", "lanczos")}
    strips = []
    pairs = evaluation_pairs(photos, config.scale)
    for _, (name, lr, hr) in zip(range(SHOWN), pairs, strict=False):
        panels = [("LR", sheet.as_hr_size(lr, config.scale), f"{lr.shape[1]}x{lr.shape[0]}")]
        for title, method in shown.items():
            sr = method(lr)
            scores = protocols.score(sr, hr, config.scale, rule)
            panels.append((title, sr, f"{scores['psnr']:.2f} dB  {scores['ssim']:.4f}"))
        panels.append(("HR", hr, "PSNR  SSIM"))
        strips.append((name, hr, panels))
    sheet.write_sheet(path, sheet.make_sheet(strips))
