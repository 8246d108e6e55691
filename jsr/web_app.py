"""The web page as an application: who may ask, uploads within limits, jobs as JSON, files."""

import asyncio
import ipaddress
import socket
from collections.abc import Callable
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from jsr import images
from jsr.comparison import PAGES
from jsr.errors import UserError
from jsr.images import WRITERS
from jsr.target_size import TargetSize, parse_target
from jsr.web_jobs import JobQueue, QueueFull, WebJob, clean_name

LOOPBACK = ("127.0.0.1", "::1", "localhost")
FORMS = ("png", "jpg", "webp", "tif", "avif")
# An upload that takes longer gives its place in the queue to others.
UPLOAD_SECONDS = 600
FILES = {
    "/": ("serve.html", "text/html"),
    "/slider.css": ("slider.css", "text/css"),
    "/slider.js": ("slider.js", "text/javascript"),
    "/serve.css": ("serve.css", "text/css"),
    "/serve.js": ("serve.js", "text/javascript"),
}
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self';"
    " img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}


class Refused(Exception):
    """A request that is answered by a status and one line."""

    def __init__(self, status: int, line: str):
        super().__init__(line)
        self.status = status


def make_app(jobs: JobQueue, max_bytes: int, host: str | None = None) -> Starlette:
    """The application. host: where it is bound to if not to the loopback interface alone."""
    page = _Page(jobs, max_bytes)
    routes = [Route(path, _sender(*file)) for path, file in FILES.items()]
    routes += [
        Route("/options", page.options),
        Route("/jobs", page.post, methods=["POST"]),
        Route("/jobs/{id}", page.state),
        Route("/jobs/{id}/result", page.result),
        Route("/jobs/{id}/{kind:str}", page.view),
    ]
    return Starlette(
        routes=routes,
        middleware=[Middleware(_Guard, host=host)],
        exception_handlers={Refused: _tell},
    )


def is_known_host(name: str | None, host: str | None) -> bool:
    """Whether a Host header's name is this machine's own: a rebound DNS name is not.

    host: where it is bound to if not to the loopback interface alone.
    """
    if name is None or host is None:
        return name in LOOPBACK
    if name in (*LOOPBACK, host.lower(), socket.gethostname().lower()):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True  # an address cannot be rebound


class _Guard:
    """Refuses other sites' pages, and sets the headers that confine the own one."""

    def __init__(self, app, host: str | None):
        self.app, self.host = app, host

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] != "http":
            return

        async def send_confined(message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        try:
            self._check(Headers(scope=scope), scope["method"])
        except Refused as refused:
            await _tell(None, refused)(scope, receive, send_confined)
            return
        await self.app(scope, receive, send_confined)

    def _check(self, headers: Headers, method: str) -> None:
        host = headers.get("host", "")
        if not is_known_host(_host_name(host), self.host):
            raise Refused(421, f"this page is not at {host!r}: use its own address")
        if method in ("GET", "HEAD"):
            return
        origin = headers.get("origin")
        foreign = origin is not None and urlsplit(origin).netloc.lower() != host.lower()
        if foreign or headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            raise Refused(403, "only the page itself may send pictures, no other site")


class _Page:
    """The requests about jobs."""

    def __init__(self, jobs: JobQueue, max_bytes: int):
        self.jobs, self.max_bytes = jobs, max_bytes

    async def options(self, _request: Request) -> Response:
        offered = self.jobs.offered.names
        return JSONResponse({"weights": offered, "forms": FORMS, "max_bytes": self.max_bytes})

    async def post(self, request: Request) -> Response:
        """The body is the picture's file, as it is; the query says what is to be made of it."""
        try:
            wishes = self._wishes(request.query_params)
            if int(request.headers.get("content-length", 0)) > self.max_bytes:
                raise self._too_large()
            job = self.jobs.reserve()
        except QueueFull as error:
            raise Refused(503, str(error)) from error
        except UserError as error:
            raise Refused(422, str(error)) from error
        submitted = False
        try:
            for key, value in wishes.items():
                setattr(job, key, value)
            async with asyncio.timeout(UPLOAD_SECONDS):
                await self._receive(request, job)
            await run_in_threadpool(images.picture_size, job.source, job.name, max_bits=16)
            self.jobs.submit(job)
            submitted = True
        except UserError as error:
            raise Refused(422, str(error)) from error
        except OSError as error:
            if isinstance(error, TimeoutError):
                raise Refused(408, f"{job.name}: the upload took too long") from error
            raise Refused(507, f"{job.name}: cannot be kept ({error.strerror})") from error
        except ClientDisconnect as error:
            raise Refused(400, f"{job.name}: the upload was broken off") from error
        finally:
            if not submitted:
                self.jobs.drop(job)
        return JSONResponse({"id": job.id}, 202)

    async def state(self, request: Request) -> Response:
        job = self._find(request)
        told = {"state": job.state, "progress": job.progress, "problem": job.problem}
        told |= {"before": self.jobs.before(job), "facts": job.facts, "name": job.result_name}
        view = job.views.get("after")
        return JSONResponse(told | ({"width": view.width, "height": view.height} if view else {}))

    async def view(self, request: Request) -> Response:
        job, kind = self._find(request), request.path_params["kind"]
        if job.state != "done" or kind not in job.views:
            raise Refused(404, "there is no such picture")
        return FileResponse(job.folder / kind, media_type=job.views[kind].mime)

    async def result(self, request: Request) -> Response:
        job = self._find(request)
        if job.state != "done":
            raise Refused(404, "there is no such picture")
        mime = f"image/{WRITERS[job.suffix].lower()}"
        return FileResponse(job.result, media_type=mime, filename=job.result_name)

    def _find(self, request: Request) -> WebJob:
        job = self.jobs.find(request.path_params["id"])
        if job is None:
            raise Refused(404, "there is no such picture (any more): results are kept for a while")
        return job

    def _wishes(self, query) -> dict:
        """The fields of a job that a query states. Raises UserError for what cannot be."""
        name, weights = clean_name(query.get("name", "")), query.get("weights", "")
        target = _parse_scale(query.get("scale", ""))
        self.jobs.offered.check(weights, target)
        form = query.get("format", "")
        if form and form not in FORMS:
            raise UserError(f"format {form!r} is unknown; choose one of {', '.join(FORMS)}")
        own = "." + name.rpartition(".")[2].lower()
        suffix = f".{form}" if form else own if own in WRITERS else ".png"
        return {"name": name, "weights": weights, "target": target, "suffix": suffix}

    async def _receive(self, request: Request, job: WebJob) -> None:
        """The body into the job's file, never more of it than is allowed."""
        size = 0
        with open(job.source, "xb") as file:
            async for chunk in request.stream():
                size += len(chunk)
                if size > self.max_bytes:
                    raise self._too_large()
                file.write(chunk)

    def _too_large(self) -> Refused:
        return Refused(413, f"the file has more than {self.max_bytes / 1e6:g} MB, the limit here")


def _parse_scale(text: str) -> TargetSize:
    """A scale, or nothing for the network's own. Raises UserError."""
    if not text:
        return TargetSize()
    try:
        return parse_target(float(text), None, None, None)
    except ValueError as error:
        raise UserError(f"scale {text!r}: give a number, as in 2.5") from error


def _host_name(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _sender(name: str, mime: str) -> Callable:
    async def send(_request: Request) -> Response:
        return FileResponse(PAGES / name, media_type=mime)

    return send


def _tell(_request, refused: Refused) -> Response:
    # What is left of an upload is not read.
    headers = {"connection": "close"} if refused.status == 413 else {}
    return JSONResponse({"error": str(refused)}, refused.status, headers)
