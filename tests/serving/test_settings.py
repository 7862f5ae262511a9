"""The server's settings, by the names that SageMaker's containers use."""

from __future__ import annotations

import pytest

from polyadic.errors import UserError
from polyadic.serving import settings


def test_usual_values() -> None:
    usual = settings.read({})
    assert (usual.port, usual.largest_body, usual.variant, usual.timeout) == (8080, 25 * 2**20, None, 60)
    assert usual.slots < usual.threads
    assert not usual.batch_transform


def test_every_name_is_read() -> None:
    given = settings.read(
        {
            "SAGEMAKER_BIND_TO_PORT": "9000",
            "MODEL_VARIANT": "b",
            "MODEL_SERVER_WORKERS": "3",
            "MODEL_SERVER_TIMEOUT": "20",
            "SAGEMAKER_MAX_PAYLOAD_IN_MB": "100",
            "SAGEMAKER_BATCH": "True",
            "SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT": "application/jsonlines",
            "DEEPAR_INFERENCE_CONFIG": '{"num_samples": 9}',
        }
    )
    assert (given.port, given.variant, given.workers, given.timeout) == (9000, "b", 3, 20)
    assert (given.largest_body, given.batch_transform) == (100 * 2**20, True)
    assert given.default_accept == "application/jsonlines"
    assert given.default_configuration == {"num_samples": 9}
    assert settings.read({"MAX_CONTENT_LENGTH": "7"}).largest_body == 7


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"SAGEMAKER_BIND_TO_PORT": "http"}, "SAGEMAKER_BIND_TO_PORT is 'http': it must be a whole number"),
        ({"DEEPAR_INFERENCE_CONFIG": "[1]"}, r"DEEPAR_INFERENCE_CONFIG is '\[1\]': it must be a JSON object"),
    ],
)
def test_wrong_values_are_named(environ: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        settings.read(environ)
