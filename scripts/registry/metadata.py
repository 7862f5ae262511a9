"""What the registry keeps of a model in properties: within the registry's limits, the rest by name."""

import unicodedata
from collections.abc import Mapping

MOST_PROPERTIES = 50
KEY_CHARACTERS, VALUE_CHARACTERS = 128, 256


def legal(properties: Mapping[str, str]) -> dict[str, str]:
    """The properties that a model package takes, in their order."""
    fitting = {
        key: value for key, value in properties.items() if _fits(key, KEY_CHARACTERS) and _fits(value, VALUE_CHARACTERS)
    }
    return dict(list(fitting.items())[:MOST_PROPERTIES])


def _fits(text: str, most: int) -> bool:
    return 0 < len(text) <= most and all(_is_legal(character) for character in text)


def _is_legal(character: str) -> bool:
    # AWS writes it as [\p{L}\p{Z}\p{N}_.:/=+\-@].
    return character in "_.:/=+-@" or unicodedata.category(character)[0] in "LZN"
