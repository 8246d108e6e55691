"""The networks of a config: the generator at each scale, and the discriminator."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jsr import color, state, steps
from jsr.errors import UserError
from jsr.models import MODELS, hyper_parameters, make_model
from jsr.models.layers import Groups


class Networks:
    """What a config says of its networks, for so many devices.

    `scales` are those trained for; `generator` is the network at the one that is scored. Raises
    UserError for networks that cannot be built.
    """

    def __init__(self, config, devices: int):
        self.config, self.devices = config, devices
        self.scales = list_scales(config)
        self.generator = self.at(config.scale)
        self.discriminator = self._network(config.discriminator)
        # The same outside of a step, where there are no other devices to take statistics with.
        self.alone = self._network(config.discriminator, alone=True)

    def at(self, scale: int):
        """The generator at a scale, for the same variables."""
        return self._network(self.config.generator, scale=scale, **self._ways())

    def example(self) -> tuple[jax.Array, jax.Array]:
        """An LR and an HR patch of the sizes trained on, or clips of them."""
        data, scale = self.config.data, self.config.scale
        channels = color.CHANNELS[self.config.channels]
        first = (1, data.frames) if data.frames > 1 else (1,)
        hr = jnp.zeros((*first, data.patch * scale, data.patch * scale, channels))
        return jnp.zeros((*first, data.patch, data.patch, channels)), hr

    def check_sizes(self, start: Callable[[], state.Net]) -> None:
        """Raise UserError where they do not take the patches, or differ from scale to scale.

        start: gives the generator's first parameters; its shapes alone are asked for.
        """
        lr, hr = self.example()
        key = jax.random.key(self.config.seed)
        try:
            ours = jax.eval_shape(start)
            for scale in set(self.scales) - {self.config.scale}:
                theirs = jax.eval_shape(self.at(scale).init, key, lr)
                self._require_same_weights(scale, ours.params, theirs["params"])
            # A discriminator that cannot take the patch should not say so after the pixel stage.
            if "gan" in self.config.stages:
                jax.eval_shape(self.discriminator.init, key, hr, lr)
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
        config, devices = self.config, self.devices
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


def list_scales(config) -> tuple[int, ...]:
    """The scales of a config. Raises UserError for what cannot be trained together."""
    scales = tuple(config.scales) or (config.scale,)
    if config.scale not in scales or len(set(scales)) < len(scales):
        raise UserError(f"scales is {scales}: expected different ones, with scale {config.scale}")
    if len(scales) > 1 and (tuple(config.stages), config.steps_per_dispatch) != (("pixel",), 1):
        raise UserError("several scales need stages ('pixel',) and steps_per_dispatch 1")
    return scales
