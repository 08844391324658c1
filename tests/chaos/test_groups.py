"""A shared subscription over three real gateways: each message to one member, whoever comes and goes."""

from collections import Counter

import pytest

from tests.chaos.conftest import Mesh, People
from tests.chaos.mesh import NAMES
from tests.clients.face import Message
from tests.gateways import wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.parametrize("whole_mesh", ["lan"], indirect=True),
]
GROUP = "$share/team/jobs/#"
JOBS = 300
END = b"end"


@pytest.mark.parametrize("qos", [1, 2])
def test_each_message_goes_to_one_member_and_each_member_gets_its_share(
    mesh: Mesh, people: People, qos: int
) -> None:
    places = [*NAMES, "gw1"]  # two members at one gateway, and one at each other
    members = [people.at(mesh[name], f"member-{n}") for n, name in enumerate(places)]
    for member in members:
        member.subscribe(GROUP, qos)
        member.subscribe("all/end", qos)
    writers = {name: people.at(mesh[name], f"writer-{name}") for name in NAMES}
    for name, writer in writers.items():
        writer.publish([Message("jobs/x", f"{name}-{n}".encode(), qos) for n in range(JOBS)])
    writers["gw1"].publish([Message("all/end", END, qos)])
    came = [[message.payload for message in member.inbox.until(END)] for member in members]
    counts = Counter(payload for share in came for payload in share)
    assert len(counts) == len(NAMES) * JOBS and set(counts.values()) == {1}
    fair = len(NAMES) * JOBS / len(members)
    assert all(0.8 * fair < len(share) < 1.2 * fair for share in came)


def test_a_member_whose_gateway_is_killed_leaves_the_others_with_all_that_follows(
    mesh: Mesh, people: People
) -> None:
    members = {name: people.at(mesh[name], f"member-{name}") for name in ("gw2", "gw3")}
    for member in members.values():
        member.subscribe(GROUP, 1)
    stays = members["gw2"]
    writer = people.at(mesh["gw1"], "writer")
    writer.publish([Message("jobs/x", b"before", 1)] * 10)
    mesh["gw3"].kill()
    wait_until(lambda: mesh["gw1"].states()["gw3"] == "dead", "gw3 is dead", 6)
    writer.publish([Message("jobs/x", b"%d" % n, 1) for n in range(JOBS)])
    writer.publish([Message("jobs/x", END, 1)])
    came = [message.payload for message in stays.inbox.until(END)]
    assert [payload for payload in came if payload != b"before"] == [b"%d" % n for n in range(JOBS)]
