"""Makes srcnn.npz. With PyTorch: python make_srcnn.py CHECKOUT_OF_yjn870_SRCNN-pytorch

The network takes an enlarged picture, which is scale 1.
"""

import sys
from pathlib import Path

from reference import load, write

SRCNN = load(Path(sys.argv[1]) / "models.py", "models").SRCNN

write("srcnn", lambda scale: SRCNN(), scales=[1], channels=1)
