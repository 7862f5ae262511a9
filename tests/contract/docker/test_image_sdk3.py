"""The SageMaker Python SDK v3 in local containers, on the real image."""

import tarfile
from pathlib import Path

import pytest

from tests.helpers.image_jobs import CP, cp_requests, low_rank_tensor, write_tensor
from tests.helpers.image_sdk import Sdk, free_port


@pytest.mark.timeout(300, func_only=True)
def test_train_on_two_hosts_then_serve(sdk3: Sdk, image: str, scratch: Path) -> None:
    tensor = low_rank_tensor()
    channel, root = write_tensor(scratch / "tensor", tensor), scratch / "root"
    root.mkdir()
    sdk3.run(
        "sdk3_train.py",
        image=image,
        hosts=2,
        hyperparameters=CP,
        root=str(root),
        channels={"train": str(channel)},
    )
    model = root / "compressed_artifacts" / "model.tar.gz"
    with tarfile.open(model) as archive:
        assert {"model.json", "model.safetensors"} <= {Path(name).name for name in archive.getnames()}

    requests, expected = cp_requests(tensor)
    answers = sdk3.run("sdk3_endpoint.py", image=image, model=str(model), requests=requests, port=free_port())
    assert [answer["predictions"][0]["value"] for answer in answers] == pytest.approx(expected, abs=1e-4)
