"""Makes imdn.npz. With PyTorch: python make_imdn.py CHECKOUT_OF_Zheng222_IMDN"""

import sys

from reference import write

sys.path.insert(0, sys.argv[1])
from model.architecture import IMDN

write("imdn", lambda scale: IMDN(nf=16, upscale=scale))
