"""`make conformance`: the list, and an exit status of 1 while anything on it is missing."""

import sys

from tests.conformance.statements import Statement, collect


def lines(statement: Statement) -> list[str]:
    """A statement as it is printed."""
    mark = "pending" if statement.pending and statement.lacks else ""
    mark = mark or ("MISSING" if statement.lacks else "")
    said = [f"[MQTT-{statement.name}] {statement.who}: {statement.text}"]
    said += [f"    obeyed  {place}" for place in statement.obeyed]
    said += [f"    tested  {place}" for place in statement.tested]
    if statement.reason:
        said.append(f"    because {statement.reason}")
    elif statement.who == "client" and not statement.obeyed:
        said.append("    because it binds the client")
    if mark:
        said.append(f"    {mark}: {statement.lacks}")
    return said


def main() -> int:
    statements, unknown = collect()
    for statement in statements:
        print("\n".join(lines(statement)))
    lacking = [each for each in statements if each.lacks]
    pending = [each for each in lacking if each.pending]
    for place in unknown:
        print(f"no such statement: {place}")
    print(
        f"{len(statements)} statements; {len(lacking) - len(pending)} without a line or a test, "
        f"{len(pending)} pending, {len(unknown)} citations of what does not exist"
    )
    return 1 if lacking or unknown else 0


if __name__ == "__main__":
    sys.exit(main())
