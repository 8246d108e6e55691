"""Makes pan.npz. With PyTorch: python make_pan.py CHECKOUT_OF_zhaohengyuan1_PAN"""

import sys
import types
from pathlib import Path

from reference import load, write

archs = Path(sys.argv[1]) / "codes" / "models" / "archs"
util = load(archs / "arch_util.py", "models.archs.arch_util")
package = types.ModuleType("models.archs")
package.arch_util = util
root = types.ModuleType("models")
root.archs = package
PAN = load(archs / "PAN_arch.py", "PAN_arch", models=root, models__archs=package).PAN

write("pan", lambda scale: PAN(3, 3, nf=8, unf=6, nb=2, scale=scale))
