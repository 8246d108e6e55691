"""A config turned into networks, losses, optimizers and steps, stage by stage."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax

from jsr import feature_weights, hounsfield, losses, parallel, perceptual, state, steps
from jsr.config_rules import check_config
from jsr.errors import UserError
from jsr.feed import Feed
from jsr.lookup import find
from jsr.mixtures import check_pairs, make_mixture
from jsr.networks import Networks
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
        self._networks = Networks(config, mesh.size)
        self.scales = self._networks.scales
        self.generator = self._networks.generator
        self.discriminator = self._networks.discriminator
        self.predict = jax.jit(steps.make_predict(self.generator.apply, parts=True))
        self.judge = jax.jit(steps.make_judge(self._networks.alone))
        self._key = jax.random.key(config.seed)
        self._perceptual = self._perceptual_loss()
        if config.channels == "ct" and "gan" in config.stages:
            self.notes.append(f"warning: {hounsfield.WARNING}")
        self._shards = Shards(self._parameter_shapes, mesh.size) if config.shard_state else None
        self._optimizers = {name: self._stage_optimizers(name) for name in config.stages}
        self._networks.check_sizes(self._init_generator)

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
        run = steps.repeat(make(self._networks.at(scale)), feed.cut, self._mixture())
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

    def _init_generator(self) -> state.Net:
        optimizer = self._optimizers[self.stages[0].name]["gen"]
        lr, start = self._networks.example()[0], self.config.generator.initializer
        return state.init_net(self._stream(0), self.generator, optimizer, lr, initializer=start)

    def _start_gan(self, train_state: TrainState) -> TrainState:
        optimizers = self._optimizers["gan"]
        lr, hr = self._networks.example()
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
        lr, hr = self._networks.example()
        if name == "gen":
            return jax.eval_shape(self.generator.init, self._key, lr)["params"]
        return jax.eval_shape(self.discriminator.init, self._key, hr, lr)["params"]

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
