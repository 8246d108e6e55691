import numpy as np

from jsr import retrieval_sheet
from jsr.datasets import Photos
from jsr.gallery import Gallery, Query
from jsr.retrieval_sheet import CAPTION, GAP, GREEN, PANEL


def row(name, *ranked):
    images = [{"name": "b", "rank": first.index("b") + 1, "first": first} for first in ranked]
    return {"name": name, "scale": 2, "images": images}


def gallery():
    colours = {"a": (200, 0, 0), "b": (0, 0, 200), "c": (90, 90, 90)}
    pictures = [np.full((40, 20, 3), colour, np.uint8) for colour in colours.values()]
    sizes = np.tile(np.int32([[40, 20]]), (3, 1))
    return Gallery("three", Photos([*colours], sizes, pictures.__getitem__), [1])


def test_each_way_has_a_line_with_the_right_picture_framed():
    query = Query(1, np.full((40, 40, 3), 10, np.uint8), np.full((20, 20, 3), 99, np.uint8))
    rows = [row("twice", ["a", "b", "c"]), row("HR", ["b", "a", "c"])]
    ways = {"twice": lambda lr, scale: lr.repeat(scale, 0).repeat(scale, 1), "HR": None}
    sheet = retrieval_sheet.make_sheet(rows, gallery(), [query], ways)
    pitch, middle = PANEL + GAP, PANEL // 2
    first, second = (line * (pitch + CAPTION) + CAPTION + middle for line in range(2))
    lefts = [0, *(number * pitch + 2 * GAP for number in (1, 2, 3))]
    seen = [[tuple(sheet[top, left + middle]) for left in lefts] for top in (first, second)]
    red, blue, gray = (200, 0, 0), (0, 0, 200), (90, 90, 90)
    assert seen == [[(99,) * 3, red, blue, gray], [(10,) * 3, blue, red, gray]]
    framed = [[tuple(sheet[top, left + 1]) == GREEN for left in lefts] for top in (first, second)]
    assert framed == [[False, False, True, False], [False, True, False, False]]


def ranked(name, *ranks):
    orders = {1: ["b", "a"], 2: ["a", "b"]}
    return row(name, *(orders[rank] for rank in ranks))


def test_queries_are_spread_over_those_that_tell_the_ways_apart():
    one = ranked("one", 1, 2, 2, 1, 2, 1, 1)
    other = ranked("other", 1, 1, 1, 2, 1, 1, 1)
    assert retrieval_sheet.chosen([one, other]) == [2, 4]
    assert retrieval_sheet.chosen([one, one]) == [1, 5]
    assert retrieval_sheet.chosen([ranked("one", 1)]) == [0]
