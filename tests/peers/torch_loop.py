"""Training and inference the usual PyTorch way: channels_last, autocast, fused Adam, compile.

Timed by `python -m jsr.bench --against torch`. What is handed out is a pair (call, wait), of which
`call` may return before its work on the device is done.
"""

from collections.abc import Callable

import numpy as np
import torch
from peers.torch_networks import NETWORKS, load_state
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

LOSSES = {"l1": F.l1_loss, "l2": F.mse_loss}
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
Work = tuple[Callable[[], object], Callable[[], object]]


def refusal(config) -> str | None:
    """Why this peer cannot do what the config says, or None where it can."""
    refused = unknown_network(config.generator.name, config.generator.hparams)
    if refused:
        return refused
    if config.pixel.pixel_loss not in LOSSES or config.pixel.perceptual_weight:
        return f"the peers have the losses {', '.join(LOSSES)} alone"
    if config.pixel.optimizer.name != "adam":
        return "the peers have Adam alone"
    if config.channels != "rgb" or config.scales:
        return "the peers train RGB at one scale"
    return None


def unknown_network(model: str, hparams) -> str | None:
    """Why there is no such peer, or None where there is one."""
    if model not in NETWORKS:
        return f"the peers have {', '.join(NETWORKS)}, not {model}"
    if hparams.get("base", "bilinear") not in ("bilinear", "none"):
        return "the peers' msrresnet corrects a bilinear enlargement, or none"
    return None


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def network(model: str, hparams: dict, state: dict) -> torch.nn.Module:
    """A network with the weights that jsr exported."""
    made = NETWORKS[model](**hparams)
    load_state(made, state)
    return made.to(device(), memory_format=torch.channels_last)


def generator(config, state: dict) -> torch.nn.Module:
    """The config's generator with the weights that jsr exported."""
    hparams = {**config.generator.hparams.to_dict(), "scale": config.scale}
    return network(config.generator.name, hparams, state)


def training(config, state: dict, batch: dict[str, np.ndarray]) -> tuple[dict[str, Work], str]:
    """A training step on a batch that lies on the device, by name of the way; and a note.

    batch: uint8 lr and hr [b, h, w, 3].
    """
    if device().type == "cuda":
        torch.backends.cudnn.benchmark = True
        # What JAX does with float32 by default.
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.allow_tf32 = True

    def make(compiled):
        net = generator(config, state).train()
        return Step(config, net, to_images(batch["lr"]), to_images(batch["hr"]), compiled)

    return _ways(make, compiled=True)


def inference(
    model: str, hparams: dict, state: dict, lr: np.ndarray, dtype: str, compiled: bool = True
) -> tuple[dict[str, Work], str]:
    """The network on lr (float32 [b, h, w, 3] in [0, 1]), by name of the way; and a note."""
    x = _to_device(lr)

    def make(compile_it):
        net = network(model, hparams, state).eval()
        run = torch.compile(net) if compile_it else net

        def call():
            with torch.inference_mode(), _autocast(DTYPES[dtype]):
                return run(x)

        return call

    return _ways(make, compiled)


class Step:
    """One step of Adam with a moving average; the loss is not read."""

    def __init__(self, config, net, lr, hr, compiled: bool):
        keys = config.pixel.optimizer
        self.lr, self.hr, self.net, self.dtype = lr, hr, net, DTYPES[config.dtype]
        self.run = torch.compile(net) if compiled else net
        self.loss, self.weight = LOSSES[config.pixel.pixel_loss], config.pixel.pixel_weight
        betas = (keys.b1, keys.b2)
        self.optimizer = torch.optim.Adam(net.parameters(), keys.lr, betas, fused=True)
        decay = get_ema_multi_avg_fn(config.ema)
        self.ema = AveragedModel(net, multi_avg_fn=decay) if config.ema else None

    def __call__(self) -> torch.Tensor:
        self.optimizer.zero_grad(set_to_none=True)
        with _autocast(self.dtype):
            sr = self.run(self.lr)
        loss = self.weight * self.loss(sr.float(), self.hr)
        loss.backward()
        self.optimizer.step()
        if self.ema is not None:
            self.ema.update_parameters(self.net)
        return loss.detach()


def _ways(make: Callable[[bool], Callable], compiled: bool) -> tuple[dict[str, Work], str]:
    """Eager, and compiled where that works here (on a CPU it needs a C++ compiler)."""
    ways = {f"torch {torch.__version__} eager": (make(False), wait)}
    if not compiled:
        return ways, ""
    try:
        fast = make(True)
        fast()
        wait()
    except Exception as error:
        return ways, f"torch.compile does not work here: {type(error).__name__}"
    return {**ways, f"torch {torch.__version__} compile": (fast, wait)}, ""


def _autocast(dtype: torch.dtype):
    return torch.autocast(device().type, dtype, enabled=dtype != torch.float32)


def to_images(batch: np.ndarray) -> torch.Tensor:
    """uint8 [b, h, w, 3] to floats in [0, 1] on the device."""
    return _to_device(batch.astype(np.float32) / 255.0)


def _to_device(images: np.ndarray) -> torch.Tensor:
    x = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2)
    return x.to(device()).contiguous(memory_format=torch.channels_last)
