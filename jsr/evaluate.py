"""`python -m jsr.evaluate`: tables of PSNR and SSIM that agree with the literature.

--weights runs/srgan --datasets set5,set14 --data_dir BENCH    networks on benchmark sets
--sr RESULTS --hr HR --scale 4                                 pictures of any project
--baselines bicubic,lanczos --datasets set5 --scale 2,3,4      classical ways
"""

from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path

import jax
from absl import flags

from jsr import command_line, markup, methods, model_cost, parallel, plot, protocols, seeds, tables
from jsr import sheet as sheets
from jsr.clips import inner_frames
from jsr.datasets.benchmarks import TestPictures
from jsr.datasets.pairing import first_of
from jsr.entries import Entry
from jsr.errors import PartlyDone, UserError
from jsr.evaluation_plan import (
    OUTPUTS,
    check_outputs,
    find_family,
    list_entries,
    plan_rows,
    split_words,
)
from jsr.extra_metrics import make_extra
from jsr.methods import Method
from jsr.protocols import LR_FAMILIES, METRICS, Protocol
from jsr.scoring import Fault, evaluate, tell
from jsr.sr_folder import open_sr_folder
from jsr.temporal import WARPING, Motions, with_flicker
from jsr.whole_files import write_whole

SHEET_PHOTOS = 5
EXTRA = ("ssim_matlab", "ms_ssim", "lpips_alexnet", "lpips_vgg16", "niqe", WARPING)


def define_flags() -> None:
    """Define the options of the command line."""
    text, choice = flags.DEFINE_string, flags.DEFINE_enum
    whole = "a path that exists is taken whole, whatever , = or + it holds"
    text("weights", None, f"A,B: files or workdirs; NAME=A names a row, A+B are seeds; {whole}")
    text("baselines", None, f"{', '.join(methods.CLASSICAL)}, or all")
    text("datasets", None, "set5,set14,bsd100,urban100,manga109,div2k_val,pairs,...")
    text("data_dir", None, "the folder that holds the datasets")
    text("sr", None, f"A,NAME=B: folders of SR pictures, to be scored against --hr; {whole}")
    text("hr", None, "the folder of HR pictures for --sr")
    text("scale", None, "2,3,4: default that of the weights")
    text("protocol", None, f"{', '.join(protocols.PROTOCOLS)}; default that of the weights, else y")
    families = "LR made by today's or older MATLAB, BasicSR in Python, as BD of video, or files"
    default = "; default that of the weights, else symmetric"
    choice("lr", None, [*LR_FAMILIES, "files"], families + default)
    text("lr_dir", None, "the folder of LR files, where not in the dataset's usual place")
    text("metrics", "psnr,ssim", f"also {', '.join(EXTRA)}")
    text("niqe_model", None, "modelparameters.mat of NIQE's authors, for the metric niqe_published")
    flags.DEFINE_bool(
        "ensemble", False, "average over the eight orientations; names of files get a +"
    )
    flags.DEFINE_integer("tile", 0, "cut LR into tiles of this side; 0: whole pictures", 0)
    flags.DEFINE_bool("speed", False, "also throughput and peak memory, at 1280x720 of SR")
    text("reference", None, "the row that others are tested against (p of Wilcoxon's test)")
    flags.DEFINE_bool("mix_protocols", False, "allow several protocols in one table, and mark them")
    flags.DEFINE_bool("per_image", False, "also print each image")
    for kind in OUTPUTS:
        text(kind, None, f"write the {kind} to this file")


def main(words: list[str], options) -> None:
    """Score what the options name, print the table and write it; `words` must be empty."""
    if words:
        raise UserError(f"{words[0]!r} is not understood: options start with --")
    parallel.start()
    entries = list_entries(options)
    check_outputs(options, entries)
    options.lr = options.lr or find_family(entries)
    failed: list[Fault] = []
    rows, scored = [], []
    plan = plan_rows(options, entries)
    for planned in plan:
        photos, scale, entry, protocol = planned
        try:
            rows.append(_row(options, entry, photos, scale, protocol, failed))
            scored.append(planned)
        except UserError as error:
            failed.append(Fault(f"{entry.name}, {photos.title} x{scale}", "", str(error)))
        # No other row runs this network at these sizes; the sheet does at the first ones.
        if not options.sheet or photos is not plan[0][0]:
            jax.clear_caches()
    if not rows:
        lines = tell(failed)
        raise UserError("\n".join(["no row could be scored:", *lines] if lines[1:] else lines))
    if options.reference and any(row["name"] == options.reference for row in rows):
        seeds.add_significance(rows, options.reference)
    if parallel.process_index() == 0:
        _show(options, rows)
        if options.sheet:
            try:
                _write_sheet(options, scored, failed)
            except (UserError, ValueError) as error:
                failed.append(Fault(f"--sheet {options.sheet}", "", str(error)))
    if failed:
        lines = "\n".join(f"error: {line}" for line in tell(failed))
        raise PartlyDone(f"{lines}\nthe table is without them")


def _row(options, entry: Entry, photos: TestPictures, scale: int, protocol, failed) -> dict:
    wanted = split_words(options.metrics)
    extra = {
        name: make_extra(name, protocol, options.niqe_model)
        for name in wanted
        if name not in METRICS and name != WARPING
    }
    score = partial(
        evaluate,
        photos=photos,
        dataset=photos.title,
        scale=scale,
        protocol=protocol,
        wanted=tuple(name for name in wanted if name in METRICS),
        extra=extra,
        failed=failed,
        spread=True,
        progress=True,
    )

    def scored(name: str, produce: Callable, lr: str, labels: dict) -> dict:
        more = {}
        if WARPING in wanted:
            motions = _motions(photos)
            produce, more = with_flicker(produce, photos, protocol, scale, lr, motions)
        return score(name, produce, lr=lr, labels=labels, over_time=more)

    expected = {"expected": photos.expected or len(photos)}
    if protocol.ends:
        expected = {"expected": len(inner_frames(photos.names, protocol.ends))}
    if entry.folder is not None:
        produce = open_sr_folder(entry.folder, photos, protocol)
        return scored(entry.name, produce, "given", expected)
    rows = []
    methods_of_row = entry.at(scale)
    for method in methods_of_row:
        labels = {**expected, **method.labels, **_speed(options, method)}
        # Which one of several weights failed is told by the hash that the table has.
        which = f" [{method.labels['weights']}]" if len(methods_of_row) > 1 else ""
        produce = method.over(photos, protocol, scale, options.lr)
        rows.append(scored(entry.name + which, produce, options.lr, labels))
    try:
        row = rows[0] if len(rows) == 1 else seeds.seeds_row(rows)
    except ValueError as error:
        raise UserError(str(error)) from error
    return {**row, "name": entry.name}


@lru_cache(maxsize=1)
def _motions(photos: TestPictures) -> Motions:
    """HR's, the same for all rows of a dataset."""
    return Motions(photos.names)


def _speed(options, method: Method) -> dict:
    if not options.speed or method.network is None:
        return {}
    network = method.network
    return model_cost.measure(network.module, network.variables, network.scale, network.channels)


def _show(options, rows: list[dict]) -> None:
    if options.per_image:
        print(tables.to_text_per_image(rows, options.mix_protocols), end="\n\n")
    mixed = options.mix_protocols
    print(tables.to_text(rows, mixed))
    writers: dict[str, Callable] = {
        "json": tables.to_json,
        "csv": tables.to_csv,
        "markdown": partial(markup.to_markdown, mixed=mixed),
        "latex": partial(markup.to_latex, mixed=mixed),
    }
    for kind, write in writers.items():
        if getattr(options, kind):
            write_whole(Path(getattr(options, kind)), write(rows).encode())
    if options.plot:
        plot.write_plot(Path(options.plot), rows)


def _write_sheet(options, scored: list, failed: list[Fault]) -> None:
    """The first pictures of the first dataset and scale, by every method that has a row of them."""
    photos, scale, _, protocol = scored[0]
    compared = [
        (entry.name, _producer(options, entry, photos, scale, protocol))
        for pictures, _, entry, rule in scored
        if pictures is photos and rule is protocol
    ]
    left_out: list[str] = []
    parts = (photos, scale, protocol, SHEET_PHOTOS, options.lr, left_out)
    made = sheets.compare(compared, *parts, film=any(entry.film for _, _, entry, _ in scored))
    sheets.write_sheet(Path(options.sheet), made)
    if left_out:
        reason = f"is without {first_of(left_out)}, for the reasons above"
        failed.append(Fault(f"--sheet {options.sheet}", "", reason))


def _producer(
    options, entry: Entry, photos: TestPictures, scale: int, protocol: Protocol
) -> Callable:
    if entry.folder is not None:
        return open_sr_folder(entry.folder, photos, protocol)
    return entry.at(scale)[0].over(photos, protocol, scale, options.lr)


if __name__ == "__main__":
    define_flags()
    command_line.run_command(lambda words: main(words, flags.FLAGS))
