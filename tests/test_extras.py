"""What each part of the house needs: a notebook neither Flask nor matplotlib, a job without them no picture."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = ("flask", "gunicorn", "matplotlib", "tensorboardX", "boto3", "tqdm", "yaml", "sagemaker_training")
"""The modules of the packages that only extras bring."""

NOTEBOOK = """
import torch
from polyadic.decomposition import cp
from polyadic.forecasting.network import Network
from polyadic.tensor import CPTensor
from polyadic.topics.spectral import spectral_lda
assert cp(torch.rand(4, 5, 6), 2).relative_error < 1
"""
JOB = """
from pathlib import Path
from tests.helpers.tiny_jobs import tiny
from polyadic.training.job import write_report
algorithm, job = tiny("cp", Path(sys.argv[1]) / "data", output=Path(sys.argv[1]) / "report")
write_report(algorithm, algorithm.fit(job), job)
"""


def without_extras(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs code where none of the extras can be imported."""
    hidden = f"import sys\nfor name in {EXTRAS}: sys.modules[name] = None\n"
    command = [sys.executable, "-c", hidden + code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=100, cwd=ROOT)


@pytest.mark.slow
def test_a_notebook_needs_no_extra() -> None:
    result = without_extras(NOTEBOOK)
    assert result.returncode == 0, result.stderr


@pytest.mark.slow
def test_a_job_without_matplotlib_says_how_to_get_its_pictures(tmp_path: Path) -> None:
    result = without_extras(JOB, str(tmp_path))
    assert result.returncode == 0, result.stderr
    assert "pip install 'polyadic[report]'" in result.stderr
    assert (tmp_path / "report" / "factor_0.npy").exists()


@pytest.mark.parametrize("extra", ["serve", "report"])
def test_what_an_extra_brings_is_no_dependency(extra: str) -> None:
    names = {requirement.split(">")[0] for requirement in PROJECT["optional-dependencies"][extra]}
    assert names
    assert not names & {requirement.split(">")[0] for requirement in PROJECT["dependencies"]}


def test_the_console_script_is_the_package_s_command_line() -> None:
    module, _, function = PROJECT["scripts"]["polyadic"].partition(":")
    assert callable(getattr(__import__(module, fromlist=[function]), function))


@pytest.mark.slow
def test_the_library_is_imported_without_what_takes_long() -> None:
    long = ("numba", "llvmlite", "scipy", "matplotlib", "pandas", "pyarrow", "pydantic", "sympy")
    found = f"' '.join(name for name in {long} if name in sys.modules)"
    code = f"import sys, polyadic.decomposition, polyadic.tensor\nsys.exit({found} or None)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=100)
    assert (result.returncode, result.stderr) == (0, "")
