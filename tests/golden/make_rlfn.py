"""Makes rlfn.npz. With PyTorch: python make_rlfn.py CHECKOUT_OF_bytedance_RLFN"""

import sys

from reference import write

sys.path.insert(0, sys.argv[1])
from model.rlfn_ntire import RLFN_Prune


class Unit(RLFN_Prune):
    """The published network takes and gives pictures in [0, 255]."""

    def forward(self, x):
        return super().forward(255.0 * x) / 255.0


write("rlfn", lambda scale: Unit(feature_channels=8, mid_channels=6, upscale=scale))
