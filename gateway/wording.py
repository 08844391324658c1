"""Words that go with a figure: 1 session, 2 sessions. Must not know what is counted."""


def agreed(number: float, text: str) -> str:
    """The text for so many: of "[is|are]" the first for one, the second else; "[s]" is "[|s]"."""
    said, *parts = text.split("[")
    for part in parts:
        forms, _, rest = part.partition("]")
        one, _, many = forms.rpartition("|")
        said += (one if number == 1 else many) + rest
    return said


def several(number: int, text: str) -> str:
    """The figure, and the text for so many."""
    return f"{number} {agreed(number, text)}"


def times(number: int) -> str:
    """How often."""
    return "once" if number == 1 else f"{number} times"
