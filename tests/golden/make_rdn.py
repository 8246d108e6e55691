"""Makes rdn.npz. With PyTorch: python make_rdn.py CHECKOUT_OF_yjn870_RDN-pytorch"""

import sys

from reference import write

sys.path.insert(0, sys.argv[1])
from models import RDN

write("rdn", lambda scale: RDN(scale, 3, 8, 8, num_blocks=2, num_layers=3))
