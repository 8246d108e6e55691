"""Markdown and LaTeX as papers print tables: methods by datasets, the best marked."""

import math

import pytest

from jsr.markup import to_latex, to_markdown
from jsr.tables import mean_row


def row(name, psnr, ssim, dataset="Set5", scale=4, protocol="y", lr="symmetric", **more):
    figures = {"psnr": psnr, "ssim": ssim, **more.pop("figures", {})}
    images = [{"name": name, **figures} for name in "ab"]
    return mean_row(name, dataset, scale, protocol, lr, images, more)


@pytest.fixture
def rows():
    return [
        row("bicubic", 28.43, 0.8111),
        row("small_net", 31.5, 0.884, weights="0123456789ab"),
        row("base", 32.1, 0.8936),
        row("bicubic", 26.1, 0.7, dataset="Set14", expected=14),
        row("base", 28.6, 0.78, dataset="Set14", expected=14),
    ]


def test_markdown_is_methods_by_datasets(rows):
    assert to_markdown(rows).splitlines() == [
        "x4, PSNR / SSIM, protocol y, LR symmetric",
        "",
        "| method | Set5 (2) | Set14 (2 of 14) |",
        "| --- | ---: | ---: |",
        "| bicubic | 28.43 / 0.8111 | 26.10 / 0.7000 |",
        "| small_net [0123456789ab] | 31.50 / 0.8840 | - / - |",
        "| base | **32.10** / **0.8936** | **28.60** / **0.7800** |",
        "",
        "protocol y: Y not rounded, border of scale pixels left out; CNN papers since 2016",
    ]


def test_latex_marks_the_best_and_the_second(rows):
    lines = to_latex(rows).splitlines()
    assert lines[0].startswith("% protocol y: Y not rounded")
    assert lines[3:6] == [
        r"\caption{x4, PSNR / SSIM, protocol y, LR symmetric}",
        r"\begin{tabular}{lcc}",
        r"\toprule",
    ]
    assert lines[8:11] == [
        r"bicubic & 28.43 / 0.8111 & \underline{26.10} / \underline{0.7000} \\",
        r"small\_net [0123456789ab] & \underline{31.50} / \underline{0.8840} & - / - \\",
        r"base & \textbf{32.10} / \textbf{0.8936} & \textbf{28.60} / \textbf{0.7800} \\",
    ]
    assert lines[11:] == [r"\bottomrule", r"\end{tabular}", r"\end{table}"]


def test_scales_and_families_have_tables_of_their_own(rows):
    rows += [row("base", 38.0, 0.96, scale=2), row("base", 32.11, 0.8937, lr="replicate")]
    captions = [line for line in to_markdown(rows).splitlines() if line.startswith("x")]
    assert captions == [
        "x4, PSNR / SSIM, protocol y, LR symmetric",
        "x2, PSNR / SSIM, protocol y, LR symmetric",
        "x4, PSNR / SSIM, protocol y, LR replicate",
    ]
    # One method alone is not the best of any.
    assert "38.00 / 0.9600" in to_markdown(rows) and "**38.00" not in to_markdown(rows)
    assert to_latex(rows).count(r"\begin{table}") == 3


def test_what_prints_alike_is_alike_and_less_can_be_better():
    rows = [
        row("a", 30.001, 0.9, figures={"niqe": 5.0}),
        row("b", 30.002, 0.8, figures={"niqe": 4.0}),
        row("c", math.inf, math.nan, figures={"niqe": 6.0}),
    ]
    _, note, *lines = to_latex(rows).splitlines()
    assert note == "% SSIM of c on Set5 x4: mean over 0 of 2 images"
    lines = [line for line in lines if line[:3] in ("a &", "b &", "c &")]
    assert lines[0] == r"a & \underline{30.00} / \textbf{0.9000} / \underline{5.00} \\"
    assert lines[1] == r"b & \underline{30.00} / \underline{0.8000} / \textbf{4.00} \\"
    assert lines[2] == r"c & \textbf{inf} / nan / 6.00 \\"


def test_deviations_stand_beside_the_figures(rows):
    rows[2] |= {"std": {"psnr": 0.02, "ssim": 0.0003}, "seeds": 3}
    assert "**32.10 ± 0.02** / **0.8936 ± 0.0003**" in to_markdown(rows)
    assert r"\textbf{32.10 $\pm$ 0.02} / \textbf{0.8936 $\pm$ 0.0003}" in to_latex(rows)


def test_names_are_printed_by_latex_as_they_are():
    text = to_latex([row(r"a\b~c^d_e<f>", 30.0, 0.9, dataset="50% {x}")])
    escaped = (
        r"a\textbackslash{}b\textasciitilde{}c\textasciicircum{}d\_e\textless{}f\textgreater{} & "
    )
    assert escaped in text and r"Method & 50\% \{x\} (2) \\" in text


def test_several_protocols_are_refused_or_marked(rows):
    rows.append(row("vdsr", 31.35, 0.8838, protocol="classic"))
    for write in (to_markdown, to_latex):
        with pytest.raises(ValueError, match="different protocols in one table: classic, y"):
            write(rows)
        text = write(rows, mixed=True)
        assert "vdsr* " in text and "base* " not in text
        assert "**" not in text and "textbf" not in text
        assert "* scored by another protocol" in text and "protocol y, classic, LR" in text
