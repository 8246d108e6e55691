"""Clips for networks of film, and what PyTorch makes of them."""

import numpy as np
import torch
from weights import golden_weights


def moving_clip(frames: int, height: int, width: int) -> np.ndarray:
    """[1, t, h, w, 3] in [0, 1]: soft waves that move by parts of a pixel."""
    y, x = np.mgrid[:height, :width] / 7
    clip = []
    for t in range(frames):
        waves = [np.sin(x + t / 5), np.cos(y - t / 6), np.sin(x + y + t / 9)]
        clip.append(0.5 + 0.4 * np.stack(waves, -1))
    return np.asarray([clip], np.float32)


@torch.no_grad()
def fill(net: torch.nn.Module) -> torch.nn.Module:
    """`net` with golden weights in place of the learnt tensors."""
    learnt = dict(net.named_parameters())
    values = golden_weights({name: tuple(p.shape) for name, p in learnt.items()})
    for name, p in learnt.items():
        p.copy_(torch.from_numpy(values[name]))
    return net.eval()


def to_torch(clip: np.ndarray) -> torch.Tensor:
    """[b, t, h, w, c] to [b, t, c, h, w]."""
    return torch.from_numpy(clip).permute(0, 1, 4, 2, 3)
