"""What a training step costs by the config alone: operations, bytes, memory, and its floor."""

import copy
import dataclasses
import math

import jax
from jax.interpreters import partial_eval

from jsr import color, model_cost, parallel
from jsr.feed import Feed
from jsr.pipeline import TYPES
from jsr.recipe import Recipe, Stage
from jsr.steps import AXIS

# Batches that are handed to the compiled steps as they are.
GIVEN = Feed(
    batches=lambda _start, _stop: iter(()),
    cut=lambda _data, batch: batch,
    data={},
    batch_spec=parallel.EXAMPLES,
    data_spec=parallel.WHOLE,
    note="given",
)


@dataclasses.dataclass(frozen=True)
class StepCost:
    """Of one step on one device: what its arithmetic needs, however it is compiled.

    products: its convolutions and matrix products, without what `remat` computes again.
    state_bytes: what the optimizers and the moving average of a device read, and write again.
    """

    products: list[model_cost.Product]
    state_bytes: int

    @property
    def operations(self) -> int:
        """Multiplications and additions of the products, those of the gradients among them."""
        return 2 * sum(product.multiply_adds for product in self.products)

    @property
    def nbytes(self) -> int:
        """Bytes that move if every product reads and writes once and all else costs nothing."""
        return sum(product.nbytes for product in self.products) + 2 * self.state_bytes

    def floor(self, peak: float, bandwidth: float) -> float:
        """Seconds below which no step comes: each product at the peak or at the bandwidth.

        The roofline of Williams et al. 2009, product by product.
        """
        each = (max(2 * p.multiply_adds / peak, p.nbytes / bandwidth) for p in self.products)
        return sum(each) + 2 * self.state_bytes / bandwidth


def count_step(config, mesh, stage: Stage) -> StepCost:
    """Count a step of `stage` in the jaxpr that the config makes, on one device of `mesh`."""
    config = copy.deepcopy(config)
    with config.unlocked():
        config.remat = False
    recipe, repeats = Recipe(config, mesh), config.steps_per_dispatch
    run = recipe.compile(stage, recipe.config.scale, GIVEN)
    state = recipe.template(stage.name)
    traced = jax.make_jaxpr(run.func)(*run.args, state, abstract_batches(config), {}).jaxpr
    # The gradient by the pictures, which nothing uses, is in there too.
    live, _ = partial_eval.dce_jaxpr(traced, [True] * len(traced.outvars))
    found = model_cost.products(live)
    each = [model_cost.Product(p.multiply_adds / repeats, p.nbytes / repeats) for p in found]
    return StepCost(each, state_bytes(state))


def kept_bytes(recipe: Recipe, stage: Stage) -> int:
    """Bytes of the tensors that G's forward pass on a device keeps for its backward pass.

    Counted in the jaxpr, without the parameters and the batch itself. Of the adversarial stage's
    step this is the part that its content loss has.
    """
    config = recipe.config
    loss = recipe.objective(stage)
    net = recipe.template(stage.name).gen
    share = config.data.batch_size // (recipe.mesh.size * config.accumulate)
    batch = {
        name: jax.ShapeDtypeStruct((share, *x.shape[2:]), "float32")
        for name, x in abstract_batches(config).items()
    }

    def backward(params, stats, batch):
        key = jax.random.key(0)
        return jax.vjp(lambda p: loss(p, stats, batch, key)[0], params)[1]

    trace = jax.make_jaxpr(backward, axis_env=[(AXIS, recipe.mesh.size)])
    jaxpr = trace(net.params, net.stats, batch).jaxpr
    given = set(jaxpr.invars) | set(jaxpr.constvars)
    kept = {v for v in jaxpr.outvars if not hasattr(v, "val")} - given
    return sum(math.prod(v.aval.shape) * v.aval.dtype.itemsize for v in kept)


def abstract_batches(config) -> dict[str, jax.ShapeDtypeStruct]:
    """Shapes and types of a dispatch's batches, as the pipeline has them.

    [k, b, h, w, c]; of clips [k, b, t, h, w, c].
    """
    clip = (config.data.frames,) if config.data.frames > 1 else ()
    lead = (config.steps_per_dispatch, config.data.batch_size, *clip)
    sides = {"lr": config.data.patch, "hr": config.data.patch * config.scale}
    channels, types = color.CHANNELS[config.channels], TYPES[config.channels]
    return {n: jax.ShapeDtypeStruct((*lead, s, s, channels), types[n]) for n, s in sides.items()}


def state_bytes(state) -> int:
    """Bytes that a device has of a state, of arrays or of their shapes; without shardings, all."""

    def held(x) -> int:
        whole = x.sharding is None
        return math.prod(x.shape if whole else x.sharding.shard_shape(x.shape)) * x.dtype.itemsize

    return sum(map(held, jax.tree.leaves(state)))
