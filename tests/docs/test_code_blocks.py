"""Every code block of README and docs is run here, or says in a comment before it what it needs and is checked here."""

from __future__ import annotations

import ast
import importlib
import json
import sys
import tarfile
import textwrap
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import moto
import pytest
import yaml

from polyadic.training.environment import free_port
from scripts import history
from scripts.recipe import Recipe
from tests.docs import commands
from tests.docs.pages import PAGES, ROOT, Block, blocks

LANGUAGES = {"python", "bash", "json", "yaml", "text"}
NEEDS = {None, "aws", "docker", "data", "minutes"}
DOCUMENTED_PORT = "8500"
ARTIFACTS = ROOT / "tests" / "data" / "artifacts"
EARLIER_MODELS = {"serving.md": {"out/tt-lstm": "forecaster", "out/lstm": "forecaster"}}
"""Models that earlier pages leave, by the page that serves them: the folder, and an artifact of that kind."""

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that looks like the repository, where whatever a block writes is left."""
    for name in ("local_mode", "scripts", "container", "tests"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """AWS as moto plays it."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "any")
    with moto.mock_aws():
        yield


@each_page
def test_every_block_says_what_it_is(page: Path) -> None:
    found = blocks(page)
    assert page.read_text().count("\n```") == 2 * len(found), "a fence that the tests do not see"
    for block in found:
        assert block.language in LANGUAGES, block.place
        assert block.needs in NEEDS, block.place


@pytest.mark.slow
@each_page
def test_blocks_without_needs_run(page: Path, folder: Path) -> None:
    for place, artifact in EARLIER_MODELS.get(page.name, {}).items():
        _pack(ARTIFACTS / artifact, folder / place)
    namespace: dict[str, Any] = {"__name__": "page"}
    port = free_port()
    with ExitStack() as opened:
        for block in blocks(page):
            if block.needs is None and block.language == "bash":
                if "local_mode endpoint" in block.code:
                    opened.enter_context(commands.endpoint(block, folder, port))
                else:
                    commands.run(replace(block, code=block.code.replace(DOCUMENTED_PORT, str(port))), folder)
            elif block.file is not None:
                opened.enter_context(added_file(block, folder))
            elif block.needs is None and block.language == "python":
                _execute(block, namespace, port)


@each_page
def test_commands_with_needs_are_what_the_repository_has(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for block in blocks(page):
        if block.language == "bash":
            for command in commands.commands(block):
                commands.check(command, monkeypatch)


@each_page
def test_python_that_needs_docker_is_python(page: Path) -> None:
    for block in blocks(page):
        if block.language == "python":
            ast.parse(block.code, block.place)


@each_page
def test_json_and_recipes_can_be_read(page: Path) -> None:
    readers: dict[str, Callable[[str], object]] = {
        "json": json.loads,
        "yaml": lambda text: Recipe.model_validate(yaml.safe_load(text)),
    }
    for block in blocks(page):
        if block.language in readers:
            assert readers[block.language](block.code), block.place


@pytest.mark.usefixtures("aws")
@each_page
def test_python_that_needs_aws_makes_calls_that_aws_takes(page: Path) -> None:
    for block in blocks(page):
        if block.needs == "aws" and block.language == "python":
            _execute(block, {"__name__": "page"})


CALLS = {
    "aws.md": ("CreateTrainingJob", "CreateEndpoint", "UpdateEndpointWeightsAndCapacities", "DeleteEndpoint"),
    "ab-testing.md": ("ShadowProductionVariants", "PutObject", "ListObjectsV2", "UpdateEndpointWeightsAndCapacities"),
}


@pytest.mark.slow
@each_page
def test_commands_that_need_aws_can_be_rehearsed(page: Path, folder: Path) -> None:
    for block in blocks(page):
        if block.needs == "aws" and block.language == "bash":
            change = history.Change(history.now(), "demand", "split", {"A": 0.9, "B": 0.1}, {"A": 0.7, "B": 0.3})
            history.append(folder / "weights.jsonl", change)
            (folder / "actuals.csv").write_text("inference_id,actual\na,1.5\n")
            # A rehearsal pushes no image, so that there is no address to keep.
            code = block.code.replace(
                "IMAGE=$(python -m scripts.build_and_push)", "python -m scripts.build_and_push\nIMAGE=i"
            )
            printed = commands.run(
                Block(page, block.line, "bash", code, None), folder, "--dry-run", "--region=us-east-1"
            )
            for call in CALLS[page.name]:
                assert call in printed, call


def test_a_block_that_fails_is_named_with_its_line(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Page\n\n```python\nx = 1\nassert x == 2\n```\n")
    (block,) = blocks(page)
    with pytest.raises(AssertionError) as failure:
        _execute(block, {})
    assert failure.traceback[-1].lineno == 4


@contextmanager
def added_file(block: Block, folder: Path) -> Iterator[None]:
    """Inside, the package has the file that a block shows, though it lies in the folder of the test."""
    assert block.file is not None
    path = folder / block.file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(block.code)
    inside = Path(block.file).relative_to("src")
    parent = next(part for part in inside.parents if (ROOT / "src" / part / "__init__.py").exists())
    package = importlib.import_module(".".join(parent.parts))
    module = f"{package.__name__}.{inside.relative_to(parent).parts[0].removesuffix('.py')}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(package, "__path__", [*package.__path__, str(folder / "src" / parent)])
        yield
    sys.modules.pop(module, None)


def _execute(block: Block, namespace: dict[str, Any], port: int | None = None) -> None:
    code = block.code if port is None else block.code.replace(DOCUMENTED_PORT, str(port))
    exec(compile("\n" * (block.line - 1) + textwrap.dedent(code), str(block.page), "exec"), namespace)


def _pack(artifact: Path, folder: Path) -> None:
    folder.mkdir(parents=True)
    with tarfile.open(folder / "model.tar.gz", "w:gz") as archive:
        for path in artifact.glob("model.*"):
            archive.add(path, path.name)
