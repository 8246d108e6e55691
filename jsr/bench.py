"""`python -m jsr.bench`: what takes how long, beside other programs in turns A B A B.

train     a config's step: time, MFU, floor, memory; the real loop from images on the disk
infer     a network on LR of given sizes
data      batches that the host makes; the share of its time that the loop waits for data
compile   initialising and compiling; from the command to the first step, twice
evaluate  scoring pictures, against the usual NumPy and OpenCV code
upscale   tiles, a picture from file to file, its memory, a thousand small files

--config FILE[:PRESETS] and --config.KEY VALUE say of what; without, SRResNet x4 as published, on
the embedded photographs.
"""

import json
import math
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

from absl import flags

from jsr import command_line
from jsr.errors import UserError
from jsr.whole_files import write_whole

AGAINST = ("torch", "onnxruntime")
# Columns of the table: what they show of a row, and in which unit.
MILLI, GIGA, MEGA = 1e3, 1e-9, 1e-6
COLUMNS = (
    ("name", "", None, 0),
    ("jsr_s", "jsr ms", MILLI, 2),
    ("spread", "spread %", 100, 0),
    ("peer", "peer", None, 0),
    ("peer_s", "peer ms", MILLI, 2),
    ("ratio", "ratio", 1, 2),
    ("mfu", "MFU %", 100, 1),
    ("floor_s", "floor ms", MILLI, 2),
    ("over_floor", "x floor", 1, 2),
    ("operations", "Gop", GIGA, 1),
    ("memory_bytes", "MB", MEGA, 0),
    ("temp_over_kept", "temp/kept", 1, 2),
    ("over_whole", "x whole", 1, 2),
    ("bound", "bound", 1, 2),
    ("waiting", "waiting %", 100, 2),
    ("images_per_s", "images/s", 1, 0),
    ("images_per_s_per_thread", "a thread", 1, 0),
    ("init_s", "init s", 1, 1),
    ("compile_s", "compile s", 1, 1),
)


def define_flags() -> None:
    """Define the options of the command line."""
    command_line.define_config()
    text = flags.DEFINE_string
    text("against", None, f"{', '.join(AGAINST)}: other programs; they need the extra torch")
    text("batch", None, "4,16: batches of `train`; default that of the config")
    text("patch", None, "24,48: LR patches of `train`; default that of the config")
    flags.DEFINE_bool("sweep", False, "also larger batches, patches and networks")
    flags.DEFINE_bool("loop", True, "also the real loop, from images on the disk")
    taken = "the network of `infer` (default: the config's) and `upscale` (default: small-x4)"
    text("weights", None, taken)
    text("sizes", "128x128,256x256", "LR sizes of `infer`, height x width")
    text("opencv", None, "a .pb for OpenCV's dnn_superres, for `infer`")
    text("threads", "1,2", "numbers of threads of `data`")
    flags.DEFINE_integer("pairs", 30, "pictures of `evaluate`", 1)
    flags.DEFINE_integer("files", 1000, "small files of `upscale`", 1)
    flags.DEFINE_integer("rounds", 5, "turns of each, whose median counts", 1)
    text("json", None, "write the rows to this file")


def main(words: list[str], options) -> None:
    """Run the subcommand that `words` names, print its table and write it."""
    if len(words) != 1 or words[0] not in COMMANDS:
        raise UserError(
            f"expected one of {', '.join(COMMANDS)}, not {' '.join(words) or 'nothing'}"
        )
    unknown = [name for name in list_of(options.against) if name not in AGAINST]
    if unknown:
        raise UserError(f"--against {unknown[0]}: expected {', '.join(AGAINST)}")
    path = Path(options.json) if options.json else None
    if path and not path.parent.is_dir():
        raise UserError(f"--json {path}: there is no folder {path.parent}")
    if words[0] in ("train", "data", "compile"):
        _set_up(options)
    rows = []
    try:
        for row in COMMANDS[words[0]](options):
            rows.append(row)
            print(f"done: {row['name']}", file=sys.stderr)
    finally:
        # An hour's figures are not lost to the last row's mistake.
        if rows:
            _show(rows, path)


def _train(options) -> Iterator[dict]:
    from jsr.loop_speed import loop_row
    from jsr.step_speed import step_row, variants

    against = "torch" in list_of(options.against)
    batches, patches = _batches(options), _numbers(options, "patch")
    for config in variants(_config(options), batches, patches, options.sweep):
        yield step_row(config, options.rounds, against)
    if options.loop:
        if options.config is None:
            yield loop_row(_small(options), options.rounds, against)
        yield loop_row(_config(options), options.rounds, against)


def _infer(options) -> Iterator[dict]:
    from jsr.network_speed import infer_rows, opencv_rows

    sizes = [_size(word) for word in list_of(options.sizes)]
    if options.opencv:
        yield from opencv_rows(Path(options.opencv), sizes, options.rounds)
        return
    yield from infer_rows(_network(options), sizes, options.rounds, list_of(options.against))


def _data(options) -> Iterator[dict]:
    from jsr.data_speed import batch_rows, waiting_rows

    config = _config(options)
    yield from batch_rows(config, _numbers(options, "threads"), options.rounds)
    if options.loop:
        yield from waiting_rows(config, options.rounds)


def _compile(options) -> Iterator[dict]:
    from jsr.start_time import compile_row, start_rows

    yield compile_row(_config(options))
    if options.loop:
        yield from start_rows(config_words(sys.argv[1:]) or ["--config=configs/srgan.py"])


def _evaluate(options) -> Iterator[dict]:
    from jsr.peers import load_peer
    from jsr.timing import make_row

    peer, pairs = load_peer("scoring_speed"), options.pairs
    found = [peer.compare(pairs) for _ in range(options.rounds)]
    turns = {
        name: [each[key] / pairs for each in found]
        for name, key in (("jsr", "jsr"), ("NumPy and OpenCV", "usual"))
    }
    name = f"score: PSNR and SSIM of Y, {peer.WIDTH}x{peer.HEIGHT}"
    yield make_row(name, turns, peak_planes=statistics.median(e["peak_planes"] for e in found))


def _upscale(options) -> Iterator[dict]:
    from jsr.upscale_speed import command_row, rows
    from jsr.weights import load_network

    yield from rows(load_network(options.weights or "small-x4"), options.rounds, options.files)
    if not options.weights:
        yield command_row(_network(options))


COMMANDS = {
    "train": _train,
    "infer": _infer,
    "data": _data,
    "compile": _compile,
    "evaluate": _evaluate,
    "upscale": _upscale,
}


def list_of(value: str | None) -> list[str]:
    """The words of a flag's list."""
    return [word.strip() for word in (value or "").split(",") if word.strip()]


def config_words(arguments: list[str]) -> list[str]:
    """Of a command line, --config and --config.KEY with their values."""
    found, value = [], False
    for word in arguments:
        if word.startswith("--config"):
            found.append(word)
            value = "=" not in word
        elif value:
            found[-1] += f"={word}"
            value = False
    return found


def _config(options):
    """The config of --config; else SRResNet x4 of the paper, on the embedded photographs."""
    if options.config is not None:
        return options.config
    from configs import srresnet

    config = srresnet.get_config("div2k")
    config.data.name, config.data.dir, config.data.patch = "sample_photos", "", 24
    return config


def _network(options):
    from jsr.network_speed import untrained
    from jsr.weights import load_network

    return load_network(options.weights) if options.weights else untrained(_config(options))


def _small(options):
    """The same with a network of under 120,000 parameters."""
    config = _config(options)
    config.generator.name = "msrresnet"
    config.generator.hparams = {"features": 24, "blocks": 8, "tail": "light", "base": "bilinear"}
    return config


def _batches(options) -> list[int]:
    """Those of --batch, else the published pair, else those of --config: none named here."""
    return _numbers(options, "batch") or ([4, 16] if options.config is None else [])


def _set_up(options) -> None:
    """As the training that is measured does."""
    from jsr import parallel

    config = _config(options)
    examples = math.gcd(*(_batches(options) or [config.data.batch_size]))
    parallel.setup(config.deterministic, examples // max(config.accumulate, 1))


def _numbers(options, name: str) -> list[int]:
    words = list_of(getattr(options, name))
    for word in words:
        if not word.isdecimal() or (int(word) < 1 and name != "threads"):
            raise UserError(f"--{name} {word}: expected whole numbers, as in --{name} 4,16")
    return [int(word) for word in words]


def _size(word: str) -> tuple[int, int]:
    height, times, width = word.partition("x")
    if not (times and height.isdecimal() and width.isdecimal() and int(height) and int(width)):
        raise UserError(f"--sizes {word}: expected height x width, as in 128x128")
    return int(height), int(width)


def _show(rows: list[dict], path: Path | None) -> None:
    from jsr.machine import describe
    from jsr.tables import align

    machine = describe()
    columns = [c for c in COLUMNS if any(row.get(c[0]) is not None for row in rows)]
    cells = [[label or "name" for _, label, _, _ in columns]]
    cells += [
        [_cell(row.get(key), times, digits) for key, _, times, digits in columns] for row in rows
    ]
    sides = "".join("<" if times is None else ">" for _, _, times, _ in columns)
    print(align(cells, sides))
    print(", ".join(f"{key} {value}" for key, value in machine.items()))
    for note in dict.fromkeys(row["note"] for row in rows if "note" in row):
        print(note)
    if path:
        written = [{**row, "machine": machine} for row in rows]
        text = json.dumps(written, indent=1, allow_nan=False) + "\n"
        write_whole(path, text.encode())


def _cell(value, times: float | None, digits: int) -> str:
    if value is None:
        return "-"
    if times is None:
        return str(value)
    return f"{value * times:,.{digits}f}" if math.isfinite(value) else "-"


if __name__ == "__main__":
    define_flags()
    command_line.run_command(lambda words: main(words, flags.FLAGS), keep_compiled=False)
