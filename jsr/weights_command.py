"""What `python -m jsr.weights` does: weights shown, fetched, and made into other files."""

import importlib
from pathlib import Path

import jax
import numpy as np

from jsr.errors import UserError
from jsr.models import MODELS
from jsr.weights import Network, find_weights, load_network, save_network, weights_hash

# Size of what `fetch` downloads.
MEGABYTES = {"vgg19": 575, "vgg16": 553, "alexnet": 244}


def main(words: list[str]) -> None:
    """`show`, `fetch`, `convert` or `export`: see the first lines of `jsr.weights`."""
    match words:
        case ["fetch", network, *file] if len(file) < 2:
            _fetch(network, *file)
        case ["show", spec]:
            _show(spec)
        case ["convert", spec, path, *scale] if len(scale) < 2:
            _convert(spec, Path(path), *scale)
        case ["fold", spec, path]:
            _fold(spec, Path(path))
        case ["halve", spec, path]:
            _halve(spec, Path(path))
        case ["export", spec, path, *size] if len(size) < 2:
            _export(spec, Path(path), *size)
        case ["zoo", folder, bench, datasets]:
            _zoo(Path(folder), Path(bench), datasets.split(","))
        case _:
            raise UserError(
                "expected: python -m jsr.weights fetch NETWORK [FILE], show FILE_OR_WORKDIR,"
                " convert IN OUT.safetensors [SCALE], fold IN OUT.safetensors, halve IN"
                " OUT.safetensors, export IN OUT [HxW], or zoo WEIGHTS BENCH DATASETS"
            )


def _fetch(network: str, file: str | None = None) -> None:
    from jsr import feature_weights

    if file is None and network in feature_weights.URLS:
        print(f"downloading {feature_weights.URLS[network]}, {MEGABYTES[network]} MB", flush=True)
    print(f"{network} is in {feature_weights.fetch_features(network, file)}")


def _show(spec: str) -> None:
    path = find_weights(spec)
    network = load_network(path)
    facts, params = network.facts, network.variables["params"]
    shown = {
        "file": path,
        "name": facts["model"],
        "scale": ", ".join(f"x{scale}" for scale in facts["scales"]),
        "parameters": f"{sum(array.size for array in jax.tree.leaves(params)):,}",
        **{key: facts.get(key) for key in ("channels", "protocol", "licence", "data", "lr")},
        "hash": weights_hash(path),
    }
    for key, value in shown.items():
        print(f"{key:<12}{value or 'not stated'}")


def _convert(spec: str, path: Path, scale: str | None = None) -> None:
    if path.suffix.lower() != ".safetensors":
        raise UserError(f"{path}: jsr's own format is .safetensors; for others there is export")
    if scale is not None and not scale.isdecimal():
        raise UserError(f"the scale must be a whole number, not {scale!r}")
    network = load_network(spec, scale=None if scale is None else int(scale))
    save_network(path, network.variables, network.facts)
    print(f"{path} is {network.facts['model']} x{network.scale}; licence: {_licence(network)}")


def _fold(spec: str, path: Path) -> None:
    network = load_network(spec)
    family = importlib.import_module(type(network.module).__module__)
    name = f"{network.facts['model']}_plain"
    if not hasattr(family, "fold") or name not in MODELS:
        raise UserError(f"{spec}: a {network.facts['model']} has no branches to merge")
    save_network(path, family.fold(network.variables), {**network.facts, "model": name})
    print(f"{path} is {name} x{network.scale}; licence: {_licence(network)}")


def _halve(spec: str, path: Path) -> None:
    network = load_network(spec)
    with np.errstate(over="ignore"):
        halved = jax.tree.map(lambda x: np.asarray(x, np.float16), network.variables)
    if not all(np.isfinite(x).all() for x in jax.tree.leaves(halved)):
        raise UserError(f"{spec}: has weights that float16 cannot hold (beyond 65504)")
    save_network(path, halved, network.facts)
    print(f"{path} is {network.facts['model']} x{network.scale}; licence: {_licence(network)}")


def _export(spec: str, path: Path, size: str | None = None) -> None:
    from jsr import export

    sides = (size or "").split("x")
    if size is not None and not (len(sides) == 2 and all(side.isdecimal() for side in sides)):
        raise UserError(f"the size of LR must be as in 128x256 (height, width), not {size!r}")
    network = load_network(spec)
    export.export_network(network, path, size and tuple(map(int, sides)))
    print(f"{path} is {network.facts['model']} x{network.scale}; licence: {_licence(network)}")


def _zoo(folder: Path, bench: Path, datasets: list[str]) -> None:
    from jsr import zoo

    print(zoo.zoo_table(folder, bench, datasets), end="")


def _licence(network: Network) -> str:
    return network.facts["licence"] or "not stated, see where the weights come from"
