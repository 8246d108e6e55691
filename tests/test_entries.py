"""The words that name rows: lists of paths, whatever letters the paths hold."""

import pytest

from jsr.entries import baseline_entries, folder_entries, name_and_paths, split_paths
from jsr.methods import CLASSICAL

ODD = ("lr=1e-4,b=2/net.pth", "a+b", "x,y", "c=d", "plain", "other")


@pytest.fixture(autouse=True)
def odd(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in ODD:
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).touch()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("plain, other,,plain", ["plain", "other"]),
        ("x,y,plain", ["x,y", "plain"]),
        ("absent,x,y", ["absent", "x,y"]),
        ("NET=x,y,lr=1e-4,b=2/net.pth", ["NET=x,y", "lr=1e-4,b=2/net.pth"]),
        ("plain,N=other", ["plain", "N=other"]),
        ("N=plain+x,y,other", ["N=plain+x,y", "other"]),
        ("", []),
    ],
)
def test_lists_of_paths(text, words):
    assert split_paths(text) == words


@pytest.mark.parametrize(
    ("word", "name", "paths"),
    [
        ("plain", "", ["plain"]),
        ("NET=plain", "NET", ["plain"]),
        ("c=d", "", ["c=d"]),
        ("NET=c=d", "NET", ["c=d"]),
        ("lr=1=plain", "lr=1", ["plain"]),
        ("lr=1=absent", "lr=1", ["absent"]),
        ("plain+other", "", ["plain", "other"]),
        ("N=a+b+c=d", "N", ["a+b", "c=d"]),
        ("absent+b", "", ["absent", "b"]),
        ("N=", "N", [""]),
    ],
)
def test_names_and_paths(word, name, paths):
    assert name_and_paths(word) == (name, paths)


def test_folders_may_hold_a_plus(tmp_path):
    (tmp_path / "EDSR+").mkdir()
    entries = list(folder_entries("EDSR+,N=a+b,absent+2"))
    assert [entry.name for entry in entries] == ["EDSR+", "N", "absent+2"]
    assert [str(entry.folder) for entry in entries] == ["EDSR+", "a+b", "absent+2"]


def test_every_baseline_comes_once():
    assert [entry.name for entry in baseline_entries(["all", "bicubic"])] == list(CLASSICAL)
    names = [entry.name for entry in baseline_entries(["lanczos", "all", "lanczos"])]
    assert names[:2] == ["lanczos", "bicubic"] and sorted(names) == sorted(CLASSICAL)
