"""Encoders of film by name: their options, and in which planes they take frames."""

import dataclasses
import os

from av.codec import Codec, CodecContext
from av.codec.codec import UnknownCodecError

from jsr.errors import UserError
from jsr.film_color import Planes
from jsr.film_formats import FilmOptions

# SVT-AV1 tells its whole configuration on stderr, unless told to tell errors alone.
os.environ.setdefault("SVT_LOG", "1")


@dataclasses.dataclass(frozen=True)
class Defaults:
    """Of an encoder: crf for a picture that looks like the frames given, and its worst; options."""

    crf: float | None = None
    worst: float = 51
    preset: str | None = None
    more: tuple[tuple[str, str], ...] = ()


DEFAULTS = {
    "libx264": Defaults(17, preset="medium"),
    "libx265": Defaults(19, preset="medium", more=(("x265-params", "log-level=none"),)),
    "libsvtav1": Defaults(24, 63, preset="8"),
    "libvpx-vp9": Defaults(24, 63, more=(("deadline", "good"), ("cpu-used", "3"), ("row-mt", "1"))),
    "prores_ks": Defaults(preset="hq"),
}
# Names of codecs, and which encoder is meant.
NAMES = {
    "h264": "libx264",
    "hevc": "libx265",
    "h265": "libx265",
    "av1": "libsvtav1",
    "vp9": "libvpx-vp9",
    "prores": "prores_ks",
    "ffv1": "ffv1",
}
# Those that take RGB as it is, for films that have it; others' RGB is played almost nowhere.
LOSSLESS = ("ffv1", "utvideo")
SAMPLINGS = {(1, 1): "444", (2, 1): "422", (2, 2): "420"}
DEPTHS = (8, 9, 10, 12, 14, 16)


def find_encoder(options: FilmOptions, fallback: str) -> tuple[str, dict[str, str]]:
    """The encoder's name and its options. Raises UserError for what it does not know."""
    asked = options.codec or fallback
    name = NAMES.get(asked.lower(), asked)
    try:
        codec = Codec(name, "w")
    except UnknownCodecError as error:
        known = ", ".join(NAMES)
        raise UserError(f"--codec {asked}: PyAV has no such encoder; known: {known}") from error
    if codec.type != "video":
        raise UserError(f"--codec {asked}: is for {codec.type}; known: {', '.join(NAMES)}")
    context = CodecContext.create(name, "w")
    takes = {option.name for option in context.supported_options.private}
    defaults = DEFAULTS.get(name, Defaults())
    chosen = dict(defaults.more)
    crf = _crf(options, defaults, asked, "crf" in takes)
    if crf is not None:
        chosen["crf"] = f"{crf:g}"
    preset = options.preset or defaults.preset
    key = next((key for key in _preset_keys(name) if key in takes), None)
    if options.preset and key is None:
        raise UserError(f"--preset {preset}: {asked} has none")
    if preset:
        chosen[key] = preset
    return codec.name, chosen


def choose_planes(encoder: str, source: Planes) -> tuple[str, Planes]:
    """The pixel format, and its planes, that keeps most of the source's."""
    listed = [form.name for form in Codec(encoder, "w").video_formats or ()]
    if source.rgb and encoder in LOSSLESS:
        for bits in _nearest(DEPTHS, source.bits):
            for name in (_named("gbrp", bits), *(["bgr0"] if bits == 8 else [])):
                if name in listed:
                    return name, dataclasses.replace(source, bits=bits)
    base = Planes(bits=source.bits) if source.rgb else source
    for bits in _nearest(DEPTHS, source.bits):
        for (across, down), sampling in _samplings(base):
            name = _named(f"yuv{sampling}p", bits)
            if name in listed:
                return name, dataclasses.replace(
                    base, bits=bits, across=across, down=down, rgb=False, centred=False
                )
    raise UserError(f"--codec {encoder}: takes none of the usual pixel formats; choose another")


def _crf(options: FilmOptions, defaults: Defaults, asked: str, takes: bool) -> float | None:
    if options.crf is not None and not takes:
        raise UserError(f"--crf {options.crf:g}: {asked} has none")
    if not takes:
        return None
    if options.crf is not None:
        if not 0 <= options.crf <= defaults.worst:
            raise UserError(f"--crf {options.crf:g}: {asked} takes 0 (best) to {defaults.worst:g}")
        return options.crf
    if options.quality is not None:
        return round((100 - options.quality) / 100 * defaults.worst)
    return defaults.crf


def _preset_keys(name: str) -> tuple[str, ...]:
    return {"prores_ks": ("profile",), "libvpx-vp9": ("cpu-used",)}.get(name, ("preset",))


def _named(base: str, bits: int) -> str:
    return base if bits == 8 else f"{base}{bits}le"


def _nearest(values: tuple[int, ...], wanted: int) -> list[int]:
    """The value itself, then what is more, then what is less."""
    more = [value for value in values if value >= wanted]
    return more + [value for value in reversed(values) if value < wanted]


def _samplings(source: Planes) -> list[tuple[tuple[int, int], str]]:
    """Those that lose nothing, the nearest first, then the others."""
    across, down = (2, 2) if source.rgb or not source.across else (source.across, source.down)
    least = sorted(SAMPLINGS.items(), key=lambda pair: -pair[0][0] * pair[0][1])
    keeping = [pair for pair in least if pair[0][0] <= across and pair[0][1] <= down]
    return keeping + [pair for pair in reversed(least) if pair not in keeping]
