"""Pictures from file to file: time, memory, and what tiles cost."""

import pytest
from tiny_network import make_network

from jsr import timing, upscale_speed
from jsr.errors import UserError


@pytest.fixture
def network(monkeypatch):
    monkeypatch.setattr(timing, "LEAST", 0.001)
    monkeypatch.setattr(upscale_speed, "TILED", (40, 60))
    monkeypatch.setattr(upscale_speed, "PHOTO", (30, 50))
    monkeypatch.setattr(upscale_speed, "TILE", 16)
    return make_network(noise=0.02)


def test_tiles_are_against_the_whole_picture(network):
    row = upscale_speed.tiling_row(network, 2)
    assert row["over_whole"] == pytest.approx(1 / row["ratio"])
    assert row["name"].endswith("60x40") and row["peer"] == "whole picture"
    radius = upscale_speed.TiledNetwork(network).radius
    assert row["bound"] == pytest.approx((1 + radius / 8) ** 2 + 0.1)


def test_a_file_is_against_the_network_alone(network):
    row = upscale_speed.file_row(network, 2)
    assert row["peer"] == "the network alone" and row["ratio"] > 0


def test_many_files_are_all_made(network, monkeypatch):
    made = []
    run = upscale_speed.EnlargedFiles.run
    monkeypatch.setattr(upscale_speed, "SETTLED", 2)
    monkeypatch.setattr(
        upscale_speed.EnlargedFiles, "run", lambda self, jobs: made.extend(jobs) or run(self, jobs)
    )
    row = upscale_speed.many_row(network, 6)
    assert len({job.source for job in made}) == 6 and row["jsr_s"] > 0
    with pytest.raises(UserError, match="--files 2: expected more than 2"):
        list(upscale_speed.rows(network, 1, 2))


def test_the_memory_is_that_of_the_command(tmp_path):
    words = "import time, numpy; a = numpy.ones(100_000_000, numpy.uint8); time.sleep(0.3)"
    peak = upscale_speed._peak_of([upscale_speed.sys.executable, "-c", words])
    assert 100e6 < peak < 250e6
    with pytest.raises(UserError, match="no such"):
        upscale_speed._peak_of([upscale_speed.sys.executable, "-c", "raise OSError('no such')"])


@pytest.mark.long
def test_the_command_is_run(network):
    row = upscale_speed.command_row(network)
    assert row["memory_bytes"] > 50e6
