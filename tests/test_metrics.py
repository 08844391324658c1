"""The page for Prometheus is complete. Over a socket, and line by line, it is tested in
tests/shell/test_metrics.py."""

from random import Random

from gateway.broker.broker import Broker
from gateway.broker.elsewhere import Nowhere
from gateway.config import MqttSection
from gateway.control import RelayStatus
from gateway.metrics import exposition
from tests.ctl.statuses import GW1, TWO_COPIES, status


def test_every_count_of_the_broker_is_in_some_figure_of_the_page() -> None:
    broker = Broker(MqttSection(), Nowhere(), Random(1))
    before = exposition(status(GW1), broker)
    for name in broker.vitals.counters():
        setattr(broker.vitals, name, 987_654)
        assert "987654" in exposition(status(GW1), broker), name
        setattr(broker.vitals, name, 0)
    assert exposition(status(GW1), broker) == before


def test_the_second_copy_is_in_the_page_of_a_gateway_that_has_others() -> None:
    broker = Broker(MqttSection(), Nowhere(), Random(1))
    assert "copies" not in exposition(status(GW1), broker)
    page = exposition(status(GW1, copies=TWO_COPIES._replace(not_waited=7)), broker)
    assert "gatewayd_copies 2\n" in page and "gatewayd_copy_not_waited_total 7\n" in page


def test_what_goes_over_a_gateway_between_others_is_in_its_page() -> None:
    broker = Broker(MqttSection(), Nowhere(), Random(1))
    assert "relay" not in exposition(status(GW1), broker)
    page = exposition(status(GW1, relay=RelayStatus(1, 2_345, 7)), broker)
    assert "gatewayd_relay_links 1\n" in page and "gatewayd_relay_bytes_total 2345\n" in page
    assert "gatewayd_relay_refused_total 7\n" in page
