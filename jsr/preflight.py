"""`python -m jsr.preflight`: whether a config fits TPUs that are not here, and what it would take.

    python -m jsr.preflight --config configs/srgan.py:div2k --topology v5e:4x4 --price 1.2
    python -m jsr.preflight --config configs/srgan.py:div2k --topology v5e:4x4 --table

Compiles the training steps themselves, ahead of time, by libtpu on a machine without TPUs; cpu:N
and gpu:N are devices of this machine. Nothing runs and no photograph is read: times are XLA's
estimates with the links' published bandwidth, memory is XLA's own plan.
"""

import json
import math
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from absl import flags

from jsr import command_line
from jsr.errors import UserError
from jsr.whole_files import write_whole

TABLE_BATCH = 16


def define_flags() -> None:
    """Define the options of the command line."""
    flags.DEFINE_string("topology", None, "v5e:4x4, v6e:2x4, v5p:2x2x2 ...; cpu:N; gpu:N")
    flags.DEFINE_bool("table", False, "also every slice of these chips, with 1 to 256 of them")
    text = f"default: the config's batch, split; with --table {TABLE_BATCH}"
    flags.DEFINE_integer("batch_per_chip", None, text, 1)
    flags.DEFINE_integer("search", 2, "compilations that look for the largest batch", 0)
    flags.DEFINE_float("price", None, "dollars for a chip an hour", 0)
    flags.DEFINE_string("json", None, "write the figures to this file")


def main(config, options) -> None:
    """Plan every stage of a config, print the figures and write them."""
    from jsr import parallel
    from jsr.recipe import Recipe
    from jsr.topology import open_topology

    path = Path(options.json) if options.json else None
    if path and not path.parent.is_dir():
        raise UserError(f"--json {path}: there is no folder {path.parent}")
    if not options.topology:
        raise UserError("--topology is missing: try --topology v5e:4x4")
    topology = open_topology(options.topology)
    if options.table and (topology.chip is None or len(topology.devices) == 1):
        raise UserError("--table needs a TPU slice of several chips: try --topology v5e:2x2")
    chips = len(topology.devices)
    batch = options.batch_per_chip or (TABLE_BATCH if options.table else None)
    if batch:
        config.data.batch_size = batch * chips
    recipe = Recipe(config, parallel.make_mesh(topology.devices))
    for note in recipe.notes:
        print(note)
    figures = preflight(config, topology, recipe.stages, options)
    print(describe(figures))
    if path:
        text = json.dumps(figures, indent=1, allow_nan=False) + "\n"
        write_whole(path, text.encode())


def preflight(config, topology, stages, options) -> dict:
    """The figures of a config on a topology, as --json writes them."""
    from jsr.step_plan import hbm_limit, largest_batch, plan_step

    chips = len(topology.devices)

    def plan(stage):
        print(f"compiling the {stage.name} stage for {topology.name}", file=sys.stderr)
        start = time.perf_counter()
        made = plan_step(config, topology, stage, config.data.batch_size // chips)
        # Compiling takes minutes: what is known is told before the next.
        told = f"{_gb(made.hbm)}, {1e3 * sum(made.seconds(topology)):.2f} ms a step"
        seconds = time.perf_counter() - start
        print(f"the {stage.name} stage took {seconds:.0f} s: {told}", file=sys.stderr)
        return made

    # For TPUs a compilation keeps one core busy; devices of this machine are measured meanwhile.
    with ThreadPoolExecutor(len(stages) if topology.chip else 1) as pool:
        plans = list(pool.map(plan, stages))
    worst = max(plans, key=lambda plan: (not plan.fits, plan.hbm or math.inf))
    if options.search:
        print("looking for the largest batch", file=sys.stderr)
    fits, fails = largest_batch(config, topology, worst, options.search)
    rows = [stage_row(plan, s, topology) for plan, s in zip(plans, stages, strict=True)]
    first = rows[plans.index(worst)]
    hours = sum(row["hours"] for row in rows)
    figures = {
        "config": config.name,
        "topology": topology.name,
        "chips": chips,
        "batch_per_device": worst.batch,
        **first,
        "fits": all(row["fits"] for row in rows),
        "hbm_limit": hbm_limit(topology),
        "largest_batch_per_device": fits,
        "smallest_batch_that_does_not_fit": fails,
        "hours": hours,
        "cost": None if options.price is None else hours * chips * options.price,
        "stages": rows,
    }
    if options.table:
        figures["table"] = [row for plan in plans for row in slices(plan, topology, options.price)]
    return figures


def stage_row(plan, stage, topology) -> dict:
    """The figures of one stage; `flops` and bytes are those of one device, of one step."""
    arithmetic, transfers = plan.seconds(topology)
    seconds = arithmetic + transfers
    steps = stage.stop - stage.start
    peak = topology.chip.peak if topology.chip else None
    return {
        "stage": plan.stage,
        "steps": steps,
        "fits": plan.fits,
        "hbm_bytes": plan.hbm,
        "reason": plan.reason or None,
        "flops": plan.flops,
        "xla_flops": plan.xla_flops,
        "bytes": plan.nbytes,
        "xla_seconds": plan.cycles / topology.chip.clock if topology.chip else None,
        "floor_seconds": plan.floor,
        "collectives": len(plan.collectives),
        "collective_bytes": sum(plan.collectives),
        "collective_seconds": transfers,
        "collective_share": transfers / seconds,
        "seconds_per_step": seconds,
        "steps_per_second": 1 / seconds,
        "mfu": plan.flops / seconds / peak if peak else None,
        "hours": steps * seconds / 3600,
    }


def slices(plan, topology, price: float | None) -> list[dict]:
    """A plan on every slice of its chips: each does the same work, and sums over more of them."""
    from jsr.chips import SLICES

    kind, rows = topology.name.partition(":")[0], []
    for size in SLICES[kind]:
        shape = tuple(map(int, size.split("x")))
        arithmetic, transfers = plan.seconds(topology._replace(shape=shape))
        seconds, count = arithmetic + transfers, math.prod(shape)
        row = {"stage": plan.stage, "topology": f"{kind}:{size}", "chips": count}
        row |= {"batch": plan.batch * count, "seconds_per_step": seconds}
        row |= {"images_per_second": plan.batch * count / seconds}
        row |= {"collective_share": transfers / seconds, "efficiency": arithmetic / seconds}
        dear = None if price is None else price * count * seconds / 3600 * 1000
        rows.append({**row, "dollars_per_1000_steps": dear})
    return rows


def describe(figures: dict) -> str:
    """The figures as text."""
    from jsr.tables import align

    fits = "fits" if figures["fits"] else "does NOT fit"
    fails = figures["smallest_batch_that_does_not_fit"]
    larger = f"; {fails} does not" if fails else "; no larger one was tried"
    lines = [
        f"{figures['config']} on {figures['topology']} ({figures['chips']} chips): {fits},"
        f" {_gb(figures['hbm_bytes'])} of {_gb(figures['hbm_limit'])} a chip"
        f" at {figures['batch_per_device']} examples each",
        *(f"{row['stage']}: {row['reason']}" for row in figures["stages"] if row["reason"]),
        "photographs kept on the device (data.resident) come on top",
        f"largest batch that fits: {figures['largest_batch_per_device']} a chip{larger}",
    ]
    cells = [["stage", "HBM", "GFLOP", "XLA ms", "floor ms", "sums", "MB", "their ms", "share %"]]
    cells[0] += ["ms a step", "steps/s", "MFU %", "hours"]
    cells += [_cells(row) for row in figures["stages"]]
    lines.append(align(cells, "<" + ">" * (len(cells[0]) - 1)))
    cost = "" if figures["cost"] is None else f", {figures['cost']:,.0f} dollars"
    lines.append(f"all steps: {figures['hours']:.1f} hours{cost}")
    if "table" in figures:
        lines.append(describe_slices(figures["table"]))
    return "\n".join(lines)


def describe_slices(rows: list[dict]) -> str:
    """The table of slices as text."""
    from jsr.tables import align

    cells = [["stage", "slice", "batch", "ms a step", "images/s", "sums %", "efficiency %"]]
    dear = rows[0]["dollars_per_1000_steps"] is not None
    cells[0] += ["$ / 1000 steps"] if dear else []
    for row in rows:
        cells.append(
            [
                row["stage"],
                row["topology"],
                str(row["batch"]),
                f"{1e3 * row['seconds_per_step']:.2f}",
                f"{row['images_per_second']:,.0f}",
                f"{100 * row['collective_share']:.1f}",
                f"{100 * row['efficiency']:.1f}",
            ]
        )
        cells[-1] += [f"{row['dollars_per_1000_steps']:.2f}"] if dear else []
    return align(cells, "<<" + ">" * (len(cells[0]) - 2))


def _cells(row: dict) -> list[str]:
    def ms(seconds: float | None) -> str:
        return "-" if seconds is None else f"{1e3 * seconds:.2f}"

    return [
        row["stage"],
        _gb(row["hbm_bytes"]),
        f"{row['flops'] / 1e9:,.1f}",
        ms(row["xla_seconds"]),
        ms(row["floor_seconds"]),
        str(row["collectives"]),
        f"{row['collective_bytes'] / 1e6:.1f}",
        ms(row["collective_seconds"]),
        f"{100 * row['collective_share']:.1f}",
        ms(row["seconds_per_step"]),
        f"{row['steps_per_second']:.2f}",
        "-" if row["mfu"] is None else f"{100 * row['mfu']:.1f}",
        f"{row['hours']:.1f}",
    ]


def _gb(size: float | None) -> str:
    return "unknown" if size is None else f"{size / 1e9:.2f} GB"


if __name__ == "__main__":
    define_flags()
    CONFIG = command_line.define_config()
    command_line.run_command(
        lambda _words: main(command_line.read_config(CONFIG), flags.FLAGS), keep_compiled=False
    )
