"""What the commands share: arguments, clients, the rehearsal of --dry-run, waiting, errors."""

import argparse
import difflib
import hashlib
import json
import os
import re
import secrets
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, NoReturn
from urllib.request import urlopen

import boto3
import botocore.session
from botocore import xform_name
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    NoRegionError,
    ParamValidationError,
    PartialCredentialsError,
)
from botocore.validate import ParamValidator

Answers = Mapping[str, dict[str, Any] | Exception]

NAME_LIMIT = 63
NAME_PATTERN = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")
STAMP_PATTERN = r"\d{12}-[0-9a-f]{4}"


class CommandError(Exception):
    """The command cannot be done; the message is all that the user sees."""

    exit_code = 1


class UsageError(CommandError):
    """What the user gave is wrong, and nothing was asked of AWS that changes anything."""

    exit_code = 2


class Interrupted(CommandError):
    """Ctrl-C, with a word on what goes on without the command."""

    exit_code = 130


class Invalid(argparse.ArgumentTypeError, ValueError):
    """A value of the wrong form; both argparse and pydantic report it with its own words."""


def s3_uri(text: str) -> str:
    """Check that `text` is an S3 address."""
    if not re.fullmatch(r"s3://[^/\s]+(/\S*)?", text):
        raise Invalid(f"got {text!r}; allowed is an S3 address such as s3://bucket/prefix")
    return text


def role_arn(text: str) -> str:
    """Check that `text` is the ARN of an IAM role."""
    if not re.fullmatch(r"arn:aws[a-z\-]*:iam::\d{12}:role/[\w+=,.@/-]+", text):
        raise Invalid(f"got {text!r}; allowed is a role's ARN such as arn:aws:iam::123456789012:role/NAME")
    return text


def resource_name(text: str) -> str:
    """Check that `text` can name a SageMaker resource."""
    if not NAME_PATTERN.fullmatch(text) or len(text) > NAME_LIMIT:
        raise Invalid(f"got {text!r}; allowed are {NAME_LIMIT} letters, digits and inner hyphens at most")
    return text


def seconds(text: str) -> float:
    """Read a positive number of seconds."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise Invalid(f"got {text!r}; allowed is a number of seconds above 0")
    return value


def shared_arguments() -> argparse.ArgumentParser:
    """The arguments that every command takes, for `argparse`'s `parents`."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--region", help="default: AWS_REGION, AWS_DEFAULT_REGION, the profile's")
    parser.add_argument("--dry-run", action="store_true", help="print each AWS call as a JSON line, make none")
    return parser


def examples(*commands: str) -> dict[str, Any]:
    """The arguments of a parser whose help ends with these commands, each without `python -m scripts.`."""
    lines = "\n".join(f"  python -m scripts.{command}" for command in commands)
    return {"epilog": f"examples:\n{lines}", "formatter_class": argparse.RawDescriptionHelpFormatter}


def poll_argument() -> argparse.ArgumentParser:
    """The pause between two looks at AWS, for the commands that wait."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--poll", type=seconds, default=10.0, metavar="SECONDS", help="pause between two looks")
    return parser


def client(service: str, arguments: argparse.Namespace, answers: Answers) -> Any:
    """A boto3 client, or under --dry-run its rehearsal, which answers each call from `answers`."""
    if arguments.dry_run:
        return Rehearsal(service, answers)
    return boto3.client(service, region_name=arguments.region or os.environ.get("AWS_REGION"))


def front_door() -> str | None:
    """AWS_ENDPOINT_URL where `local_mode up` answers there; None where the commands speak to AWS."""
    url = os.environ.get("AWS_ENDPOINT_URL", "").rstrip("/")
    if not url.startswith("http://"):
        return None
    try:
        with urlopen(f"{url}/ping", timeout=5.0) as answer:
            return url if answer.headers.get("Server") == "local_mode" else None
    except OSError:
        return None


class Rehearsal:
    """Stands where a boto3 client would: checks and prints each call as a JSON line, and makes none."""

    def __init__(self, service: str, answers: Answers) -> None:
        self._service = service
        self._model = botocore.session.Session().get_service_model(service)
        self._operations = {xform_name(name): name for name in self._model.operation_names}
        self._answers = answers
        self.meta = SimpleNamespace(service_model=self._model)

    def __getattr__(self, method: str) -> Callable[..., dict[str, Any]]:
        if method not in self._operations:
            raise AttributeError(method)
        return lambda **parameters: self._call(method, parameters)

    def _call(self, method: str, parameters: dict[str, Any]) -> dict[str, Any]:
        operation = self._operations[method]
        report = ParamValidator().validate(parameters, self._model.operation_model(operation).input_shape)
        if report.has_errors():
            raise ParamValidationError(report=report.generate_report())
        line = {"service": self._service, "operation": operation, "parameters": parameters}
        print(json.dumps(line, default=str), flush=True)
        answer = self._answers.get(method, {})
        if isinstance(answer, Exception):
            raise answer
        return answer


def missing(operation: str, code: str = "ValidationException") -> ClientError:
    """The error with which AWS says that a resource is not there, as a rehearsal's answer."""
    return ClientError({"Error": {"Code": code, "Message": "Could not find it."}}, operation)


def is_missing(error: ClientError) -> bool:
    """Whether AWS says that the resource is not there (SageMaker has no error code of its own for it)."""
    code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
    return code == "RepositoryNotFoundException" or (
        code == "ValidationException" and "could not find" in message.lower()
    )


def answer_or_none(call: Callable[..., dict[str, Any]], **parameters: Any) -> dict[str, Any] | None:
    """What `call` answers, or None where the resource is not there."""
    try:
        return call(**parameters)
    except ClientError as error:
        if is_missing(error):
            return None
        raise


def pages(call: Callable[..., dict[str, Any]], key: str, **parameters: Any) -> Iterator[dict[str, Any]]:
    """Every item under `key` in all pages of a SageMaker list call."""
    answer = call(**parameters)
    yield from answer.get(key, [])
    while answer.get("NextToken"):
        answer = call(**parameters, NextToken=answer["NextToken"])
        yield from answer.get(key, [])


def stamp() -> str:
    """UTC time and a random tail, so that no two names collide."""
    return f"{time.strftime('%y%m%d%H%M%S', time.gmtime())}-{secrets.token_hex(2)}"


def shorten(name: str, limit: int) -> str:
    """`name` within `limit` characters; what is cut off is replaced by a hash of the whole."""
    if len(name) <= limit:
        return name
    return f"{name[: limit - 7].rstrip('-')}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"


def nearest(word: str, known: Iterable[str]) -> str:
    """The end of an error sentence: the nearest known word, where there is one, and all of them."""
    choices = sorted(known)
    close = difflib.get_close_matches(word, choices, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}known are {', '.join(choices)}"


def say(message: str) -> None:
    """Print a line of progress with the time of day."""
    print(f"{time.strftime('%H:%M:%S')} {message}", flush=True)


def warn(message: str) -> None:
    """Print a warning on stderr."""
    print(f"warning: {message}", file=sys.stderr, flush=True)


def explain(error: Exception) -> str:
    """One sentence for an error of botocore's."""
    if isinstance(error, ClientError):
        details = error.response["Error"]
        return f"AWS refused {error.operation_name}: {details.get('Message') or 'no reason'} ({details['Code']})"
    if isinstance(error, NoRegionError):
        return "no AWS region is set; give --region, or set AWS_REGION"
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return f"no usable AWS credentials ({error}); run `aws configure`, set AWS_PROFILE, or try --dry-run"
    return str(error)


def run(
    command: Callable[[argparse.Namespace], int], parser: argparse.ArgumentParser, argv: Sequence[str] | None
) -> int:
    """Parse `argv`, run the command, and turn every error of the user's or of AWS's into one sentence."""
    arguments = parser.parse_args(argv)
    try:
        return command(arguments)
    except CommandError as error:
        message, code = str(error), error.exit_code
    except (BotoCoreError, ClientError) as error:
        message, code = explain(error), 1
    except KeyboardInterrupt:
        message, code = "interrupted; what AWS was already asked for goes on", 130
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return code


def main(command: Callable[[argparse.Namespace], int], parser: argparse.ArgumentParser) -> NoReturn:
    """`run` as a process."""
    sys.exit(run(command, parser, None))
