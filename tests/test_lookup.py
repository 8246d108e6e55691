"""Things found by name."""

import math

import pytest

from jsr.errors import UserError
from jsr.lookup import find


def test_finds_what_is_known_and_what_lies_elsewhere():
    assert find("loss", "one", {"one": math.sin}) is math.sin
    assert find("loss", "two", {"two": "math:cos"}) is math.cos
    assert find("loss", "math:tan", {}) is math.tan


def test_names_what_it_cannot_find():
    with pytest.raises(UserError, match=r"loss 'l3' is unknown; known: l1, l2; or your own"):
        find("loss", "l3", {"l2": 0, "l1": 0})
    with pytest.raises(UserError, match=r"loss 'math:nothing' cannot be imported"):
        find("loss", "math:nothing", {})
    with pytest.raises(UserError, match=r"loss 'no_such_module:x' cannot be imported"):
        find("loss", "no_such_module:x", {})
