"""What the options of `jsr.evaluate` ask for, checked before any picture is scored."""

import os
from pathlib import Path

from jsr import plot, protocols
from jsr.datasets.benchmarks import open_test_pictures
from jsr.entries import Entry, baseline_entries, folder_entries, network_entries
from jsr.errors import UserError
from jsr.images import WRITERS
from jsr.protocols import LR_FAMILIES, Protocol
from jsr.temporal import WARPING

# Options that name a file.
OUTPUTS = ("json", "csv", "markdown", "latex", "sheet", "plot")


def list_entries(options) -> list[Entry]:
    """The rows in order: baselines, weights, folders.

    Raises UserError for options that do not go together, and for weights that cannot be read.
    """
    _check_inputs(options)
    chosen = {_whole(scale) for scale in split_words(options.scale)}
    entries = [
        *baseline_entries(split_words(options.baselines)),
        *network_entries(options.weights, chosen, options.ensemble, options.tile),
        *folder_entries(options.sr),
    ]
    names = [entry.name for entry in entries]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"two rows would be called {name}: name one, as in NAME={name}")
    return entries


def _check_inputs(options) -> None:
    """Raise UserError for options of what to score that do not go together."""
    if not any((options.weights, options.baselines, options.sr)):
        raise UserError("nothing to score: give --weights, --baselines, or --sr and --hr")
    if bool(options.sr) != bool(options.hr):
        raise UserError("--sr and --hr go together: a folder of SR and one of HR pictures")
    if options.sr and options.weights:
        raise UserError("--weights go with --datasets, --sr with --hr: run them one by one")
    if options.hr and (options.datasets or options.data_dir):
        beside = "--datasets" if options.datasets else "--data_dir"
        raise UserError(f"{beside} and --hr both say what to score on: leave one of them out")
    if options.lr_dir and options.lr != "files":
        raise UserError("--lr_dir is read by --lr files alone: add it, or leave --lr_dir out")
    if not split_words(options.metrics):
        raise UserError("--metrics is empty: psnr,ssim")


def plan_rows(options, entries: list[Entry]):
    """(pictures, scale, entry, protocol) of each row, in order; datasets are opened once.

    Raises UserError for what is missing, and for rows that do not go together.
    """
    chosen = [_whole(word) for word in split_words(options.scale)]
    scales = chosen or sorted(set().union(*(entry.scales for entry in entries)))
    if not scales:
        raise UserError("--scale is missing: 2, 3, 4 ...")
    for entry in entries:
        if entry.scales and not entry.scales & set(scales):
            told = ", ".join(map(str, sorted(entry.scales)))
            raise UserError(f"{entry.name} enlarges by {told}, which is not in --scale")
    names = ["pairs"] if options.hr else split_words(options.datasets)
    if not names:
        raise UserError("--datasets is missing: set5,set14, or pairs for a folder of your own")
    rules = _protocols(options, entries)
    plan = []
    for name in names:
        for scale in scales:
            folder = options.hr or options.data_dir
            wanted = [entry for entry in entries if entry.at(scale) is not None]
            film = WARPING in split_words(options.metrics) or any(
                entry.film or rules[entry.name].average == "clips" for entry in wanted
            )
            photos = open_test_pictures(name, scale, folder, options.lr_dir, film)
            plan += [(photos, scale, entry, rules[entry.name]) for entry in wanted]
    return plan


def _protocols(options, entries: list[Entry]) -> dict[str, Protocol]:
    """Each entry's protocol; what has none of its own takes that of the others."""
    own = [entry.protocol for entry in entries if entry.protocol]
    default = options.protocol or (own[0] if own else "y")
    names = {e.name: options.protocol or e.protocol or default for e in entries}
    if len(set(names.values())) > 1 and not options.mix_protocols:
        told = ", ".join(f"{name}: {protocol}" for name, protocol in names.items())
        raise UserError(
            f"these rows are of different protocols ({told}): choose one by --protocol, or put them"
            " into one table, marked, by --mix_protocols"
        )
    return {name: protocols.get_protocol(protocol) for name, protocol in names.items()}


def find_family(entries: list[Entry]) -> str:
    """The family of LR that the weights were trained on; they are scored as they were trained.

    Raises UserError where they were trained on several, or on one that is unknown.
    """
    told = [f"{entry.name}: {family}" for entry in entries for family in sorted(entry.families)]
    families = set().union(*(entry.families for entry in entries)) or {"symmetric"}
    if len(families) > 1:
        raise UserError(
            f"these weights were trained on different LR ({', '.join(told)}): choose one by --lr"
        )
    (family,) = families
    if family not in LR_FAMILIES:
        raise UserError(f"the weights state LR of {family!r}, which is unknown: choose by --lr")
    return family


def check_outputs(options, entries: list[Entry]) -> None:
    """Raise UserError for all about the outputs that would else be found after the scoring."""
    given = {kind: Path(getattr(options, kind)) for kind in OUTPUTS if getattr(options, kind)}
    for kind, path in given.items():
        if not path.parent.is_dir():
            raise UserError(f"--{kind} {path}: there is no folder {path.parent}")
        if path.is_dir() or not os.access(path.parent, os.W_OK):
            why = "is a folder" if path.is_dir() else "its folder cannot be written to"
            raise UserError(f"--{kind} {path}: {why}; name a file elsewhere")
        if list(given.values()).count(path) > 1:
            raise UserError(f"--{kind} {path}: two outputs would be one file")
    if "sheet" in given and given["sheet"].suffix.lower() not in WRITERS:
        raise UserError(f"--sheet {given['sheet']}: end its name in {', '.join(WRITERS)}")
    if "plot" in given:
        plot.check(given["plot"])
        if "psnr" not in split_words(options.metrics):
            raise UserError("--plot shows PSNR, which is not in --metrics")
        if not any(m.network for e in entries for ms in e.methods.values() for m in ms):
            raise UserError("--plot shows networks by their parameters, and no row is of one")
    if options.speed and (options.ensemble or options.tile):
        raise UserError(
            "--speed is that of one pass over whole pictures: leave out --ensemble, --tile"
        )
    names = [entry.name for entry in entries]
    if options.reference and options.reference not in names:
        told = ", ".join(names)
        raise UserError(f"--reference: there is no row {options.reference!r}; there are {told}")
    if options.reference and "psnr" not in split_words(options.metrics):
        raise UserError("--reference compares PSNR, which is not in --metrics")


def split_words(value: str | None) -> list[str]:
    """The words of "A,B", each once."""
    return list(dict.fromkeys(word.strip() for word in (value or "").split(",") if word.strip()))


def _whole(word: str) -> int:
    if not word.isdecimal() or int(word) < 1:
        raise UserError(f"--scale {word}: expected whole numbers, as in --scale 2,3,4")
    return int(word)
