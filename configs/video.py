"""RRN: a causal recurrent network for film, on clips.

    python -m jsr.main --config configs/video.py             # pans over embedded photos, 2 cores
    python -m jsr.main --config configs/video.py:picture     # the same without a past
    python -m jsr.main --config configs/video.py:bd          # LR as papers on Vid4 make it
    python -m jsr.main --config configs/video.py:pans --config.data.dir PHOTOS  # :pans,picture
    python -m jsr.main --config configs/video.py:clips --config.data.dir FILMS
    python -m jsr.main --config configs/video.py:basicvsr --config.data.dir REDS     # GPUs

Hardware: two cores, two minutes each of the first two. Expected on the three test clips (PSNR-Y,
SSIM, warping error): rrn 33.60, 0.9365, 0.00019; picture 33.23, 0.9315, 0.00028; bicubic 29.64,
0.9027, 0.00024.

Of `pans`, half an hour each on one core (JAX_NUM_CPU_DEVICES=1), over the photographs and on the
films that the README names: rrn 33.91, picture 33.53, bicubic 31.15.

`picture` is a network that sees one frame, of about as many parameters, trained on as many frames
of the same films and scored on the same clips.
"""

from configs.base import apply_presets, optimizer, smoke
from configs.base import get_config as base_config


def embedded():
    """A small network that two cores train in minutes, on windows that move over photographs."""
    config = base_config()
    config.name = "video"
    config.data.name = "sample_pans"
    config.data.frames = 7
    config.data.patch = 16
    config.data.batch_size = 4
    config.generator.name = "rrn"
    # With its published ReLUs it can stay at bicubic's figure for thousands of steps; and where the
    # past is not moved for it, its frames get no better with time.
    found = {"activation": "leaky", "motion": "lucas_kanade"}
    config.generator.hparams = {"features": 32, "blocks": 5, "base": "bicubic", **found}
    config.stages = ("pixel",)
    config.licence = "research-only"
    config.pixel.steps = 1600
    config.pixel.pixel_loss = "charbonnier"
    config.pixel.optimizer = optimizer(lr=1e-3, schedule="cosine", warmup=100, clip=1.0)
    config.ema = 0.99
    config.log_every = 50
    config.eval_every = 400
    config.save_every = 400
    return config


def picture(config):
    """A network of single frames, of as many parameters, on as many frames a step."""
    config.generator.name = "msrresnet"
    light = {"tail": "light", "base": "bicubic"}
    config.generator.hparams = {"features": 32, "blocks": 7, **light}
    config.data.batch_size = config.data.batch_size * config.data.frames
    config.data.frames = 1


def pans(config):
    """Windows that move, or stand still, over the photographs of a folder: --config.data.dir.

    Trained for longer, on more at a time, as there is more to see.
    """
    config.data.name = "pans"
    config.data.batch_size = 8
    config.licence = ""
    config.pixel.steps = 10_000
    config.eval_every = 2_000
    config.save_every = 2_000
    config.log_every = 100


def clips(config):
    """Folders of frames, or films, given by --config.data.dir."""
    config.data.name = "clips"
    config.licence = ""


def bd(config):
    """LR blurred by a Gaussian, every fourth pixel; scored as the code of DUF does."""
    config.data.lr = "bd"
    config.protocol = "vid4-duf"


def reds(config):
    """Scored as papers score REDS4."""
    config.protocol = "reds"


def basicvsr(config):
    """The recipe of BasicVSR (Chan et al. 2021, section 4) but for SPyNet's learnt start.

    There SPyNet starts from weights of its own and is left alone for 5,000 steps, then learns at an
    eighth of the rate; here it learns from the first step on, at a tenth. On `clips`: the embedded
    pans are shorter, and smaller, than what it cuts.
    """
    clips(config)
    config.generator.name = "basicvsr"
    config.generator.hparams = {"features": 64, "blocks": 30}
    config.data.frames = 15
    config.data.patch = 64
    config.data.batch_size = 8
    config.protocol = "reds"
    config.pixel.steps = 300_000
    config.pixel.optimizer = optimizer(lr=2e-4, schedule="cosine", slow=("spynet",))
    config.ema = 0.999
    config.log_every = 100
    config.eval_every = 5_000
    config.save_every = 5_000


def smoke_clips(config):
    """One step of a network so small that it compiles in seconds, on frames made when drawn."""
    smoke(config)
    config.generator.hparams.update(features=4, blocks=1)
    config.data.resident = 0.0
    config.data.frames = min(config.data.frames, 2)
    config.data.batch_size = 4


PRESETS = {
    "picture": picture,
    "pans": pans,
    "clips": clips,
    "bd": bd,
    "reds": reds,
    "basicvsr": basicvsr,
}
PRESETS |= {"smoke": smoke_clips}


def get_config(presets: str = ""):
    return apply_presets(embedded(), presets, PRESETS)
