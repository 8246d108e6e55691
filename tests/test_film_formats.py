"""Which names are films'."""

from pathlib import Path

import pytest

from jsr import images
from jsr.errors import UserError
from jsr.film_formats import SUFFIXES, check_container, default_codec, names_film


def test_names():
    assert names_film(Path("a.MP4")) and names_film(Path("b/c.ts"))
    assert not names_film(Path("a.png")) and not names_film(Path("mp4"))
    assert not set(SUFFIXES) & set(images.SUFFIXES)
    assert default_codec(Path("a.webm")) == "vp9" and default_codec(Path("a.MOV")) == "h264"


def test_what_is_only_read_is_not_written():
    check_container(Path("a.Mkv"))
    with pytest.raises(UserError, match=r"a\.ts: cannot write a film as '\.ts'; use one of \.mp4"):
        check_container(Path("a.ts"))
