"""`python -m jsr.sweep --config configs/sweep.py`: choices of a grid side by side, over seeds.

--choices plain,gelu --seeds 4     these alone, trained with four seeds each
--config.pixel.steps 2000          any key, for all of them; what a choice sets comes after

The config's file has GRID: {name: function that changes the config}. Each choice and seed is a run
of its own in WORKDIR/CHOICE-SEED, trained and scored as `python -m jsr.main` does; runs that are
there are not trained again. The table has the means and deviations over the seeds, and the minutes
that a run took, compiling and scoring included; a run that was interrupted has none.

Seeds are not vmapped: XLA makes grouped convolutions of several networks in one program, which a
processor is slow at.
"""

import copy
import json
import runpy
import time
from pathlib import Path

import jax
from absl import flags
from ml_collections import config_flags

from jsr import command_line, parallel, seeds, tables
from jsr.config_rules import check_config
from jsr.errors import PartlyDone, UserError
from jsr.models import make_model
from jsr.train import train
from jsr.whole_files import write_whole

# In a run's folder: how long it took, from its start to its table.
TIMES = "minutes.json"


def define_flags() -> None:
    """Define the options of the command line."""
    flags.DEFINE_string("choices", None, "A,B: those of the grid that are trained; default all")
    flags.DEFINE_integer("seeds", 2, "runs of each choice, from config.seed on", 1)
    flags.DEFINE_string("workdir", None, "where the runs live; default runs/<config name>")


def main(config, grid: dict, options) -> None:
    """Train what the options choose of `grid`, print the table and write it to the workdir.

    Writes table.json and table.csv. Raises PartlyDone, naming them, where runs did not get to
    their end.
    """
    folder = Path(options.workdir or f"runs/{config.name}")
    numbers = range(config.seed, config.seed + options.seeds)
    runs = {
        folder / f"{name}-{seed}": (name, with_choice(config, grid, name, seed))
        for name in _names(grid, options.choices)
        for seed in numbers
    }
    failed, began = {}, time.monotonic()
    for workdir, (_, changed) in runs.items():
        try:
            if _timed(changed, workdir) is None:
                print("stopped: rerun the same command to go on")
                return
        except PartlyDone as error:
            failed[workdir] = f"error: {workdir.name}: {error}"
        # The next run has steps of its own.
        jax.clear_caches()
    if parallel.process_index() == 0:
        ended = {workdir: name for workdir, (name, _) in runs.items() if workdir not in failed}
        _show(config, folder, ended, numbers, time.monotonic() - began)
    if failed:
        raise PartlyDone("\n".join([*failed.values(), "the table is without them"]))


def with_choice(config, grid: dict, name: str, seed: int):
    """The config of one run of the grid. Raises UserError for values that no run can have."""
    config = copy.deepcopy(config)
    with config.unlocked():
        grid[name](config)
    config.seed, config.name = seed, f"{config.name}-{name}"
    check_config(config)
    make_model(config.generator.name, **config.generator.hparams, scale=config.scale)
    return config


def read_grid(path: str) -> dict:
    """GRID of a config's file. Raises UserError where it has none."""
    grid = runpy.run_path(path).get("GRID")
    if not isinstance(grid, dict) or not all(map(callable, grid.values())):
        raise UserError(f"{path} has no GRID of choices: expected a dict of functions of a config")
    return grid


def _names(grid: dict, words: str | None) -> list[str]:
    names = list(grid) if words is None else [w.strip() for w in words.split(",") if w.strip()]
    for name in names:
        if name not in grid:
            raise UserError(
                f"--choices: there is no {name!r} in the grid; known: {', '.join(grid)}"
            )
    return list(dict.fromkeys(names))


def _timed(config, workdir: Path):
    """What `train` returns; how long a run took that went through in one go is kept beside it."""
    fresh, began = not workdir.exists(), time.monotonic()
    table = train(config, workdir)
    if fresh and table is not None and parallel.process_index() == 0:
        minutes = (time.monotonic() - began) / 60
        write_whole(workdir / TIMES, json.dumps({"minutes": minutes}).encode())
    return table


def _row(workdir: Path, row: dict) -> dict:
    times = workdir / TIMES
    return row | json.loads(times.read_text()) if times.exists() else row


def _show(config, folder: Path, ended: dict[Path, str], numbers: range, seconds: float) -> None:
    stage = f"{config.stages[-1]} stage"
    found: dict[str, list[dict]] = {}
    for workdir, name in ended.items():
        rows = json.loads((workdir / "table.json").read_text())["rows"]
        found.setdefault("bicubic", [row for row in rows if row["name"] == "bicubic"])
        found.setdefault(name, []).extend(_row(workdir, r) for r in rows if r["name"] == stage)
    if not found:
        return
    rows = [
        {**(seeds.seeds_row(rows) if len(rows) > 1 else rows[0]), "name": name}
        for name, rows in found.items()
    ]
    write_whole(folder / "table.json", tables.to_json(rows).encode())
    write_whole(folder / "table.csv", tables.to_csv(rows).encode())
    steps = " + ".join(f"{config[name].steps:,}" for name in config.stages)
    network = ", ".join(f"{k} {v}" for k, v in config.generator.hparams.items())
    print(
        f"{tables.to_text(rows)}\n{config.generator.name} ({network}) but for the choice, x"
        f"{config.scale}, {steps} steps, seeds {numbers.start}..{numbers.stop - 1},"
        f" {len(ended)} runs in {seconds / 60:.1f} minutes on {jax.device_count()} device(s)"
    )


if __name__ == "__main__":
    define_flags()
    CONFIG = command_line.define_config()

    def run(words: list[str]) -> None:
        if words:
            raise UserError(f"{words[0]!r} is not understood: options start with --")
        config = command_line.read_config(CONFIG)
        path = config_flags.get_config_filename(flags.FLAGS["config"]).partition(":")[0]
        grid = read_grid(path)
        parallel.setup(config.deterministic, config.data.batch_size // max(config.accumulate, 1))
        parallel.start()
        main(config, grid, flags.FLAGS)

    command_line.run_command(run)
