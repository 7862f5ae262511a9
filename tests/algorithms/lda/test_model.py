"""Documents that are asked together are answered as each is alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyadic.errors import InstanceError, UserError
from polyadic.serving.instances import parse_all
from tests.helpers.served_models import small_lda

MODEL = small_lda()
COUNTS = st.lists(st.integers(0, 3), min_size=8, max_size=8)


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """A document, dense or sparse, its words in any order and more than once."""
    if draw(st.booleans()):
        return {"features": draw(COUNTS)}
    keys = draw(st.lists(st.integers(0, 7), max_size=6))
    values = draw(st.lists(st.floats(0, 5, width=16), min_size=len(keys), max_size=len(keys)))
    return {"data": {"features": {"keys": keys, "values": values} | ({"shape": [8]} if draw(st.booleans()) else {})}}


@given(st.lists(documents(), min_size=1, max_size=5))
def test_documents_are_the_same_together_and_alone(instances: list[dict[str, Any]]) -> None:
    together, alone = parse_all(MODEL, instances, {}), [MODEL.parse(instance, {}) for instance in instances]
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_array_equal(one.words, other.words)
        np.testing.assert_array_equal(one.counts, other.counts)
    answers = MODEL.predict(together)
    for one, answer in zip(alone, answers, strict=True):
        np.testing.assert_allclose(MODEL.predict([one])[0]["topic_mixture"], answer["topic_mixture"], rtol=1e-12)


@given(st.lists(documents(), max_size=4), st.lists(documents(), max_size=4))
def test_the_first_that_is_wrong_is_told(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> None:
    wrong = {"features": [-1] * 8}
    with pytest.raises(UserError) as alone:
        MODEL.parse(wrong, {})
    with pytest.raises(InstanceError) as together:
        parse_all(MODEL, [*before, wrong, *after, wrong], {})
    assert str(together.value).endswith(str(alone.value)) and f"[{len(before)}]" in str(together.value)


def test_nothing_is_answered_by_nothing() -> None:
    assert MODEL.predict([]) == []
