"""The pages for operators say what the programs do."""

import re
from pathlib import Path

import pytest

from gateway.broker.vitals import Vitals
from gateway.control import (
    BrokerStatus,
    CopyStatus,
    GatewayStatus,
    ProblemStatus,
    SerialPortStatus,
    Status,
    StoreStatus,
    TlsStatus,
)

DOCS = Path(__file__).parent.parent / "docs"
REPORTS = Path(__file__).parent / "ctl" / "reports"
SECTIONS = [
    ("# The status document", Status),
    ("## Each of `gateways`", GatewayStatus),
    ("## Each of `serial_ports`", SerialPortStatus),
    ("## `store`", StoreStatus),
    ("## `copies`", CopyStatus),
    ("## `tls`", TlsStatus),
    ("## Each of `problems`", ProblemStatus),
]


@pytest.mark.parametrize(("heading", "shape"), SECTIONS)
def test_every_key_of_the_status_document_is_described_in_its_order(heading, shape):
    page = (DOCS / "status-json.md").read_text()
    section = page.split(f"{heading}\n", 1)[1].split("\n## ", 1)[0]
    assert tuple(re.findall(r"^\| `(\w+)` \|", section, re.M)) == shape._fields


def test_what_the_broker_holds_and_every_count_is_described():
    page = (DOCS / "status-json.md").read_text()
    section = page.split("## `broker`\n", 1)[1].split("\n## ", 1)[0]
    named = [
        name for row in re.findall(r"^\| (`.*?) \|", section, re.M) for name in row.split(", ")
    ]
    wanted = [*BrokerStatus._fields, *Vitals().counters()]
    assert sorted(name.strip("`") for name in named) == sorted(wanted)


def test_the_example_in_the_readme_is_what_gwctl_prints():
    page = (REPORTS / "make-run.txt").read_text()
    example = "".join(f"    {line}\n" if line else "\n" for line in page.splitlines())
    assert f"\n\n{example}\n" in (DOCS.parent / "README.md").read_text()


def test_the_example_for_operators_is_what_gwctl_prints():
    example = (REPORTS / "one-dead-one-suspect.txt").read_text()
    assert f"```\n{example}```\n" in (DOCS / "operating.md").read_text()
