"""Makes bsrn.npz. With PyTorch: python make_bsrn.py CHECKOUT_OF_xiaom233_BSRN"""

import sys
import types
from pathlib import Path

from reference import load, write

archs = Path(sys.argv[1]) / "basicsr" / "archs"
# The package itself imports far more than the network needs.
registry = types.ModuleType("basicsr.utils.registry")
registry.ARCH_REGISTRY = types.SimpleNamespace(register=lambda: lambda network: network)
root, package = types.ModuleType("basicsr"), types.ModuleType("basicsr.archs")
root.archs = package
package.Upsamplers = load(archs / "Upsamplers.py", "basicsr.archs.Upsamplers")
stubs = {"basicsr": root, "basicsr__archs": package, "basicsr__utils__registry": registry}
BSRN = load(archs / "BSRN_arch.py", "BSRN_arch", **stubs).BSRN

write("bsrn", lambda scale: BSRN(num_feat=16, upscale=scale))
