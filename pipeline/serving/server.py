"""A registered model over HTTP, by the protocol of MLflow's scoring server, and a page on which one drops a picture.

POST /invocations takes images as JSON and answers {"predictions": ...}; /ping, /health and /version are there, too
(mlflow.org/docs/latest/ml/deployment/deploy-model-locally). MLflow's own server would cut fractions off, answer some
wrong requests with its traceback, and read a body of any size. The model is loaded while the server answers already:
/health says that it lives, /ready and /ping that it can predict.
"""

import base64
import importlib.metadata
import io
import ipaddress
import json
import secrets
import socket
import threading
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import uvicorn
from fastapi import Depends, FastAPI, Header, HTTPException, Request
from fastapi.responses import HTMLResponse, PlainTextResponse
from PIL import Image
from starlette.middleware.trustedhost import TrustedHostMiddleware

from pipeline.core.errors import UserError
from pipeline.data.cifar10 import CLASSES
from pipeline.serving import pictures

LARGEST = 50_000_000  # bytes of a request's body: more than 1,000 images as JSON, or any usual picture
# At these it answers only those who call it by these names (DNS rebinding).
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
SHAPE = (pictures.SIDE, pictures.SIDE, 3)
BATCH = 32  # images that are predicted together


class Served:
    """A loaded model that several threads may ask, and its parts: the members of an ensemble, and itself."""

    def __init__(self, model: Any):
        """`model`: a served Keras model. It is compiled here, for one image and for any number, while nobody waits."""
        import keras

        names = [layer.name for layer in model.layers if isinstance(layer, keras.Model) and model.name == "ensemble"]
        # See wrappers.ensemble: a member's probabilities go into the layer weight_NAME.
        members = {name: model.get_layer(f"weight_{name}").input for name in names}
        self._parts = keras.Model(model.inputs, members | {model.name: model.outputs[0]})
        self.name, self._lock = model.name, threading.Lock()
        for count in (1, 2):
            self.predict(np.zeros((count, *SHAPE), "uint8"))

    def predict(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Return probabilities float32 (N, 10) of each part. `images`: uint8 (N, 32, 32, 3), one at least."""
        found = []
        for start in range(0, len(images), BATCH):
            with self._lock:  # several at once would only take turns on the same cores, and take longer
                found.append(self._parts.predict_on_batch(images[start : start + BATCH]))
        return {name: np.concatenate([batch[name] for batch in found]) for name in found[0]}


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
    """The server, which has no model before `state.served` is set."""
    app = FastAPI(title="CIFAR-10", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.served = None
    if _bracketed(host) in LOOPBACK:
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=LOOPBACK)

    @app.get("/")
    async def page() -> HTMLResponse:
        nonce = secrets.token_urlsafe(16)
        text = Path(__file__).with_name("demo.html").read_text("utf-8")
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
    def invocations(served: Loaded, body: Body, content_type: Annotated[str, Header()] = "none") -> dict[str, Any]:
        found = served.predict(images(content_type.partition(";")[0].strip(), body))
        return {"predictions": found[served.name].tolist()}

    @app.post("/members")
    def members(served: Loaded, body: Body) -> dict[str, Any]:
        try:
            image = pictures.decode(io.BytesIO(body))
        except pictures.Unreadable as error:
            raise HTTPException(422, f"the picture {error}") from None
        png = io.BytesIO()
        Image.fromarray(image).save(png, "PNG")
        return {
            "classes": CLASSES,
            "models": {name: values[0].tolist() for name, values in served.predict(image[None]).items()},
            "image": f"data:image/png;base64,{base64.b64encode(png.getvalue()).decode()}",
        }

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


def listen(host: str, port: int) -> socket.socket:
    """Return a socket bound to the address; port 0 is any free one. Raises UserError if it cannot be had."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # else asyncio sets no TCP_NODELAY
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        place = f"{_bracketed(host)}:{port}"
        raise UserError(f"{place} cannot be served at: {reason}; choose another --port or --host") from None
    return bound


def url(bound: socket.socket, host: str) -> str:
    """Return the address to open of a socket that `listen` gave for `host`; for 0.0.0.0 or ::, that of the loopback."""
    place, port = bound.getsockname()[:2]
    if ipaddress.ip_address(place).is_unspecified:
        host = "::1" if bound.family == socket.AF_INET6 else "127.0.0.1"
    return f"http://{_bracketed(host)}:{port}"


def _bracketed(host: str) -> str:
    """Return a host as it stands in a URL (RFC 3986 and 6874)."""
    return f"[{host.replace('%', '%25')}]" if ":" in host else host


def run(version: Any, bound: socket.socket, host: str) -> None:
    """Serve a version in the registry until Ctrl-C or SIGTERM. Raises UserError if it cannot be loaded."""
    app = application(host)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", backlog=2048))
    failures: list[Exception] = []

    def loading() -> None:
        try:
            from pipeline.serving import load  # imports Keras while the server answers already

            app.state.served = Served(load.registered(version))
            print("ready", flush=True)
        except Exception as error:
            failures.append(error)
            server.should_exit = True

    threading.Thread(target=loading, daemon=True).start()
    server.run(sockets=[bound])
    for failure in failures:
        raise UserError(f"the model cannot be loaded: {failure}") from failure
