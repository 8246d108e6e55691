"""Makes fsrcnn.npz. With PyTorch: python make_fsrcnn.py CHECKOUT_OF_yjn870_FSRCNN-pytorch"""

import sys
from pathlib import Path

from reference import load, write

FSRCNN = load(Path(sys.argv[1]) / "models.py", "models").FSRCNN

write("fsrcnn", lambda scale: FSRCNN(scale, d=8, s=4, m=2), channels=1)
