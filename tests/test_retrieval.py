import json
from types import SimpleNamespace

import numpy as np
import pytest
import skimage.data
from PIL import Image

from jsr import ranking, recognition, retrieval
from jsr.errors import PartlyDone, UserError
from jsr.gallery import make_queries, open_gallery
from jsr.retrieval_sheet import CAPTION, GAP, PANEL

OPTIONS = {
    "gallery": None,
    "weights": None,
    "baselines": "bicubic",
    "queries": 6,
    "scale": 8,
    "shift": 0.05,
    "quality": 80,
    "features": "hog",
    "features_file": None,
    "recognition": "",
    "seed": 0,
    "json": None,
    "sheet": None,
}


@pytest.fixture
def folder(tmp_path):
    photos = {"cat": skimage.data.chelsea(), "rocket": skimage.data.rocket()}
    for name, photo in photos.items():
        for number in range(3):
            crop = photo[96 * number : 96 * number + 96, 200:296]
            (tmp_path / "gallery").mkdir(exist_ok=True)
            Image.fromarray(crop).save(tmp_path / "gallery" / f"{name}{number}.png")
    return tmp_path / "gallery"


def run(**changes):
    retrieval.main([], SimpleNamespace(**{**OPTIONS, **changes}))


def test_the_table_and_its_json(folder, capsys):
    target = folder.parent / "table.json"
    sheet = folder.parent / "sheet.png"
    run(gallery=str(folder), json=str(target), baselines="nearest,bicubic", sheet=str(sheet))
    text = capsys.readouterr().out
    rows = json.loads(target.read_text())["rows"]
    assert [row["name"] for row in rows] == ["nearest", "bicubic", "HR query"]
    hr = rows[-1]
    assert hr["recall@1"] == 1.0 and hr["mAP"] == 1.0 and hr["queries"] == hr["gallery"] == 6
    assert f"{rows[1]['mAP']:.3f} [{rows[1]['mAP_interval'][0]:.3f}" in text
    assert len(hr["images"]) == 6 and "ranked by hog" in text
    assert all(image["first"][0] == image["name"] for image in hr["images"])
    with Image.open(sheet) as made:
        assert made.height == 3 * (PANEL + GAP + CAPTION)


def test_each_row_is_of_its_own_way(folder):
    gallery = open_gallery(str(folder), 8)
    queries = [*make_queries(gallery, 6, 8, 0.05, 80, seed=0)]
    ways = retrieval.open_ways("bicubic", None)
    flat = {"flat": lambda lr, scale: np.full((88, 88, 3), 128, np.uint8)}
    vectors = ranking.make_vectors("hog")
    found, lost, hr = retrieval.retrieve(gallery, queries, {**ways, **flat}, vectors, 8)
    assert found["mAP"] > lost["mAP"] + 0.2 and hr["mAP"] == 1.0


def test_an_unreadable_picture_is_named_and_the_rest_is_done(folder, capsys):
    (folder / "broken.png").write_bytes(b"\x89PNG no picture")
    with pytest.raises(PartlyDone, match=r"broken.png.*\nthe gallery is without them"):
        run(gallery=str(folder))
    assert "HR query" in capsys.readouterr().out


def test_recognition_has_a_row_for_each_way_and_hr(monkeypatch):
    task = recognition.Task("halves", np.zeros((20, 8, 8, 1), np.uint8), np.repeat([0, 1], 10), 2)
    task.pictures[10:, :, 4:] = 255
    rows = retrieval.recognise([task], retrieval.open_ways("bicubic", None))
    assert [(row["name"], row["accuracy"]) for row in rows] == [("bicubic", 1.0), ("HR", 1.0)]
    assert "halves" in retrieval.to_text(rows)


def test_a_ranker_that_knows_nothing_is_told_of(folder, monkeypatch, caplog):
    monkeypatch.setattr(
        ranking, "make_vectors", lambda *_: lambda pictures: np.ones((len([*pictures]), 2))
    )
    run(gallery=str(folder))
    assert "do not tell the pictures of this gallery apart" in caplog.text


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"baselines": "cubic"}, "baseline 'cubic' is unknown"),
        ({"weights": "nowhere.safetensors"}, "no weights at nowhere.safetensors"),
        ({"weights": "bicubic=small-x4"}, "two rows would be called bicubic"),
        ({"recognition": "cats"}, "'cats' is unknown; known: faces, digits"),
        ({"json": "nowhere/table.json"}, "there is no folder nowhere"),
        ({"sheet": "table.xyz"}, "end its name in .png"),
        ({"gallery": "nowhere"}, "nowhere: no such folder"),
    ],
)
def test_mistakes_are_one_line(changes, told):
    with pytest.raises(UserError, match=told) as caught:
        run(**changes)
    assert "\n" not in str(caught.value)
