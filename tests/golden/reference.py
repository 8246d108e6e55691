"""What the networks of other projects give, run with PyTorch and kept in a small file."""

import importlib.util
import sys
import types
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from weights import golden_weights


def write(
    family: str,
    build: Callable,
    scales: Iterable[int] = (2, 3, 4),
    channels: int = 3,
    rename: Callable[[str], str] = str,
) -> None:
    """Keep the lower right corners of `build(scale)`'s outputs for random weights and picture.

    `rename` turns the names of the network's tensors into those that jsr has.
    """
    lr = np.random.default_rng(0).random((1, 24, 20, channels), dtype=np.float32)
    corners = {f"x{s}": output(build(s), lr, rename)[:, -24:, -20:] for s in scales}
    np.savez_compressed(Path(__file__).with_name(f"{family}.npz"), **corners)


@torch.no_grad()
def output(net: torch.nn.Module, lr: np.ndarray, rename: Callable[[str], str] = str) -> np.ndarray:
    """[b, h, w, c] in and out, with golden weights in place of the learnt tensors."""
    learnt = {rename(name): p for name, p in net.named_parameters() if p.requires_grad}
    values = golden_weights({name: tuple(p.shape) for name, p in learnt.items()})
    for name, p in learnt.items():
        p.copy_(torch.from_numpy(values[name]))
    sr = net(torch.from_numpy(lr).permute(0, 3, 1, 2))
    return sr.permute(0, 2, 3, 1).numpy()


def add_biases(net: torch.nn.Module) -> torch.nn.Module:
    """Give every convolution the bias that the paper has and the implementation leaves out."""
    for module in net.modules():
        if isinstance(module, torch.nn.Conv2d) and module.bias is None:
            module.bias = torch.nn.Parameter(torch.zeros(module.out_channels))
    return net


def load(path: Path, name: str, **stubs: object) -> types.ModuleType:
    """The Python file `path` as the module `name`; `stubs` stand for modules it imports."""
    for stub, value in stubs.items():
        sys.modules[stub.replace("__", ".")] = value
    spec = importlib.util.spec_from_file_location(name, path)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
