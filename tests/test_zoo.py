"""The table of other projects' weights."""

import os
import shutil
from pathlib import Path

import pytest

from jsr import zoo
from jsr.errors import UserError

SHARED = Path(os.environ.get("JSR_SHARED", "../shared"))


def test_a_folder_without_known_files_is_refused(tmp_path):
    (tmp_path / "net.pth").write_bytes(b"something")
    with pytest.raises(UserError, match="holds no weights file that jsr knows the figures of"):
        zoo.zoo_table(tmp_path, tmp_path, ["set5"])


@pytest.mark.long
@pytest.mark.skipif(not SHARED.exists(), reason="needs JSR_SHARED, the benchmark files")
def test_a_published_network_is_one_line_with_its_printed_figures_met(tmp_path):
    for path in SHARED.rglob("weights/**/IMDN_x*.pth"):
        shutil.copy(path, tmp_path)
    table = zoo.zoo_table(tmp_path, SHARED / "bench", ["set5"]).splitlines()
    assert table[0].split(" | ")[2:5] == ["x2", "x3", "x4"]
    assert len(table) == 3
    met = "(+0.00, +0.0000)"
    cells = [f"38.00 / 0.9605 {met}", f"34.36 / 0.9270 {met}", f"32.21 / 0.8948 {met}"]
    assert " | ".join(["| IMDN_x*.pth", "694,404 to 715,176", *cells, "y"]) in table[2]
