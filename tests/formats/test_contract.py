"""One contract over every format: what is encoded is decoded again, what is broken is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyadic.errors import UserError
from polyadic.formats import FORMATS, Dealer, Format, by_content_type, by_file_name, csv, json, npy
from tests.helpers.format_checks import check_damaged, check_refused, check_round_trip

every_format = pytest.mark.parametrize("name", sorted(FORMATS))


@every_format
def test_examples_come_back_and_broken_bytes_are_refused(name: str) -> None:
    examples = FORMATS[name].examples()
    assert len(examples.values) > 1 and len(examples.broken) > 1
    for value in examples.values:
        check_round_trip(FORMATS[name], value)
    for broken in examples.broken:
        check_refused(FORMATS[name], broken)


@every_format
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_no_bytes_whatever_raise_another_error(name: str, data: st.DataObject) -> None:
    check_damaged(FORMATS[name], data.draw(st.sampled_from(FORMATS[name].examples().values)), data)


@every_format
def test_a_format_is_found_by_its_content_types(name: str) -> None:
    assert FORMATS[name].content_types
    for content_type in FORMATS[name].content_types:
        for spelling in (content_type, content_type.upper(), f"{content_type}; charset=utf-8", f" {content_type} "):
            assert by_content_type(spelling) is FORMATS[name]


@every_format
def test_a_format_is_found_by_its_suffixes(name: str) -> None:
    for suffix in FORMATS[name].suffixes:
        assert by_file_name(f"some.file{suffix}") is by_file_name(f"FILE{suffix.upper()}") is FORMATS[name]
    assert by_file_name("some.file") is by_file_name("csv") is None


@every_format
def test_what_a_file_can_be_is_declared_as_a_whole(name: str) -> None:
    tested = FORMATS[name]
    dense, sparse = tested.open_tensor is not None, tested.read_coordinates is not None
    assert (dense and sparse) == (tested.is_sparse is not None)
    assert tested.form is not None or dense or sparse or tested.read_rows is not None


def test_no_two_formats_share_a_content_type_or_a_suffix() -> None:
    for names in ("content_types", "suffixes"):
        all_of_them = [name for each in FORMATS.values() for name in getattr(each, names)]
        assert len(all_of_them) == len(set(all_of_them))


@pytest.mark.parametrize("name", ["docword.nips.txt", "DOCWORD.kos.txt.gz"])
def test_a_format_is_found_by_its_own_pattern_of_names(name: str) -> None:
    assert by_file_name(name) is FORMATS["docword"]
    assert by_file_name(f"my-{name}") is None


@pytest.mark.parametrize("content_type", [None, "", "text/html", "application/jso", "json", "*/*"])
def test_an_unknown_content_type_is_refused_with_the_known_ones(content_type: str | None) -> None:
    with pytest.raises(UserError, match=r"content type .* is unknown here\. Known are application/json, application/"):
        by_content_type(content_type)


@pytest.mark.parametrize("change", [{"decoder": csv.decode}, {"open_tensors": npy.open_tensor}])
def test_a_misspelt_declaration_is_an_error_where_it_stands(change: dict[str, Any]) -> None:
    whole = {field: getattr(json.FORMAT, field) for field in Format.__dataclass_fields__}
    assert Format(**whole) == json.FORMAT
    with pytest.raises(TypeError, match="unexpected keyword argument"):
        Format(**whole, **change)


def test_a_missing_function_is_an_error_where_it_stands() -> None:
    with pytest.raises(TypeError, match="missing 2 required keyword-only arguments: 'encode' and 'examples'"):
        Format(  # type: ignore[call-arg]  # That is what is tested.
            name="json", suffixes=(), content_types=("application/json",), form=None, decode=json.decode
        )


def test_a_dealer_deals_in_turn() -> None:
    dealer = Dealer(1, 3)
    rows = list(range(10))
    assert [rows[:4][dealer.mine(4)], rows[4:][dealer.mine(6)]] == [[1], [4, 7]]
