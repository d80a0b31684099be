"""A registered model over HTTP, by the protocol of MLflow's scoring server, and a page on which one drops a picture.

POST /invocations takes images as JSON and answers {"predictions": ...}; /ping, /health and /version are there, too
(mlflow.org/docs/latest/ml/deployment/deploy-model-locally). MLflow's own server would cut fractions off, answer some
wrong requests with its traceback, and read a body of any size. The model is loaded while the server answers already:
/health says that it lives, /ready and /ping that it can predict.
"""

import base64
import importlib.metadata
import importlib.resources
import io
import json
import secrets
import socket
import threading
from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, PlainTextResponse
from PIL import Image
from starlette.middleware.trustedhost import TrustedHostMiddleware

from pipeline.core.errors import UserError
from pipeline.data.cifar10 import CLASSES
from pipeline.serving import pictures

LARGEST = 50_000_000  # bytes of a request's body: more than 1,000 images as JSON, or any usual picture
LOOPBACK = ("127.0.0.1", "localhost")
SHAPE = (pictures.SIDE, pictures.SIDE, 3)
BATCH = 32  # images that are predicted together


class Served:
    """A loaded model that several threads may ask."""

    def __init__(self, model: Any):
        """`model`: a served Keras model. It is compiled here, for one image and for any number, while nobody waits."""
        self._name, self._parts, self._lock = model.name, parts(model), threading.Lock()
        for count in (1, 2):
            self.probabilities(np.zeros((count, *SHAPE), "uint8"))

    def predict(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Return probabilities float32 (N, 10) of each part. `images`: uint8 (N, 32, 32, 3).

        One after the other: several at once would only take turns on the same cores, and take longer.
        """
        with self._lock:
            found = self._parts.predict_on_batch(images)
        return {name: np.asarray(values) for name, values in found.items()}

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Return the model's own, float32 (N, 10). `images`: uint8 (N, 32, 32, 3), any number of them."""
        batches = [images[start : start + BATCH] for start in range(0, len(images), BATCH)]
        return np.concatenate([self.predict(batch)[self._name] for batch in batches])


def parts(model: Any) -> Any:
    """A served Keras model that gives a dictionary: its own probabilities and, if it is an ensemble, each member's."""
    import keras  # its seconds are spent while the server answers already

    members = {}
    if model.name == "ensemble":  # see wrappers.ensemble: a member's probabilities go into the layer weight_NAME
        names = [layer.name for layer in model.layers if isinstance(layer, keras.Model)]
        members = {name: model.get_layer(f"weight_{name}").input for name in names}
    return keras.Model(model.inputs, members | {model.name: model.outputs[0]})


async def loaded(request: Request) -> Served:
    """Return the model. Raises HTTPException (503) before it is loaded."""
    served: Served | None = request.app.state.served
    if served is None:
        raise HTTPException(503, "the model is being loaded: try again in a few seconds")
    return served


async def body(request: Request) -> bytes:
    """Return the body of a request. Raises HTTPException (413) if it is longer than LARGEST."""
    read = bytearray()
    async for chunk in request.stream():
        read += chunk
        if len(read) > LARGEST:
            raise HTTPException(413, f"the body is longer than {LARGEST / 1e6:.0f} MB: send fewer images at a time")
    return bytes(read)


Loaded = Annotated[Served, Depends(loaded)]
Body = Annotated[bytes, Depends(body)]


def application(host: str) -> FastAPI:
    """The server, which has no model before `state.served` is set.

    To a loopback address it answers only those who call it by that name (DNS rebinding).
    """
    app = FastAPI(title="CIFAR-10", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.served = None
    if host in LOOPBACK:
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=LOOPBACK)

    @app.get("/")
    async def page() -> HTMLResponse:
        nonce = secrets.token_urlsafe(16)
        text = importlib.resources.files("pipeline.serving").joinpath("demo.html").read_text("utf-8")
        policy = (
            f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src data:; "
            "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
        )
        headers = {"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
        return HTMLResponse(text.replace("NONCE", nonce), headers=headers)

    @app.get("/health", response_class=PlainTextResponse)
    async def health() -> str:
        return "alive\n"

    @app.get("/ping", response_class=PlainTextResponse)
    @app.get("/ready", response_class=PlainTextResponse)
    async def ready(served: Loaded) -> str:
        return "ready\n"

    @app.get("/version", response_class=PlainTextResponse)
    async def version() -> str:
        return importlib.metadata.version("mlflow")

    @app.post("/invocations")
    async def invocations(request: Request, served: Loaded, body: Body) -> dict[str, list[list[float]]]:
        kind = request.headers.get("content-type", "none").partition(";")[0].strip()

        def predictions() -> np.ndarray:
            return served.probabilities(images(kind, body))

        return {"predictions": (await run_in_threadpool(predictions)).tolist()}

    @app.post("/members")
    async def members(served: Loaded, body: Body) -> dict[str, Any]:
        try:
            image = await run_in_threadpool(pictures.decode, io.BytesIO(body))
        except pictures.Unreadable as error:
            raise HTTPException(422, f"the picture {error}") from None
        found = await run_in_threadpool(served.predict, image[None])
        models = {name: values[0].tolist() for name, values in found.items()}
        return {"classes": CLASSES, "models": models, "image": png(image)}

    return app


def images(kind: str, body: bytes) -> np.ndarray:
    """Return the images, uint8 (N, 32, 32, 3), of a body {"inputs": [...]}, or `instances` instead.

    `kind`: its Content-Type. Raises HTTPException (415, 400 or 422), which says what is wrong.
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
        found = np.array(*sent.values())
    except (ValueError, OverflowError):
        raise HTTPException(422, "the images differ in shape: each must be 32 rows of 32 pixels of 3 numbers") from None
    if found.shape[1:] != SHAPE or not len(found):
        raise HTTPException(422, f"the images' shape is {found.shape}: it must be (N, 32, 32, 3), with N at least 1")
    if found.dtype.kind not in "iu" or found.min() < 0 or found.max() > 255:
        raise HTTPException(422, "each number must be a whole one from 0 to 255")
    return found.astype("uint8")


def png(image: np.ndarray) -> str:
    """Return a data: URI. `image`: uint8 (H, W, 3)."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def listen(host: str, port: int) -> socket.socket:
    """Return a socket bound to the address; port 0 is any free one. Raises UserError if it cannot be had."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # else asyncio sets no TCP_NODELAY
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{host}:{port} cannot be served at: {reason}; choose another --port or --host") from None
    return bound


def run(load: Callable[[], Any], bound: socket.socket, host: str) -> None:
    """Serve the Keras model that `load` returns until Ctrl-C or SIGTERM. Raises UserError if it cannot be loaded."""
    app = application(host)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", backlog=2048))
    failures: list[Exception] = []

    def loading() -> None:
        try:
            app.state.served = Served(load())
            print("ready", flush=True)
        except Exception as error:
            failures.append(error)
            server.should_exit = True

    threading.Thread(target=loading, daemon=True).start()
    server.run(sockets=[bound])
    for failure in failures:
        raise UserError(f"the model cannot be loaded: {failure}") from failure
