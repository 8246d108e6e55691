"""From the command to the first step."""

import pytest

from jsr import start_time
from jsr.errors import UserError


def test_a_step_is_known_by_its_loss(tmp_path):
    records = tmp_path / "metrics.jsonl"
    assert not start_time._has_step(records)
    records.write_text('{"step": 0, "valid_psnr": 20.0}\n{"step": 1, "lo')
    assert not start_time._has_step(records)
    records.write_text('{"step": 0, "valid_psnr": 20.0}\n{"step": 1, "loss": 0.1}\n')
    assert start_time._has_step(records)


def test_a_run_that_ends_before_it_is_told():
    with pytest.raises(
        UserError, match=r"no step was made: error: there is no config file none.py"
    ):
        list(start_time.start_rows(["--config=none.py"]))


@pytest.mark.long
def test_both_starts_are_timed():
    words = ["--config=configs/srgan.py:smoke", "--config.generator.hparams.blocks=1"]
    rows = list(start_time.start_rows(words))
    names = [f"command to first step: {start} start" for start in ("first", "second")]
    assert [row["name"] for row in rows] == names
    assert 0 < rows[1]["jsr_s"] < rows[0]["jsr_s"]
