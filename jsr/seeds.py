"""Several weights of one method: their mean and spread, and whether two methods really differ."""

import math

import numpy as np
from scipy import stats

from jsr import tables


def seeds_row(rows: list[dict]) -> dict:
    """One row from those of several weights (seeds) of a method.

    Figures are means over the seeds, of the images that all of them were scored on; so are speed
    and memory. "std" is the sample deviation (n - 1) of the rows' figures, and each image's entry
    is its mean. Raises ValueError when the seeds have no image in common.
    """
    rows = _on_shared_images(rows)
    images = [_mean_image(seeds) for seeds in zip(*(row["images"] for row in rows), strict=True)]
    figures = [key for key in images[0] if key != "name"]
    measured = [key for key in tables.FIGURES if all(key in r for r in rows) and key not in figures]
    others = (*figures, *tables.FIGURES, "images")
    labels = {key: value for key, value in rows[0].items() if key not in others}
    labels["weights"] = "+".join(str(row.get("weights", "")) for row in rows)
    deviations = {key: float(np.std([row[key] for row in rows], ddof=1)) for key in figures}
    means = {key: float(np.mean([row[key] for row in rows])) for key in (*figures, *measured)}
    return {**labels, **means, "seeds": len(rows), "std": deviations, "images": images}


def add_significance(rows: list[dict], reference: str) -> None:
    """Give each row "p" against the row called `reference` of its dataset, scale and LR family.

    Wilcoxon's signed-rank test, two-sided, over the images' PSNR; None for the reference itself and
    where it was not scored on the same images. Raises ValueError when there is no such row.
    """
    if all(row["name"] != reference for row in rows):
        names = ", ".join(dict.fromkeys(row["name"] for row in rows))
        raise ValueError(f"there is no row {reference!r} to compare with; there are {names}")
    for row in rows:
        row["reference"] = reference
        row["p"] = _p_value(row, next((r for r in rows if _same(r, row, reference)), None))


def _on_shared_images(rows: list[dict]) -> list[dict]:
    """The rows as they would be without the images and the figures that any of them lacks."""
    found = [{image["name"]: image for image in row["images"]} for row in rows]
    names = [name for name in found[0] if all(name in images for images in found)]
    if not names:
        raise ValueError(f"the seeds of {rows[0]['name']} were not scored on the same images")
    figures = [key for key in rows[0]["images"][0] if key != "name"]
    lacking = [
        {key: math.nan for key in figures if any(math.isnan(images[n][key]) for images in found)}
        for n in names
    ]
    return [
        tables.mean_row(
            *(row[label] for label in tables.LABELS),
            [{**images[n], **gaps} for n, gaps in zip(names, lacking, strict=True)],
            {key: row[key] for key in row if key not in (*figures, *tables.LABELS, "counts")},
        )
        for row, images in zip(rows, found, strict=True)
    ]


def _mean_image(seeds: tuple[dict, ...]) -> dict:
    keys = [key for key in seeds[0] if key != "name"]
    means = {key: float(np.mean([image[key] for image in seeds])) for key in keys}
    return {"name": seeds[0]["name"], **means}


def _same(candidate: dict, row: dict, reference: str) -> bool:
    labels = [label for label in tables.LABELS if label != "name"]
    if "given" in (candidate["lr"], row["lr"]):
        labels.remove("lr")  # whoever made those SR pictures knows of what LR
    return candidate["name"] == reference and all(candidate[k] == row[k] for k in labels)


def _p_value(row: dict, reference: dict | None) -> float | None:
    if reference is None or reference is row:
        return None
    ours, theirs = ({i["name"]: i["psnr"] for i in r["images"]} for r in (row, reference))
    if ours.keys() != theirs.keys():
        return None
    differences = np.array([ours[name] - theirs[name] for name in ours])
    # SciPy's test has no answer where nothing differs.
    return float(stats.wilcoxon(differences).pvalue) if differences.any() else 1.0
