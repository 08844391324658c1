"""Lines are found whatever shape the TOML has, and nothing is taken for a key that is none."""

import json
import tomllib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.toml_lines import Path, locate

SHAPES = '''\
# a = 1
top = "[not.a.table]" # nor = "this"
dotted . "quo\\u0074ed" .'literal' = 1

[table] # ]
multi = """
[[fake]]
fake = 1 \\""" still
\\\\"""
literal = \'\'\'
a = "\'\'\'
quotes = """two ""at the end"""""
next = [ # [
  1, [2, 3], # , 4
  """
x = 5
""",
  {inline = 1, "in.ner" = {x = []}},
  1979-05-27 07:32:00
  ,
]
after.x.y = 1
after.x.z = 2
[a.b]
k = 1
[a]
[[list]]
k = 1
[list.sub]
k = 1
[[list.many]]
[[list.many]]
k = {}
[[list]]
[list.sub.deep]
[["list".many]]
last = [[], [[]]]'''


def paths_of(value: object, path: Path = ()) -> set[Path]:
    """Every path that the standard parser's document has."""
    found = {path} if path else set()
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    else:
        items = []
    return found.union(*(paths_of(child, (*path, key)) for key, child in items))


def test_each_shape_of_toml_has_its_line():
    lines = locate(SHAPES)
    assert set(lines) == paths_of(tomllib.loads(SHAPES))
    expected: dict[Path, int] = {
        ("top",): 2,
        ("dotted", "quoted", "literal"): 3,
        ("table",): 5,
        ("table", "multi"): 6,
        ("table", "literal"): 10,
        ("table", "quotes"): 12,
        ("table", "next"): 13,
        ("table", "next", 1, 1): 14,
        ("table", "next", 2): 15,
        ("table", "next", 3, "in.ner", "x"): 18,
        ("table", "next", 4): 19,
        ("table", "after"): 22,
        ("table", "after", "x", "z"): 23,
        ("a", "b"): 24,
        ("a",): 26,
        ("list",): 27,
        ("list", 0): 27,
        ("list", 0, "sub", "k"): 30,
        ("list", 0, "many", 1, "k"): 33,
        ("list", 1): 34,
        ("list", 1, "sub"): 35,
        ("list", 1, "sub", "deep"): 35,
        ("list", 1, "many", 0, "last", 1, 0): 37,
    }
    assert {path: lines[path] for path in expected} == expected


def test_lines_end_as_windows_ends_them_or_as_others_do():
    assert locate(SHAPES.replace("\n", "\r\n")) == locate(SHAPES)


# Documents are written together with the line of each thing in them.

BARE = st.text("abAB01_-", min_size=1, max_size=3)
ANY = st.text(
    st.characters(blacklist_categories=["Cs", "Cc"]) | st.sampled_from("#=.[]{},\"'\n\t\\"),
    max_size=6,
)
COMMENTS = st.sampled_from(["", " # x = 1", '# """', "#'''[", "\t"])


def quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


@st.composite
def scalars(draw):
    kind = draw(st.integers(0, 3))
    text = draw(ANY)
    if kind == 0:
        return draw(st.sampled_from(["1", "-1.5e3", "true", "inf", "1979-05-27 07:32:00Z"]))
    if kind == 1:
        return quoted(text)
    if kind == 2:
        body = text.replace("\\", "\\\\").replace('"""', '""\\"')
        tail = draw(st.sampled_from(["", '"', '""']))
        return f'"""{body if not body.endswith(chr(34)) else body + "."}{tail}"""'
    return "'''" + text.replace("'", "_") + draw(st.sampled_from(["", "'", "''"])) + "'''"


@st.composite
def values(draw, depth: int = 2):
    """The text of a value, and the line and path, both relative, of what is inside it."""
    kind = draw(st.integers(0, 2)) if depth else 0
    if kind == 0:
        return draw(scalars()), {}
    lines: dict[Path, int] = {}
    if kind == 1:
        text = "["
        for index in range(draw(st.integers(0, 3))):
            text += draw(st.sampled_from(["", "\n", " # ]\n", "\n\n  "]))
            inner, inside = draw(values(depth - 1))
            line = text.count("\n")
            lines[(index,)] = line
            lines |= {(index, *path): line + more for path, more in inside.items()}
            text += inner + draw(st.sampled_from([",", " ,", "\n,", "# ,\n,"]))
        return text + draw(st.sampled_from(["", "\n", "# [\n"])) + "]", lines
    parts = []
    here = 0
    for key in draw(st.lists(ANY, max_size=3, unique=True)):
        inner, inside = draw(values(depth - 1))
        lines[(key,)] = here
        lines |= {(key, *path): here + more for path, more in inside.items()}
        parts.append(f"{quoted(key)} = {inner}")
        here += parts[-1].count("\n")
    return "{" + ", ".join(parts) + "}", lines


@st.composite
def documents(draw):
    text = ""
    lines: dict[Path, int] = {}
    tables: list[Path] = [()]
    for name in draw(st.lists(BARE, max_size=4, unique=True)):
        if draw(st.booleans()):
            tables.append((name,))
        else:
            tables += [(name, index) for index in range(draw(st.integers(1, 3)))]
    for table in tables:
        text += draw(COMMENTS) + "\n" if draw(st.booleans()) else ""
        line = text.count("\n") + 1
        if table:
            lines[table] = line
            lines.setdefault(table[:1], line)
            many = len(table) == 2
            text += f"[[ {table[0]}]]" if many else f"[{table[0]} ]"
            text += draw(COMMENTS) + "\n"
        for key in draw(st.lists(ANY, max_size=3, unique=True)):
            if not table and (key,) in tables:
                continue
            line = text.count("\n") + 1
            value, inside = draw(values())
            if not table and any(key == other[0] for other in tables[1:]):
                continue
            lines[(*table, key)] = line
            lines |= {(*table, key, *path): line + more for path, more in inside.items()}
            text += f"{quoted(key)}={value}" + draw(COMMENTS) + "\n"
    return text, lines


@pytest.mark.slow
@given(documents())
@example(("a=1", {("a",): 1}))
def test_everything_is_found_on_the_line_where_it_was_written(document):
    text, lines = document
    assert paths_of(tomllib.loads(text)) == set(lines)
    assert locate(text) == lines
