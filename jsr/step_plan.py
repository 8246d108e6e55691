"""A config's training steps compiled for devices that need not be here: memory, work, time.

Everything is abstract: no weights are made, no photograph is read, nothing runs.
"""

import copy
import dataclasses
import re

import jax
from jax.sharding import NamedSharding

from jsr import chips, hlo_cost, machine, parallel, step_cost
from jsr.recipe import Recipe, Stage
from jsr.topology import Topology

# Of a host's or GPU's memory, and of a TPU's: what its runtime keeps.
RESERVED = 0.98
# The largest batch is known once the next that failed is so little larger.
NEAR = 1.1
# Of a program that XLA has planned, and of one whose temporary arrays alone are too large.
_WANTED = re.compile(
    r"Used ([\d.]+)([KMGTP]?) of [\d.]+[KMGTP]? hbm"
    r"|required for HLO temporaries \(([\d.]+)([KMGTP]?)\)"
)
# Characters of what XLA says.
REASON = 300


@dataclasses.dataclass(frozen=True)
class StepPlan:
    """Of a step on one device, but for `xla_flops` and `nbytes`, which XLA counts a dispatch.

    hbm: bytes as XLA plans them; where it does not fit, those that XLA says it would take at least,
    or None where it does not say. fits: whether XLA compiled it, within the limit; if not, `reason`
    is XLA's. flops: of its convolutions and matrix products. collectives: bytes of each transfer
    between devices, as `hlo_cost` has them. cycles: XLA's own estimate of the time, 0 where it
    makes none.
    """

    stage: str
    batch: int
    hbm: int | None
    fits: bool
    flops: float
    floor: float
    xla_flops: float | None = None
    nbytes: float | None = None
    collectives: tuple[int, ...] = ()
    cycles: float = 0.0
    reason: str = ""

    def seconds(self, topology: Topology) -> tuple[float, float]:
        """Predicted seconds of the arithmetic, and of the transfers after it, of a step.

        The arithmetic takes XLA's estimate, and never less than its floor.
        """
        if topology.chip is None:
            return self.floor, 0.0
        chip, shape = topology.chip, topology.shape
        sums = (chips.all_reduce_seconds(chip, shape, nbytes) for nbytes in self.collectives)
        return max(self.cycles / chip.clock, self.floor), sum(sums)


def hbm_limit(topology: Topology) -> int:
    """Bytes that a step may take of a device."""
    if topology.chip:
        return int(RESERVED * topology.chip.hbm)
    return int(RESERVED * parallel.device_bytes(parallel.make_mesh(topology.devices)))


def plan_step(config, topology: Topology, stage: Stage, batch: int) -> StepPlan:
    """Compile a step of `stage` with `batch` examples on each device."""
    config = copy.deepcopy(config)
    config.data.batch_size = batch * len(topology.devices)
    config.norm_batch = norm_batch(config, batch // config.accumulate, len(topology.devices))
    mesh = parallel.make_mesh(topology.devices)
    cost = step_cost.count_step(config, mesh, stage)
    peak, bandwidth = _speeds(config, topology)
    plan = StepPlan(stage.name, batch, None, False, cost.operations, cost.floor(peak, bandwidth))
    try:
        program = lower(Recipe(config, mesh), stage).compile()
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        reason = str(error).splitlines()[0][:REASON]
        return dataclasses.replace(plan, hbm=wanted_bytes(str(error)), reason=reason)
    used, counted = program.memory_analysis(), program.cost_analysis() or {}
    hbm = used.argument_size_in_bytes + used.temp_size_in_bytes + used.generated_code_size_in_bytes
    hbm += used.output_size_in_bytes - used.alias_size_in_bytes
    found, k = hlo_cost.count(program.as_text()), config.steps_per_dispatch
    return dataclasses.replace(
        plan,
        hbm=hbm,
        fits=hbm <= hbm_limit(topology),
        xla_flops=counted.get("flops"),
        nbytes=counted.get("bytes accessed"),
        collectives=tuple(sorted(found.collectives)[::k]),
        cycles=found.cycles / k,
    )


def norm_batch(config, share: int, devices: int) -> int:
    """The config's, or what is nearest below it that devices with `share` examples each can do."""
    count = max(1, config.norm_batch // share)
    while devices % count:
        count -= 1
    return share * count if config.norm_batch else 0


def lower(recipe: Recipe, stage: Stage):
    """The dispatch that training runs, lowered for the recipe's mesh."""

    def place(tree, spec):
        sharding = NamedSharding(recipe.mesh, spec)
        return jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), tree
        )

    run = recipe.compile(stage, recipe.config.scale, step_cost.GIVEN)
    key = place(run.args[0], parallel.WHOLE)
    batches = place(step_cost.abstract_batches(recipe.config), parallel.EXAMPLES)
    return run.func.lower(key, recipe.template(stage.name), batches, {})


def largest_batch(config, topology: Topology, plan: StepPlan, tries: int) -> tuple[int, int | None]:
    """The largest batch of a device that was seen to fit, and the smallest that was not.

    By the secant through what was compiled so far, halving where that does not help; `tries`
    compilations at most. 0 where none fitted.
    """
    limit, parts = hbm_limit(topology), config.accumulate
    stage = Stage(plan.stage, 0, 1)
    state = step_cost.state_bytes(_state(config, topology, stage))
    # Where XLA says nothing: at least what is kept for backward.
    seen = {0: state, plan.batch: plan.hbm or state + _kept(config, topology, stage, plan.batch)}
    fits, fails = (plan.batch, None) if plan.fits else (0, plan.batch)
    for _ in range(tries):
        batch = _guess(seen, limit, fits, fails) // parts * parts
        if batch <= fits:
            break
        tried = plan_step(config, topology, stage, batch)
        if tried.hbm:
            seen[batch] = tried.hbm
        fits, fails = (batch, fails) if tried.fits else (fits, batch)
        if fails and (fails - parts <= fits or fails <= NEAR * fits):
            break
    return fits, fails


def _guess(seen: dict[int, int], limit: int, fits: int, fails: int | None) -> int:
    """Where the line through the two batches next to the limit meets it, between what is known."""
    (a, low), (b, high) = sorted(seen.items(), key=lambda item: abs(item[1] - limit))[:2]
    meets = a + (limit - low) * (b - a) / (high - low) if high != low else 2 * max(a, b)
    if fails is None:
        return max(fits + 1, int(meets))
    return int(meets) if fits < int(meets) < fails else (fits + fails) // 2


def _kept(config, topology: Topology, stage: Stage, batch: int) -> int:
    config = copy.deepcopy(config)
    config.data.batch_size = batch * len(topology.devices)
    return step_cost.kept_bytes(Recipe(config, parallel.make_mesh(topology.devices)), stage)


def _state(config, topology: Topology, stage: Stage):
    return Recipe(config, parallel.make_mesh(topology.devices)).template(stage.name)


def _speeds(config, topology: Topology) -> tuple[float, float]:
    if topology.chip:
        return topology.chip.peak, topology.chip.bandwidth
    share = jax.device_count()
    return machine.product_peak(config.dtype) / share, machine.bandwidth() / share


def wanted_bytes(text: str) -> int | None:
    """The bytes that an error of XLA's says a program, or a part of it, would take."""
    if found := _WANTED.search(text):
        number, unit = (found[1], found[2]) if found[1] else (found[3], found[4])
        return int(float(number) * 1024 ** " KMGTP".index(unit or " "))
    return None
