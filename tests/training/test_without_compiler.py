from __future__ import annotations

import subprocess
import sys

import torch

SCRIPT = """
import sys
import torch
from polyadic.training.without_compiler import optimizer_without_compiler

if {without}:
    optimizer_without_compiler()
weights = torch.nn.Parameter(torch.tensor([1.0, -2.0, 3.0]))
optimizer = torch.optim.AdamW([{{"params": [weights]}}], lr=0.1, weight_decay=0.3, fused=True)
for _ in range(3):
    optimizer.zero_grad()
    (weights**2).sum().backward()
    optimizer.step()
    optimizer.load_state_dict(optimizer.state_dict())
print(weights.tolist(), weights.requires_grad, "torch._dynamo" in sys.modules)
"""


def answer(without: bool) -> list[str]:
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(without=without)], capture_output=True, text=True, check=True, timeout=60
    )
    return run.stdout.rsplit(maxsplit=1)


def test_the_steps_are_the_same_and_the_compiler_is_not_imported() -> None:
    steps, imported = answer(without=True)
    assert imported == "False", f"torch {torch.__version__} imports its compiler elsewhere"
    assert steps == answer(without=False)[0]
