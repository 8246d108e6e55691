"""What the values of a config may be."""

from jsr import color, losses, protocols
from jsr.errors import UserError
from jsr.initializers import INITIALIZERS
from jsr.lookup import find
from jsr.models import MODELS, hyper_parameters, takes_clips

STAGES = ("pixel", "gan")
PENALTIES = ("none", "gradient_penalty", "r1")


def check_config(config) -> None:
    """Raise UserError for values that would fail, or do something else than they say, later."""
    if not config.stages or list(config.stages) != [s for s in STAGES if s in config.stages]:
        raise UserError(f"stages is {tuple(config.stages)}: expected some of {STAGES}, in order")
    _choice(config, "dtype", ("float32", "bfloat16"))
    _choice(config, "protocol", tuple(protocols.PROTOCOLS))
    _choice(config, "channels", tuple(color.CHANNELS))
    _choice(config, "data.lr", ("symmetric", "bd"))
    _check_channels(config)
    _check_frames(config)
    _check_mixture(config)
    for network in ("generator", "discriminator"):
        if start := config[network].initializer:
            find(f"{network}.initializer", start, INITIALIZERS)
    for name in config.stages:
        find("pixel loss", config[name].pixel_loss, losses.PIXEL)
    if "gan" in config.stages:
        find("adversarial loss", config.gan.adversarial, losses.ADVERSARIAL)
        _choice(config, "gan.penalty", PENALTIES)
        _choice(config, "gan.best", ("lpips", "last"))
        _check_smoothing(config)
    if not 0 <= config.data.resident <= 1:
        raise UserError(f"data.resident is {config.data.resident}: expected a share, 0 to 1")
    positive = [
        "scale",
        "data.patch",
        "data.frames",
        "data.batch_size",
        "accumulate",
        "steps_per_dispatch",
    ]
    positive += ["log_every", "eval_every", "save_every", "keep", "max_skipped", "collapse_evals"]
    positive += [f"{name}.steps" for name in config.stages]
    for key in positive:
        if _value(config, key) < 1:
            raise UserError(f"{key} is {_value(config, key)}: expected at least 1")
    if config.perceptual.divisor <= 0:
        raise UserError(f"perceptual.divisor is {config.perceptual.divisor}: expected more than 0")
    if config.norm_batch < 0:
        raise UserError(f"norm_batch is {config.norm_batch}: expected examples, or 0 for all")
    periods = ["log_every", "eval_every", "save_every"] + [f"{n}.steps" for n in config.stages]
    for key in periods:
        if _value(config, key) % config.steps_per_dispatch:
            raise UserError(
                f"{key} is {_value(config, key)}: expected a multiple of steps_per_dispatch,"
                f" {config.steps_per_dispatch}"
            )


def _check_mixture(config) -> None:
    data = config.data
    for key in ("permute", "mixup", "cutblur"):
        if not 0 <= data[key] <= 1:
            raise UserError(f"data.{key} is {data[key]}: expected a share, 0 to 1")
    if data.permute and config.channels != "rgb":
        raise UserError(f"data.permute is of colours, and channels is {config.channels!r}")
    if data.cutblur and not config.generator.hparams.get("desubpixel"):
        able = [name for name in MODELS if "desubpixel" in hyper_parameters(name)]
        raise UserError(
            f"data.cutblur is {data.cutblur}: it shows the network pictures of HR's size, which"
            f" {config.generator.name} as configured does not take; expected one of"
            f" {', '.join(able)} with generator.hparams.desubpixel True"
        )


def _check_smoothing(config) -> None:
    smoothing, adversarial = config.gan.label_smoothing, config.gan.adversarial
    if not 0 <= smoothing < 0.5:
        raise UserError(f"gan.label_smoothing is {smoothing}: expected 0 to below 0.5")
    if smoothing and adversarial not in losses.SMOOTHED:
        raise UserError(
            f"gan.label_smoothing is {smoothing}, but {adversarial} has no labels to smooth:"
            f" expected gan.adversarial {' or '.join(losses.SMOOTHED)}"
        )


def _check_channels(config) -> None:
    source = protocols.PROTOCOLS[config.protocol].source
    if source != config.channels:
        fitting = [name for name, p in protocols.PROTOCOLS.items() if p.source == config.channels]
        raise UserError(
            f"protocol is {config.protocol!r}, which shrinks and enlarges {source}, but channels is"
            f" {config.channels!r}: expected one of {', '.join(fitting)}"
        )
    if config.channels == "rgb":
        return
    if config.channels == "ct" and config.data.lr != "symmetric":
        raise UserError(f"data.lr is {config.data.lr!r}: with channels 'ct' expected 'symmetric'")
    if "gan" in config.stages and config.channels == "y":
        raise UserError("stages has gan, which needs RGB: with channels 'y' use pixel alone")
    for name in config.stages:
        if config[name].perceptual_weight:
            raise UserError(
                f"{name}.perceptual_weight needs RGB: with channels {config.channels!r} it must"
                " be 0"
            )


def _check_frames(config) -> None:
    name, frames = config.generator.name, config.data.frames
    if takes_clips(name) != (frames > 1):
        what = "films: set it to 2 or more" if takes_clips(name) else "pictures: set it to 1"
        raise UserError(f"data.frames is {frames}, but {name} enlarges {what}")
    if frames > 1 and config.channels != "rgb":
        raise UserError(f"data.frames is over 1, which needs RGB: channels is {config.channels!r}")
    if frames > 1 and (tuple(config.stages) != ("pixel",) or config.pixel.perceptual_weight):
        raise UserError(
            "data.frames is over 1, which the pixel loss alone takes: stages ('pixel',) and"
            " pixel.perceptual_weight 0"
        )


def _value(config, dotted: str):
    for part in dotted.split("."):
        config = config[part]
    return config


def _choice(config, key: str, known: tuple) -> None:
    if _value(config, key) not in known:
        raise UserError(f"{key} is {_value(config, key)!r}: expected one of {', '.join(known)}")
