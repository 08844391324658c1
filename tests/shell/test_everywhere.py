"""Answers of many gateways as one (gateway/shell/everywhere.py)."""

from typing import Any

from gateway.shell.everywhere import Found, Listing


def rows(*clients: str, total: int | None = None) -> dict[str, Any]:
    there: list[object] = [{"client": client} for client in clients]
    return {"clients": there, "total": len(clients) if total is None else total}


def test_rows_stand_in_order_and_name_their_gateway() -> None:
    listing = Listing("clients", 3)
    listing.add("gw1", rows("c", "a"))
    listing.add("gw2", rows("b", "d", total=7))
    document = listing.document([])
    assert [(row["client"], row["gateway"]) for row in document["clients"]] == [
        ("a", "gw1"),
        ("b", "gw2"),
        ("c", "gw1"),
    ]
    assert document["total"] == 9


def test_what_is_no_row_is_passed_over() -> None:
    listing = Listing("clients", 3)
    for document in ({}, {"clients": 7, "total": "x"}, {"clients": [1, {"client": 2}, {}]}):
        listing.add("gw2", document)
    assert listing.document([]) == {"clients": [], "total": 0, "missing": []}


def test_the_gateway_that_knows_most_of_a_client_is_shown() -> None:
    found = Found(lambda document: bool(document["connected"]))
    assert found.document() is None
    found.add("gw1", {"connected": False})
    found.add("gw2", {"connected": True})
    found.add("gw3", {"connected": True})
    assert found.document() == {"gateway": "gw2", "connected": True, "also_at": ["gw1", "gw3"]}
