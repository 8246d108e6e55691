"""Jobs: which file becomes which, what is done, and doing them with failures named."""

import os
import threading

import numpy as np
import pytest

from jsr.errors import UserError
from jsr.images import Picture, write_picture
from jsr.picture_jobs import Job, check_target, is_done, plan_jobs, run_jobs


def write(path, height=4, width=6):
    write_picture(path, Picture(np.zeros((height, width, 3), np.uint8), None, None, None, None))
    return path


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("in/a.png", "in/b.jpg", "in/deep/c.png", "in/deep/er/d.webp"):
        write(tmp_path / name)
    (tmp_path / "in/notes.txt").write_text("no picture")
    return tmp_path


def targets(*words, **more):
    return [job.target.as_posix() for job in plan_jobs(list(words), **more)]


def test_a_file_into_a_file_or_a_folder(here):
    assert targets("in/a.png", "big.webp") == ["big.webp"]
    (here / "there").mkdir()
    assert targets("in/a.png", "there") == targets("in/a.png", "there/") == ["there/a.png"]
    assert targets("in/a.png", "new/") == ["new/a.png"]


def test_names_and_formats_in_a_folder(here):
    assert targets("in/b.jpg", "out/", suffix="_x4", form="png") == ["out/b_x4.png"]
    assert targets("in/b.jpg", "exactly.jpg", suffix="_x4", form="png") == ["exactly.jpg"]


def test_a_folder_is_mirrored(here):
    assert targets("in", "out") == [
        "out/a.png",
        "out/b.jpg",
        "out/deep/c.png",
        "out/deep/er/d.webp",
    ]


def test_films_lie_among_pictures(here):
    for name in ("deep/e.mp4", "f.AVI"):
        (here / "in" / name).write_text("film")
    out = targets("in", "out", suffix="_2", form="png")
    assert out[2:5] == ["out/deep/c_2.png", "out/deep/e_2.mp4", "out/deep/er/d_2.png"]
    assert out[5:] == ["out/f_2.mkv"]
    assert targets("in", "out", form="webm")[-1] == "out/f.webm"
    assert targets("in/*.AVI", "out", form="mov") == ["out/f.mov"]
    assert targets("in/deep/e.mp4", "out/") == ["out/e.mp4"]
    assert [job.is_film for job in plan_jobs(["in/deep/*", "out"])] == [False, True]
    assert plan_jobs(["in/a.png", "still.mp4"])[0].is_film
    for target in ("e.png", "e.avi"):
        with pytest.raises(UserError, match=r"cannot write a film as .*; use one of \.mp4, \.m4v"):
            plan_jobs(["in/deep/e.mp4", target])


def test_patterns_and_several_words(here):
    assert targets("in/*.*", "out") == ["out/a.png", "out/b.jpg"]
    assert targets("in/**/*.png", "out") == ["out/a.png", "out/deep/c.png"]
    assert targets("in/d*/*.png", "out") == ["out/deep/c.png"]
    assert targets("in/a.png", "in/deep/c.png", "out") == ["out/a.png", "out/c.png"]
    assert targets("in/?.jpg", "out") == ["out/b.jpg"]  # one match of a pattern: still a folder
    write(here / "odd[1].png")
    assert targets("odd[1].png", "big.png") == ["big.png"]


def test_what_does_not_go_together_is_told(here):
    write(here / "file.png")
    write(here / "in/deep/a.png")
    for words, told in [
        (("in/a.png", "in/b.jpg", "file.png"), "file.png is a file, but there are several"),
        (("in", "file.png"), "in is a folder, but file.png is a file"),
        (("in", "in/out"), "lies in in, the pictures to work on"),
        (("in/*.gif", "out"), "no picture has such a name"),
        (("in/a.png", "in/deep/a.png", "out"), "would both become out/a.png"),
        (("in/a.png", "in"), "in/a.png: is the picture itself; name another OUT, or give --suffix"),
        (("in/*.png", "in"), "in/a.png: is the picture itself"),
        (("in/a.png", "big.xyz"), r"cannot write '.xyz'; use one of"),
        (("absent.png", "big.png"), "absent.png: no such file"),
    ]:
        with pytest.raises(UserError, match=told):
            plan_jobs(list(words))
    with pytest.raises(UserError, match="would both become out/a"):
        write(here / "in/a.jpg")
        plan_jobs(["in/*.*", "out"], form="png")
    assert targets("in/a.png", "in", suffix="_big") == ["in/a_big.png"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes anywhere")
def test_a_place_without_writing_is_told_before_work(here):
    (here / "closed").mkdir(mode=0o500)
    with pytest.raises(UserError, match="cannot be written"):
        check_target(here / "in/a.png", here / "closed/new/a.png")


def test_a_place_without_writing_is_told_whoever_asks(here, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(UserError, match=r"a\.png: cannot be written \(no writing in "):
        check_target(here / "in/a.png", here / "new/place/a.png")


def test_done_is_there_of_its_size_and_no_older(here):
    job = Job(here / "in/a.png", here / "out/a.png")
    assert not is_done(job, (8, 12))
    write(job.target, 8, 12)
    assert is_done(job, (8, 12))
    os.utime(job.target, (1, 1))
    assert not is_done(job, (8, 12))
    with pytest.raises(UserError, match="is there already, but of 12x8 pixels, not 24x16: --over"):
        is_done(job, (16, 24))
    job.target.write_text("something else")
    with pytest.raises(UserError, match="is there already, but no picture"):
        is_done(job, (8, 12))


def jobs(count):
    return [Job(os.path.join("in", str(i)), os.path.join("out", str(i))) for i in range(count)]


def test_jobs_are_read_ahead_and_written_behind_in_order():
    written, threads = [], {}

    def note(kind, value):
        threads[kind] = threading.get_ident()
        return value

    done = list(
        run_jobs(
            jobs(5),
            lambda job: note("read", job.source),
            lambda source: note("enlarge", source + "!"),
            lambda job, made: note("write", written.append((job.target, made))),
        )
    )
    assert written == [(f"out/{i}", f"in/{i}!") for i in range(5)]
    assert [problem for _, problem in done] == [None] * 5
    assert len(set(threads.values())) == 3


def test_at_most_three_pictures_are_held():
    alive, most = set(), [0]

    class Held:
        def __init__(self, job):
            alive.add(id(self))
            most[0] = max(most[0], len(alive))

        def __del__(self):
            alive.discard(id(self))

    list(run_jobs(jobs(20), Held, lambda held: held, lambda job, made: None))
    assert most[0] <= 4


@pytest.mark.parametrize("place", ["read", "enlarge", "write"])
def test_failures_are_told_and_the_others_done(place):
    def stage(name):
        def run(job, made=None):
            if name == place and "2" in (job if isinstance(job, str) else job.source):
                raise UserError("two is bad")
            return job if isinstance(job, str) else job.source

        return run

    done = dict(run_jobs(jobs(4), stage("read"), stage("enlarge"), stage("write")))
    assert list(done.values()).count(None) == 3
    assert done[jobs(4)[2]] == "two is bad"


def test_other_errors_end_it():
    def fail(_):
        raise RuntimeError("bug")

    with pytest.raises(RuntimeError, match="bug"):
        list(run_jobs(jobs(3), lambda job: job, fail, lambda job, made: None))
