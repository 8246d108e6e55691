"""Which of the known networks a file's tensors are of, by their names and shapes.

Each family in `jsr.models` that other projects publish weights of recognises its own.
"""

import functools
import importlib
import re
from collections.abc import Iterable, Mapping
from types import ModuleType

import jax
import numpy as np
from flax import linen as nn

from jsr.models import MODELS, hyper_parameters, make_model
from jsr.torch_names import torch_shapes

# A guess must share this part of its tensors' names.
ALIKE = 0.3
# Hyper-parameters that only repeat layers, whose names then differ in numbers.
REPEATS = ("blocks", "groups", "units")


def families() -> list[ModuleType]:
    """The modules of `jsr.models` whose networks other projects publish weights of."""
    names = dict.fromkeys(target.partition(":")[0] for target in MODELS.values())
    modules = (importlib.import_module(name) for name in names)
    return [module for module in modules if hasattr(module, "recognise")]


def recognise(arrays: Mapping[str, np.ndarray]) -> tuple[ModuleType, dict, dict] | None:
    """(family, {"model", "hparams"}, arrays under the family's names) of a file's tensors."""
    return next(filter(None, (recognise_as(family, arrays) for family in families())), None)


def recognise_as(
    family: ModuleType, arrays: Mapping[str, np.ndarray]
) -> tuple[ModuleType, dict, dict] | None:
    """As `recognise`, by one family."""
    try:
        renamed = getattr(family, "canonical", dict)(arrays)
        found = family.recognise({name: tuple(array.shape) for name, array in renamed.items()})
    except (ArithmeticError, LookupError, TypeError, ValueError):
        # A family takes for granted how many axes its tensors have, and that one has its fellow.
        return None
    return (family, found, renamed) if found else None


def recognise_part(arrays: Mapping[str, np.ndarray]) -> tuple[ModuleType, dict, dict] | None:
    """As `recognise`, by those tensors that the nearest network may have; the others come along.

    They do not fit, and are then named with whatever else does not.
    """
    name, _ = nearest(arrays)
    if not name:
        return None
    family = _family(name)
    try:
        renamed = getattr(family, "canonical", dict)(arrays)
    except (ArithmeticError, LookupError, TypeError, ValueError):
        return None
    known = _patterns(name)
    part = {key: array for key, array in renamed.items() if _plain(key) in known}
    found = recognise_as(family, part)
    return found and (family, found[1], renamed)


def nearest(arrays: Mapping[str, np.ndarray]) -> tuple[str, str]:
    """The known network whose tensors have the most alike names, and a sentence about it.

    Its name is empty where none is alike.
    """
    best, share = "", 0.0
    for name in MODELS:
        family = _family(name)
        if not hasattr(family, "recognise"):
            continue
        found = {_plain(name) for name in _canonical_names(family, arrays)}
        wanted = _patterns(name)
        alike = len(found & wanted) / len(found | wanted)
        if alike > share:
            best, share = name, alike
    if share < ALIKE:
        first = ", ".join(sorted(arrays)[:3])
        return "", f"no known one has tensors with such names ({first}, ...)"
    return best, f"the nearest is {best}, which shares {share:.0%} of the tensors' names"


def variable_shapes(module: nn.Module, channels: int):
    """Shapes and types of a network's variables, as a tree."""
    lr = jax.ShapeDtypeStruct((1, 16, 16, channels), "float32")
    return jax.eval_shape(module.init, jax.random.key(0), lr)


def _family(name: str) -> ModuleType:
    return importlib.import_module(MODELS[name].partition(":")[0])


def _canonical_names(family: ModuleType, arrays: Mapping[str, np.ndarray]) -> Iterable[str]:
    try:
        return getattr(family, "canonical", dict)(arrays)
    except (ArithmeticError, LookupError, TypeError, ValueError):
        return arrays


@functools.cache
def _patterns(name: str) -> frozenset[str]:
    """The names of a known network's tensors without their numbers."""
    once = {key: 1 for key in REPEATS if key in hyper_parameters(name)}
    return frozenset(_plain(n) for n in torch_shapes(variable_shapes(make_model(name, **once), 3)))


def _plain(name: str) -> str:
    return re.sub(r"\d+", "#", name)
