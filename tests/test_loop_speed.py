"""Timing the real loop from inside."""

import time

import jax.numpy as jnp
import pytest
import runs

from configs import base
from jsr import loop_speed
from jsr.loop_speed import StepClock


def drive(clock, between_steps=0.0, step=0.0):
    """A loop whose data and whose steps take so many seconds."""

    def function(state):
        time.sleep(step)
        return state, {"loss": jnp.zeros(())}

    calls = 0
    while not clock.requested:
        time.sleep(between_steps)
        clock.run(calls, function, 0)
        calls += 1
    return calls


def test_turns_follow_the_warm_up(monkeypatch):
    monkeypatch.setattr(loop_speed, "SECONDS", 0.02)
    turns = []
    clock = StepClock(2, turns.append)
    calls = drive(clock, step=0.001)
    assert len(clock.seconds) == len(clock.waiting) == 2
    # The other is warmed up too, and then has as many dispatches as this one.
    assert turns[0] == loop_speed.PROBE and turns[1] == turns[2] >= loop_speed.LEAST
    assert calls == loop_speed.WARM_UP + loop_speed.PROBE + 2 * turns[1]


def test_waiting_is_the_time_in_which_no_step_runs(monkeypatch):
    monkeypatch.setattr(loop_speed, "SECONDS", 0.02)
    starved = StepClock(1)
    drive(starved, between_steps=0.01, step=0.001)
    assert starved.seconds[0] == pytest.approx(0.011, rel=0.5)
    # The step itself runs on the host here, before it is there.
    assert starved.waiting[0] > 0.6
    fed = StepClock(1)
    drive(fed, step=0.01)
    assert fed.waiting[0] < 0.2


def test_the_real_loop_is_timed(tmp_path, monkeypatch):
    monkeypatch.setattr(loop_speed, "SECONDS", 0.01)
    monkeypatch.setattr(loop_speed, "LEAST", 2)
    config = base.published("small", "edsr", features=4, blocks=1)
    config.scale = 2
    config.data.update({"batch_size": 4, "patch": 8, "name": "image_folder"})
    config.data.dir = str(runs.make_photos(tmp_path / "photos"))
    copied = loop_speed.write_photos(config, tmp_path / "copies")
    assert copied.data.dir == str(tmp_path / "copies") != config.data.dir
    row = loop_speed.loop_row(copied, 1, against=False)
    assert row["name"] == "images to steps: edsr 4x1 x2 float32, batch 4, LR 8x8"
    assert row["jsr_s"] > 0 and 0 <= row["waiting"] <= 1
    assert row["photos"].startswith("on the device")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["copies", "photos"]
