"""Weights that other projects published, known by their files: source, licence, printed figures.

The figures are those of the authors' tables, logs or READMEs, or of later papers that cite them.
"""

import dataclasses

Figures = dict[str, tuple[float, float | None]]


@dataclasses.dataclass(frozen=True)
class Known:
    """A published weights file.

    published: {scale: {dataset: (PSNR, SSIM or None)}}. protocol and lr: how those were measured
    (see `jsr.protocols`).
    """

    source: str
    licence: str
    published: dict[int, Figures]
    protocol: str = "y"
    lr: str = "symmetric"


def _imdn(scale: int, psnr: float, ssim: float) -> Known:
    return Known("Zheng222/IMDN", "not stated", {scale: {"set5": (psnr, ssim)}})


def _pan(scale: int, psnr: float, ssim: float) -> Known:
    return Known("zhaohengyuan1/PAN", "not stated", {scale: {"set5": (psnr, ssim)}})


def _rlfn(scale: int, psnr: float, ssim: float) -> Known:
    return Known("bytedance/RLFN", "Apache-2.0", {scale: {"set5": (psnr, ssim)}})


def _bsrn(scale: int, figures: Figures) -> Known:
    return Known("xiaom233/BSRN", "MIT", {scale: figures}, lr="basicsr")


def _ecbsr(scale: int) -> Known:
    # Its logs are of HR cropped to multiples of 12.
    return Known("ECNUSR/ETDS", "Apache-2.0", {scale: {}}, lr="basicsr")


def _vdsr(*psnrs: tuple[float, float | None]) -> Known:
    published = {scale: {"set5": pair} for scale, pair in zip((2, 3, 4), psnrs, strict=True)}
    return Known("huangzehao/caffe-vdsr", "MIT", published, protocol="classic")


def _lapsrn(published: dict[int, Figures]) -> Known:
    return Known("phoenix104104/LapSRN", "not stated", published, lr="unrounded")


# By the first twelve digits of the file's SHA-256.
KNOWN = {
    "740b39653592": _imdn(2, 38.00, 0.9605),
    "11b1716a19bc": _imdn(3, 34.36, 0.9270),
    "e660c3822114": _imdn(4, 32.21, 0.8948),
    "fcf8ed48656a": _pan(2, 38.00, 0.9605),
    "86491751d736": _pan(3, 34.40, 0.9272),
    "739fab99ee7b": _pan(4, 32.13, 0.8948),
    "eafe5d5feeb1": _rlfn(2, 38.07, 0.9607),
    "8c7edb57dfc8": _rlfn(4, 32.24, 0.8952),
    "11af8ec8ebd6": Known("njulj/RFDN", "MIT", {4: {}}),
    "09bd1f85e017": _bsrn(2, {}),
    "6eb73a300aae": _bsrn(3, {}),
    "47518e0f549f": _bsrn(4, {"set5": (32.35, 0.8966)}),
    "d13482aa1e73": _ecbsr(2),
    "4e66c92d75eb": _ecbsr(3),
    "04f630699d14": _ecbsr(4),
    "d48a759a8450": Known(
        "nmhkahn/CARN-pytorch",
        "MIT",
        {
            2: {"set5": (37.53, 0.9583), "set14": (33.26, 0.9141)},
            3: {"set5": (33.99, 0.9236), "set14": (30.08, 0.8367)},
            4: {"set5": (31.92, 0.8903), "set14": (28.42, 0.7762)},
        },
    ),
    "f61316666084": _vdsr((37.53, 0.9587), (33.66, 0.9213), (31.35, 0.8838)),
    "b3428091b982": _vdsr((37.58, None), (33.68, None), (31.33, None)),
    "e368225004e2": _lapsrn({2: {"set5": (37.52, 0.9590)}}),
    "1d845a3efdca": _lapsrn({4: {"set5": (31.54, 0.8850), "set14": (28.19, 0.7720)}}),
}
