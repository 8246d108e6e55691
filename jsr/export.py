"""A network for other programs: a PyTorch state dict, an ONNX model or a StableHLO program.

What the suffix of the file says. The state dict has the names of the project that the network
comes from; ONNX and StableHLO hold the network with its weights, for pictures of any size.
"""

import dataclasses
import importlib
import json
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
from jax import export
from safetensors.numpy import save

from jsr.errors import UserError
from jsr.models import MODELS
from jsr.models.activations import Activation
from jsr.steps import make_predict
from jsr.torch_names import to_torch
from jsr.weights import Network
from jsr.whole_files import write_whole

# The shortest side that a program for any size takes: some networks pool over fifteen pixels.
SHORTEST = 16
# Where one StableHLO file runs.
PLATFORMS = ("cpu", "cuda", "tpu")
# Networks without a PyTorch original whose names they could have.
OWN_NAMES = ("srresnet", "msrresnet", "vdsr", "drcn", "drrn", "lapsrn", "mslapsrn")


def export_network(network: Network, path: Path, size: tuple[int, int] | None = None) -> None:
    """Write `network` to `path` for other programs, whole or not at all.

    - `.safetensors`: a PyTorch state dict, with the tensors that the original project's class has.
      Networks of jsr's own have jsr's names, joined by dots. The metadata has "model", "hparams"
      (JSON), "names", which says whose the names are, and "facts" (JSON), by which jsr reads the
      file as it was.
    - `.onnx`: `input` [b, c, h, w] to `output` [b, c, h*scale, w*scale], float32 in [0, 1].
    - `.stablehlo` or `.jaxexport`: for `jax.export.deserialize(data).call(lr)`, lr [b, h, w, c] to
      [b, h*scale, w*scale, c], float32 in [0, 1], on PLATFORMS.

    The sides of LR are multiples of `side_multiple` and at least SHORTEST; with `size` (h, w) they
    are these alone. Raises UserError for another suffix, for a network that cannot be exported,
    and when the file cannot be written.
    """
    path = Path(path)
    encode = ENCODERS.get(path.suffix.lower())
    if encode is None:
        raise UserError(f"{path}: expected .safetensors, .onnx or .stablehlo to export to")
    write_whole(path, encode(network, size))


def side_multiple(module) -> int:
    """What the sides of LR must be multiples of in an export for any size."""
    return getattr(module, "multiple", getattr(module, "grid", 1))


def torch_state(network: Network) -> dict[str, np.ndarray]:
    """The network's PyTorch state dict, with the constants that the original's has."""
    state = to_torch(network.variables)
    extras = getattr(_family(network), "torch_extras", None)
    return state | extras(network.module, state) if extras else state


def _family(network: Network):
    target = MODELS.get(network.facts["model"])
    return importlib.import_module(target.partition(":")[0]) if target else None


def _encode_torch(network: Network, _size) -> bytes:
    facts = network.facts
    original = facts["model"] in MODELS.keys() - set(OWN_NAMES) and _as_published(network.module)
    metadata = {
        "format": "pt",
        "model": facts["model"],
        "hparams": json.dumps(facts["hparams"], sort_keys=True),
        "names": "the original project's" if original else "jsr's own",
        "facts": json.dumps(facts, sort_keys=True),
    }
    return save(torch_state(network), metadata)


def _as_published(module) -> bool:
    """Whether the original project's class computes what `module` does."""
    return all(
        getattr(module, field.name) == field.default
        for field in dataclasses.fields(module)
        if field.type == Activation or field.name == "desubpixel"
    )


def _encode_onnx(network: Network, size) -> bytes:
    _require_pictures(network)
    _require("onnx")
    from onnx import helper

    from jsr.onnx_graph import convert

    example, symbols = _example(network, size)
    model = _trace(network, size, lambda predict: convert(predict, example, symbols))
    about = {key: str(network.facts[key]) for key in ("model", "scale", "channels", "licence")}
    helper.set_model_props(model, about)
    return model.SerializeToString()


def _encode_stablehlo(network: Network, size) -> bytes:
    _require_pictures(network)
    # JAX's serialisation needs it.
    _require("flatbuffers", extra="stablehlo")
    example, _ = _example(network, size)

    def lower(predict):
        return export.export(jax.jit(predict), platforms=PLATFORMS)(example)

    return bytes(_trace(network, size, lower).serialize())


def _require_pictures(network: Network) -> None:
    if network.takes_clips:
        model = network.facts["model"]
        raise UserError(f"{model} enlarges films: programs are for pictures; export .safetensors")


def _require(package: str, extra: str | None = None) -> None:
    try:
        importlib.import_module(package)
    except ImportError as error:
        extra = extra or package
        raise UserError(f"{package} is missing: pip install 'jsr-superres[{extra}]'") from error


ENCODERS = {
    ".safetensors": _encode_torch,
    ".onnx": _encode_onnx,
    ".stablehlo": _encode_stablehlo,
    ".jaxexport": _encode_stablehlo,
}


def _example(network: Network, size) -> tuple[jax.ShapeDtypeStruct, dict[str, tuple[int, int]]]:
    """Shape and type of LR, and of each symbol in it: which axis it sizes and its factor."""
    k = side_multiple(network.module)
    if size is None:
        least = -(-SHORTEST // k)
        constraints = [f"h >= {least}", f"w >= {least}"]
        b, h, w = export.symbolic_shape("b, h, w", constraints=constraints)
        shape = (b, k * h, k * w)
    else:
        shape = (*export.symbolic_shape("b"), *size)
    example = jax.ShapeDtypeStruct((*shape, network.channels), "float32")
    return example, {"b": (0, 1), "h": (1, k), "w": (2, k)}


def _trace(network: Network, size, make: Callable):
    """What `make` gives for the network as a function of LR alone."""
    predict = make_predict(network.module.apply)
    variables = jax.device_get(network.variables)
    try:
        return make(lambda lr: predict(variables, lr))
    except UserError:
        raise
    except Exception as error:
        # Whatever a network does to a side that is a symbol.
        if size is not None:
            raise
        reason = " ".join(str(error).split())[:120]
        name = network.facts["model"]
        raise UserError(f"{name} is not for pictures of any size, give one ({reason})") from error
