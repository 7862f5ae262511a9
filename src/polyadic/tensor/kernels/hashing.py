"""The hash by which columns of an unfolding are found."""

from __future__ import annotations

HASH_BITS = 62
"""Bits of a hashed key."""
HASH_FACTOR = 0x1E3779B97F4A7C15
"""An odd number: a key times it, modulo 2^HASH_BITS, is another number for each key, and its first bits are spread
evenly. The last bits of 2^64 over the golden ratio: Knuth, The Art of Computer Programming, volume 3, section 6.4."""
