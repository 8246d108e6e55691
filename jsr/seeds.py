"""Several weights of one method: their mean and spread, and whether two methods really differ."""

import numpy as np
from scipy import stats

from jsr import tables


def seeds_row(rows: list[dict]) -> dict:
    """One row from those of several weights (seeds) of a method on the same images.

    Figures are means over the seeds; "std" is the sample deviation (n - 1) of the rows' figures,
    and each image's entry is its mean. Raises ValueError when the images differ.
    """
    names = [image["name"] for image in rows[0]["images"]]
    if any([image["name"] for image in row["images"]] != names for row in rows):
        raise ValueError(f"the seeds of {rows[0]['name']} were not scored on the same images")
    entries = zip(*(row["images"] for row in rows), strict=True)
    images = [{"name": seeds[0]["name"], **_means(seeds)} for seeds in entries]
    figures = [key for key in images[0] if key != "name"]
    labels = {key: value for key, value in rows[0].items() if key not in (*figures, "images")}
    labels["weights"] = "+".join(str(row.get("weights", "")) for row in rows)
    deviations = {key: float(np.std([row[key] for row in rows], ddof=1)) for key in figures}
    means = {key: float(np.mean([row[key] for row in rows])) for key in figures}
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


def _means(entries) -> dict[str, float]:
    keys = [key for key in entries[0] if key != "name"]
    return {key: float(np.mean([entry[key] for entry in entries])) for key in keys}


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
