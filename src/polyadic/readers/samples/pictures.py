"""The pictures that tables name: those on this host, and of a divided channel those that other hosts hold."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.formats.images import decode
from polyadic.readers.samples.columns import FILE
from polyadic.readers.shares import agreed
from polyadic.room import Watch


@dataclass(frozen=True)
class PictureFiles:
    """Pictures by the names that tables give them: paths from the folder of the channel.

    held: the files of this host. lent: the bytes of pictures that other hosts hold. watch: of the memory they take.
    """

    folder: Path
    held: Collection[Path]
    lent: dict[str, bytes] = field(default_factory=dict)
    watch: Watch = field(default_factory=lambda: Watch("pictures"))

    def pixels(self, name: str) -> NDArray[np.uint8]:
        """A picture's pixels: height x width x channels; UserError for one that is not there or does not decode."""
        path = self.folder / name
        if path not in self.held and name not in self.lent:
            raise UserError(f"there is no picture {name} in the channel: names are those of its files, from its folder")
        try:
            pixels = decode(path.read_bytes() if path in self.held else self.lent[name])
        except UserError as error:
            raise UserError(str(error).replace("the body", name)) from None
        self.watch.add(pixels.nbytes)
        return pixels

    def borrow(self, rows: Iterable[Mapping[str, Any]], world: World) -> None:
        """Fetches the pictures that rows name and other hosts hold: a collective.

        A channel that is divided by its keys (ShardedByS3Key) puts a table on one host, and pictures on any.
        """
        wanted = agreed(world, lambda: {str(row[FILE]) for row in rows if row.get(FILE)})
        missing = {name for name in wanted if self.folder / name not in self.held}
        asked = set[str]().union(*world.collect(missing))
        # The ranks of a host see the same files: the first of them lends.
        own = {name: (self.folder / name).read_bytes() for name in sorted(asked) if self.folder / name in self.held}
        for lent in world.collect(own if world.local_rank == 0 else {}):
            self.lent.update({name: data for name, data in lent.items() if name in missing})
