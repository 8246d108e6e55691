"""Every key of a training run, once, with what it means. Experiments change a few lines of it."""

from collections.abc import Callable

from ml_collections import ConfigDict


def optimizer(**changes) -> ConfigDict:
    """The keys of one optimizer."""
    keys = ConfigDict()
    # adam | adamw | adan | lion | rmsprop | sgd, from optax.
    keys.name = "adam"
    # Peak learning rate.
    keys.lr = 2e-4
    # Decays of the averages of gradients (sgd: its momentum) and of their squares.
    keys.b1 = 0.9
    keys.b2 = 0.99
    # Of adam, rmsprop and sgd it is part of the gradient; of the others a share of the weights that
    # each step takes away, times the rate.
    keys.weight_decay = 0.0
    # constant | step (times `gamma` at each milestone) | cosine (to `final` times lr).
    keys.schedule = "constant"
    # Steps of this stage, for `step`.
    keys.milestones = ()
    keys.gamma = 0.5
    keys.final = 0.0
    # Equal parts of the stage in each of which `cosine` falls anew (Loshchilov & Hutter 2017).
    keys.cycles = 1
    # Steps of linear warm-up from zero.
    keys.warmup = 0
    # Largest global norm of a gradient; 0 clips nothing.
    keys.clip = 0.0
    # Layers, by the first part of their parameters' names, that learn at a tenth of the rate.
    keys.slow = ()
    keys.update(changes)
    return keys


def get_config() -> ConfigDict:
    """The base that every experiment starts from (not an experiment of its own)."""
    config = ConfigDict()

    # Names the run; the default workdir is runs/<name>.
    config.name = "base"
    config.seed = 0
    # Enlargement: an integer.
    config.scale = 4
    # All scales that one set of weights is trained for (pixel stage only): each step is of one of
    # them, `scale` is the one that is scored. () trains for `scale` alone.
    config.scales = ()
    # What the generator enlarges: rgb | y (luma alone, by the protocol classic; pixel stage only) |
    # ct (slices in Hounsfield units, by the protocol ct).
    config.channels = "rgb"

    config.data = ConfigDict()
    # sample_photos | image_folder | div2k | df2k | celeb_a | celeb_a_32 | celeb_a_128 | lfw_faces |
    # ct, films: sample_pans | pans | clips, or your own as "package.module:function".
    config.data.name = "sample_photos"
    # The folder that image_folder and local copies are read from; "" where none is needed. df2k
    # takes several with commas between.
    config.data.dir = ""
    # Side of a training patch in LR pixels (an HR patch has `scale` times this side).
    config.data.patch = 24
    # Frames of an example, for networks that enlarge films: photos are then frames, and those of
    # one folder a clip.
    config.data.frames = 1
    # How LR is made: symmetric (bicubic, as today's MATLAB) | bd (Gaussian and every s-th pixel).
    config.data.lr = "symmetric"
    # Shares of the examples whose colours change places, which are mixed with another one, and of
    # whose input a part is cut out of HR or left as LR (that needs generator.hparams.desubpixel).
    config.data.permute = 0.0
    config.data.mixup = 0.0
    config.data.cutblur = 0.0
    # Photos in a batch, over all devices and processes.
    config.data.batch_size = 16
    # Photos live in device memory where they take at most this share of it; 0: always streamed.
    config.data.resident = 0.5
    # Streamed: decoded photos kept in memory, in GB; the rest is decoded again when drawn.
    config.data.cache_gb = 4.0
    # Threads that prepare batches ahead, or the photos for the device.
    config.data.threads = 2

    # A network of jsr.models by name with its hyper-parameters; `scale` is added to them.
    config.generator = ConfigDict()
    config.generator.name = "srresnet"
    config.generator.hparams = ConfigDict()
    # How its kernels start: he | he_tenth | xavier | orthogonal; "" as the network has it.
    config.generator.initializer = ""
    # srgan | vgg_style | conditional | patchgan | unet
    config.discriminator = ConfigDict()
    config.discriminator.name = "srgan"
    config.discriminator.hparams = ConfigDict()
    config.discriminator.initializer = ""
    # Compute type of the networks: float32 | bfloat16. Parameters are always float32.
    config.dtype = "float32"
    # Compute the generator's blocks again for the gradient instead of keeping what they made:
    # less memory, more time (edsr, hat, rcan, rdn, rrdb, swinir).
    config.remat = False
    # TPUs and GPUs run the generator's equal blocks as one loop and compile one round of it instead
    # of all; on a CPU nothing changes (hat, swinir).
    config.scan = False
    # Share out parameters, their optimizer's state and their average among the devices: each keeps
    # less of them; sums are of another order, and the same otherwise.
    config.shard_state = False
    # Weights that the generator starts from: a file or a workdir; "" starts from scratch. Those of
    # another scale give all but the upsampler.
    config.init = ""

    # Any of pixel, gan; in this order.
    config.stages = ("pixel", "gan")

    config.pixel = ConfigDict()
    config.pixel.steps = 1000
    # l1 | l2 | charbonnier
    config.pixel.pixel_loss = "l1"
    config.pixel.pixel_weight = 1.0
    config.pixel.perceptual_weight = 0.0
    config.pixel.optimizer = optimizer()

    config.gan = ConfigDict()
    config.gan.steps = 1000
    config.gan.pixel_loss = "l1"
    config.gan.pixel_weight = 1.0
    # Weight of the perceptual loss; off where no file of VGG weights is found.
    config.gan.perceptual_weight = 0.0
    # vanilla | minimax | lsgan | hinge | wgan | relativistic
    config.gan.adversarial = "vanilla"
    config.gan.adversarial_weight = 1e-3
    # D's label of real photos is this much under 1 (vanilla, minimax).
    config.gan.label_smoothing = 0.0
    # none | gradient_penalty (WGAN-GP) | r1
    config.gan.penalty = "none"
    config.gan.penalty_weight = 0.0
    # Which weights the stage ends with: lpips (those with the lowest LPIPS by AlexNet on valid; the
    # last where AlexNet's weights are not here) | last
    config.gan.best = "lpips"
    config.gan.optimizer = optimizer(lr=1e-4)
    config.gan.disc_optimizer = optimizer(lr=1e-4)

    config.perceptual = ConfigDict()
    # vgg19 | vgg16 | alexnet
    config.perceptual.network = "vgg19"
    # A weights file; "" looks into the cache that `python -m jsr.weights fetch vgg19` fills.
    config.perceptual.path = ""
    # convN_M is before the activation, reluN_M after it (vgg16 ends at relu5_3).
    config.perceptual.layers = ("relu5_4",)
    # A weight for each layer.
    config.perceptual.weights = (1.0,)
    # l1 | l2, on features divided by `divisor`; or lpips (vgg16, alexnet), which has layers and
    # weights of its own.
    config.perceptual.distance = "l2"
    config.perceptual.divisor = 12.75

    # Gradients of this many equal parts of a device's batch are averaged before an update.
    config.accumulate = 1
    # Examples whose statistics BatchNorm takes together; 0: the whole batch, over all devices.
    config.norm_batch = 0
    # Decay of the moving average of the generator that is scored and shipped; 0 averages nothing.
    config.ema = 0.999
    # Training stops with an error after this many skipped (non-finite) steps in a row.
    config.max_skipped = 20
    # Collapse of the GAN stage: PSNR on valid this many dB under the stage's start ...
    config.collapse_db = 4.0
    # ... or D's accuracy on valid above 0.999 at this many evaluations in a row.
    config.collapse_evals = 5
    # At a collapse the run goes back to the last good checkpoint, once, at this times the rate.
    config.collapse_lr_scale = 0.5

    # Steps that run as one call of the compiled function; the periods are multiples of it.
    config.steps_per_dispatch = 1
    config.log_every = 20
    config.eval_every = 200
    config.save_every = 200
    # Checkpoints kept beside each stage's best.
    config.keep = 2
    # Bit-for-bit repeatable on a GPU, at a cost in speed; a CPU always is.
    config.deterministic = False
    # What the weights may be used for, written into them.
    config.licence = ""
    # What a table of this run measures: see jsr/protocols.py.
    config.protocol = "y"
    return config


def apply_presets(config: ConfigDict, names: str, presets: dict[str, Callable]) -> ConfigDict:
    """Apply comma-separated presets in the order given and add them to the run's name.

    Raises ValueError for a preset that is not in `presets`.
    """
    for name in filter(None, names.split(",")):
        if name not in presets:
            known = ", ".join(sorted(presets))
            raise ValueError(f"preset {name!r} of {config.name} is unknown; known: {known}")
        presets[name](config)
        config.name = f"{config.name}-{name}"
    return config


def published(name: str, generator: str, **hparams) -> ConfigDict:
    """The base of a published recipe: a network by name, and the periods of a long training."""
    config = get_config()
    config.name = name
    config.generator.name = generator
    config.generator.hparams = hparams
    config.stages = ("pixel",)
    # What the embedded photographs and DIV2K allow.
    config.licence = "research-only"
    config.log_every = 100
    config.eval_every = 5_000
    config.save_every = 5_000
    return config


def folder(config: ConfigDict) -> None:
    """Any folder of photographs, given by --config.data.dir."""
    config.data.name = "image_folder"
    config.licence = ""


def div2k(config: ConfigDict) -> None:
    """DIV2K, on a machine that has memory and cores for it."""
    config.data.name = "div2k"
    config.data.cache_gb = 16.0
    config.data.threads = 8
    config.licence = "research-only"


def df2k(config: ConfigDict) -> None:
    """DIV2K's and Flickr2K's training photographs, 3,450 together; valid and test are DIV2K's."""
    div2k(config)
    config.data.name = "df2k"


def luma(config: ConfigDict) -> None:
    """Luma alone, trained and scored as networks of one channel are."""
    config.channels = "y"
    config.protocol = "classic"


def scales(patch: Callable[[int], int] | None = None) -> dict[str, Callable]:
    """The presets x2, x3 and x4; `patch` gives the LR patch's side by scale, where it differs."""

    def at(scale: int) -> Callable:
        def preset(config: ConfigDict) -> None:
            config.scale = scale
            if patch is not None:
                config.data.patch = patch(scale)

        return preset

    return {f"x{scale}": at(scale) for scale in (2, 3, 4)}


DATA = {"folder": folder, "div2k": div2k}
SCALES = scales()


def smoke(config: ConfigDict) -> None:
    """One step of each stage, at a size that only shows that everything runs."""
    for stage in (config.pixel, config.gan):
        stage.steps = 1
        stage.optimizer.warmup = 0
    config.gan.disc_optimizer.warmup = 0
    config.data.batch_size = 4
    config.data.patch = 8
    config.accumulate = 1
    config.steps_per_dispatch = 1
    config.log_every = 1
    config.eval_every = 1
    config.save_every = 1


def smoke_with(**hparams) -> Callable:
    """The preset `smoke` with a generator so small that it compiles in seconds."""

    def preset(config: ConfigDict) -> None:
        smoke(config)
        config.generator.hparams.update(hparams)
        config.discriminator.hparams.update(features=4, dense=8)

    return preset
