"""The queue of the web page: what is kept, what is removed, and how it ends."""

import threading

import pytest
from PIL import Image

from jsr import web_jobs
from jsr.offered_weights import OfferedWeights
from jsr.target_size import TargetSize
from jsr.web_jobs import JobQueue, QueueFull, clean_name


@pytest.fixture
def jobs(tmp_path):
    jobs = JobQueue(tmp_path, OfferedWeights([]))
    yield jobs
    assert jobs.stop(30)


def submit(jobs):
    job = jobs.reserve()
    Image.new("RGB", (4, 4)).save(job.source, "PNG")
    job.name, job.weights, job.target = "a.png", "bicubic", TargetSize(scale=2)
    jobs.submit(job)
    return job


def wait(jobs):
    while any(not job.ended for job in list(jobs._jobs.values())):
        threading.Event().wait(0.01)


def test_a_place_is_given_back_when_a_picture_is_done_or_dropped(jobs, monkeypatch):
    monkeypatch.setattr(web_jobs, "MOST", 2)
    submit(jobs)
    wait(jobs)
    last = [jobs.reserve(), jobs.reserve()][1]
    with pytest.raises(QueueFull, match="2 pictures are waiting already"):
        jobs.reserve()
    jobs.drop(last)
    jobs.reserve()


def test_only_the_newest_results_are_kept(jobs, monkeypatch):
    monkeypatch.setattr(web_jobs, "KEPT", 2)
    done = []
    for _ in range(4):
        done.append(submit(jobs))
        wait(jobs)
    jobs._remove_old()
    assert [jobs.find(job.id) is not None for job in done] == [False, False, True, True]
    assert [job.folder.exists() for job in done] == [False, False, True, True]
    assert all(job.state == "done" and not job.source.exists() for job in done)


def test_old_results_are_removed(jobs, monkeypatch):
    job = submit(jobs)
    wait(jobs)
    monkeypatch.setattr(web_jobs, "SECONDS", -1.0)
    jobs._remove_old()
    assert jobs.find(job.id) is None and not job.folder.exists()


def test_an_error_of_one_picture_leaves_the_others(jobs, monkeypatch, caplog):
    with monkeypatch.context() as patch:
        patch.setattr(web_jobs.EnlargedFiles, "convert", None)
        broken = submit(jobs)
        wait(jobs)
    assert broken.state == "failed" and "an error in jsr: see the terminal" in broken.problem
    assert "Traceback" in caplog.text
    good = submit(jobs)
    wait(jobs)
    assert good.state == "done"


def test_stopping_breaks_off_at_the_next_tile(tmp_path, monkeypatch):
    jobs = JobQueue(tmp_path, OfferedWeights([]))
    begun, stopping = threading.Event(), threading.Event()

    def convert(self, source, read_name, form, name, step):
        begun.set()
        assert stopping.wait(10)
        step(0.5)
        raise AssertionError("went on")

    monkeypatch.setattr(web_jobs.EnlargedFiles, "convert", convert)
    job, waiting = submit(jobs), submit(jobs)
    assert begun.wait(30) and jobs.before(waiting) == 1
    assert not jobs.stop(0.01)
    stopping.set()
    assert jobs.stop(30)
    assert (job.state, job.problem, waiting.state) == ("failed", "", "waiting")


def test_names_are_cleaned():
    for name, cleaned in {
        "photo.jpg": "photo.jpg",
        "photo": "photo",
        "../a/b.png": "b.png",
        "c:\\x\\b.png": "b.png",
        ".png": "png",
        "": "picture",
        "a\0\n\u202eb.png": "ab.png",
    }.items():
        assert clean_name(name) == cleaned
