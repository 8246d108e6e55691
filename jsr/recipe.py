"""A config turned into networks, losses, optimizers and steps, stage by stage."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jsr import color, feature_weights, hounsfield, losses, parallel, perceptual, state, steps
from jsr.config_rules import check_config
from jsr.errors import UserError
from jsr.feed import Feed
from jsr.lookup import find
from jsr.mixtures import check_pairs, make_mixture
from jsr.models import MODELS, hyper_parameters, make_model
from jsr.models.layers import Groups
from jsr.shards import Shards, state_specs
from jsr.state import TrainState
from jsr.warm_start import warm_start


class Stage(NamedTuple):
    """A stage and the global steps [start, stop) that it takes."""

    name: str
    start: int
    stop: int


class Recipe:
    """What a config describes, built: `generator`, `discriminator`, `stages`, and the steps.

    `scales` are those trained for; `generator` is the network at the one that is scored.
    `notes` are lines that the run should say (a loss that is off, and why). Raises UserError for
    every value of the config that cannot be built.
    """

    def __init__(self, config, mesh):
        check_config(config)
        parallel.check_batch(config.data.batch_size, config.accumulate, mesh)
        check_pairs(config.data.mixup, config.data.batch_size // mesh.size)
        self.config, self.mesh, self.notes = config, mesh, []
        self.stages = list_stages(config)
        self.scales = list_scales(config)
        self.generator = self._at(config.scale)
        self.discriminator = self._network(config.discriminator)
        self.predict = jax.jit(steps.make_predict(self.generator.apply, parts=True))
        alone = self._network(config.discriminator, alone=True)
        self.judge = jax.jit(steps.make_judge(alone))
        self._key = jax.random.key(config.seed)
        self._perceptual = self._perceptual_loss()
        if config.channels == "ct" and "gan" in config.stages:
            self.notes.append(f"warning: {hounsfield.WARNING}")
        self._shards = Shards(self._parameter_shapes, mesh.size) if config.shard_state else None
        self._optimizers = {name: self._stage_optimizers(name) for name in config.stages}
        self._check_sizes()

    def start(self) -> TrainState:
        """The state at step 0, on the mesh; from config.init's weights where it names some."""
        gen = self._init_generator()
        if self.config.init:
            gen = self._warm(gen, self._optimizers[self.stages[0].name]["gen"])
        return self._place(state.start_training(gen))

    def begin(self, stage: Stage, train_state: TrainState) -> TrainState:
        """The state with which `stage` starts, from the one before it."""
        if stage.name == "pixel":
            return train_state
        return self._place(self._start_gan(train_state))

    def template(self, stage_name: str) -> TrainState:
        """The shapes, types and shardings of the state that `stage_name` has."""

        def fresh() -> TrainState:
            # Not start(): a resumed run does not need the file of config.init any more.
            train_state = state.start_training(self._init_generator())
            return self._start_gan(train_state) if stage_name == "gan" else train_state

        shapes = jax.eval_shape(fresh)
        return parallel.abstract(shapes, self._specs(shapes), self.mesh)

    def compile(self, stage: Stage, scale: int, feed: Feed) -> Callable:
        """`run(state, batches, data)` for a stage: `steps_per_dispatch` steps of a scale a call."""
        make = self._pixel_step if stage.name == "pixel" else self._gan_step
        run = steps.repeat(make(self._at(scale)), feed.cut, self._mixture())
        shared = self.config.shard_state
        layout = self._specs(self.template(stage.name)) if shared else parallel.WHOLE
        specs = (feed.batch_spec, feed.data_spec, layout)
        run = parallel.compile_steps(run, self.mesh, *specs, remat=self.config.remat)
        return functools.partial(run, self._stream(2))

    def objective(self, stage: Stage) -> Callable:
        """`loss(params, stats, batch) -> (loss, aux)`: what a stage asks of G, but for D's part."""
        return steps.make_generator_loss(self.generator, **self._content(self.config[stage.name]))

    def facts(self) -> dict:
        """The description that goes into the weights file."""
        config = self.config
        several = {"scales": list(self.scales)} if len(self.scales) > 1 else {}
        return {
            "model": config.generator.name,
            "hparams": {**config.generator.hparams.to_dict(), "scale": config.scale},
            "scale": config.scale,
            **several,
            "channels": config.channels,
            "protocol": config.protocol,
            "licence": config.licence,
            "data": config.data.name,
            "lr": config.data.lr,
        }

    @property
    def adversarial(self) -> losses.Adversarial:
        """The adversarial stage's pair of losses."""
        gan = self.config.gan
        pair = find("adversarial loss", gan.adversarial, losses.ADVERSARIAL)
        smoothing = gan.label_smoothing
        return losses.with_smooth_labels(pair, smoothing) if smoothing else pair

    @property
    def perceptual_is_on(self) -> bool:
        """Whether the config wants a perceptual loss and its weights are here."""
        return self._perceptual is not None

    def _stream(self, number: int) -> jax.Array:
        return jax.random.fold_in(self._key, number)

    def _at(self, scale: int):
        """The generator at a scale, for the same variables."""
        return self._network(self.config.generator, scale=scale, **self._ways())

    def _init_generator(self) -> state.Net:
        optimizer = self._optimizers[self.stages[0].name]["gen"]
        lr, start = self._example()[0], self.config.generator.initializer
        return state.init_net(self._stream(0), self.generator, optimizer, lr, initializer=start)

    def _start_gan(self, train_state: TrainState) -> TrainState:
        optimizers = self._optimizers["gan"]
        lr, hr = self._example()
        start = {"initializer": self.config.discriminator.initializer}
        optimizer, key = optimizers["disc"], self._stream(1)
        disc = state.init_net(key, self.discriminator, optimizer, hr, lr, **start)
        return state.start_gan(train_state, disc, optimizers["gen"])

    def _specs(self, train_state: TrainState) -> TrainState:
        """How a state, or its shapes, lies on the mesh."""
        return state_specs(train_state, self.mesh.size if self.config.shard_state else 1)

    def _place(self, train_state: TrainState) -> TrainState:
        return parallel.place(train_state, self._specs(train_state), self.mesh)

    def _parameter_shapes(self, name: str):
        lr, hr = self._example()
        if name == "gen":
            return jax.eval_shape(self.generator.init, self._key, lr)["params"]
        return jax.eval_shape(self.discriminator.init, self._key, hr, lr)["params"]

    def _example(self) -> tuple[jax.Array, jax.Array]:
        """An LR and an HR patch of the sizes trained on, or clips of them."""
        data, scale = self.config.data, self.config.scale
        channels = color.CHANNELS[self.config.channels]
        first = (1, data.frames) if data.frames > 1 else (1,)
        hr = jnp.zeros((*first, data.patch * scale, data.patch * scale, channels))
        return jnp.zeros((*first, data.patch, data.patch, channels)), hr

    def _check_sizes(self) -> None:
        # A discriminator that cannot take the patch should not say so after the pixel stage.
        lr, hr = self._example()
        try:
            ours = jax.eval_shape(self._init_generator)
            for scale in set(self.scales) - {self.config.scale}:
                theirs = jax.eval_shape(self._at(scale).init, self._key, lr)
                self._require_same_weights(scale, ours.params, theirs["params"])
            if "gan" in self.config.stages:
                jax.eval_shape(self.discriminator.init, self._key, hr, lr)
        except ValueError as error:
            raise UserError(f"data.patch {self.config.data.patch} does not fit: {error}") from error

    def _require_same_weights(self, scale: int, ours, theirs) -> None:
        if jax.tree.map(jnp.shape, ours) != jax.tree.map(jnp.shape, theirs):
            raise UserError(
                f"scales is {self.scales}, but {self.config.generator.name} as configured has other"
                f" weights at x{scale} than at x{self.config.scale}: train for one scale, scales ()"
            )

    def _network(self, config, alone: bool = False, **fixed):
        hparams = {**config.hparams.to_dict(), **fixed, "dtype": self.config.dtype}
        known = hyper_parameters(config.name)
        if "axis_name" in known:
            hparams["axis_name"] = None if alone else self._norm_axis()
        return make_model(config.name, **hparams)

    def _norm_axis(self) -> str | Groups | None:
        """The devices over which BatchNorm takes its statistics."""
        config, devices = self.config, self.mesh.size
        batch = config.data.batch_size // config.accumulate
        share = batch // devices
        wanted = config.norm_batch or batch
        if wanted >= batch:
            return steps.AXIS
        count, rest = divmod(wanted, share)
        if rest or devices % count:
            raise UserError(
                f"norm_batch is {wanted}, but {devices} device(s) take {share} examples each at a"
                " time: expected the examples of some of them, which divide them equally; more"
                " devices or accumulate make the share smaller"
            )
        firsts = range(0, devices, count)
        groups = Groups(steps.AXIS, tuple(tuple(range(i, i + count)) for i in firsts))
        return groups if count > 1 else None

    def _ways(self) -> dict:
        """The generator's hyper-parameters that change how it is computed, where wanted."""
        name, ways = self.config.generator.name, {}
        for key in ("remat", "scan"):
            if not self.config[key]:
                continue
            if key not in hyper_parameters(name):
                can = [other for other in MODELS if key in hyper_parameters(other)]
                raise UserError(f"{key} is True: {name} cannot do that, {', '.join(can)} can")
            ways[key] = True
        return ways

    def _warm(self, gen: state.Net, optimizer) -> state.Net:
        fresh = {"params": gen.params, "batch_stats": gen.stats}
        variables, note = warm_start(self.config.init, self.generator, self.config.channels, fresh)
        self.notes += [note] if note else []
        params = variables["params"]
        return state.Net(params, variables["batch_stats"], optimizer.init(params))

    def _perceptual_loss(self) -> Callable | None:
        config = self.config.perceptual
        wanted = [self.config[name].perceptual_weight for name in self.config.stages]
        if not any(wanted):
            return None
        params = feature_weights.load_features(config.network, config.path or None)
        if params is None:
            self.notes.append(
                f"the perceptual loss is off: no weights of {config.network} here; get them once"
                f" with: python -m jsr.weights fetch {config.network}"
            )
            return None
        return perceptual.make_loss(config, params)

    def _stage_optimizers(self, name: str) -> dict:
        config = self.config[name]
        keys = {"gen": config.optimizer}
        if name == "gan":
            keys["disc"] = config.disc_optimizer
        return {net: self._optimizer(net, c, config.steps) for net, c in keys.items()}

    def _optimizer(self, net: str, config, steps: int):
        if self._shards is None:
            return state.make_optimizer(config, steps)
        if config.name not in state.OPTIMIZERS:
            raise UserError(
                f"shard_state is True, but the optimizer {config.name} may need whole arrays:"
                f" choose one of {', '.join(state.OPTIMIZERS)}, or shard_state False"
            )
        return state.make_optimizer(config, steps, self._shards.clip(net))

    def _content(self, config) -> dict:
        return {
            "pixel_loss": find("pixel loss", config.pixel_loss, losses.PIXEL),
            "pixel_weight": config.pixel_weight,
            "perceptual": self._perceptual if config.perceptual_weight else None,
            "perceptual_weight": config.perceptual_weight,
        }

    def _averages(self) -> dict:
        shared = {} if self._shards is None else {"exchange": self._shards.exchange}
        return {"ema_decay": self.config.ema, "accumulate": self.config.accumulate, **shared}

    def _mixture(self) -> Callable:
        data = self.config.data
        return make_mixture(self.config.seed, data.permute, data.mixup, data.cutblur)

    def _pixel_step(self, generator) -> Callable:
        return steps.make_pixel_step(
            generator,
            self._optimizers["pixel"]["gen"],
            **self._content(self.config.pixel),
            **self._averages(),
        )

    def _gan_step(self, generator) -> Callable:
        config, optimizers = self.config.gan, self._optimizers["gan"]
        return steps.make_gan_step(
            generator,
            self.discriminator,
            optimizers["gen"],
            optimizers["disc"],
            adversarial=self.adversarial,
            adversarial_weight=config.adversarial_weight,
            penalty=config.penalty,
            penalty_weight=config.penalty_weight,
            **self._content(config),
            **self._averages(),
        )


def list_stages(config) -> list[Stage]:
    """The stages of a config, one after the other."""
    stages, start = [], 0
    for name in config.stages:
        stages.append(Stage(name, start, start + config[name].steps))
        start = stages[-1].stop
    return stages


def list_scales(config) -> tuple[int, ...]:
    """The scales of a config. Raises UserError for what cannot be trained together."""
    scales = tuple(config.scales) or (config.scale,)
    if config.scale not in scales or len(set(scales)) < len(scales):
        raise UserError(f"scales is {scales}: expected different ones, with scale {config.scale}")
    if len(scales) > 1 and (tuple(config.stages), config.steps_per_dispatch) != (("pixel",), 1):
        raise UserError("several scales need stages ('pixel',) and steps_per_dispatch 1")
    return scales
