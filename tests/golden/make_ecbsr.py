"""Makes ecbsr.npz. With PyTorch: python make_ecbsr.py CHECKOUT_OF_ECNUSR_ETDS

The networks are in training: every branch is computed, and nothing is folded.
"""

import sys
from pathlib import Path

from reference import load, write

ECBSR = load(Path(sys.argv[1]) / "core/archs/ir/ECBSR/arch.py", "ecbsr_arch").ECBSR

write("ecbsr", lambda scale: ECBSR(3, 3, scale, num_block=2, num_feat=6, act_type="prelu").train())
