"""Makes swinir.npz. With PyTorch and spandrel: python make_swinir.py

The input is mirrored as the authors' test program does, but at x8 as the network itself does.
"""

from pathlib import Path

import numpy as np
import torch
from reference import output
from spandrel.architectures.SwinIR import SwinIR

NARROW = {"embed_dim": 8, "depths": [2], "num_heads": [2], "img_size": 16, "mlp_ratio": 2.0}
CASES = {
    1: {"window_size": 7, "img_size": 14, "img_range": 255.0},
    2: {"upsampler": "pixelshuffledirect"},
    3: {"upsampler": "pixelshuffle"},
    4: {"upsampler": "nearest+conv", "resi_connection": "3conv"},
    8: {"upsampler": "pixelshuffle"},
}


def mirror(net, inputs):
    lr, window = inputs[0], net.window_size
    h, w = lr.shape[2:]
    lr = torch.cat([lr, lr.flip(2)], 2)[:, :, : (h // window + 1) * window]
    return torch.cat([lr, lr.flip(3)], 3)[:, :, :, : (w // window + 1) * window]


def crop(net, _, sr):
    return sr[:, :, : lr.shape[1] * net.upscale, : lr.shape[2] * net.upscale]


lr = np.random.default_rng(0).random((1, 12, 10, 3), dtype=np.float32)
corners = {}
for scale, settings in CASES.items():
    net = SwinIR(**{"window_size": 4, **NARROW, **settings}, upscale=scale).eval()
    if scale != 8:
        net.register_forward_pre_hook(mirror)
        net.register_forward_hook(crop)
    corners[f"x{scale}"] = output(net, lr)[:, -16:, -16:]
np.savez_compressed(Path(__file__).with_name("swinir.npz"), **corners)
