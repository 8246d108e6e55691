"""Tables: the same rows as text, Markdown, CSV and JSON."""

import csv
import io
import json
import math

import numpy as np
import pytest

from jsr.errors import UserError
from jsr.markup import to_markdown_per_image
from jsr.report import write_tables
from jsr.tables import captions, mean_row, to_csv, to_json, to_text, to_text_per_image


def row(name, *figures, dataset="Set5", scale=4, protocol="y", lr="symmetric"):
    names = ("baby", "bird", "butterfly")
    images = [{"name": n, "psnr": p, "ssim": s} for n, (p, s) in zip(names, figures, strict=False)]
    return mean_row(name, dataset, scale, protocol, lr, images)


@pytest.fixture
def rows():
    return [
        row("bicubic", (31.781, 0.85671), (30.18, 0.8729)),
        row("pixel stage", (33.5, 0.9), (30.184, 0.8804)),
    ]


def test_a_row_averages_every_figure_and_keeps_its_images():
    images = [
        {"name": "a", "psnr": 30.0, "ssim": 0.5, "lpips": 0.1},
        {"name": "b", "psnr": 33.0, "ssim": 0.75, "lpips": 0.3},
    ]
    result = mean_row("net", "Set5", 4, "y", "symmetric", images)
    labels = {"name": "net", "dataset": "Set5", "scale": 4, "protocol": "y", "lr": "symmetric"}
    means = {"psnr": 31.5, "ssim": 0.625, "lpips": 0.2}
    assert result == {**labels, **means, "images": images}
    with pytest.raises(ValueError, match="no images to average for net on Set5"):
        mean_row("net", "Set5", 4, "y", "symmetric", [])


def test_text_shows_the_means_in_aligned_columns(rows):
    assert to_text(rows).splitlines() == [
        "name         dataset  scale  protocol  lr         images   PSNR    SSIM",
        "bicubic      Set5         4  y         symmetric       2  30.98  0.8648",
        "pixel stage  Set5         4  y         symmetric       2  31.84  0.8902",
        "protocol y: Y not rounded, border of scale pixels left out; CNN papers since 2016",
    ]


def test_text_shows_other_datasets_scales_and_families_below_each_other(rows):
    rows += [
        row("bicubic", (25.0, 0.7), dataset="Set14"),
        row("bicubic", (33.0, 0.9), (34.0, 0.9), scale=2),
        row("bicubic", (25.1, 0.7), (26.0, 0.8), lr="replicate"),
    ]
    lines = [line.split() for line in to_text(rows).splitlines()[:-1]]
    assert [line[-8:-3] for line in lines[3:]] == [
        ["bicubic", "Set14", "4", "y", "symmetric"],
        ["bicubic", "Set5", "2", "y", "symmetric"],
        ["bicubic", "Set5", "4", "y", "replicate"],
    ]
    assert [line[-3:] for line in lines[3:5]] == [
        ["1", "25.00", "0.7000"],
        ["2", "33.50", "0.9000"],
    ]


def test_clips_are_averaged_before_their_mean():
    images = [{"name": f"calendar/{i}", "psnr": 20.0, "ssim": 0.5} for i in range(3)]
    images += [{"name": "walk/0", "psnr": 30.0, "ssim": 0.9}]
    by_clips = mean_row("net", "Vid4", 4, "vid4", "symmetric", images)
    assert (by_clips["psnr"], by_clips["ssim"]) == (25.0, pytest.approx(0.7))
    by_images = mean_row("net", "Vid4", 4, "y", "symmetric", images)
    assert (by_images["psnr"], by_images["ssim"]) == (22.5, pytest.approx(0.6))


def test_text_shows_what_else_rows_say(rows):
    rows[1] |= {"weights": "0123456789ab", "parameters": 1517571, "expected": 3, "niqe": 4.123}
    lines = to_text(rows).splitlines()
    assert lines[0].split()[5:] == [
        *("images", "weights", "parameters", "PSNR", "SSIM", "NIQE", "(own", "fit)")
    ]
    assert lines[1].split()[-6:] == ["2", "-", "-", "30.98", "0.8648", "-"]
    told = ["2", "of", "3", "0123456789ab", "1,517,571", "31.84", "0.8902", "4.12"]
    assert lines[2].split()[-8:] == told


def test_seeds_and_significance_are_explained(rows):
    rows[0] |= {"reference": "bicubic", "p": None}
    rows[1] |= {"seeds": 3, "std": {"psnr": 0.031, "ssim": 0.0002}, "reference": "bicubic"}
    rows[1]["p"] = 0.0234
    lines = to_text(rows).splitlines()
    assert lines[0].split()[-3:] == ["PSNR", "SSIM", "p"]
    assert lines[1].split()[-1] == "-"
    assert lines[2].endswith("31.84 ± 0.03  0.8902 ± 0.0002  0.023")
    assert "standard deviation over 3 weights (seeds)" in lines[-2]
    assert "differs from that of bicubic by chance" in lines[-1]


def test_rows_of_several_protocols_are_marked_when_asked_for(rows):
    rows.append(row("vdsr", (31.0, 0.88), (30.0, 0.87), protocol="classic"))
    lines = to_text(rows, mixed=True).splitlines()
    assert lines[3].startswith("vdsr*") and not lines[2].startswith("pixel stage*")
    assert [line.split(":")[0] for line in lines[4:6]] == ["protocol y", "protocol classic"]
    assert lines[6] == "* scored by another protocol than the first row: not comparable with it"
    assert captions(rows[:2]) == lines[4:5]


def test_text_per_image_shows_images_and_means(rows):
    assert to_text_per_image(rows).splitlines() == [
        "Set5 x4, PSNR / SSIM, protocol y, LR symmetric",
        "image         bicubic     pixel stage",
        "baby   31.78 / 0.8567  33.50 / 0.9000",
        "bird   30.18 / 0.8729  30.18 / 0.8804",
        "mean   30.98 / 0.8648  31.84 / 0.8902",
    ]


def test_images_have_every_figure_that_tables_show(rows):
    for one in rows:
        one["images"] = [{**image, "ms_ssim": 0.75} for image in one["images"]]
        one |= {"ms_ssim": 0.75, "memory_mb": 12.0, "high_frequency": 3.0}
    lines = to_text_per_image(rows).splitlines()
    assert lines[0] == "Set5 x4, PSNR / SSIM / MS-SSIM, protocol y, LR symmetric"
    assert lines[2].split()[1:6] == ["31.78", "/", "0.8567", "/", "0.7500"]
    assert "| mean | 30.98 / 0.8648 / **0.7500** |" in to_markdown_per_image(rows)
    alone = mean_row("net", "Set5", 4, "y", "symmetric", [{"name": "baby", "ssim": 0.5}])
    assert to_text_per_image([alone]).splitlines()[-1].split() == ["mean", "0.5000"]


def test_a_figure_that_an_image_has_not_is_left_out_and_told():
    images = [{"name": f"{c}/{i}", "psnr": 30.0, "niqe": 4.0 + i} for c in "ab" for i in (0, 1)]
    images[1]["niqe"] = images[2]["niqe"] = images[3]["niqe"] = math.nan
    result = mean_row("net", "cats", 2, "y", "symmetric", images)
    assert (result["niqe"], result["counts"]) == (4, {"niqe": 1})
    told = "NIQE (own fit) of net on cats x2: mean over 1 of 4 images"
    assert to_text([result]).splitlines()[-1] == told and captions([result])[-1] == told
    # A clip without any is no clip.
    assert mean_row("net", "cats", 2, "vid4", "symmetric", images)["niqe"] == 4


def test_self_ensembles_are_told(rows):
    rows[1]["ensemble"] = True
    told = "self-ensemble, mean over the eight orientations: pixel stage"
    assert to_text(rows).splitlines()[-1] == told
    assert to_csv(rows).splitlines()[0].startswith("name,dataset,scale,protocol,lr,ensemble,image")


def test_markdown_shows_the_best_of_each_line_in_bold(rows):
    assert to_markdown_per_image(rows).splitlines() == [
        "Set5 x4, PSNR / SSIM, protocol y, LR symmetric",
        "",
        "| image | bicubic | pixel stage |",
        "| --- | ---: | ---: |",
        "| baby | 31.78 / 0.8567 | **33.50** / **0.9000** |",
        # What prints alike is alike.
        "| bird | **30.18** / 0.8729 | **30.18** / **0.8804** |",
        "| mean | 30.98 / 0.8648 | **31.84** / **0.8902** |",
    ]


def test_blocks_are_compared_within_themselves(rows):
    rows += [row("bicubic", (50.0, 0.99), dataset="Set14")]
    rows += [row("pixel stage", (49.0, 0.98), dataset="Set14")]
    first, second = to_markdown_per_image(rows).split("\n\nSet14 x4")
    assert "**31.84**" in first and "mean | **50.00** / **0.9900** | 49.00 / 0.9800" in second


def test_a_single_row_has_nothing_in_bold(rows):
    assert "**" not in to_markdown_per_image(rows[:1])


def test_markdown_survives_infinite_missing_and_piped(rows):
    rows = [row("a|b", (math.nan, math.nan)), row("c", (math.inf, 1.0)), row("d", (20.0, 0.5))]
    lines = to_markdown_per_image(rows).splitlines()
    assert lines[2] == r"| image | a\|b | c | d |"
    assert lines[4] == "| baby | nan / nan | **inf** / **1.0000** | 20.00 / 0.5000 |"


@pytest.mark.parametrize("write", [to_text, to_text_per_image, to_markdown_per_image])
def test_other_protocols_in_one_table_and_no_rows_are_refused(write, rows):
    with pytest.raises(ValueError, match="different protocols in one table: rgb, y"):
        write([*rows, row("bicubic", (26.7, 0.77), protocol="rgb")])
    with pytest.raises(ValueError, match="no rows"):
        write([])


def test_an_image_that_a_row_lacks_is_a_dash(rows):
    rows.append(row("gan stage", (30.0, 0.8)))
    lines = to_text_per_image(rows).splitlines()
    assert lines[2].split()[-3:] == ["30.00", "/", "0.8000"]
    assert lines[3].split()[-3:] == ["-", "/", "-"]
    assert "| - / - |" in to_markdown_per_image(rows)


def test_csv_has_every_image_and_mean_at_full_precision():
    rows = [row("a,b", (1 / 3, 0.1), (math.inf, 1.0)), row("c", (np.float64(2 / 3), 0.2))]
    rows[1]["images"][0]["lpips"] = 0.25
    rows[1]["lpips"] = 0.25
    text = to_csv(rows)
    assert text.splitlines()[0] == "name,dataset,scale,protocol,lr,image,psnr,ssim,lpips"
    lines = list(csv.DictReader(io.StringIO(text)))
    assert [(line["name"], line["image"]) for line in lines] == [
        ("a,b", "baby"),
        ("a,b", "bird"),
        ("a,b", "mean"),
        ("c", "baby"),
        ("c", "mean"),
    ]
    assert [float(line["psnr"]) for line in lines] == [1 / 3, math.inf, math.inf, 2 / 3, 2 / 3]
    assert [line["lpips"] for line in lines] == ["", "", "", "0.25", "0.25"]
    assert {line["dataset"] for line in lines} == {"Set5"}


def test_csv_has_speed_and_deviations_beside_the_means(rows):
    rows[0] |= {"megapixels_per_second": 2.5, "seeds": 3, "std": {"psnr": 0.25, "ssim": 1e-4}}
    text = to_csv(rows)
    assert text.splitlines()[0].endswith("psnr,ssim,megapixels_per_second,psnr_std,ssim_std")
    lines = list(csv.DictReader(io.StringIO(text)))
    told = [(line["megapixels_per_second"], line["psnr_std"], line["ssim_std"]) for line in lines]
    nothing = ("", "", "")
    assert told == [nothing, nothing, ("2.5", "0.25", "0.0001"), nothing, nothing, nothing]


def test_json_is_strict_and_complete(rows):
    assert json.loads(to_json(rows)) == {"rows": rows}

    def refuse(constant):
        raise AssertionError(constant)

    odd = row("net", (math.inf, math.nan), (np.float32(0.5), np.float64(-np.inf)))
    loaded = json.loads(to_json([odd]), parse_constant=refuse)["rows"][0]
    assert loaded["psnr"] is None and loaded["ssim"] is None
    assert loaded["images"][0] == {"name": "baby", "psnr": None, "ssim": None}
    assert loaded["images"][1] == {"name": "bird", "psnr": 0.5, "ssim": None}


def test_tables_are_written_whole(rows, tmp_path):
    write_tables(rows, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "table.csv",
        "table.json",
        "table.md",
    ]
    assert (tmp_path / "table.md").read_text() == to_markdown_per_image(rows)
    assert (tmp_path / "table.csv").read_text() == to_csv(rows)
    assert (tmp_path / "table.json").read_text() == to_json(rows)


def test_a_table_stays_when_the_next_one_fails(rows, tmp_path, monkeypatch):
    write_tables(rows, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ValueError, match="no rows"):
        write_tables([], tmp_path)

    def fail(source, target):
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(UserError, match="cannot be written"):
        write_tables(rows[:1], tmp_path)
    assert {name: (tmp_path / name).read_bytes() for name in before} == before
