"""Users keep their variant, shares are kept, and raising one moves nobody back."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyadic.variants import Assignment, Shares, VariantError, read_custom_attributes
from polyadic.variants.assignment import position

USERS = [f"user-{number}" for number in range(20_000)]


def of(share: float, salt: str = "spring") -> Shares:
    return Shares({"B": share, "A": 1 - share}, salt)


def test_shares_are_kept() -> None:
    for share in (0.1, 0.3):
        found = sum(of(share).assign(user).variant == "B" for user in USERS) / len(USERS)
        assert found == pytest.approx(share, abs=4 * (share * (1 - share) / len(USERS)) ** 0.5)


@given(st.text(), st.floats(0, 1), st.floats(0, 1))
def test_raising_the_challengers_share_moves_nobody_back(user: str, one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert of(low).assign(user).variant == "A" or of(high).assign(user).variant == "B"


def test_salts_draw_independently() -> None:
    both = sum(of(0.1).assign(user).variant == of(0.1, "autumn").assign(user).variant == "B" for user in USERS)
    assert both / len(USERS) == pytest.approx(0.01, abs=0.003)


def test_another_process_gives_the_same_variant() -> None:
    program = "from polyadic.variants.assignment import position; print(position('spring', 'Ada Ünal'))"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert float(said) == position("spring", "Ada Ünal")


def test_this_room_imports_numpy_alone() -> None:
    foreign = "('torch', 'scipy', 'pydantic', 'pyarrow')"
    program = f"import sys, polyadic.variants; print([name for name in {foreign} if name in sys.modules])"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said == "[]\n"


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_share_of_0_gets_nobody(share: float) -> None:
    assert {of(share).assign(user).variant for user in USERS[:1000]} == {"B" if share else "A"}
    assert Shares({"B": 1.0, "A": 0.0}, "x")._variant_at(1 - 2**-53) == "B"


def test_who_is_excluded_gets_the_champion_and_is_in_no_comparison() -> None:
    shares = Shares({"B": 1.0, "A": 0.0}, "x", frozenset({"staff"}), champion="A")
    assert shares.assign("staff") == Assignment("staff", "A", {"B": 0.0, "A": 1.0})
    assert shares.assign("guest").variant == "B"


def test_an_assignment_travels_in_custom_attributes() -> None:
    assignment = of(0.25).assign("Ünal")
    text = assignment.custom_attributes()
    assert text.isascii() and text.isprintable() and read_custom_attributes(text) == assignment
    for foreign in (
        "",
        "abc",
        "{}",
        '{"polyadic": 3}',
        '{"polyadic": {"user": "u", "variant": "C", "propensities": {}}}',
    ):
        assert read_custom_attributes(foreign) is None
    for wrong in ("7", "0.5"):  # No chance, and chances that are not whole.
        assert read_custom_attributes(text.replace("0.25", wrong)) is None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Shares({}, "x"), "one at least"),
        (lambda: Shares({"A": 1.5, "B": -0.5}, "x"), "a share from 0 to 1"),
        (lambda: Shares({"A": 0.5, "B": 0.4}, "x"), "sum to 0.9"),
        (lambda: Shares({"A": 1.0}, "x", frozenset({"staff"})), "champion: got None"),
        (lambda: Shares({"A": 1.0}, "x", champion="B"), "champion: got 'B'"),
        (lambda: Shares({"A": 1.0}, "x", "staff", "A"), "excluded: got the text 'staff'"),  # type: ignore[arg-type]
        (lambda: of(0.5).assign("u" * 2000).custom_attributes(), "such as a hash"),
    ],
)
def test_what_is_refused(call: object, message: str) -> None:
    with pytest.raises(VariantError, match=message):
        call()  # type: ignore[operator]
