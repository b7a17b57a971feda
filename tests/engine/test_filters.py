"""The filters parameter, in both its forms."""

from __future__ import annotations

import pytest

from cellcrate_runtime.engine.filters import Filters, InvalidFilterError

ACCEPTED = {"label", "label!", "name", "status", "dangling"}


def parse(text: str | None) -> Filters:
    return Filters.parse(text, ACCEPTED)


@pytest.mark.parametrize("text", ['{"name": ["a", "b"]}', '{"name": {"a": true, "b": true}}'])
def test_both_forms_mean_the_same(text: str) -> None:
    assert set(parse(text).values("name")) == {"a", "b"}


@pytest.mark.parametrize("text", [None, "", "{}", '{"name": []}', '{"name": {"a": false}}'])
def test_no_values_is_no_filter(text: str | None) -> None:
    filters = parse(text)
    assert "name" not in filters
    assert filters.exact("name", "anything")
    assert filters.prefix("name", "anything")
    assert filters.pattern("name", "anything")
    assert filters.labels({})


def test_an_unknown_filter_is_refused_in_dockers_words() -> None:
    with pytest.raises(InvalidFilterError, match=r"^invalid filter 'colour'$"):
        parse('{"colour": ["red"]}')


@pytest.mark.parametrize("text", ["[]", "bananas", '{"name": "a"}', '{"name": [1]}'])
def test_what_is_not_a_map_of_filters_is_refused(text: str) -> None:
    with pytest.raises(InvalidFilterError, match="invalid filter"):
        parse(text)


def test_one_value_of_a_name_is_enough() -> None:
    filters = parse('{"name": ["web", "db"]}')
    assert filters.exact("name", "db")
    assert not filters.exact("name", "web1")
    assert filters.prefix("name", "web1")
    assert filters.pattern("name", "my-web-1")
    assert not filters.pattern("name", "cache")


def test_a_pattern_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidFilterError, match=r"name=\[\(\]"):
        parse('{"name": ["("]}').pattern("name", "a")


def test_all_labels_must_be_there() -> None:
    filters = parse('{"label": ["a=1", "b"]}')
    assert filters.labels({"a": "1", "b": "whatever", "c": ""})
    assert not filters.labels({"a": "2", "b": ""})
    assert not filters.labels({"a": "1"})


def test_a_prune_can_spare_labels() -> None:
    filters = parse('{"label!": ["keep"]}')
    assert filters.without_labels({"other": ""})
    assert not filters.without_labels({"keep": "yes"})


def test_flags() -> None:
    assert parse('{"dangling": ["true"]}').flag("dangling")
    assert not parse('{"dangling": ["0"]}').flag("dangling", default=True)
    assert parse("{}").flag("dangling", default=True)
    for values in ('["maybe"]', '["true", "false"]'):
        with pytest.raises(InvalidFilterError, match="invalid filter 'dangling="):
            parse(f'{{"dangling": {values}}}').flag("dangling")


def test_choices_and_single_values() -> None:
    assert parse('{"status": ["running"]}').choices("status", {"running"}) == ("running",)
    with pytest.raises(InvalidFilterError, match=r"'status=\[sleeping\]': it can be running"):
        parse('{"status": ["sleeping"]}').choices("status", {"running"})
    assert parse('{"name": ["a"]}').single("name") == "a"
    with pytest.raises(InvalidFilterError, match="only once"):
        parse('{"name": ["a", "b"]}').single("name")
