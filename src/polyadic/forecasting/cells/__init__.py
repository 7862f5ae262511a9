"""The recurrent cells: one per file, found by being there.

A file declares `CELL`, a subclass of `Cell`. Files whose names begin with an underscore hold what several cells share.
"""

from __future__ import annotations

from polyadic.forecasting.cells._cell import Cell, State
from polyadic.registry import Registry

__all__ = ["CELLS", "Cell", "State"]

CELLS: Registry[type[Cell]] = Registry(__name__, "CELL", Cell)
"""Every cell by its name; CELLS[name].make(input_size, hidden_size, options) is an untrained one."""
