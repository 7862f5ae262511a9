"""The demonstration from top to bottom: two pairs of models, of which one differs and one does not.

What is shown is how an A/B test ends: with a winner, or with the knowledge that there is none yet. The verdicts are
what `scripts.compare` says, never known beforehand; should one come out otherwise, the story goes on with it.
`local_mode.demo.air` and `local_mode.demo.climate` say why these pairs.
"""

import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from local_mode.demo import air, climate
from local_mode.demo.commands import Commands, relative
from local_mode.demo.door import opened
from local_mode.demo.experiment import BUCKET, Demo
from local_mode.demo.figure import draw
from local_mode.demo.progress import say
from local_mode.demo.scores import summary
from local_mode.stopping import StopRequest


def run_demo(output: Path, options: Sequence[str], stop: StopRequest) -> int:
    """Starts a front door with these options, tells both stories, and ends it."""
    started = time.monotonic()
    output.mkdir(parents=True, exist_ok=True)
    (output / "weights.jsonl").unlink(missing_ok=True)
    state = output / "state"
    with opened(state, options, output / "up.log", stop) as door:
        say(f"A front door, SageMaker on this machine, answers at {door.url} until the demonstration ends.")
        say(f"To type its commands in another shell: source {relative(state / 'environment')}")
        door.s3.create_bucket(Bucket=BUCKET)
        demo = Demo(output, door, Commands(sys.executable, door.environment, stop))
        differ = air.tell(demo)
        tie, forecasts = climate.tell(demo)
    say(f"\nWhat the comparisons said of the difference in loss\n{summary([*differ, *tie])}")
    picture = output / "comparison.png"
    draw(differ, tie, forecasts, picture)
    say(f"\nThe picture: {relative(picture)}. The page with the jobs and the endpoint `climate`, which comes back:")
    say(f"  {shlex.join(['python', '-m', 'local_mode', 'up', '--state', relative(state), *options])}")
    say(f"Done in {time.monotonic() - started:.0f} s; models, logs and data are in {relative(output)}")
    return 0
