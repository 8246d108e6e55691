"""Networks from other projects' files: what a file is, which network it holds, and its variables.

Nothing in a file is ever run. The network and its hyper-parameters are recognised from the names
and shapes of the tensors; each family in `jsr.models` knows its own.
"""

import hashlib
import importlib
import re
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from flax import linen as nn
from safetensors.numpy import load_file

from jsr import known_networks
from jsr.errors import UserError
from jsr.foreign_files import keras_h5, matlab, ncnn, tensorflow_graph
from jsr.known_weights import KNOWN
from jsr.models import known_scales, make_model
from jsr.torch_files import read_state_dict
from jsr.torch_names import from_torch, to_torch

TORCH = (".pth", ".pt", ".ckpt", ".safetensors")
# Reader of arrays, and the functions of families that make variables of them.
ARRAYS = {
    ".pb": (tensorflow_graph.read_arrays, ("from_tensorflow",)),
    ".mat": (matlab.read_arrays, ("from_matconvnet", "from_matlab")),
    ".h5": (keras_h5.read_arrays, ("from_keras",)),
}
SUFFIXES = (*TORCH, *ARRAYS, ".param")
# Where projects keep the weights in what they save, the best ones first.
WRAPPERS = ("params_ema", "params", "ema", "state_dict", "model", "generator", "net_g")
# What training on several devices and torch.compile put before every name.
PREFIXES = re.compile(r"((module|_orig_mod)\.)+")
LFS = b"version https://git-lfs.github.com/spec/"


def read_foreign(path: Path, scale: int | None = None) -> tuple[dict, dict]:
    """Variables and facts (see `jsr.weights.FACTS`) of another project's file.

    PyTorch's `.pth`, `.pt` and `.safetensors`, TensorFlow's frozen `.pb`, Keras' `.h5`, MATLAB's
    `.mat` of MatConvNet, ncnn's `.param` with its `.bin`. scale: for weights that serve several,
    and for those that do not tell theirs. Raises UserError for what cannot be read or is not
    recognised, naming the nearest guess, and for missing, superfluous and misshaped tensors, naming
    them all.
    """
    refuse_pointer(path)
    suffix, converters = path.suffix.lower(), ()
    if suffix in ARRAYS:
        reader, converters = ARRAYS[suffix]
        arrays = reader(path)
    elif suffix == ".param":
        arrays = _name_ncnn(path)
    elif suffix in TORCH:
        arrays = _unwrap(path, _read_torch(path))
    else:
        raise UserError(f"{path}: expected weights as one of {', '.join(SUFFIXES)}")
    # What has no elements takes no bytes, so that its other sizes may be anything.
    arrays = {name: array for name, array in arrays.items() if array.size}
    return _build(path, arrays, converters, scale)


def refuse_pointer(path: Path) -> None:
    """Raise UserError where `path` is what git-LFS leaves for a file, or cannot be opened."""
    try:
        with path.open("rb") as file:
            start = file.read(len(LFS))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error
    if start == LFS:
        raise UserError(f"{path}: is a git-LFS pointer, not the file; run git lfs pull there")


def read_named(path: Path, facts: dict) -> dict:
    """Variables of a PyTorch state dict (`.safetensors`) of the network that `facts` describe.

    Raises UserError for a network that is not known and for tensors that are not the network's.
    """
    module = make_model(facts["model"], **facts["hparams"])
    arrays = _unwrap(path, _read_torch(path))
    family = importlib.import_module(type(module).__module__)
    arrays = getattr(family, "canonical", dict)(arrays)
    return _from_torch(path, module, arrays)[0]


def _read_torch(path: Path) -> Mapping[str, Any]:
    if path.suffix.lower() != ".safetensors":
        return read_state_dict(path)
    try:
        return load_file(path)
    except Exception as error:  # of unknown types it raises anything
        raise UserError(f"{path} is not a whole safetensors file ({error})") from error


def _unwrap(path: Path, state: Mapping[Any, Any]) -> dict[str, np.ndarray]:
    """The tensors of the innermost wrapper, without what is put before their names."""
    while wrapper := next((w for w in WRAPPERS if isinstance(state.get(w), Mapping)), None):
        state = state[wrapper]
    tensors = {
        PREFIXES.sub("", name) if PREFIXES.match(name) else name: array
        for name, array in state.items()
        if isinstance(name, str) and isinstance(array, np.ndarray)
    }
    if not tensors:
        found = ", ".join(map(str, list(state)[:5])) or "nothing"
        raise UserError(f"{path}: holds no tensors, only {found}")
    return tensors


def _name_ncnn(path: Path) -> dict[str, np.ndarray]:
    """The tensors of an ncnn network, whose layers are numbered, under a family's names."""
    every = ncnn.read_layers(path)
    _refuse_resized(path, every)
    layers = [layer for layer in every if layer.weights]
    kinds = [layer.kind for layer in layers]
    for family in known_networks.families():
        names = getattr(family, "ncnn_names", lambda _kinds: None)(kinds)
        if names is not None:
            return {
                f"{name}.{'weight' if leaf == 'slope' else leaf}": array
                for name, layer in zip(names, layers, strict=True)
                for leaf, array in layer.weights.items()
            }
    raise UserError(f"{path}: holds no network that is known, by the order of its layers")


def _refuse_resized(path: Path, layers: list[ncnn.Layer]) -> None:
    """Raise UserError where the network's output is resized to serve another scale than its own.

    The networks that are known enlarge by repetition alone.
    """
    last = layers[-1] if layers else None
    if last is None or last.kind != "Interp":
        return
    shuffle = next((layer for layer in layers if layer.kind == "PixelShuffle"), None)
    own = f"x{shuffle.params.get(0, 1)}" if shuffle else ""
    named = re.sub(r"x\d$", own, path.stem) if own else path.stem
    other = f"{named}{path.suffix}" if named != path.stem else f"the file of its own scale {own}"
    raise UserError(
        f"{path}: its last layer ({last.name}) resizes what the network made, by"
        f" {last.params.get(1, 1)}; give {other.strip()}"
    )


def _build(
    path: Path, arrays: dict[str, np.ndarray], converters: tuple[str, ...], scale: int | None
) -> tuple[dict, dict]:
    found = known_networks.recognise(arrays) or known_networks.recognise_part(arrays)
    if found is None:
        raise UserError(
            f"{path}: holds no network that is known; {known_networks.nearest(arrays)[1]}"
        )
    family, what, arrays = found
    scales = _scales(path, what)
    if scale is not None and scale not in scales:
        raise UserError(f"{path} enlarges by {', '.join(map(str, scales))}, not by {scale}")
    hparams = {
        **what["hparams"],
        "scale": scale or max(s for s in scales if s <= max(4, scales[0])),
    }
    try:
        module = make_model(what["model"], **hparams)
    except UserError as error:
        raise UserError(f"{path}: holds no network that is known; {error}") from error
    if converters:
        arrays = _converted(path, family, what["model"], converters, arrays)
    variables, channels = _from_torch(path, module, arrays)
    known = KNOWN.get(hashlib.sha256(path.read_bytes()).hexdigest()[:12])
    facts = {
        "model": what["model"],
        "hparams": hparams,
        "scale": hparams["scale"],
        "scales": scales,
        "channels": "y" if channels == 1 else "rgb",
        "protocol": known.protocol if known else ("classic" if channels == 1 else "y"),
        "licence": known.licence if known else "",
        "data": "",
    }
    return variables, facts


def _scales(path: Path, what: dict) -> list[int]:
    """The scales that a file serves: what its tensors tell, else its name, else all there are."""
    if "scale" in what["hparams"]:
        return [what["hparams"]["scale"]]
    scales = what.get("scales") or known_scales(what["model"])
    found = re.search(r"(?i)x(\d)(?!\d)|(?<![\dx])(\d)x", path.stem)
    named = int(found[1] or found[2]) if found else None
    return [named] if named in scales else scales


def _converted(
    path: Path, family: ModuleType, model: str, converters: tuple[str, ...], arrays: Mapping
) -> dict[str, np.ndarray]:
    """The arrays of another tool's file as a state dict."""
    convert = next((getattr(family, c) for c in converters if hasattr(family, c)), None)
    if convert is None:
        raise UserError(f"{path}: holds {model}, whose {path.suffix} files are not known")
    try:
        return to_torch(convert(arrays))
    except LookupError as error:
        raise UserError(f"{path} does not fit {model}: {error} is missing") from error
    except (ArithmeticError, TypeError, ValueError) as error:
        raise UserError(f"{path} does not fit {model}: {_line(error)}") from error


def _from_torch(path: Path, module: nn.Module, state) -> tuple[dict, int]:
    errors = []
    for channels in (3, 1):
        try:
            return from_torch(state, known_networks.variable_shapes(module, channels)), channels
        except Exception as error:  # a network of odd sizes may fail anywhere
            errors.append(error)
    # The reason is that of the number of channels that fits best.
    reason = min(map(_line, errors), key=len)
    raise UserError(f"{path} does not fit {type(module).__name__}: {reason}") from errors[0]


def _line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__
