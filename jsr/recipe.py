"""A config turned into networks, losses, optimizers and steps, stage by stage."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jsr import losses, parallel, perceptual, protocols, state, steps
from jsr.errors import UserError
from jsr.feed import Feed
from jsr.lookup import find
from jsr.models import MODELS, hyper_parameters, make_model
from jsr.state import TrainState
from jsr.weights import load_network

STAGES = ("pixel", "gan")
PENALTIES = ("none", "gradient_penalty", "r1")


class Stage(NamedTuple):
    """A stage and the global steps [start, stop) that it takes."""

    name: str
    start: int
    stop: int


class Recipe:
    """What a config describes, built: `generator`, `discriminator`, `stages`, and the steps.

    `notes` are lines that the run should say (a loss that is off, and why). Raises UserError for
    every value of the config that cannot be built.
    """

    def __init__(self, config, mesh):
        check_config(config)
        parallel.check_batch(config.data.batch_size, config.accumulate, mesh)
        self.config, self.mesh, self.notes = config, mesh, []
        self.stages = list_stages(config)
        remat = self._remat()
        self.generator = self._network(config.generator, scale=config.scale, **remat)
        self.discriminator = self._network(config.discriminator)
        self.predict = jax.jit(steps.make_predict(self.generator))
        self.judge = jax.jit(steps.make_judge(self.discriminator))
        self._key = jax.random.key(config.seed)
        self._perceptual = self._perceptual_loss()
        self._optimizers = {name: self._stage_optimizers(name) for name in config.stages}
        self._check_sizes()

    def start(self) -> TrainState:
        """The state at step 0, on the mesh; from config.init's weights where it names some."""
        gen = self._init_generator()
        if self.config.init:
            gen = self._warm(gen, self._optimizers[self.stages[0].name]["gen"])
        return parallel.replicate(state.start_training(gen), self.mesh)

    def begin(self, stage: Stage, train_state: TrainState) -> TrainState:
        """The state with which `stage` starts, from the one before it."""
        if stage.name == "pixel":
            return train_state
        optimizers = self._optimizers["gan"]
        lr, hr = self._example()
        disc = state.init_net(self._stream(1), self.discriminator, optimizers["disc"], hr, lr)
        return parallel.replicate(state.start_gan(train_state, disc, optimizers["gen"]), self.mesh)

    def template(self, stage_name: str) -> TrainState:
        """A state of the shapes, types and shardings that `stage_name` has."""
        # Not start(): a resumed run does not need the file of config.init any more.
        fresh = state.start_training(self._init_generator())
        train_state = parallel.replicate(fresh, self.mesh)
        if stage_name == "gan":
            stage = next(s for s in self.stages if s.name == "gan")
            train_state = self.begin(stage, train_state)
        return train_state

    def compile(self, stage: Stage, feed: Feed) -> Callable:
        """`run(state, batches, data)` for a stage: `steps_per_dispatch` steps a call."""
        make = self._pixel_step if stage.name == "pixel" else self._gan_step
        run = steps.repeat(make(), feed.cut)
        specs = (feed.batch_spec, feed.data_spec)
        run = parallel.compile_steps(run, self.mesh, *specs, remat=self.config.remat)
        return functools.partial(run, self._stream(2))

    def objective(self, stage: Stage) -> Callable:
        """`loss(params, stats, batch) -> (loss, aux)`: what a stage asks of G, but for D's part."""
        return steps.make_generator_loss(self.generator, **self._content(self.config[stage.name]))

    def facts(self) -> dict:
        """The description that goes into the weights file."""
        config = self.config
        return {
            "model": config.generator.name,
            "hparams": {**config.generator.hparams.to_dict(), "scale": config.scale},
            "scale": config.scale,
            "channels": "rgb",
            "protocol": config.protocol,
            "licence": config.licence,
            "data": config.data.name,
        }

    @property
    def adversarial(self) -> losses.Adversarial:
        """The adversarial stage's pair of losses."""
        return find("adversarial loss", self.config.gan.adversarial, losses.ADVERSARIAL)

    @property
    def perceptual_is_on(self) -> bool:
        """Whether the config wants a perceptual loss and its weights are here."""
        return self._perceptual is not None

    def _stream(self, number: int) -> jax.Array:
        return jax.random.fold_in(self._key, number)

    def _init_generator(self) -> state.Net:
        optimizer = self._optimizers[self.stages[0].name]["gen"]
        return state.init_net(self._stream(0), self.generator, optimizer, self._example()[0])

    def _example(self) -> tuple[jax.Array, jax.Array]:
        """An LR and an HR patch of the sizes trained on."""
        side, scale = self.config.data.patch, self.config.scale
        return jnp.zeros((1, side, side, 3)), jnp.zeros((1, side * scale, side * scale, 3))

    def _check_sizes(self) -> None:
        # A discriminator that cannot take the patch should not say so after the pixel stage.
        lr, hr = self._example()
        try:
            jax.eval_shape(self.generator.init, self._key, lr)
            if "gan" in self.config.stages:
                jax.eval_shape(self.discriminator.init, self._key, hr, lr)
        except ValueError as error:
            raise UserError(f"data.patch {self.config.data.patch} does not fit: {error}") from error

    def _network(self, config, **fixed):
        hparams = {**config.hparams.to_dict(), **fixed, "dtype": self.config.dtype}
        known = hyper_parameters(config.name)
        if "axis_name" in known:
            # BatchNorm takes its statistics over the global batch.
            hparams["axis_name"] = steps.AXIS
        return make_model(config.name, **hparams)

    def _remat(self) -> dict:
        """The generator's hyper-parameter, where it is wanted."""
        name = self.config.generator.name
        if self.config.remat and "remat" not in hyper_parameters(name):
            can = [other for other in MODELS if "remat" in hyper_parameters(other)]
            raise UserError(f"remat is True: {name} cannot do that, {', '.join(can)} can")
        return {"remat": True} if self.config.remat else {}

    def _warm(self, gen: state.Net, optimizer) -> state.Net:
        variables = load_network(self.config.init).variables
        for name, ours in (("params", gen.params), ("batch_stats", gen.stats)):
            theirs = variables[name]
            if jax.tree.map(np.shape, theirs) != jax.tree.map(np.shape, ours):
                raise UserError(
                    f"config.init {self.config.init} holds another network than"
                    f" {self.config.generator.name} with this config's hyper-parameters"
                )
        params = jax.tree.map(jnp.asarray, variables["params"])
        stats = jax.tree.map(jnp.asarray, variables["batch_stats"])
        return state.Net(params, stats, optimizer.init(params))

    def _perceptual_loss(self) -> Callable | None:
        config = self.config.perceptual
        wanted = [self.config[name].perceptual_weight for name in self.config.stages]
        if not any(wanted):
            return None
        params = perceptual.load_features(config.network, config.path or None)
        if params is None:
            self.notes.append(
                f"the perceptual loss is off: no weights of {config.network} here; get them once"
                f" with: python -m jsr.weights fetch {config.network}"
            )
            return None
        if len(config.layers) != len(config.weights):
            raise UserError(
                f"perceptual.weights has {len(config.weights)} values for"
                f" {len(config.layers)} layers: give one for each"
            )
        layers = dict(zip(config.layers, config.weights, strict=True))
        features = functools.partial(perceptual.make_features(config.network, layers), params)
        return functools.partial(
            perceptual.perceptual_loss,
            features,
            layers=layers,
            distance=config.distance,
            scale=1.0 / config.divisor,
        )

    def _stage_optimizers(self, name: str) -> dict:
        config = self.config[name]
        optimizers = {"gen": state.make_optimizer(config.optimizer, config.steps)}
        if name == "gan":
            optimizers["disc"] = state.make_optimizer(config.disc_optimizer, config.steps)
        return optimizers

    def _content(self, config) -> dict:
        return {
            "pixel_loss": find("pixel loss", config.pixel_loss, losses.PIXEL),
            "pixel_weight": config.pixel_weight,
            "perceptual": self._perceptual if config.perceptual_weight else None,
            "perceptual_weight": config.perceptual_weight,
        }

    def _averages(self) -> dict:
        return {"ema_decay": self.config.ema, "accumulate": self.config.accumulate}

    def _pixel_step(self) -> Callable:
        return steps.make_pixel_step(
            self.generator,
            self._optimizers["pixel"]["gen"],
            **self._content(self.config.pixel),
            **self._averages(),
        )

    def _gan_step(self) -> Callable:
        config, optimizers = self.config.gan, self._optimizers["gan"]
        return steps.make_gan_step(
            self.generator,
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


def check_config(config) -> None:
    """Raise UserError for values that would fail, or do something else than they say, later."""
    if not config.stages or list(config.stages) != [s for s in STAGES if s in config.stages]:
        raise UserError(f"stages is {tuple(config.stages)}: expected some of {STAGES}, in order")
    _choice(config, "dtype", ("float32", "bfloat16"))
    _choice(config, "protocol", tuple(protocols.PROTOCOLS))
    for name in config.stages:
        find("pixel loss", config[name].pixel_loss, losses.PIXEL)
    if "gan" in config.stages:
        find("adversarial loss", config.gan.adversarial, losses.ADVERSARIAL)
        _choice(config, "gan.penalty", PENALTIES)
    if not 0 <= config.data.resident <= 1:
        raise UserError(f"data.resident is {config.data.resident}: expected a share, 0 to 1")
    positive = ["scale", "data.patch", "data.batch_size", "accumulate", "steps_per_dispatch"]
    positive += ["log_every", "eval_every", "save_every", "keep", "max_skipped"]
    positive += [f"{name}.steps" for name in config.stages]
    for key in positive:
        if _value(config, key) < 1:
            raise UserError(f"{key} is {_value(config, key)}: expected at least 1")
    periods = ["log_every", "eval_every", "save_every"] + [f"{n}.steps" for n in config.stages]
    for key in periods:
        if _value(config, key) % config.steps_per_dispatch:
            raise UserError(
                f"{key} is {_value(config, key)}: expected a multiple of steps_per_dispatch,"
                f" {config.steps_per_dispatch}"
            )


def _value(config, dotted: str):
    for part in dotted.split("."):
        config = config[part]
    return config


def _choice(config, key: str, known: tuple) -> None:
    if _value(config, key) not in known:
        raise UserError(f"{key} is {_value(config, key)!r}: expected one of {', '.join(known)}")
