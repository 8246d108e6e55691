"""Networks by name, one family a file."""

import dataclasses
from typing import Any, Literal, get_args, get_origin

import jax.numpy as jnp
from flax import linen as nn

from jsr.errors import UserError
from jsr.lookup import find

MODELS = {
    "srresnet": "jsr.models.srresnet:SRResNet",
    "msrresnet": "jsr.models.srresnet:MSRResNet",
    "srcnn": "jsr.models.srcnn:SRCNN",
    "fsrcnn": "jsr.models.fsrcnn:FSRCNN",
    "espcn": "jsr.models.espcn:ESPCN",
    "vdsr": "jsr.models.vdsr:VDSR",
    "drcn": "jsr.models.drcn:DRCN",
    "drrn": "jsr.models.drrn:DRRN",
    "lapsrn": "jsr.models.lapsrn:LapSRN",
    "mslapsrn": "jsr.models.lapsrn:MSLapSRN",
    "edsr": "jsr.models.edsr:EDSR",
    "mdsr": "jsr.models.edsr:MDSR",
    "rdn": "jsr.models.rdn:RDN",
    "rcan": "jsr.models.rcan:RCAN",
    "carn": "jsr.models.carn:CARN",
    "carn_m": "jsr.models.carn:CARNM",
    "imdn": "jsr.models.imdn:IMDN",
    "rfdn": "jsr.models.rfdn:RFDN",
    "rlfn": "jsr.models.rlfn:RLFN",
    "pan": "jsr.models.pan:PAN",
    "bsrn": "jsr.models.bsrn:BSRN",
    "ecbsr": "jsr.models.ecbsr:ECBSR",
    "ecbsr_plain": "jsr.models.ecbsr:PlainECBSR",
    "rrdb": "jsr.models.rrdb:RRDBNet",
    "srvgg": "jsr.models.srvgg:SRVGGNetCompact",
    "span": "jsr.models.span:SPAN",
    "safmn": "jsr.models.safmn:SAFMN",
    "swinir": "jsr.models.swinir:SwinIR",
    "hat": "jsr.models.hat:HAT",
    "rrn": "jsr.models.rrn:RRN",
    "basicvsr": "jsr.models.basicvsr:BasicVSR",
    "srgan": "jsr.models.srgan:SRGANDiscriminator",
    "conditional": "jsr.models.conditional:ConditionalDiscriminator",
    "patchgan": "jsr.models.patchgan:PatchGAN",
    "vgg_style": "jsr.models.vgg_style:VGGStyleDiscriminator",
    "unet": "jsr.models.unet:UNetDiscriminator",
}


def make_model(name: str, /, **hparams: Any) -> nn.Module:
    """The network `name` with its hyper-parameters; those left out keep their defaults.

    Your own network goes by `package.module:Class`, a linen module.

    Raises UserError for an unknown name, and for a hyper-parameter that the network does not have
    or whose value it cannot take.
    """
    known = _fields(name)
    # JSON and config files have lists only, and a module must be hashable.
    hparams = {k: tuple(v) if isinstance(v, list) else v for k, v in hparams.items()}
    for key, value in hparams.items():
        if key not in known:
            names = ", ".join(known)
            raise UserError(f"model {name!r} has no hyper-parameter {key!r}; known: {names}")
        expected = _expected(known[key], value)
        if expected:
            raise UserError(f"{key} of model {name!r} must be {expected}, not {value!r}")
    return find("model", name, MODELS)(**hparams)


def hyper_parameters(name: str) -> tuple[str, ...]:
    """The hyper-parameters that the network `name` has. Raises UserError for an unknown name."""
    return tuple(_fields(name))


def known_scales(name: str) -> list[int]:
    """By how much the network `name` can enlarge. Raises UserError for an unknown name."""
    return [scale for scale in get_args(_fields(name)["scale"].type) if scale > 1]


def takes_clips(name: str) -> bool:
    """Whether the network `name` enlarges films: frames one after the other, [b, t, h, w, c].

    Raises UserError for an unknown name.
    """
    return getattr(find("model", name, MODELS), "takes_clips", False)


def _fields(name: str) -> dict[str, dataclasses.Field]:
    fields = dataclasses.fields(find("model", name, MODELS))
    # Flax adds two fields of its own to every module.
    return {f.name: f for f in fields if f.name not in ("parent", "name")}


def _expected(field: dataclasses.Field, value: Any) -> str:
    """What the field takes, in words, where `value` is not that; else nothing."""
    if field.name == "dtype":
        return "" if _is_float_type(value) else "a floating-point type such as 'bfloat16'"
    if field.name in ("dropout", "drop_path"):
        good = type(value) in (int, float) and 0 <= value < 1
        return "" if good else "a share from 0 to below 1"
    if get_origin(field.type) is Literal:
        choices = get_args(field.type)
        good = any(type(value) is type(c) and value == c for c in choices)
        return "" if good else "one of " + ", ".join(map(repr, choices))
    if field.type is int:
        good = type(value) is int and value >= 1
        return "" if good else "a whole number of at least 1"
    if field.type is bool:
        return "" if type(value) is bool else "True or False"
    if field.type is float:
        return "" if type(value) in (int, float) else "a number"
    if get_origin(field.type) is tuple:
        good = isinstance(value, tuple) and all(type(v) is int and v >= 1 for v in value)
        return "" if good else "whole numbers of at least 1, as a list"
    return "" if isinstance(value, field.type) else "a name"


def _is_float_type(value: Any) -> bool:
    try:
        return jnp.issubdtype(jnp.dtype(value), jnp.floating)
    except TypeError:
        return False
