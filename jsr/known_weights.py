"""Weights that other projects published, known by their files: source, licence, printed figures.

The figures are those of the authors' tables, logs or READMEs, or of later papers that cite them.
"""

import dataclasses

Figures = dict[str, tuple[float, float | None]]


@dataclasses.dataclass(frozen=True)
class Known:
    """A published weights file.

    published: {scale: {dataset: (PSNR, SSIM or None)}}. protocol, lr and ssim: how those were
    measured (see `jsr.protocols`). digits: those of the printed SSIM.
    """

    source: str
    licence: str
    published: dict[int, Figures]
    protocol: str = "y"
    lr: str = "symmetric"
    ssim: str = "ssim"
    digits: int = 4


def _figures(set5, set14=None, bsd100=None) -> Figures:
    named = {"set5": set5, "set14": set14, "bsd100": bsd100}
    return {name: pair for name, pair in named.items() if pair is not None}


def _known(source: str, licence: str, scale: int, *pairs, **how) -> Known:
    """A file of one scale, with its figures on Set5, Set14 and BSD100."""
    return Known(source, licence, {scale: _figures(*pairs) if pairs else {}}, **how)


def _known_3(source: str, licence: str, figures: list[Figures], **how) -> Known:
    """A file that serves x2, x3 and x4."""
    return Known(source, licence, dict(zip((2, 3, 4), figures, strict=True)), **how)


IMDN = ("Zheng222/IMDN", "not stated")
PAN = ("zhaohengyuan1/PAN", "not stated")
RLFN = ("bytedance/RLFN", "Apache-2.0")
BSRN = ("xiaom233/BSRN", "MIT")
ETDS = ("ECNUSR/ETDS", "Apache-2.0")
LAPSRN = ("phoenix104104/LapSRN", "not stated")
BASICSR = {"lr": "basicsr"}
# Its evaluation calls MATLAB's own ssim, and its table prints three digits.
LAPSRN_HOW = {"lr": "unrounded", "ssim": "ssim_matlab", "digits": 3}
CLASSIC = {"protocol": "classic"}

# By the first twelve digits of the file's SHA-256.
KNOWN = {
    # x2 in the repository's README, x3 and x4 in Table 3 of SwinIR.
    "740b39653592": _known(*IMDN, 2, (38.00, 0.9605), (33.63, 0.9177), (32.19, 0.8996)),
    "11b1716a19bc": _known(*IMDN, 3, (34.36, 0.9270), (30.32, 0.8417), (29.09, 0.8046)),
    "e660c3822114": _known(*IMDN, 4, (32.21, 0.8948), (28.58, 0.7811), (27.56, 0.7353)),
    # The repository's test logs.
    "fcf8ed48656a": _known(*PAN, 2, (38.00, 0.9605), (33.59, 0.9181), (32.18, 0.8997)),
    "86491751d736": _known(*PAN, 3, (34.40, 0.9272), (30.36, 0.8422), (29.10, 0.8049)),
    "739fab99ee7b": _known(*PAN, 4, (32.13, 0.8948), (28.61, 0.7822), (27.59, 0.7363)),
    # Table 1 of the paper, as a later survey has it.
    "eafe5d5feeb1": _known(*RLFN, 2, (38.07, 0.9607), (33.72, 0.9187), (32.22, 0.9000)),
    "8c7edb57dfc8": _known(*RLFN, 4, (32.24, 0.8952), (28.62, 0.7813), (27.60, 0.7364)),
    # The challenge's network: the paper's figures are those of a larger one.
    "11af8ec8ebd6": _known("njulj/RFDN", "MIT", 4),
    # x4 in the README of LKDN.
    "09bd1f85e017": _known(*BSRN, 2, **BASICSR),
    "6eb73a300aae": _known(*BSRN, 3, **BASICSR),
    "47518e0f549f": _known(*BSRN, 4, (32.35, 0.8966), (28.73, 0.7847), (27.65, 0.7387), **BASICSR),
    # The repository's test logs, of HR cropped to multiples of 12.
    "d13482aa1e73": _known(*ETDS, 2, (37.18, 0.9577), (32.79, 0.9105), (31.61, 0.8928), **BASICSR),
    "4e66c92d75eb": _known(*ETDS, 3, (33.07, 0.9149), (29.53, 0.8269), (28.57, 0.7921), **BASICSR),
    "04f630699d14": _known(*ETDS, 4, (30.87, 0.8741), (27.80, 0.7626), (27.06, 0.7195), **BASICSR),
    # The table of the repository, whose README says that it is not exactly reproducible.
    "d48a759a8450": _known_3(
        "nmhkahn/CARN-pytorch",
        "MIT",
        [
            _figures((37.53, 0.9583), (33.26, 0.9141), (31.92, 0.8960)),
            _figures((33.99, 0.9236), (30.08, 0.8367), (28.91, 0.8000)),
            _figures((31.92, 0.8903), (28.42, 0.7762), (27.44, 0.7304)),
        ],
    ),
    # PSNR in the repository's README, SSIM of the official ones in CARN's table.
    "f61316666084": _known_3(
        "huangzehao/caffe-vdsr",
        "MIT",
        [
            _figures((37.53, 0.9587), (33.03, 0.9124), (31.90, 0.8960)),
            _figures((33.66, 0.9213), (29.77, 0.8314), (28.82, 0.7976)),
            _figures((31.35, 0.8838), (28.01, 0.7674), (27.29, 0.7251)),
        ],
        **CLASSIC,
    ),
    "b3428091b982": _known_3(
        "huangzehao/caffe-vdsr",
        "MIT",
        [
            _figures((37.58, None), (33.00, None), (31.87, None)),
            _figures((33.68, None), (29.75, None), (28.80, None)),
            _figures((31.33, None), (27.95, None), (27.24, None)),
        ],
        **CLASSIC,
    ),
    # The paper's table.
    "e368225004e2": _known(
        *LAPSRN, 2, (37.52, 0.959), (33.08, 0.913), (31.80, 0.895), **LAPSRN_HOW
    ),
    "1d845a3efdca": _known(
        *LAPSRN, 4, (31.54, 0.885), (28.19, 0.772), (27.32, 0.728), **LAPSRN_HOW
    ),
}
