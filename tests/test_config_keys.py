"""The table of keys, the dataclasses and the printed page say the same."""

from dataclasses import MISSING, fields
from pathlib import Path

import pytest

from gateway.config_file import parse
from gateway.config_keys import SECTIONS, Kind
from tools.config_doc import EXAMPLE, page

KEYS = [(section, key) for section in SECTIONS for key in section.keys]
PAGE = Path(__file__).parent.parent / "docs" / "configuration.md"


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.name)
def test_every_field_of_a_section_can_be_written_and_nothing_else(section):
    # The mesh's key is the same value whichever of two keys it comes by.
    other_way = ("cluster", "key_file")
    names = [key.name for key in section.keys if (section.name, key.name) != other_way]
    assert names == [field.name for field in fields(section.shape)]


@pytest.mark.parametrize(("section", "key"), KEYS, ids=lambda part: part.name)
def test_every_default_is_allowed_when_it_is_written_down(section, key):
    for field in fields(section.shape):
        if field.name == key.name and field.default not in (MISSING, "", ()):
            assert not key.fault(field.default)


@pytest.mark.parametrize(("section", "key"), KEYS, ids=lambda part: part.name)
def test_every_key_says_in_one_line_what_it_means_and_what_is_allowed(section, key):
    assert key.meaning.endswith(".")
    assert "|" not in key.meaning + key.allowed
    assert "\n" not in key.meaning + key.allowed
    assert (key.kind is Kind.TEXTS) == bool(key.count_max)


def test_the_page_is_printed_from_the_table():
    assert PAGE.read_text() == page(), "run: .venv/bin/python -m tools.config_doc"


def test_the_example_of_the_page_is_a_good_configuration():
    config = parse(EXAMPLE, "example", lambda name: "correct-horse-battery")
    assert len(config.serial) == 2
