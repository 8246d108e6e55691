"""Weights that the web page offers: by name alone, opened once."""

import pytest
from tiny_network import write_network

from jsr import offered_weights
from jsr.errors import UserError
from jsr.offered_weights import OfferedWeights
from jsr.target_size import TargetSize


def test_weights_are_offered_by_name_alone(tmp_path):
    with pytest.raises(UserError, match="no weights at"):
        OfferedWeights([str(tmp_path / "absent.pth")])
    offered = OfferedWeights(["nearest"])
    assert offered.names[0] == "nearest" and {"bicubic", "lanczos"} < set(offered.names)
    with pytest.raises(UserError, match="are not offered here; choose one of nearest"):
        offered.open(str(tmp_path), TargetSize())
    with pytest.raises(UserError, match="bicubic enlarges by any scale"):
        offered.open("bicubic", TargetSize())


def test_networks_are_loaded_once_and_a_few_are_kept(tmp_path, monkeypatch):
    names = [str(write_network(tmp_path / f"{n}.safetensors")) for n in range(3)]
    loaded = []

    def open_model(name, target):
        loaded.append(name)
        return whole(name, target)

    whole = offered_weights.open_model
    monkeypatch.setattr(offered_weights, "open_model", open_model)
    offered = OfferedWeights(names)
    first = offered.open(names[0], TargetSize(scale=1.5))
    again = offered.open(names[0], TargetSize(scale=3))
    assert loaded == names[:1] and first.ways[2] is again.ways[2]
    assert (first.size(4, 4), again.size(4, 4)) == ((6, 6), (12, 12))
    for name in (*names[1:], names[0]):
        offered.open(name, TargetSize(scale=2))
    assert loaded == [*names, names[0]]
