"""The web page's server in a thread of the tests, and requests to it."""

import contextlib
import http.client
import json
import threading
import time
from urllib.parse import urlencode, urlsplit

from jsr import serve
from jsr.offered_weights import OfferedWeights
from jsr.web_jobs import JobQueue


class Server:
    """A running server: `url`, and its `jobs`."""

    def __init__(self, jobs: JobQueue, url: str):
        self.jobs, self.url = jobs, url

    def ask(self, method, path, body=None, **headers):
        """Status, headers and body of the answer."""
        address = urlsplit(self.url)
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=60)
        with contextlib.closing(connection):
            named = {key.replace("_", "-"): value for key, value in headers.items()}
            connection.request(method, path, body, named)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()

    def get(self, path):
        status, _, body = self.ask("GET", path)
        assert status == 200, body
        return json.loads(body)

    def post(self, body, headers=(), **wishes):
        """Status of the answer, and what it says."""
        status, _, told = self.ask("POST", f"/jobs?{urlencode(wishes)}", body, **dict(headers))
        return status, json.loads(told)

    def wait(self, job_id, seconds=60):
        """What is told of a job when it has ended."""
        limit = time.monotonic() + seconds
        while (told := self.get(f"/jobs/{job_id}"))["state"] not in ("done", "failed"):
            assert time.monotonic() < limit, told
            time.sleep(0.05)
        return told


@contextlib.contextmanager
def running(folder, words, max_bytes=1_000_000, host=None):
    """A Server that offers the weights `words`."""
    jobs = JobQueue(folder, OfferedWeights([str(word) for word in words]))
    with serve.open_socket(serve.LOOPBACK, 0) as listening:
        server = serve.make_server(jobs, max_bytes, host)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield Server(jobs, serve.address(listening))
        finally:
            server.should_exit = True
            thread.join(30)
            assert jobs.stop(60)
