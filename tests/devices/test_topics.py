"""Topic templates."""

import pytest

from gateway.devices.topics import expand


def test_the_names_are_filled_in() -> None:
    assert expand("site/{gateway}/{port}/{port}", "gw1", "scale") == "site/gw1/scale/scale"


def test_a_name_that_looks_like_a_placeholder_is_left_alone() -> None:
    assert expand("{port}", "gw1", "{gateway}") == "{gateway}"


@pytest.mark.parametrize("template", ["", "a/{name}", "a/+", "#", "a\0b", "x" * 70_000])
def test_what_is_no_topic_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match="topic"):
        expand(template, "gw1", "scale")
