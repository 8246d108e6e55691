"""Tables from rows as Markdown and LaTeX: as papers print them, and image by image."""

import dataclasses
import re

from jsr import tables
from jsr.tables import FIGURES

# What a backslash before it does not make LaTeX print.
LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
}


@dataclasses.dataclass(frozen=True)
class Grid:
    """Methods by datasets: what papers print for one scale and LR family."""

    caption: str
    columns: list[str]
    # (method, figures of each column); a figure is (text, rank): 1 best, 2 second, else 0.
    lines: list[tuple[str, list[list[tuple[str, int]]]]]


def to_markdown_per_image(rows: list[dict]) -> str:
    """A table for each dataset, scale and LR family: images by methods, the best in bold.

    Raises ValueError as `tables.to_text_per_image` does.
    """
    texts = []
    for title, ((_, group), *lines) in tables.blocks(rows):
        keys = tables.image_figures(group)
        cells = [["image", *(row["name"] for row in group)]]
        for name, entries in lines:
            figures = zip(*(_ranked(entries, key) for key in keys), strict=True)
            cells.append([name, *(" / ".join(map(_bold, told)) for told in figures)])
        texts.append("\n".join([title, "", *markdown_lines(cells, 1)]))
    return "\n\n".join(texts) + "\n"


def to_markdown(rows: list[dict], mixed: bool = False) -> str:
    """A table for each scale and LR family: methods by datasets, the best in bold.

    Raises ValueError as `tables.check` does.
    """
    texts = []
    for grid in _grids(rows, mixed, " ± "):
        cells = [["method", *grid.columns]]
        for name, columns in grid.lines:
            cells.append([name, *(" / ".join(map(_bold, figures)) for figures in columns)])
        texts.append("\n".join([grid.caption, "", *markdown_lines(cells, 1)]))
    return "\n\n".join([*texts, "  \n".join(tables.captions(rows))]) + "\n"


def to_latex(rows: list[dict], mixed: bool = False) -> str:
    r"""`to_markdown` for LaTeX with booktabs: the best \textbf, the second \underline.

    Raises ValueError as `tables.check` does.
    """
    texts = []
    for grid in _grids(rows, mixed, r" $\pm$ "):
        lines = [r"\begin{table}", r"\centering", rf"\caption{{{_escape(grid.caption)}}}"]
        lines += [rf"\begin{{tabular}}{{l{'c' * len(grid.columns)}}}", r"\toprule"]
        lines += [" & ".join(["Method", *map(_escape, grid.columns)]) + r" \\", r"\midrule"]
        for name, columns in grid.lines:
            cells = (" / ".join(map(_emphasised, figures)) for figures in columns)
            lines.append(" & ".join([_escape(name), *cells]) + r" \\")
        texts.append("\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}"]))
    notes = [f"% {line}" for line in tables.captions(rows)]
    return "\n".join([*notes, "\n\n".join(texts)]) + "\n"


def _grids(rows: list[dict], mixed: bool, plus_minus: str) -> list[Grid]:
    tables.check(rows, mixed)
    groups: dict[tuple, list[dict]] = {}
    for row in rows:
        groups.setdefault((row["scale"], row["lr"]), []).append(row)
    return [_grid(rows, key, group, plus_minus) for key, group in groups.items()]


def _grid(rows: list[dict], key: tuple, group: list[dict], plus_minus: str) -> Grid:
    scale, lr = key
    figures = tables.shown_figures(group)
    protocols = ", ".join(dict.fromkeys(row["protocol"] for row in group))
    labels = " / ".join(FIGURES[figure].label for figure in figures)
    caption = f"x{scale}, {labels}, protocol {protocols}, LR {lr}"
    methods = list(dict.fromkeys(_method(rows, row) for row in group))
    columns: dict[str, dict[str, dict]] = {}
    for row in group:
        title = f"{row['dataset']} ({tables.count(row)})"
        columns.setdefault(title, {})[_method(rows, row)] = row
    ranked = {
        title: [_ranked([found.get(m, {}) for m in methods], f, plus_minus) for f in figures]
        for title, found in columns.items()
    }
    if len({row["protocol"] for row in group}) > 1:
        # What cannot be compared has no best.
        ranked = {t: [[(text, 0) for text, _ in c] for c in cs] for t, cs in ranked.items()}
    lines = [
        (method, [[column[number] for column in ranked[title]] for title in columns])
        for number, method in enumerate(methods)
    ]
    return Grid(caption, list(columns), lines)


def _method(rows: list[dict], row: dict) -> str:
    mark = tables.MARK if tables.marked(rows, row) else ""
    return row["name"] + mark + (f" [{row['weights']}]" if row.get("weights") else "")


def _ranked(entries: list[dict], key: str, plus_minus: str = " ± ") -> list[tuple[str, int]]:
    """Each entry's figure as printed and its rank among those, where there is a choice."""
    shown = [tables.cell(entry, key, plus_minus) for entry in entries]
    values = [_printed(text) for text in shown]
    order = sorted({v for v in values if v is not None}, reverse=FIGURES[key].better == "high")
    if len(entries) < 2:
        return [(text, 0) for text in shown]
    best = {value: rank for rank, value in enumerate(order[:2], start=1)}
    return [(text, best.get(value, 0)) for text, value in zip(shown, values, strict=True)]


def _printed(text: str) -> float | None:
    """The value that a cell shows; None where it shows none."""
    value = float(text.split()[0]) if text != "-" else float("nan")
    return None if value != value else value


def _bold(figure: tuple[str, int]) -> str:
    return f"**{figure[0]}**" if figure[1] == 1 else figure[0]


def _emphasised(figure: tuple[str, int]) -> str:
    text, rank = figure
    return {1: rf"\textbf{{{text}}}", 2: rf"\underline{{{text}}}"}.get(rank, text)


def _escape(text: str) -> str:
    """Text as LaTeX prints it, in any of its font encodings."""
    return re.sub(r"[&%$#_{}\\~^<>|]", lambda found: LATEX.get(found[0], rf"\{found[0]}"), text)


def markdown_lines(cells: list[list[str]], left: int) -> list[str]:
    """The lines of a Markdown table, its head first; `left` columns are aligned to the left."""
    head, *body = ([text.replace("|", "\\|") for text in line] for line in cells)
    rule = ["---"] * left + ["---:"] * (len(head) - left)
    return ["| " + " | ".join(line) + " |" for line in (head, rule, *body)]
