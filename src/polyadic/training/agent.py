"""torch.distributed.run as a quiet child: its workers report their failures themselves, without a traceback."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

from polyadic.training import messages


def main(arguments: Sequence[str]) -> int:
    """Runs the workers; 0 when each has ended with 0."""
    messages.die_with_parent()
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    # The agents part in any order, and each logs the others' going as an error, with a traceback.
    logging.disable(logging.CRITICAL)
    try:
        run.run(run.parse_args(list(arguments)))  # type: ignore[no-untyped-call]
    except ChildFailedError as error:
        return abs(next(iter(error.failures.values())).exitcode) or 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
