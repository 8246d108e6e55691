"""The web page's requests, over real sockets: pictures, and what is refused."""

import io
import json
import socket
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import numpy as np
import pytest
from pictures import SRGB, encoded, noise
from PIL import Image
from tiny_network import write_network
from web_server import running

from jsr import images, web_jobs
from jsr.enlarged_files import EnlargedFiles
from jsr.images import Picture, read_picture
from jsr.upscale import open_model
from jsr.web_app import is_known_host

LIMIT = 100_000


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_network(tmp_path_factory.mktemp("weights") / "net.safetensors", noise=0.02)


@pytest.fixture(scope="module")
def server(weights, tmp_path_factory):
    with running(tmp_path_factory.mktemp("jobs"), [weights], LIMIT) as server:
        yield server


def picture_file(*shape, form="PNG", **metadata):
    more = {"alpha": None, "icc": None, "dpi": None, "exif": None, **metadata}
    return images.encode(Picture(noise(*shape), **more), form, "a")


def test_a_picture_is_what_the_command_would_write(server, weights):
    data = picture_file(7, 9, 3, icc=SRGB, alpha=noise(7, 9))
    status, told = server.post(data, name="ä photo.png", weights=str(weights))
    assert status == 202
    job = told["id"]
    told = server.wait(job)
    assert told["state"] == "done" and told["progress"] == pytest.approx(1)
    assert (told["width"], told["height"], told["name"]) == (18, 14, "ä photo_x2.png")
    assert told["facts"]["Size"] == "9x7 → 18x14" and told["facts"]["Weights"] == str(weights)
    status, headers, body = server.ask("GET", f"/jobs/{job}/result")
    assert headers["content-type"] == "image/png"
    assert headers["content-disposition"] == "attachment; filename*=utf-8''%C3%A4%20photo_x2.png"
    _, expected = EnlargedFiles(open_model(weights)).convert(data, "a", "PNG", "b")
    assert body == expected and read_picture(body).icc == SRGB
    after, before = (server.ask("GET", f"/jobs/{job}/{kind}")[2] for kind in ("after", "before"))
    np.testing.assert_array_equal(read_picture(after).pixels, read_picture(body).pixels)
    assert read_picture(before).pixels.shape == (14, 18, 3)


@pytest.mark.parametrize(
    "wishes, name, form, size",
    [
        ({"scale": "3", "weights": "bicubic"}, "a_x3.webp", "WEBP", (15, 12)),
        ({"scale": "2.5"}, "a_x2.5.webp", "WEBP", (13, 10)),
        ({"format": "jpg"}, "a_x2.jpg", "JPEG", (10, 8)),
        ({"format": "tif"}, "a_x2.tif", "TIFF", (10, 8)),
        ({"name": "a.svg"}, "a_x2.png", "PNG", (10, 8)),
    ],
)
def test_scales_and_formats(server, weights, wishes, name, form, size):
    wishes = {"name": "a.webp", "weights": str(weights), **wishes}
    _, told = server.post(picture_file(5, 4, 3, form="WEBP"), **wishes)
    assert server.wait(told["id"])["name"] == name
    body = server.ask("GET", f"/jobs/{told['id']}/result")[2]
    assert read_picture(body).pixels.shape[:2] == size
    assert Image.open(io.BytesIO(body)).format == form


def test_what_is_no_picture_is_told_as_by_the_command(server, weights):
    whole = picture_file(9, 9, 3)
    for body, told in [
        (b"no picture", "a.png: is not a picture that can be read; expected PNG"),
        (b"", "a.png: is empty (zero bytes)"),
        (whole[:40], "a.png: is cut short"),
    ]:
        status, answer = server.post(body, name="a.png", weights=str(weights))
        assert status == 422 and answer["error"].startswith(told)
    assert list(server.jobs.folder.glob("*/source")) == []


def test_damage_behind_the_header_is_told_by_the_job(server, weights):
    data = encoded(Image.fromarray(noise(40, 40, 3)), "JPEG", quality=95)
    status, told = server.post(data[: len(data) // 2], name="a.jpg", weights=str(weights))
    assert status == 202
    told = server.wait(told["id"])
    assert told["state"] == "failed" and told["problem"].startswith("a.jpg: is cut short")


def test_mistakes_in_wishes_are_told(server, weights):
    data = picture_file(4, 4, 3)
    for wishes, told in [
        ({"weights": "/etc/passwd"}, "weights '/etc/passwd' are not offered here; choose one of"),
        ({"weights": ""}, "weights '' are not offered"),
        ({"weights": "bicubic"}, "bicubic enlarges by any scale: give one"),
        ({"scale": "big"}, "scale 'big': give a number"),
        ({"scale": "nan"}, "--scale is nan"),
        ({"scale": "100"}, "--scale is 100"),
        ({"format": "exe"}, "format 'exe' is unknown; choose one of png"),
    ]:
        wishes = {"name": "a.png", "weights": str(weights), **wishes}
        status, answer = server.post(data, **wishes)
        assert status == 422 and answer["error"].startswith(told), answer


def test_too_large_files_are_refused_by_what_they_state(server, weights):
    # 2 GB are stated, and none of them waited for.
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
        connection.sendall(
            f"POST /jobs?name=a.png&weights={weights} HTTP/1.1\r\nHost: {address.netloc}\r\n"
            "Content-Length: 2000000000\r\n\r\n".encode()
        )
        answer = connection.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"].startswith("the file has more")


def test_too_large_files_are_refused_by_what_they_send(server, weights):
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
        connection.sendall(
            f"POST /jobs?name=a.png&weights={weights} HTTP/1.1\r\nHost: {address.netloc}\r\n"
            "Transfer-Encoding: chunked\r\n\r\n".encode()
        )
        chunk = b"%x\r\n%s\r\n" % (LIMIT // 2, bytes(LIMIT // 2))
        connection.sendall(2 * chunk + b"1\r\n0\r\n")
        assert connection.makefile("rb").readline().startswith(b"HTTP/1.1 413 ")
    assert list(server.jobs.folder.glob("*/source")) == []


def test_names_like_paths_are_harmless(server, weights):
    data = picture_file(4, 4, 3)
    for name, made in [
        ("../../../etc/passwd.png", "passwd_x2.png"),
        ("..\\..\\boot.png", "boot_x2.png"),
        ("/", "picture_x2.png"),
        ("..", "picture_x2.png"),
        ("a\r\nX-Evil: 1.png", "aX-Evil: 1_x2.png"),
        ('"; filename="b.html', "b_x2.png"),
        ("x" * 5000 + ".png", "x" * 100 + "_x2.png"),
    ]:
        status, told = server.post(data, name=name, weights=str(weights))
        assert status == 202
        assert server.wait(told["id"])["name"].replace('"; filename="', "") == made
        _, headers, _ = server.ask("GET", f"/jobs/{told['id']}/result")
        assert "x-evil" not in headers and headers.get_filename() is not None
    for path in ("/jobs/../serve.py", "/jobs/x/..%2f..%2fserve.py", "/..%2fserve.py", "/jobs/x"):
        assert server.ask("GET", path)[0] == 404


def test_ten_at_once_are_done_or_told_that_there_is_no_room(server, weights, monkeypatch):
    monkeypatch.setattr(web_jobs, "MOST", 4)
    data = picture_file(30, 30, 3)

    def send(_):
        return server.post(data, name="a.png", weights=str(weights))

    with ThreadPoolExecutor(10) as senders:
        answers = list(senders.map(send, range(10)))
    taken = [told["id"] for status, told in answers if status == 202]
    assert len(taken) >= 4
    assert all(server.wait(job)["state"] == "done" for job in taken)
    for status, told in answers:
        assert status == 202 or (status == 503 and "4 pictures are waiting" in told["error"])


def test_a_full_queue_is_told_before_the_upload(server, weights, monkeypatch):
    monkeypatch.setattr(web_jobs, "MOST", 0)
    status, told = server.post(picture_file(4, 4, 3), name="a.png", weights=str(weights))
    assert status == 503 and "try again" in told["error"]


def test_other_hosts_and_sites_are_refused(server, weights):
    for host in ("evil.example", "127.0.0.1.evil.example:8000", "", "[", "10.0.0.1"):
        status, _, body = server.ask("GET", "/", Host=host)
        assert status == 421, (host, body)
    assert server.ask("GET", "/", Host="localhost:9")[0] == 200
    wishes = {"name": "a.png", "weights": str(weights)}
    data = picture_file(4, 4, 3)
    for headers in (
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ):
        status, told = server.post(data, headers, **wishes)
        assert status == 403 and "no other site" in told["error"]
    own = {"Origin": server.url, "Sec_Fetch_Site": "same-origin"}
    status, told = server.post(data, own, **wishes)
    assert status == 202 and server.wait(told["id"])["state"] == "done"


def test_hosts_when_others_are_let_in():
    for name in ("127.0.0.1", "localhost", "192.168.1.5", "fe80::1", "box.example"):
        assert is_known_host(name, "box.example")
    assert not is_known_host("evil.example", "0.0.0.0")
    assert not is_known_host("192.168.1.5", None)


def test_the_page_is_confined_to_itself(server):
    status, headers, body = server.ask("GET", "/")
    assert status == 200 and b"<h1>" in body
    assert "default-src 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    for name in ("slider.js", "slider.css", "serve.js", "serve.css"):
        status, _, content = server.ask("GET", f"/{name}")
        assert status == 200 and b"//cdn" not in content and name.encode() in body
