"""python -m local_mode train | endpoint | up | demo."""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from local_mode.backend import Backend
from local_mode.containers import ContainerBackend, end_left
from local_mode.endpoint import Endpoint, EndpointSettings, running_endpoint
from local_mode.errors import LocalModeError
from local_mode.jobfile import parse_channels, parse_hyperparameters
from local_mode.layout import DISTRIBUTIONS, TrainingJob
from local_mode.processes import CONTAINER, ProcessBackend
from local_mode.running import POLL_SECONDS
from local_mode.stopping import Stopped, StopRequest, stop_requests
from local_mode.training import run_training
from local_mode.variants import parse_variant

BEGAN = time.monotonic()
Command = Callable[[argparse.Namespace, StopRequest], int]

SNIPPET = """
import boto3
runtime = boto3.client("sagemaker-runtime", endpoint_url="{url}", region_name="us-east-1",
                       aws_access_key_id="local", aws_secret_access_key="local")
answer = runtime.invoke_endpoint(EndpointName="{name}", ContentType="application/json",
                                 Body=b'{{"instances": [...]}}')
print(answer["InvokedProductionVariant"], answer["Body"].read())
"""


def train(arguments: argparse.Namespace, stop: StopRequest) -> int:
    if arguments.hosts < 1:
        raise LocalModeError(f"got --hosts {arguments.hosts}: a job has at least 1 host")
    job = TrainingJob(
        channels=parse_channels(arguments.data),
        hyperparameters=parse_hyperparameters(arguments.hyperparameters),
        output=arguments.output,
        hosts=arguments.hosts,
        distribution=arguments.distribution,
        checkpoints=arguments.checkpoints,
    )
    result = run_training(job, _backend(arguments), stop)
    for host, reason in result.failures.items():
        print(f"FailureReason ({host}): {reason}", file=sys.stderr)
    if result.model is None:
        return stop.exit_code if stop else 1
    print(f"{'Stopped; what was saved is' if stop else 'Model:'} {result.model}", flush=True)
    return stop.exit_code if stop else 0


def endpoint(arguments: argparse.Namespace, stop: StopRequest) -> int:
    variants = [parse_variant(text) for text in arguments.variant]
    settings = EndpointSettings(arguments.name, variants, arguments.port, arguments.seed)
    with running_endpoint(settings, _backend(arguments), stop) as running:
        print(f"Endpoint {running.name} answers at {running.url} (Ctrl-C stops it)")
        print(SNIPPET.format(url=running.url, name=running.name), flush=True)
        _wait(running, stop)
    return 0


def demo(arguments: argparse.Namespace, stop: StopRequest) -> int:
    from local_mode.demo.story import run_demo  # numpy, boto3, moto and matplotlib: only here

    options = ["--image", arguments.image] if arguments.image else []
    if arguments.container != CONTAINER:
        options += ["--container", str(arguments.container)]
    return run_demo(arguments.output, options, stop)


def up(arguments: argparse.Namespace, stop: StopRequest) -> int:
    from local_mode.front_door.server import FrontDoorSettings, run  # aiohttp, botocore and moto: only here

    if arguments.host not in ("127.0.0.1", "localhost", "::1"):
        print(
            f"warning: --host {arguments.host} lets other machines run training jobs here: nothing is authenticated",
            file=sys.stderr,
        )
    owner = str(arguments.state.resolve())
    settings = FrontDoorSettings(
        arguments.port,
        arguments.state,
        lambda: _backend(arguments, owner),
        arguments.host,
        arguments.interrupt,
        (lambda: end_left(owner)) if arguments.image else (lambda: None),
    )
    return run(settings, stop, BEGAN)


def _wait(running: Endpoint, stop: StopRequest) -> None:
    while not stop:
        running.raise_if_server_died()
        time.sleep(POLL_SECONDS)


def _backend(arguments: argparse.Namespace, owner: str | None = None) -> Backend:
    return ContainerBackend(arguments.image, owner) if arguments.image else ProcessBackend(arguments.container)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local_mode", description="SageMaker on one machine.")
    where = argparse.ArgumentParser(add_help=False)
    where.add_argument("--image", metavar="NAME", help="run this Docker image; plain processes without it")
    where.add_argument("--container", metavar="DIR", type=Path, default=CONTAINER, help="folder of train and serve")
    commands = parser.add_subparsers(required=True, metavar="train | endpoint | up | demo")

    training = commands.add_parser(
        "train",
        parents=[where],
        help="run a training job",
        epilog="example: python -m local_mode train --data train=data --hyperparameters algorithm=cp rank=5 "
        "--output out/job",
    )
    several: dict[str, Any] = {"nargs": "+", "action": "extend", "default": []}
    training.add_argument("--data", metavar="CHANNEL=DIR", **several, help="one or more, repeatable")
    training.add_argument("--hyperparameters", metavar="FILE|KEY=VALUE", **several, help="one or more, repeatable")
    training.add_argument("--hosts", metavar="N", type=int, default=1)
    training.add_argument("--distribution", choices=DISTRIBUTIONS, default=DISTRIBUTIONS[0])
    training.add_argument("--checkpoints", metavar="DIR", type=Path, help="kept as /opt/ml/checkpoints")
    training.add_argument("--output", metavar="DIR", type=Path, required=True, help="gets the archives and the events")
    training.set_defaults(command=train)

    serving = commands.add_parser(
        "endpoint",
        parents=[where],
        help="serve models until Ctrl-C",
        epilog="example: python -m local_mode endpoint ab --variant A=out/job/model.tar.gz:0.9 "
        "--variant B=out/other/model.tar.gz:0.1 --port 8080",
    )
    serving.add_argument("name", metavar="NAME")
    serving.add_argument("--variant", metavar="NAME=MODEL.tar.gz[:WEIGHT]", action="append", required=True)
    serving.add_argument("--port", metavar="P", type=int, default=8080, help="8080 by default; 0 takes a free one")
    serving.add_argument("--seed", metavar="N", type=int, help="makes the traffic split repeatable")
    serving.set_defaults(command=endpoint)

    front_door = commands.add_parser(
        "up",
        parents=[where],
        help="answer AWS's clients: SageMaker, and S3, logs and STS around it",
        epilog="example: python -m local_mode up --port 4566",
    )
    front_door.add_argument("--port", metavar="P", type=int, default=4566, help="4566 by default; 0 takes a free one")
    front_door.add_argument("--state", metavar="DIR", type=Path, default=Path("local_mode/state"), help="what is kept")
    front_door.add_argument("--host", metavar="ADDRESS", default="127.0.0.1", help="127.0.0.1 alone by default")
    front_door.add_argument(
        "--interrupt", metavar="SECONDS", type=float, help="interrupt each spot job once, after so long a training"
    )
    front_door.set_defaults(command=up)

    demonstration = commands.add_parser(
        "demo",
        parents=[where],
        help="train, serve and compare on real data",
        epilog="example: python -m local_mode demo --output out/demo",
    )
    demonstration.add_argument("--output", metavar="DIR", type=Path, default=Path("out/demo"))
    demonstration.set_defaults(command=demo)
    return parser


def main() -> int:
    arguments = _parser().parse_args()
    command: Command = arguments.command
    with stop_requests() as stop:
        try:
            return command(arguments, stop)
        except Stopped:
            return stop.exit_code
        except LocalModeError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2


if __name__ == "__main__":
    sys.exit(main())
