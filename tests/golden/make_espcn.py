"""Makes espcn.npz. With PyTorch: python make_espcn.py CHECKOUT_OF_yjn870_ESPCN-pytorch"""

import sys
from pathlib import Path

from reference import load, write

ESPCN = load(Path(sys.argv[1]) / "models.py", "models").ESPCN

write("espcn", ESPCN, channels=1)
