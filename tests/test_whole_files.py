"""Files written whole or not at all."""

import os

import pytest

from jsr.errors import UserError
from jsr.whole_files import write_whole


def test_a_file_takes_the_place_of_another(tmp_path):
    for data in (b"one", b"another"):
        write_whole(tmp_path / "file", data)
        assert (tmp_path / "file").read_bytes() == data
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(28, "No space left on device"), UserError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
def test_what_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, error, told):
    def fail(*_):
        raise error

    write_whole(tmp_path / "file", b"old")
    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(told):
        write_whole(tmp_path / "file", b"new")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


def test_a_folder_that_is_not_there_is_told(tmp_path):
    with pytest.raises(UserError, match=r"file: cannot be written \(No such file or directory\)"):
        write_whole(tmp_path / "absent" / "file", b"")
