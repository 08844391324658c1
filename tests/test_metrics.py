"""The page for Prometheus is complete. Over a socket, and line by line, it is tested in
tests/shell/test_metrics.py."""

from random import Random

from gateway.broker.broker import Broker
from gateway.broker.elsewhere import Nowhere
from gateway.config import MqttSection
from gateway.control import CourierStatus, RelayStatus
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


def test_what_waits_for_each_gateway_is_a_figure_of_its_own() -> None:
    broker = Broker(MqttSection(), Nowhere(), Random(1))
    assert "courier" not in exposition(status(GW1), broker)
    row = CourierStatus("gw2", 12, 3_400, 60.5, 7.0, 1, 2, 3)
    page = exposition(status(GW1, couriers=(row,)), broker)
    for line in (
        'gatewayd_courier_messages{to="gw2"} 12',
        'gatewayd_courier_bytes{to="gw2"} 3400',
        'gatewayd_courier_oldest_seconds{to="gw2"} 60.5',
        'gatewayd_courier_sent_per_second{to="gw2"} 7.0',
        'gatewayd_courier_lost_total{to="gw2",cause="refused"} 1',
        'gatewayd_courier_lost_total{to="gw2",cause="expired"} 3',
    ):
        assert line + "\n" in page


def test_what_goes_over_a_gateway_between_others_is_in_its_page() -> None:
    broker = Broker(MqttSection(), Nowhere(), Random(1))
    assert "relay" not in exposition(status(GW1), broker)
    page = exposition(status(GW1, relay=RelayStatus(1, 2_345, 7)), broker)
    assert "gatewayd_relay_links 1\n" in page and "gatewayd_relay_bytes_total 2345\n" in page
    assert "gatewayd_relay_refused_total 7\n" in page
