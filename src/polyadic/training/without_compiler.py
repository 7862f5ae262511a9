"""torch's optimizer without torch's compiler, which it imports at its first step and this package never uses."""

from __future__ import annotations

import inspect

import torch


def optimizer_without_compiler() -> None:
    """Saves this process the seconds of `import torch._dynamo`; for a process that compiles nothing.

    `torch.optim.AdamW.step` imports the compiler to break its graphs there (torch/optim/optimizer.py), and whichever
    method is marked as not to be compiled imports it to be marked (torch/_compile.py, which keeps the marked method in
    `__dynamo_disable`). Here `step` is what these wrap, and what is kept is the method itself. A torch that does
    otherwise is left as it is.
    """
    for method in vars(torch.optim.Optimizer).values():
        marked = getattr(method, "__wrapped__", None)
        if marked is not None and getattr(method, "__globals__", {}).get("__name__") == "torch._compile":
            marked.__dict__.setdefault("__dynamo_disable", marked)
    torch.optim.AdamW.step = torch.no_grad()(inspect.unwrap(torch.optim.AdamW.step))  # type: ignore[method-assign]
