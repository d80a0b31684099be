"""A registered model over HTTP: MLflow's scoring server, and a page on which one drops a picture.

MLflow's server would cut fractions off, answer some wrong requests with its own traceback, and read a body of any size;
so what goes to it is looked at before. The model is loaded while the server answers already: /health says that it
lives, /ready that it can predict.
"""

import base64
import importlib.resources
import io
import json
import secrets
import socket
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import uvicorn
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, JSONResponse
from PIL import Image
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from pipeline.core.errors import UserError
from pipeline.data.cifar10 import CLASSES
from pipeline.serving import pictures

LARGEST = 50_000_000  # bytes of a request's body: more than 1,000 images as JSON, or any usual picture
LOOPBACK = ("127.0.0.1", "localhost")
SHAPE = (pictures.SIDE, pictures.SIDE, 3)
# The Keras model, and what makes MLflow's server of a function that predicts: see `logged.scoring`.
Loader = Callable[[], tuple[Any, Callable[[Callable], ASGIApp]]]
BATCH = 32  # images that are predicted together


class Served:
    """The model, once it is loaded."""

    def __init__(self, load: Loader):
        self._load, self._lock = load, threading.Lock()
        self.scoring: ASGIApp | None = None
        self.failure: Exception | None = None

    def load(self) -> None:
        """Load it. What goes wrong is kept in `failure`."""
        try:
            model, scoring = self._load()
            self._name, self._parts = model.name, parts(model)
            for count in (1, 2):  # compiled now, for one image and for any number, not while someone waits
                self.probabilities(np.zeros((count, *SHAPE), "uint8"))
            self.scoring = scoring(self.probabilities)
        except Exception as error:
            self.failure = error

    def predict(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Probabilities float32 (N, 10) of each part. `images`: uint8 (N, 32, 32, 3).

        One after the other: several at once would only take turns on the same cores, and take longer.
        """
        with self._lock:
            found = self._parts.predict_on_batch(images)
        return {name: np.asarray(values) for name, values in found.items()}

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Those of the model, float32 (N, 10), of any number of images."""
        parts = [images[start : start + BATCH] for start in range(0, len(images), BATCH)]
        return np.concatenate([self.predict(part)[self._name] for part in parts])


def parts(model: Any) -> Any:
    """A served Keras model that gives a dictionary: its own probabilities and, if it is an ensemble, each member's."""
    import keras  # its seconds are spent while the server answers already

    members = {}
    if model.name == "ensemble":  # see serving.ensemble: a member's probabilities go into the layer weight_NAME
        names = [layer.name for layer in model.layers if isinstance(layer, keras.Model)]
        members = {name: model.get_layer(f"weight_{name}").input for name in names}
    return keras.Model(model.inputs, members | {model.name: model.outputs[0]})


def application(load: Loader, host: str) -> FastAPI:
    """The server. To a loopback address it answers only those who call it by that name (DNS rebinding)."""
    app, served = FastAPI(title="CIFAR-10", docs_url=None, redoc_url=None, openapi_url=None), Served(load)
    app.state.served = served
    if host in LOOPBACK:
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=LOOPBACK)

    @app.get("/", response_class=HTMLResponse)
    def page() -> HTMLResponse:
        nonce = secrets.token_urlsafe(16)
        text = importlib.resources.files("pipeline.serving").joinpath("demo.html").read_text("utf-8")
        policy = (
            f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src data:; "
            "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
        )
        headers = {"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
        return HTMLResponse(text.replace("NONCE", nonce), headers=headers)

    @app.get("/health")
    def health() -> Response:
        return Response("alive\n", media_type="text/plain")

    @app.get("/ready")
    def ready() -> Response:
        if served.scoring is None:
            return Response("the model is being loaded\n", 503, media_type="text/plain")
        return Response("ready\n", media_type="text/plain")

    @app.post("/members")
    async def members(request: Request) -> JSONResponse:
        body = await read(request)
        if served.scoring is None:
            raise HTTPException(503, "the model is being loaded: try again in a few seconds")
        try:
            image = await run_in_threadpool(pictures.decode, io.BytesIO(body))
        except pictures.Unreadable as error:
            raise HTTPException(422, f"the picture {error}") from None
        found = await run_in_threadpool(served.predict, image[None])
        models = {name: [float(value) for value in values[0]] for name, values in found.items()}
        return JSONResponse({"classes": CLASSES, "models": models, "image": png(image)})

    app.mount("/", Checked(served))
    return app


class Checked:
    """MLflow's scoring server behind a look at what is sent to it."""

    def __init__(self, served: Served):
        self._served = served

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if self._served.scoring is None:
            await _refusal(503, "the model is being loaded: try again in a few seconds")(scope, receive, send)
        elif scope["path"] != "/invocations" or scope["method"] != "POST":
            await self._served.scoring(scope, receive, send)
        else:
            try:
                request = Request(scope, receive)
                body = await read(request)
                kind = request.headers.get("content-type", "none").partition(";")[0].strip()
                await run_in_threadpool(check, kind, body)
            except HTTPException as error:
                await _refusal(error.status_code, error.detail)(scope, receive, send)
                return
            await self._served.scoring(scope, _replaying(body, receive), send)


def _replaying(body: bytes, receive: Receive) -> Receive:
    """The body, which was read, then what comes after it."""
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> dict:
        return waiting.pop() if waiting else await receive()

    return again


async def read(request: Request) -> bytes:
    """The body of a request. Raises HTTPException (413) if it is longer than LARGEST."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST:
            raise HTTPException(413, f"the body is longer than {LARGEST / 1e6:.0f} MB: send fewer images at a time")
    return bytes(body)


def check(kind: str, body: bytes) -> None:
    """Raise HTTPException (415, 400 or 422), which says what is wrong, unless the body has images as JSON.

    {"inputs": [...]}, or `instances` instead: whole numbers from 0 to 255, (N, 32, 32, 3).
    """
    if kind != "application/json":
        raise HTTPException(415, f"Content-Type is {kind}: send application/json, as `pipeline payload` prints it")
    try:
        sent = json.loads(body)
    except (ValueError, RecursionError):
        raise HTTPException(400, "the body is no JSON: `pipeline payload` prints what is wanted") from None
    if not isinstance(sent, dict) or len(sent) != 1 or not sent.keys() & {"inputs", "instances"}:
        raise HTTPException(400, 'the body must be {"inputs": [...]}, and nothing else')
    try:
        images = np.array(*sent.values())
    except (ValueError, OverflowError):
        raise HTTPException(422, "the images differ in shape: each must be 32 rows of 32 pixels of 3 numbers") from None
    if images.shape[1:] != SHAPE or not len(images):
        raise HTTPException(422, f"the images' shape is {images.shape}: it must be (N, 32, 32, 3), with N at least 1")
    if images.dtype.kind not in "iu" or images.min() < 0 or images.max() > 255:
        raise HTTPException(422, "each number must be a whole one from 0 to 255")


def _refusal(status: int, reason: str) -> JSONResponse:
    """As FastAPI says it elsewhere."""
    return JSONResponse({"detail": reason}, status)


def png(image: np.ndarray) -> str:
    """A data: URI. `image`: uint8 (H, W, 3)."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def listen(host: str, port: int) -> socket.socket:
    """A socket bound to the address; port 0 is any free one. Raises UserError if it cannot be had."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        bound = socket.socket(family, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{host}:{port} cannot be served at: {reason}; choose another --port or --host") from None
    return bound


def run(load: Loader, bound: socket.socket, host: str) -> None:
    """Serve until Ctrl-C or SIGTERM. Raises UserError if the model cannot be loaded."""
    app = application(load, host)
    served = app.state.served
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", backlog=2048))

    def loading() -> None:
        served.load()
        server.should_exit = served.failure is not None
        if served.failure is None:
            print("ready", flush=True)

    threading.Thread(target=loading, daemon=True).start()
    server.run(sockets=[bound])
    if served.failure is not None:
        raise UserError(f"the model cannot be loaded: {served.failure}") from served.failure
