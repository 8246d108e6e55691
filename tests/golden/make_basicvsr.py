"""Makes basicvsr.npz. With PyTorch: python make_basicvsr.py CHECKOUT_OF_BasicSR"""

import sys
import types
from pathlib import Path

import numpy as np
import torch
from clips import fill, moving_clip, to_torch

# The architectures alone: the rest of the package wants compiled parts.
root = Path(sys.argv[1]) / "basicsr"
registry = types.ModuleType("basicsr.utils.registry")
registry.ARCH_REGISTRY = types.SimpleNamespace(register=lambda: lambda network: network)
for name, folder in {
    "basicsr": root,
    "basicsr.archs": root / "archs",
    "basicsr.utils": None,
}.items():
    package = sys.modules[name] = types.ModuleType(name)
    package.__path__ = [str(folder)] if folder else []
sys.modules["basicsr.utils"].get_root_logger = None
sys.modules["basicsr.utils.registry"] = registry
dcn = sys.modules["basicsr.ops"] = sys.modules["basicsr.ops.dcn"] = types.ModuleType("dcn")
dcn.ModulatedDeformConvPack, dcn.modulated_deform_conv = torch.nn.Module, None
edvr = sys.modules["basicsr.archs.edvr_arch"] = types.ModuleType("edvr")
edvr.PCDAlignment = edvr.TSAFusion = None
distutils = sys.modules["distutils"] = types.ModuleType("distutils")
version = sys.modules["distutils.version"] = types.ModuleType("version")
version.LooseVersion = str

from basicsr.archs.basicvsr_arch import BasicVSR  # noqa: E402

whole = sum(p.numel() for p in BasicVSR(64, 30).parameters())
net = fill(BasicVSR(num_feat=8, num_block=2))
clip = to_torch(moving_clip(3, 37, 70))
with torch.no_grad():
    flow = net.spynet(clip[:, 0], clip[:, 1]).permute(0, 2, 3, 1).numpy()
    sr = net(clip).permute(0, 1, 3, 4, 2).numpy()
print(f"BasicVSR with 30 blocks: {whole} parameters; flow up to {np.abs(flow).max():.2f} pixels")
path = Path(__file__).with_name("basicvsr.npz")
np.savez_compressed(path, flow=flow, sr=sr[:, :, -40:, -48:], parameters=whole)
