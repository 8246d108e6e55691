"""The scatter of PSNR against parameters: what it says, and files that are whole or not there."""

import matplotlib.figure
import pytest

from jsr import plot
from jsr.errors import UserError
from jsr.tables import mean_row


def row(name, dataset="Set5", protocol="y", parameters=1000):
    images = [{"name": "baby", "psnr": 30.0, "ssim": 0.9}]
    labels = {"parameters": parameters} if parameters else {}
    return mean_row(name, dataset, 4, protocol, "symmetric", images, labels)


@pytest.fixture
def drawn(monkeypatch):
    """The figures that are written."""
    figures = []
    real = matplotlib.figure.Figure.savefig

    def savefig(self, *arguments, **options):
        figures.append(self)
        return real(self, *arguments, **options)

    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", savefig)
    return figures


def test_titles_and_marks_are_those_of_the_rows(drawn, tmp_path):
    rows = [row("bicubic", parameters=0), row("net"), row("vdsr", protocol="classic")]
    rows += [row("vdsr", "Set14", "classic")]
    plot.write_plot(tmp_path / "plot.svg", rows)
    first, second = drawn[0].axes
    assert first.get_title() == "Set5 x4, protocol y, classic"
    assert second.get_title() == "Set14 x4, protocol classic"
    assert [text.get_text() for text in first.texts] == ["net", "vdsr*"]
    assert [path.name for path in tmp_path.iterdir()] == ["plot.svg"]


def test_a_plot_stays_when_the_next_one_fails(tmp_path, monkeypatch):
    path = tmp_path / "plot.png"
    plot.write_plot(path, [row("net")])
    before = path.read_bytes()

    def half(self, target, **options):
        target.write(b"half")
        raise ValueError("no such luck")

    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", half)
    with pytest.raises(UserError, match=r"plot\.png: no such luck"):
        plot.write_plot(path, [row("other")])
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1
