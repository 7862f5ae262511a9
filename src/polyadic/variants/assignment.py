"""Which variant a user gets: a function of the user's name alone, so that no table is kept."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from polyadic.variants.errors import VariantError

CUSTOM_ATTRIBUTES_CHARACTERS = 1024
"""What SageMaker passes on in CustomAttributes, all of them visible ASCII."""


@dataclass(frozen=True)
class Assignment:
    """The variant of one user, and with what probability each variant could have been drawn."""

    user: str
    variant: str
    propensities: Mapping[str, float]

    def custom_attributes(self) -> str:
        """The assignment as SageMaker's CustomAttributes, which data capture keeps beside the request."""
        content = {"user": self.user, "variant": self.variant, "propensities": dict(self.propensities)}
        text = json.dumps({"polyadic": content}, separators=(",", ":"))
        if len(text) > CUSTOM_ATTRIBUTES_CHARACTERS:
            raise VariantError(
                f"the assignment of {self.user[:40]!r} takes {len(text)} characters of CustomAttributes; allowed are "
                f"{CUSTOM_ATTRIBUTES_CHARACTERS}: give a shorter user, such as a hash"
            )
        return text


def read_custom_attributes(text: str) -> Assignment | None:
    """The assignment that `custom_attributes` wrote, or None where the attributes are somebody else's."""
    try:
        content = json.loads(text)["polyadic"]
        propensities = {str(name): float(value) for name, value in content["propensities"].items()}
        assignment = Assignment(str(content["user"]), str(content["variant"]), propensities)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    known = all(0 <= value <= 1 for value in propensities.values())
    whole = math.isclose(sum(propensities.values()), 1.0, abs_tol=1e-6)
    return assignment if known and whole and assignment.variant in propensities else None


@dataclass(frozen=True)
class Shares:
    """The share of the users that each variant gets; the challenger first.

    A user u lies at SHA-256(salt:u) / 2^64 on a line from 0 to 1, which the variants divide in their order. As the
    challenger comes first, raising its share moves users to it and none away from it; of several challengers this
    holds for the first alone. Another salt draws anew, independently. `excluded` users (a company's own, robots)
    always get the `champion` and belong to no comparison: `assign` gives them a propensity of 1.
    """

    shares: Mapping[str, float]
    salt: str
    excluded: frozenset[str] = field(default=frozenset())
    champion: str | None = None

    def __post_init__(self) -> None:
        shares = {str(name): float(share) for name, share in self.shares.items()}
        if not shares or not all(0 <= share <= 1 for share in shares.values()):
            raise VariantError(f"shares: got {shares}; allowed is a share from 0 to 1 for each variant, one at least")
        if not math.isclose(sum(shares.values()), 1.0, abs_tol=1e-9):
            raise VariantError(f"shares: got {shares}, which sum to {sum(shares.values()):g}; allowed is a sum of 1")
        if isinstance(self.excluded, str):
            raise VariantError(f"excluded: got the text {self.excluded!r}; allowed is a set of users")
        if (self.champion is None and self.excluded) or (self.champion is not None and self.champion not in shares):
            raise VariantError(
                f"champion: got {self.champion!r}; allowed is the variant that excluded users get: {', '.join(shares)}"
            )
        object.__setattr__(self, "shares", MappingProxyType(shares))
        object.__setattr__(self, "excluded", frozenset(self.excluded))

    def assign(self, user: str) -> Assignment:
        """The user's variant: the same one at each call, in each process, on each machine."""
        if user in self.excluded:
            return Assignment(user, str(self.champion), {name: float(name == self.champion) for name in self.shares})
        return Assignment(user, self._variant_at(position(self.salt, user)), dict(self.shares))

    def _variant_at(self, place: float) -> str:
        end = 0.0
        for name, share in self.shares.items():
            end += share
            if place < end:
                return name
        return max(self.shares, key=lambda name: (self.shares[name] > 0, list(self.shares).index(name)))


def position(salt: str, user: str) -> float:
    """Where a user lies from 0 to 1: the first 8 bytes of SHA-256(salt:user), as a fraction."""
    digest = hashlib.sha256(f"{salt}:{user}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
