"""The scatter that papers print: PSNR against parameters and, where it was measured, speed."""

from io import BytesIO
from pathlib import Path

from jsr import tables
from jsr.errors import UserError
from jsr.whole_files import write_whole


def write_plot(path: Path, rows: list[dict]) -> None:
    """Draw each row that has parameters as a point, a panel for each dataset and scale.

    Where rows have "megapixels_per_second" a second line of panels shows it. Names are marked as
    tables mark them. The file is written whole or not at all. Raises UserError where matplotlib is
    not installed, no row is of a network, or the format is unknown.
    """
    drawn = [row for row in rows if row.get("parameters")]
    if not drawn:
        raise UserError("--plot shows networks by their parameters, and no row is of one")
    matplotlib = _matplotlib()
    panels = list(dict.fromkeys((row["dataset"], row["scale"]) for row in drawn))
    axes_keys = {"parameters": "parameters"}
    if any("megapixels_per_second" in row for row in drawn):
        axes_keys["megapixels_per_second"] = "SR megapixels a second"
    shape = (len(axes_keys), len(panels))
    size = (4.5 * shape[1], 3.5 * shape[0])
    figure = matplotlib.figure.Figure(figsize=size, layout="constrained")
    grid = figure.subplots(*shape, squeeze=False)
    for line, (key, label) in zip(grid, axes_keys.items(), strict=True):
        for axes, panel in zip(line, panels, strict=True):
            here = [r for r in drawn if (r["dataset"], r["scale"]) == panel and key in r]
            names = [
                row["name"] + (tables.MARK if tables.marked(rows, row) else "") for row in here
            ]
            _draw(axes, here, names, key, label)
            protocols = ", ".join(dict.fromkeys(row["protocol"] for row in here))
            axes.set_title(f"{panel[0]} x{panel[1]}, protocol {protocols}")
    image = BytesIO()
    try:
        figure.savefig(image, format=path.suffix.lower().removeprefix("."), dpi=150)
    except ValueError as error:
        raise UserError(f"--plot {path}: {error}") from error
    write_whole(path, image.getvalue())


def check(path: Path) -> None:
    """Raise UserError where matplotlib is not installed or does not know the path's suffix."""
    from_suffix = path.suffix.lower().removeprefix(".")
    kinds = _matplotlib().backend_bases.FigureCanvasBase.filetypes
    if from_suffix not in kinds:
        raise UserError(f"--plot {path}: end its name in one of {', '.join(sorted(kinds))}")


def _matplotlib():
    try:
        import matplotlib.backend_bases
        import matplotlib.figure
    except ImportError as error:
        raise UserError("--plot needs matplotlib: pip install 'jsr-superres[plot]'") from error
    return matplotlib


def _draw(axes, rows: list[dict], names: list[str], key: str, label: str) -> None:
    for row, name in zip(rows, names, strict=True):
        place = (row[key], row["psnr"])
        axes.plot(*place, "o")
        axes.annotate(name, place, xytext=(4, 4), textcoords="offset points")
    axes.set_xscale("log")
    axes.margins(0.25)
    axes.set_xlabel(label)
    axes.set_ylabel("PSNR (dB)")
    axes.grid(alpha=0.3)
