"""SageMaker Runtime's InvokeEndpoint over HTTP, in front of the variants of one endpoint."""

import random
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import urllib3
from flask import Flask, Response, jsonify, request

MAX_BODY_BYTES = 25 * 1024 * 1024
MAX_MESSAGE_CHARACTERS = 2048
CONTAINER_SECONDS = 60.0
PREFIX = "x-amzn-sagemaker-"
TARGET_VARIANT = "X-Amzn-SageMaker-Target-Variant"
INVOKED_VARIANT = "x-Amzn-Invoked-Production-Variant"
RETURNED = (
    "content-type",
    PREFIX + "custom-attributes",
    PREFIX + "new-session-id",
    PREFIX + "closed-session-id",
)


@dataclass(frozen=True)
class Target:
    """A variant: its share of the traffic is weight over the sum of weights."""

    variant: str
    weight: float
    url: str


class RuntimeFault(Exception):
    """An error in the shape that botocore's sagemaker-runtime model gives it."""

    def __init__(self, code: str, status: int, message: str, **members: str | int) -> None:
        super().__init__(message)
        self.code = code
        self.status = status
        self.body = {"Message": message[:MAX_MESSAGE_CHARACTERS], **members}


def validation_error(message: str) -> RuntimeFault:
    return RuntimeFault("ValidationError", 400, message)


def model_error(endpoint: str, variant: str, status: int, message: str) -> RuntimeFault:
    """What a client gets where a variant's server refused or did not answer (status 0)."""
    side = "client" if 400 <= status < 500 else "server"
    log_group = f"/aws/sagemaker/Endpoints/{endpoint}"
    return RuntimeFault(
        "ModelError",
        424,
        f'Received {side} error ({status}) from primary with message "{message}".',
        OriginalStatusCode=status,
        OriginalMessage=message[:MAX_MESSAGE_CHARACTERS],
        LogStreamArn=f"arn:aws:logs:local:000000000000:log-group:{log_group}:log-stream:{variant}",
    )


def forwarded(headers: Mapping[str, str]) -> dict[str, str]:
    """SageMaker hands its own headers on and strips the others."""
    return {
        name: value
        for name, value in headers.items()
        if name.lower() in ("content-type", "accept") or name.lower().startswith(PREFIX)
    }


class Router:
    """Chooses a variant for each request and hands the request to its server."""

    def __init__(self, endpoint: str, targets: Sequence[Target], seed: int | None = None) -> None:
        self.endpoint = endpoint
        self._targets = {target.variant: target for target in targets}
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._invocations: Counter[str] = Counter()
        timeout = urllib3.Timeout(connect=5.0, read=CONTAINER_SECONDS)
        self._pool = urllib3.PoolManager(maxsize=64, retries=False, timeout=timeout)

    def invoke(self, wanted: str | None, headers: Mapping[str, str], body: bytes) -> Response:
        target = self._choose(wanted)
        with self._lock:
            self._invocations[target.variant] += 1
        try:
            answer = self._pool.request("POST", f"{target.url}/invocations", body=body, headers=dict(headers))
        except urllib3.exceptions.HTTPError as error:
            reason = f"no answer from the container: {error}"
            raise model_error(self.endpoint, target.variant, 0, reason) from error
        if answer.status >= 400:
            text = answer.data.decode("utf-8", "replace")
            raise model_error(self.endpoint, target.variant, answer.status, text)
        returned = {name: value for name, value in answer.headers.items() if name.lower() in RETURNED}
        return Response(answer.data, headers=returned | {INVOKED_VARIANT: target.variant})

    def close(self) -> None:
        self._pool.clear()

    def description(self) -> dict[str, object]:
        with self._lock:
            counts = dict(self._invocations)
        variants = [
            {"VariantName": name, "CurrentWeight": target.weight, "Invocations": counts.get(name, 0)}
            for name, target in self._targets.items()
        ]
        return {"EndpointName": self.endpoint, "ProductionVariants": variants}

    def _choose(self, wanted: str | None) -> Target:
        if wanted is not None:
            if wanted not in self._targets:
                names = ", ".join(self._targets)
                raise validation_error(f"Variant {wanted} of endpoint {self.endpoint} not found; it has {names}.")
            return self._targets[wanted]
        weighted = [target for target in self._targets.values() if target.weight > 0]
        if not weighted:
            raise validation_error(f"Every variant of endpoint {self.endpoint} has weight 0: name a TargetVariant.")
        with self._lock:
            return self._random.choices(weighted, [target.weight for target in weighted])[0]


def create_app(router: Router) -> Flask:
    app = Flask(__name__)

    @app.post("/endpoints/<name>/invocations")
    def invocations(name: str) -> Response:
        body = _read_body()
        _check_endpoint(router, name)
        return router.invoke(request.headers.get(TARGET_VARIANT), forwarded(dict(request.headers)), body)

    @app.get("/ping")
    def ping() -> Response:
        return Response(status=200)

    @app.get("/endpoints/<name>")
    def describe(name: str) -> Response:
        _check_endpoint(router, name)
        return jsonify(router.description())

    @app.errorhandler(RuntimeFault)
    def fault(error: RuntimeFault) -> Response:
        response = jsonify(error.body)
        response.status_code = error.status
        response.headers["x-amzn-ErrorType"] = error.code
        return response

    @app.errorhandler(404)
    def unknown_operation(error: Exception) -> Response:
        return fault(RuntimeFault("UnknownOperationException", 404, f"no operation at {request.path}"))

    return app


def _check_endpoint(router: Router, name: str) -> None:
    if name != router.endpoint:
        raise validation_error(f"Endpoint {name} of account 000000000000 not found; this is {router.endpoint}.")


def _read_body() -> bytes:
    body = request.stream.read(MAX_BODY_BYTES + 1)
    if len(body) <= MAX_BODY_BYTES:
        return body
    size = len(body)
    while chunk := request.stream.read(1 << 20):  # a client that is still sending would not see the answer
        size += len(chunk)
    raise validation_error(f"The request body has {size} bytes; at most {MAX_BODY_BYTES} are allowed.")
