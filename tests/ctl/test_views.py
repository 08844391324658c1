"""Documents of the whole mesh as lines for a person."""

from typing import Any

from gateway.ctl.text import plain
from gateway.ctl.views import lines

ROW = {"client": "pump-7", "address": "192.168.1.30", "version": "5.0", "connected_s": 61.0}
ROW |= {"silent_s": 1.0, "subscriptions_total": 2, "in_flight": 0, "queued": 0}


def shown(command: str, **document: Any) -> list[str]:
    return [plain(line) for line in lines(command, document, 100)]


def test_a_column_names_the_gateways_where_there_are_several() -> None:
    (heading, row) = shown("clients", clients=[{"gateway": "gw2"} | ROW], total=1, missing=[])
    assert heading.split()[:2] == ["client", "gateway"]
    assert row.split()[:2] == ["pump-7", "gw2"]
    (heading, _) = shown("clients", clients=[ROW], total=1)
    assert "gateway" not in heading


def test_gateways_that_have_not_answered_are_named_below() -> None:
    missing = [{"gateway": "gw3", "why": "it is dead"}]
    for command in ("clients", "sessions"):
        assert shown(command, **{command: [{"gateway": "gw2"} | ROW]}, missing=missing)[-1] == (
            "without gw3: it is dead"
        )
        assert shown(command, **{command: []}, missing=missing)[1:] == ["without gw3: it is dead"]


def test_a_client_is_shown_with_its_gateway_and_others_that_have_a_session() -> None:
    sheet = shown("client", gateway="gw2", also_at=["gw1", "gw3"], subscriptions=[], **ROW)
    assert [line.split() for line in sheet[:3]] == [
        ["client", "pump-7"],
        ["gateway", "gw2"],
        ["a", "session,", "too,", "at", "gw1,", "gw3"],
    ]
    assert not any(
        "session, too" in line for line in shown("client", also_at=[], subscriptions=[], **ROW)
    )
