"""What is said of the machine."""

from jsr import machine


def test_peaks_are_of_the_size_that_processors_have(monkeypatch):
    monkeypatch.setattr(machine, "SIDES", {"cpu": (128, 256)})
    monkeypatch.setattr(machine, "MEGABYTES", {"cpu": (4,)})
    machine.product_peak.cache_clear()
    machine.bandwidth.cache_clear()
    assert 1e8 < machine.product_peak("float32") < 1e15
    assert 1e8 < machine.bandwidth() < 1e14
    machine.product_peak.cache_clear()
    machine.bandwidth.cache_clear()


def test_a_figure_belongs_to_a_machine():
    told = machine.describe()
    assert told["devices"] == 4 and told["processor"] and told["jax"].count(".") == 2
