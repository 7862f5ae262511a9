"""Errors in the shapes that botocore's sagemaker-runtime model gives them."""

from aiohttp import web

from local_mode.front_door.resources import ACCOUNT, REGION

MAX_MESSAGE_CHARACTERS = 2048


class RuntimeFault(Exception):
    """An error that a client of SageMaker Runtime gets."""

    def __init__(self, code: str, status: int, message: str, **members: str | int) -> None:
        super().__init__(message)
        self.code, self.status = code, status
        self.body = {"Message": message[:MAX_MESSAGE_CHARACTERS], **members}

    def response(self) -> web.Response:
        """The answer that carries it."""
        return web.json_response(self.body, status=self.status, headers={"x-amzn-ErrorType": self.code})


def validation_error(message: str) -> RuntimeFault:
    """A request that cannot be answered as it is."""
    return RuntimeFault("ValidationError", 400, message)


def model_error(endpoint: str, variant: str, status: int, message: str) -> RuntimeFault:
    """What a client gets where a variant's server refused or did not answer (status 0)."""
    side = "client" if 400 <= status < 500 else "server"
    group = f"/aws/sagemaker/Endpoints/{endpoint}"
    return RuntimeFault(
        "ModelError",
        424,
        f'Received {side} error ({status}) from primary with message "{message}".',
        OriginalStatusCode=status,
        OriginalMessage=message[:MAX_MESSAGE_CHARACTERS],
        LogStreamArn=f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{group}:log-stream:{variant}",
    )


def unavailable(endpoint: str, variant: str) -> RuntimeFault:
    """A variant whose servers are all down, for the moment."""
    return RuntimeFault(
        "ServiceUnavailable", 503, f"Variant {variant} of endpoint {endpoint} has no instance that is up."
    )
