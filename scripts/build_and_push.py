"""`python -m scripts.build_and_push`: build the image and push it to ECR; the last line is its URI."""

import argparse
import base64
import os
import platform
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from scripts.aws import (
    Answers,
    CommandError,
    answer_or_none,
    client,
    examples,
    front_door,
    main,
    missing,
    shared_arguments,
    warn,
)

ROOT = Path(__file__).resolve().parent.parent
STDERR = 2
REHEARSED: Answers = {
    "describe_repositories": missing("DescribeRepositories", "RepositoryNotFoundException"),
    "create_repository": {"repository": {"repositoryUri": "ACCOUNT.dkr.ecr.REGION.amazonaws.com/REPOSITORY"}},
    "get_authorization_token": {
        "authorizationData": [
            {
                "authorizationToken": base64.b64encode(b"AWS:token").decode(),
                "proxyEndpoint": "https://ACCOUNT.dkr.ecr.REGION.amazonaws.com",
            }
        ]
    },
}


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.build_and_push",
        description="Build the image, or take a built one, and push it to ECR; the last line is its URI.",
        parents=[shared_arguments()],
        **examples(
            "build_and_push --repository polyadic --tag latest",
            "build_and_push --image polyadic",
        ),
    )
    parser.add_argument("--repository", default="polyadic", metavar="NAME", help="ECR repository")
    parser.add_argument("--tag", default="latest", help="tag in the repository")
    parser.add_argument("--image", metavar="LOCAL", help="push this local image instead of building one")
    return parser


def build_and_push(arguments: argparse.Namespace) -> int:
    """Make the repository if need be, build, log in, push, print the image's URI."""
    local = arguments.image or f"{arguments.repository}:{arguments.tag}"
    here = None if arguments.dry_run else front_door()
    if here is not None:
        return _only_build(arguments, local, here)
    ecr = client("ecr", arguments, REHEARSED)
    uri = f"{repository_uri(ecr, arguments.repository)}:{arguments.tag}"
    if arguments.image is None:
        _docker(arguments, "build", *_platform(), "--tag", local, str(ROOT))
    user, password, registry = credentials(ecr)
    _docker(arguments, "login", "--username", user, "--password-stdin", registry, password=password)
    _docker(arguments, "tag", local, uri)
    _docker(arguments, "push", uri)
    if not arguments.dry_run:
        print(uri)
    return 0


def _only_build(arguments: argparse.Namespace, local: str, here: str) -> int:
    """Build the image, which `local_mode up --image` runs from where it is."""
    if arguments.image is None:
        _docker(arguments, "build", *_platform(), "--tag", local, str(ROOT))
    warn(f"not pushed: AWS_ENDPOINT_URL is {here}, where `local_mode up --image {local}` runs it from this machine")
    print(local)
    return 0


def repository_uri(ecr: Any, name: str) -> str:
    """The repository's URI; the repository is made where it is absent."""
    answer = answer_or_none(ecr.describe_repositories, repositoryNames=[name])
    if answer is not None:
        return str(answer["repositories"][0]["repositoryUri"])
    return str(ecr.create_repository(repositoryName=name)["repository"]["repositoryUri"])


def credentials(ecr: Any) -> tuple[str, str, str]:
    """User, password and registry for `docker login`."""
    entry = ecr.get_authorization_token()["authorizationData"][0]
    user, _, password = base64.b64decode(entry["authorizationToken"]).decode().partition(":")
    return user, password, entry["proxyEndpoint"]


def _platform() -> list[str]:
    # SageMaker's hosts are x86-64, a laptop need not be.
    return [] if platform.machine() in {"x86_64", "AMD64"} else ["--platform", "linux/amd64"]


def _docker(arguments: argparse.Namespace, *command: str, password: str | None = None) -> None:
    """Run docker with its output on stderr, so that stdout holds the URI alone."""
    shown = shlex.join(["docker", *command])
    if arguments.dry_run:
        print(f"would run: {shown}", file=sys.stderr)
        return
    # An attestation makes the push an OCI index, which SageMaker refuses.
    environment = os.environ | {"BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}
    try:
        process = subprocess.run(
            ["docker", *command], input=password, text=True, stdout=STDERR, env=environment, check=False
        )
    except OSError as error:
        raise CommandError(f"cannot run docker ({error.strerror}); install it, or put it on PATH") from error
    if process.returncode:
        raise CommandError(f"`{shown}` ended with exit code {process.returncode}; its own message stands above")


if __name__ == "__main__":
    main(build_and_push, parser())
