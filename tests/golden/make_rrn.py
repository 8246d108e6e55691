"""Makes rrn.npz. With PyTorch: python make_rrn.py CHECKOUT_OF_RRN"""

import sys
from pathlib import Path

import numpy as np
import torch
from clips import fill, moving_clip, to_torch
from reference import load

arch = load(Path(sys.argv[1]) / "RRN/arch.py", "arch")
made = {}
for scale in (2, 4):
    clip = to_torch(moving_clip(4, 13, 12))
    net = fill(arch.RRN(scale, 8, 2))
    # As its test.py: the frame before the first one is the first one.
    frames = torch.cat([clip[:, :1], clip], dim=1).transpose(1, 2)
    hidden, sr = torch.zeros(1, 8, 13, 12), torch.zeros(1, 3 * scale**2, 13, 12)
    out = []
    with torch.no_grad():
        for t in range(4):
            hidden, sr = net(frames[:, :, t : t + 2], hidden, sr, t == 0)
            out.append(sr.permute(0, 2, 3, 1).numpy())
    made[f"x{scale}"] = np.stack(out, axis=1)[:, :, -16:, -16:]
np.savez_compressed(Path(__file__).with_name("rrn.npz"), **made)
