"""A modality of a sample: its name, what its values are, and the encoder that makes numbers of them."""

from __future__ import annotations

import base64
import binascii
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from polyadic.algorithms.tensor_regression.encoders import ENCODERS, Encoder, EncoderOptions
from polyadic.errors import UserError, shorten
from polyadic.formats import images
from polyadic.readers.samples.columns import in_words, tensor_of


@dataclass(frozen=True)
class Modality:
    """kind: tensor, picture or text. shape: of a sample; of a text none."""

    name: str
    kind: str
    shape: tuple[int, ...]
    encoder: Encoder

    def cell(self, value: Any) -> Any:
        """The value of a request, checked: an array, pixels or a text. UserError for what it cannot be."""
        if self.kind == "tensor":
            return self._numbers(value)
        if self.kind == "picture":
            return self._pixels(value)
        if not isinstance(value, str):
            raise UserError(f"{self.name} is {shorten(value)}: give a text")
        if self.encoder.unknown([value])[0]:
            raise UserError(f"{self.name} is {shorten(value)}: it holds nothing that training saw")
        return value

    def _numbers(self, value: Any) -> Any:
        wrapped = value.get("values") if isinstance(value, dict) else value
        if isinstance(value, dict) and value.get("keys") is not None:
            wrapped = self._dense(value)
        if not isinstance(wrapped, list | np.ndarray):
            raise UserError(f"{self.name} is {shorten(value)}: give {in_words('list of numbers', self.shape)}")
        array = tensor_of(wrapped, self.name)
        if array.shape != self.shape and array.shape != (math.prod(self.shape),):
            raise UserError(
                f"{self.name} has shape {' x '.join(map(str, array.shape))}: it must be "
                f"{' x '.join(map(str, self.shape))}, as in training"
            )
        return array.reshape(self.shape)

    def _dense(self, value: dict[str, Any]) -> list[float]:
        """The numbers of {"keys": [...], "values": [...]}: those of other keys are 0."""
        keys, values, size = value["keys"], value.get("values"), math.prod(self.shape)
        if not isinstance(keys, list) or not isinstance(values, list) or len(keys) != len(values):
            raise UserError(f"{self.name} has keys and values of different numbers: give a value for each key")
        dense = [0.0] * size
        for key, number in zip(keys, values, strict=True):
            if type(key) is not int or not 0 <= key < size:
                raise UserError(f"{self.name} has the key {shorten(key)}: keys are whole numbers from 0 to {size - 1}")
            if isinstance(number, bool) or not isinstance(number, int | float):
                raise UserError(f"{self.name} has the value {shorten(number)}: values are numbers")
            dense[key] += number
        return dense

    def _pixels(self, value: Any) -> Any:
        if isinstance(value, list):
            array = np.asarray(tensor_of(value, self.name))
            if (array < 0).any() or (array > 255).any() or (array != np.round(array)).any():
                raise UserError(f"{self.name} holds a number that is no pixel: pixels are whole numbers from 0 to 255")
            pixels = array.astype(np.uint8)
        elif isinstance(value, str):
            try:
                body = base64.b64decode(value.partition(",")[2] if value.startswith("data:") else value, validate=True)
            except (binascii.Error, ValueError):
                raise UserError(
                    f"{self.name} is {shorten(value)}: give a PNG or JPEG in base64, or nested lists of pixels"
                ) from None
            try:
                pixels = images.decode(body)
            except UserError as error:
                raise UserError(str(error).replace("the body", self.name)) from None
        else:
            raise UserError(f"{self.name} is {shorten(value)}: give a PNG or JPEG in base64, or nested lists of pixels")
        if pixels.shape != self.shape:
            raise UserError(
                f"{self.name} is {in_words('picture', pixels.shape)}: it must be one of "
                f"{' x '.join(map(str, self.shape))}, as in training"
            )
        return pixels

    def example(self) -> Any:
        """A value that `cell` takes."""
        if self.kind == "text":
            words = getattr(self.encoder, "vocabulary", None) or self.encoder.names  # type: ignore[attr-defined]
            return str(words[0])
        if self.kind == "picture":
            return base64.b64encode(images.encode(np.zeros(self.shape, np.uint8))).decode()
        return np.zeros(self.shape).tolist()

    def schema(self) -> dict[str, Any]:
        """The JSON Schema of a value."""
        nested: dict[str, Any] = {"type": "number"}
        for rows in reversed(self.shape):
            nested = {"type": "array", "items": nested, "minItems": rows, "maxItems": rows}
        if self.kind == "text":
            return {"type": "string"}
        if self.kind == "picture":
            encoded = {"type": "string", "description": f"PNG or JPEG of {' x '.join(map(str, self.shape))} in base64"}
            return {"anyOf": [encoded, nested]}
        size = math.prod(self.shape)
        flat = {"type": "array", "items": {"type": "number"}, "minItems": size, "maxItems": size}
        values = {"type": "object", "required": ["values"]}
        return {"anyOf": [nested, values] if len(self.shape) == 1 else [nested, flat, values]}

    def facts(self) -> dict[str, Any]:
        """What `read` needs beside tensors, as JSON."""
        return {
            "name": self.name,
            "kind": self.kind,
            "shape": list(self.shape),
            "encoder": self.encoder.name,
            "facts": self.encoder.facts(),
        }

    @staticmethod
    def read(facts: Any, tensors: Any, options: EncoderOptions) -> Modality:
        """The modality of `facts`, and of the encoder's tensors by their names."""
        encoder = ENCODERS[facts["encoder"]].read(facts["facts"], tensors, options)
        return Modality(facts["name"], facts["kind"], tuple(facts["shape"]), encoder)
