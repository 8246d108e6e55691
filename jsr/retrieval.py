"""`python -m jsr.retrieval`: does super-resolution help to find and to recognise pictures?

python -m jsr.retrieval --weights small=small-x4                  # the embedded photographs
python -m jsr.retrieval --gallery PHOTOS --weights A,NAME=B --features alexnet --json table.json
python -m jsr.retrieval --weights small=small-x4 --sheet sheet.png  # and a picture of what it finds

Each query is a picture of the gallery, shifted, at 1/8 of its size, and written as JPEG again. It
is enlarged by each method, and the gallery is ranked by its features. The HR query (shifted and
re-encoded only) says how good the ranking itself is. A network of a smaller scale does its part,
and bicubic the rest. Networks of which the gallery was the training set are not held out.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from absl import flags, logging

from jsr import (
    command_line,
    methods,
    parallel,
    ranking,
    recognition,
    retrieval_sheet,
    sheet,
    tables,
)
from jsr.entries import name_and_paths, split_paths
from jsr.errors import PartlyDone, UserError
from jsr.gallery import Gallery, Query, make_queries, open_gallery
from jsr.images import WRITERS
from jsr.target_size import TargetSize
from jsr.upscale import open_model
from jsr.whole_files import write_whole

# What the HR query must reach, or the ranker is broken.
SOUND = 0.95
HR = "HR query"

# lr uint8 [h, w, c], scale -> uint8 [h * scale, w * scale, c].
Enlarge = Callable[[np.ndarray, int], np.ndarray]


def define_flags() -> None:
    """Define the options of the command line."""
    text, whole = flags.DEFINE_string, flags.DEFINE_integer
    text("gallery", None, "a folder of HR pictures; default crops of the embedded photographs")
    text("weights", None, "A,NAME=B: files, workdirs or shipped names, a row each")
    text("baselines", "bicubic", f"{', '.join(methods.CLASSICAL)}")
    whole("queries", 100, "how many pictures are asked for", 1)
    whole("scale", 8, "queries have 1/scale of the size", 1)
    flags.DEFINE_float("shift", 0.05, "queries see this part less of each side, anywhere", 0, 0.25)
    whole("quality", 80, "of the JPEG that queries are written as", 1, 100)
    text("features", ranking.HANDMADE, f"{ranking.HANDMADE} (and colours), alexnet or vgg16")
    text("features_file", None, "the file of the feature network's weights, if not in the cache")
    text("recognition", ",".join(recognition.TASKS), "what is recognised beside; '' for nothing")
    whole("seed", 0, "of the queries and of the bootstrap")
    text("json", None, "write the table to this file")
    text("sheet", None, "write queries and what comes first for each method to this picture")


def main(words: list[str], options) -> None:
    """Print the tables of retrieval and recognition, and write them; `words` must be empty."""
    if words:
        raise UserError(f"{words[0]!r} is not understood: options start with --")
    _check_outputs(options)
    parallel.start()
    ways = open_ways(options.baselines, options.weights)
    tasks = [_task(name) for name in filter(None, (options.recognition or "").split(","))]
    vectors = ranking.make_vectors(options.features, options.features_file)
    gallery = open_gallery(options.gallery, options.scale)
    for line in gallery.same:
        logging.warning("%s: %s; left out", gallery.title, line)
    chosen = (options.queries, options.scale, options.shift, options.quality, options.seed)
    queries = [*make_queries(gallery, *chosen)]
    rows = retrieve(gallery, queries, ways, vectors, options.scale, options.seed)
    rows = [{**row, "features": options.features} for row in rows]
    print(to_text(rows))
    found = recognise(tasks, ways, options.seed)
    if found:
        print(f"\n{to_text(found)}")
    if options.json:
        write_whole(Path(options.json), tables.to_json([*rows, *found]).encode())
    if options.sheet:
        made = retrieval_sheet.make_sheet(rows, gallery, queries, {**ways, HR: None})
        sheet.write_sheet(Path(options.sheet), made)
    if rows[-1]["recall@1"] < SOUND:
        logging.warning(
            "the HR query has a recall@1 of %.2f, under %.2f: these features do not tell the"
            " pictures of this gallery apart, and the other rows mean little",
            rows[-1]["recall@1"],
            SOUND,
        )
    if gallery.unreadable:
        lines = "\n".join(f"error: {line}" for line in gallery.unreadable)
        raise PartlyDone(f"{lines}\nthe gallery is without them")


def _check_outputs(options) -> None:
    for kind in ("json", "sheet"):
        path = getattr(options, kind)
        if path and not Path(path).parent.is_dir():
            raise UserError(f"--{kind} {path}: there is no folder {Path(path).parent}")
    if options.sheet and Path(options.sheet).suffix.lower() not in WRITERS:
        raise UserError(f"--sheet {options.sheet}: end its name in {', '.join(WRITERS)}")


def open_ways(baselines: str, weights: str | None) -> dict[str, Enlarge]:
    """What enlarges, by the name of its row: classical ways and networks.

    Raises UserError for unknown ones, seeds (A+B) and two rows of one name.
    """
    named = [(name, name) for name in filter(None, map(str.strip, baselines.split(",")))]
    for name, _ in named:
        methods.classical(name)
    for word in split_paths(weights or ""):
        name, paths = name_and_paths(word)
        if len(paths) > 1:
            raise UserError(f"{word}: give one file a row here, not the seeds of one")
        named.append((name or Path(paths[0]).stem, paths[0]))
    names = [name for name, _ in named]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UserError(f"two rows would be called {twice}: name one, as in NAME={twice}")
    return {name: _way(spec) for name, spec in named}


def retrieve(
    gallery: Gallery,
    queries: list[Query],
    ways: dict[str, Enlarge],
    vectors: ranking.Features,
    scale: int,
    seed: int = 0,
) -> list[dict]:
    """A row for each way, and last that of the HR query: the three figures, their intervals."""
    photos = gallery.photos
    known = vectors(photos[index] for index in range(len(photos)))
    targets = np.array([query.target for query in queries])
    rows = []
    for name, enlarge in {**ways, HR: None}.items():
        pictures = (query.hr if enlarge is None else enlarge(query.lr, scale) for query in queries)
        asked = vectors(pictures)
        ranks = ranking.rank(asked, known, targets)
        firsts = ranking.first(asked, known, retrieval_sheet.FIRST)
        labels = {"name": name, "dataset": gallery.title, "scale": scale}
        counts = {"queries": len(queries), "gallery": len(photos)}
        images = [
            {
                "name": photos.names[target],
                "rank": int(place),
                "first": [photos.names[index] for index in nearest],
            }
            for target, place, nearest in zip(targets, ranks, firsts, strict=True)
        ]
        rows.append({**labels, **counts, **_means(ranking.figures(ranks), seed), "images": images})
    return rows


def recognise(tasks: list[recognition.Task], ways: dict[str, Enlarge], seed: int = 0) -> list[dict]:
    """A row for each task and way, and that of HR: the accuracy with its interval."""
    rows = []
    for task in tasks:
        for name, enlarge in {**ways, "HR": None}.items():
            right = recognition.hits(task, enlarge)
            labels = {"name": name, "dataset": task.title, "scale": task.scale}
            rows.append({**labels, "queries": len(right), **_means({"accuracy": right}, seed)})
    return rows


def to_text(rows: list[dict]) -> str:
    """Aligned columns, a line a row; figures with their 95 % intervals."""
    labels = [key for key in ("name", "dataset", "scale", "queries", "gallery") if key in rows[0]]
    figures = [key for key in rows[0] if f"{key}_interval" in rows[0]]
    cells = [[*labels, *figures]]
    for row in rows:
        shown = (_cell(row[key], row[f"{key}_interval"]) for key in figures)
        cells.append([*(str(row[key]) for key in labels), *shown])
    sides = "<<" + ">" * (len(cells[0]) - 2)
    by = f"ranked by {rows[0]['features']}; " if "features" in rows[0] else ""
    return f"{tables.align(cells, sides)}\n{by}in brackets 95 % intervals (bootstrap over queries)"


def _cell(mean: float, interval: tuple[float, float]) -> str:
    return f"{mean:.3f} [{interval[0]:.3f}, {interval[1]:.3f}]"


def _means(parts: dict[str, np.ndarray], seed: int) -> dict:
    found = {}
    for key, values in parts.items():
        found[key] = float(values.mean())
        found[f"{key}_interval"] = ranking.interval(values, seed)
    return found


def _way(spec: str) -> Enlarge:
    opened: dict[int, Callable] = {}

    def enlarge(lr: np.ndarray, scale: int) -> np.ndarray:
        if scale not in opened:
            opened[scale] = open_model(spec, TargetSize(scale=scale))
        return opened[scale](lr)[0]

    open_model(spec, TargetSize(scale=2))  # a mistake in the path is told before the work
    return enlarge


def _task(name: str) -> recognition.Task:
    if name not in recognition.TASKS:
        known = ", ".join(recognition.TASKS)
        raise UserError(f"--recognition {name!r} is unknown; known: {known}")
    return recognition.TASKS[name]()


if __name__ == "__main__":
    define_flags()
    command_line.run_command(lambda words: main(words, flags.FLAGS))
