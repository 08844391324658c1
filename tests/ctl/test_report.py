"""What the operator sees, as pages to be read; `UPDATE_REPORTS=1 pytest` writes them anew."""

import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.control import (
    BrokerStatus,
    CopyState,
    CopyStatus,
    CourierStatus,
    GatewayState,
    GatewayStatus,
    Health,
    PortState,
    ProblemStatus,
    RelayStatus,
    SerialPortStatus,
    Severity,
    Status,
    StoreState,
    StoreStatus,
    TlsStatus,
)
from gateway.ctl.report import report
from gateway.ctl.text import Style, paint, plain
from tests.ctl.statuses import GW1, GW2, SITUATIONS, status

REPORTS = Path(__file__).parent / "reports"


def page(document: Status, width: int = 80) -> str:
    return "".join(plain(line) + "\n" for line in report(document, width))


@pytest.mark.parametrize("name", SITUATIONS)
def test_each_situation_is_shown_as_its_page_says(name):
    path = REPORTS / f"{name}.txt"
    shown = page(SITUATIONS[name])
    if os.environ.get("UPDATE_REPORTS"):
        path.write_text(shown)
    assert shown == path.read_text()


def test_there_is_no_page_without_a_situation():
    assert {path.stem for path in REPORTS.iterdir()} == set(SITUATIONS)


TEXTS = st.text(max_size=100) | st.text("aW重é\x1b\n\t~ ", max_size=100)
NUMBERS = st.none() | st.floats(0, 9e14) | st.integers(0, 10**14).map(float)
COUNTS = st.none() | st.integers(0, 9 * 10**14)
GATEWAYS = st.builds(
    GatewayStatus,
    name=TEXTS,
    id=TEXTS,
    address=TEXTS,
    state=st.sampled_from(GatewayState),
    self=st.booleans(),
    version=TEXTS,
    uptime_s=NUMBERS,
    clients=COUNTS,
    messages_in_per_s=NUMBERS,
    messages_out_per_s=NUMBERS,
    waiting=COUNTS,
    rtt_ms=NUMBERS,
    load=NUMBERS,
    memory_percent=NUMBERS,
    disk_percent=NUMBERS,
    temperature_c=NUMBERS | st.floats(-9e14, 0),
    last_heard_s=NUMBERS,
    over=TEXTS,
)
PORTS = st.builds(
    SerialPortStatus,
    gateway=TEXTS,
    name=TEXTS,
    path=TEXTS,
    state=st.sampled_from(PortState),
    readings=st.integers(0, 9 * 10**14),
    errors=st.integers(0, 9 * 10**14),
    last_reading_s=NUMBERS,
    detail=TEXTS,
)
PROBLEMS = st.builds(ProblemStatus, st.sampled_from(Severity), TEXTS, TEXTS)
WHOLE = st.integers(0, 9 * 10**14)
STORES = st.builds(
    StoreStatus,
    st.sampled_from(StoreState),
    WHOLE,
    st.floats(0, 9e14),
    *[WHOLE] * 5,
    NUMBERS,
)
COUNTERS = st.dictionaries(st.sampled_from(["dropped_expired", "refused_own"]) | TEXTS, WHOLE)
BROKERS = st.builds(BrokerStatus, *[WHOLE] * 5, COUNTERS)
CERTIFICATES = st.builds(TlsStatus, TEXTS, TEXTS, st.floats(-9e14, 9e14), st.booleans(), TEXTS)
COPIES = st.builds(
    CopyStatus,
    st.sampled_from(CopyState),
    st.floats(0, 9e14),
    st.none() | TEXTS,
    TEXTS,
    *[WHOLE] * 4,
    st.lists(TEXTS, max_size=3).map(tuple),
)
COURIERS = st.builds(
    CourierStatus,
    *(TEXTS, WHOLE, WHOLE, NUMBERS, st.floats(0, 9e14)),
    *[WHOLE] * 3,
)
STATUSES = st.builds(
    Status,
    version=TEXTS,
    gateway=TEXTS,
    cluster=st.none() | TEXTS,
    health=st.sampled_from(Health),
    uptime_s=st.floats(0, 9e14),
    gateways=st.lists(GATEWAYS, max_size=3).map(tuple),
    serial_ports=st.lists(PORTS, max_size=3).map(tuple),
    problems=st.lists(PROBLEMS, max_size=3).map(tuple),
    store=st.none() | STORES,
    broker=st.none() | BROKERS,
    tls=st.none() | CERTIFICATES,
    copies=st.none() | COPIES,
    couriers=st.lists(COURIERS, max_size=3).map(tuple),
    relay=st.none() | st.builds(RelayStatus, *[WHOLE] * 3),
)


def columns_taken(text: str) -> int:
    return sum(1 + (unicodedata.east_asian_width(char) in "WF") for char in text)


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(STATUSES, st.sampled_from([80, 81, 132]))
def test_any_document_fits_the_width_and_holds_no_terminal_codes(document, width):
    for line in page(document, width).splitlines():
        assert line.isprintable()
        assert columns_taken(line) <= width


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(STATUSES)
def test_colours_change_nothing_but_colours(document):
    codes = [f"\x1b[{style.value}m" for style in Style] + ["\x1b[0m"]
    for line in report(document):
        painted = paint(line, colour=True)
        for code in codes:
            painted = painted.replace(code, "")
        assert painted == plain(line) == paint(line, colour=False)


def test_a_state_has_a_colour_besides_its_word():
    dead = status(GW1, GW2._replace(state=GatewayState.DEAD))
    painted = "".join(paint(line, colour=True) for line in report(dead))
    assert "\x1b[31mdead" in painted
    assert "\x1b[32malive" in painted
    assert "\x1b[32mhealthy\x1b[0m" in painted


def test_the_worst_comes_first():
    lines = page(SITUATIONS["one-dead-one-suspect"])
    assert lines.index("gw3 is dead") < lines.index("gw2 is suspect")


def test_a_wide_terminal_shows_long_names_in_full():
    wide = page(SITUATIONS["everything-is-long"], 132)
    assert "kitchen-and-pantry-gateway-01" in wide
    assert "fd00:1234:5678:9abc:def0:1234:5678:9abc" in wide
