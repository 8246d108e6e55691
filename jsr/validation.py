"""What training asks of the valid split at each evaluation."""

import math
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from jsr import hounsfield, losses, parallel, perceptual, resize
from jsr.clips import ByClip
from jsr.pipeline import Pairs, make_batch, open_pairs
from jsr.protocols import Protocol, get_protocol
from jsr.recipe import Recipe
from jsr.scoring import evaluate, read_item
from jsr.state import TrainState
from jsr.steps import to_unit
from jsr.weights import Network, in_colour, run, to_levels, to_levels_of

# Crops on which train and valid are compared and D is examined: always the same ones.
CROPS = 64
# The shortest side of which AlexNet's layers leave anything.
LPIPS_SIDE = 31


def open_lpips(config, valid_photos) -> tuple[Callable | None, list[str]]:
    """The function that ranks the adversarial stage's weights on valid, for `Validation`.

    None where there is no such stage, its last weights are wanted, no weights of AlexNet are in the
    cache, or a photograph is too small for it; and notes of what the run should say.
    """
    if "gan" not in config.stages or config.channels != "rgb" or config.gan.best == "last":
        return None, []
    lpips = perceptual.make_lpips("alexnet")
    side = int(np.min(valid_photos.sizes)) // config.scale * config.scale
    if lpips is None or side >= LPIPS_SIDE:
        return lpips, []
    small = f"valid has a photo of {side} pixels, and AlexNet needs {LPIPS_SIDE}"
    return None, [f"LPIPS does not choose the best GAN weights, the last are kept: {small}"]


class Validation:
    """Scores a state on valid: whole photos by the moving average, fixed crops by both networks.

    `lpips` is a function (sr, hr) -> [b], or None, as `open_lpips` gives it.
    """

    def __init__(self, recipe: Recipe, train: Pairs, valid_photos, lpips=None):
        config = recipe.config
        self._recipe, self._photos, self._lpips = recipe, valid_photos, lpips
        cache = int(config.data.cache_gb * 1e9)
        valid = open_pairs(config, valid_photos, config.scale, cache)
        crops = {"train": train, "valid": valid}
        self._crops = {
            name: jax.tree.map(to_unit, make_batch(pairs, 0, 0, range(CROPS), config.data.patch))
            for name, pairs in crops.items()
        }
        self._bicubic = {name: self._bicubic_psnr(batch) for name, batch in self._crops.items()}

    def __call__(self, state: TrainState) -> tuple[dict, np.ndarray | None]:
        """Scores, and the first valid photo enlarged (uint8 [h, w, 3]).

        Where the network's output is not finite, the scores are NaN and there is no picture.
        Scores: "psnr", "ssim" of the moving average on whole photos by the config's protocol;
        "gap", by how much more dB it gains over bicubic on crops of train than on crops of valid;
        in the adversarial stage "d_accuracy" of D against the present G on the crops of valid,
        where its loss has a decision, and "lpips" where there is a function for it.
        """
        recipe, config = self._recipe, self._recipe.config
        local = parallel.to_host(state.replace(gen=state.gen.replace(opt_state=None)))
        protocol = get_protocol(config.protocol)
        produce = self._producer(local.ema, protocol)
        first: list[np.ndarray] = []
        broken: list[bool] = []

        def enlarge(item):
            try:
                sr = produce(item)
            except FloatingPointError:
                broken.append(True)
                return np.zeros_like(item.hr)
            if item.index == 0:
                first.append(sr)
            return sr

        ranked = local.disc is not None and self._lpips is not None
        row = evaluate(
            "valid",
            enlarge,
            self._photos,
            "",
            config.scale,
            protocol,
            lr=config.data.lr,
            extra={"lpips": self._distance} if ranked else None,
            workers=1,
            spread=True,
        )
        if any(parallel.gather(bool(broken))):
            return {"psnr": math.nan, "ssim": math.nan}, None
        scores = {name: row[name] for name in ("psnr", "ssim")} | {"gap": self._gap(local.ema)}
        if local.disc is not None and recipe.adversarial.decision is not None:
            scores["d_accuracy"] = self._accuracy(local, recipe.adversarial.decision)
        if ranked:
            scores["lpips"] = row["lpips"]
        # What a process decides by must be the same in all, to the last bit.
        return parallel.gather(scores)[0], self._picture(first[0]) if first else None

    def _producer(self, variables, protocol: Protocol) -> Callable:
        """SR of items; raises FloatingPointError where it is not finite."""
        recipe, config = self._recipe, self._recipe.config
        if config.data.frames == 1:
            return lambda item: to_levels_of(
                item.lr, run(recipe.predict, variables, item.lr / np.float32(255.0)) * 255.0
            )
        network = Network(recipe.generator, variables, recipe.facts())

        asked = {"scale": config.scale, "protocol": protocol, "lr": config.data.lr}
        read = partial(read_item, self._photos, **asked)
        return ByClip(network.enlarge_clip, self._photos.names, read)

    def _picture(self, sr: np.ndarray) -> np.ndarray:
        """The first photo's SR; that of Y with bicubic CbCr of the photo's LR, CT by its window."""
        if hounsfield.is_ct(sr):
            return np.repeat(hounsfield.look(sr), 3, axis=2)
        if sr.shape[-1] == 3:
            return sr
        scale = self._recipe.config.scale
        lr = resize.downscale(self._photos[0], scale)
        return to_levels(in_colour(lambda _: sr, lr, scale))

    def _gap(self, variables) -> float:
        gains = {}
        for name, batch in self._crops.items():
            sr = self._recipe.predict(variables, batch["lr"])
            gains[name] = _psnr(sr, batch["hr"]) - self._bicubic[name]
        return gains["train"] - gains["valid"]

    def _accuracy(self, local: TrainState, decision: float) -> float:
        batch = self._crops["valid"]
        gen = {"params": local.gen.params, "batch_stats": local.gen.stats}
        disc = {"params": local.disc.params, "batch_stats": local.disc.stats}
        sr = self._recipe.predict(gen, batch["lr"])
        real = self._recipe.judge(disc, batch["hr"], batch["lr"])
        fake = self._recipe.judge(disc, sr, batch["lr"])
        return float(losses.accuracy(real, fake, decision))

    def _distance(self, sr: np.ndarray, hr: np.ndarray) -> float:
        pair = (jnp.asarray(p[None], jnp.float32) / 255.0 for p in (sr, hr))
        return float(self._lpips(*pair)[0])

    def _bicubic_psnr(self, batch: dict) -> float:
        shape = batch["hr"].shape
        return _psnr(jnp.clip(jax.image.resize(batch["lr"], shape, "bicubic"), 0, 1), batch["hr"])


def _psnr(sr, hr) -> float:
    mse = jnp.mean((sr - hr) ** 2, axis=(-3, -2, -1))
    return float(jnp.mean(-10.0 * jnp.log10(mse + 1e-10)))
