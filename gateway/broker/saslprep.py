"""SASLprep (RFC 4013): the one form of a name or password that can be typed in several ways.

Only characters of Unicode 3.2 are in its tables: what came later has no form that both sides are sure to
agree on, and is refused as an unassigned character. Must not know what the text is for.
"""

import stringprep
from unicodedata import ucd_3_2_0 as unicode

_PROHIBITED = (  # section 2.3, and 2.5: unassigned characters
    (stringprep.in_table_c12, "a space that is no plain one"),
    (stringprep.in_table_c21_c22, "a control character"),
    (stringprep.in_table_c3, "a character for private use"),
    (stringprep.in_table_c4, "a code that is no character"),
    (stringprep.in_table_c5, "a surrogate code"),
    (stringprep.in_table_c6, "a character that is not for plain text"),
    (stringprep.in_table_c7, "a character that describes others"),
    (stringprep.in_table_c8, "a character that changes how others are shown"),
    (stringprep.in_table_c9, "a tagging character"),
    (stringprep.in_table_a1, "a character that is newer than Unicode 3.2"),
)


def saslprep(text: str) -> str:
    """The prepared text. Raises ValueError that says what is in it, for one that has no such form."""
    mapped = "".join(
        " " if stringprep.in_table_c12(letter) else letter
        for letter in text
        if not stringprep.in_table_b1(letter)
    )
    prepared = unicode.normalize("NFKC", mapped)
    if not prepared:
        raise ValueError("nothing that can be seen")
    for letter in prepared:
        for is_in_table, what in _PROHIBITED:
            if is_in_table(letter):
                raise ValueError(what)
    _check_directions(prepared)
    return prepared


def _check_directions(text: str) -> None:
    """RFC 3454, section 6: a text that runs from right to left does so from its first to its last
    letter."""
    if any(map(stringprep.in_table_d1, text)):
        ends = stringprep.in_table_d1(text[0]) and stringprep.in_table_d1(text[-1])
        if not ends or any(map(stringprep.in_table_d2, text)):
            raise ValueError("letters of both directions")
