"""SASLprep: RFC 4013's examples, and the same answers as another implementation gives."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scramp.utils import ScramException
from scramp.utils import saslprep as theirs

from gateway.broker.saslprep import saslprep


@pytest.mark.parametrize(
    ("text", "prepared"),
    [  # RFC 4013, section 3
        ("I\u00adX", "IX"),
        ("user", "user"),
        ("USER", "USER"),
        ("\u00aa", "a"),
        ("\u2168", "IX"),
        ("a\u00a0b", "a b"),
        ("e\u0301", "é"),
    ],
)
def test_a_text_has_one_form(text: str, prepared: str) -> None:
    assert saslprep(text) == prepared == saslprep(prepared)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("\u0007", "control character"),
        ("\u0627\u0031", "both directions"),
        ("a\u0627", "both directions"),
        ("\u0627a\u0627", "both directions"),
        ("\U0001f600", "newer than Unicode 3.2"),
        ("\ue000", "private use"),
        ("\u202e", "how others are shown"),
        ("\u00ad", "nothing that can be seen"),
    ],
)
def test_a_text_without_a_form_is_refused_and_says_why(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        saslprep(text)


LETTERS = st.one_of(
    st.characters(max_codepoint=0x7F),
    st.sampled_from("\u00aa\u2168\u00a0\u00ad\u0627\u0628\u0031é\u0301\u200e\ufffd\u1680\u3000"),
    st.characters(),
)


@given(st.text(LETTERS, min_size=1, max_size=6))
@example("\u0340")
@example("\u06271\u0627")
def test_another_implementation_says_the_same(text: str) -> None:
    try:
        expected = theirs(text)
    except ScramException:
        expected = ""
    try:
        said = saslprep(text)
    except ValueError:
        said = ""
    assert said == expected
