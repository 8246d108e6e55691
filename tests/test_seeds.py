"""Several weights of one method, and whether two methods differ by more than chance."""

import math

import numpy as np
import pytest
from scipy import stats

from jsr.seeds import add_significance, seeds_row
from jsr.tables import mean_row


def row(name, psnrs, weights="w", dataset="Set5", protocol="y"):
    images = [{"name": f"{i}", "psnr": float(p), "ssim": p / 50} for i, p in enumerate(psnrs)]
    return mean_row(name, dataset, 4, protocol, "symmetric", images, {"weights": weights})


def test_seeds_become_means_and_deviations():
    rows = [
        row("net", psnrs, w) for psnrs, w in (((30, 32), "a"), ((31, 34), "b"), ((32, 36), "c"))
    ]
    combined = seeds_row(rows)
    assert combined["psnr"] == pytest.approx(32.5)
    assert combined["std"]["psnr"] == pytest.approx(np.std([31, 32.5, 34], ddof=1))
    assert combined["std"]["ssim"] == pytest.approx(np.std([31, 32.5, 34], ddof=1) / 50)
    assert [image["psnr"] for image in combined["images"]] == pytest.approx([31, 34])
    assert (combined["seeds"], combined["weights"], combined["name"]) == (3, "a+b+c", "net")


def test_seeds_are_compared_on_the_images_that_all_have():
    whole, part = row("net", (30, 31, 38)), row("net", (30, 32, 33))
    del part["images"][2]
    combined = seeds_row([whole, part])
    assert [image["psnr"] for image in combined["images"]] == [30, 31.5]
    assert combined["psnr"] == 30.75
    assert combined["std"]["psnr"] == pytest.approx(np.std([30.5, 31], ddof=1))
    part["images"] = [{**image, "name": f"other{image['name']}"} for image in part["images"]]
    with pytest.raises(ValueError, match="the seeds of net were not scored on the same images"):
        seeds_row([whole, part])


def test_a_figure_that_one_seed_lacks_counts_for_none():
    rows = [row("net", (30, 31, 38)), row("net", (30, math.nan, 34))]
    combined = seeds_row(rows)
    assert combined["psnr"] == 33 and combined["counts"] == {"psnr": 2, "ssim": 2}
    assert combined["std"]["psnr"] == pytest.approx(np.std([34, 32], ddof=1))
    assert combined["ssim"] == pytest.approx(33 / 50)


def test_speed_is_the_mean_over_seeds():
    rows = [row("net", (30, 31)) for _ in range(2)]
    for number, one in enumerate(rows):
        one |= {"megapixels_per_second": 2.0 + number, "memory_mb": 100.0}
    combined = seeds_row(rows)
    assert (combined["megapixels_per_second"], combined["memory_mb"]) == (2.5, 100)
    assert "megapixels_per_second" not in combined["images"][0]


def test_p_is_wilcoxons_over_pairs_of_images():
    rng = np.random.default_rng(0)
    base = rng.uniform(25, 35, 20)
    better, same = base + rng.uniform(0.05, 0.3, 20), base + rng.normal(0, 0.1, 20)
    rows = [row("base", base), row("better", better), row("same", same), row("copy", base)]
    add_significance(rows, "base")
    assert rows[0]["p"] is None and {r["reference"] for r in rows} == {"base"}
    assert rows[1]["p"] == pytest.approx(stats.wilcoxon(better, base).pvalue)
    assert rows[1]["p"] < 1e-4 < 0.05 < rows[2]["p"]
    assert rows[3]["p"] == 1


def test_only_the_same_images_are_compared():
    rows = [row("base", (30, 31, 32)), row("net", (31, 32), dataset="Set14"), row("net", (31, 32))]
    rows.append(row("net", (30, 31, 33), protocol="rgb"))
    add_significance(rows, "base")
    assert [r["p"] for r in rows] == [None] * 4
    with pytest.raises(ValueError, match="no row 'bas' to compare with; there are base, net"):
        add_significance(rows, "bas")
