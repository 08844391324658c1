"""Status documents that the tests show and send: named situations of a mesh."""

from typing import Any

from gateway.broker.vitals import Vitals
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
    SerialPortStatus,
    Severity,
    Status,
    StoreState,
    StoreStatus,
    TlsStatus,
)


def gateway(name: str, address: str, **changes: Any) -> GatewayStatus:
    """One that is well, but for the changes."""
    values: dict[str, Any] = {
        "name": name,
        "id": f"{name}-id",
        "address": address,
        "state": GatewayState.ALIVE,
        "self": False,
        "version": "0.1.0",
        "uptime_s": 273_600.0,
        "clients": 12,
        "messages_in_per_s": 120.0,
        "messages_out_per_s": 240.0,
        "waiting": 0,
        "rtt_ms": 0.42,
        "load": 0.25,
        "memory_percent": 43.0,
        "disk_percent": 12.0,
        "temperature_c": None,
        "last_heard_s": 0.2,
        "over": "",
    }
    return GatewayStatus(**(values | changes))


def unknown(name: str, address: str, **changes: Any) -> GatewayStatus:
    """One of which no figure is known."""
    figures = (
        "uptime_s clients messages_in_per_s messages_out_per_s waiting rtt_ms load memory_percent "
        "disk_percent"
    )
    return gateway(name, address, **(dict.fromkeys(figures.split()) | changes))


def status(*gateways: GatewayStatus, **changes: Any) -> Status:
    """Healthy, but for the changes."""
    values: dict[str, Any] = {
        "version": "0.1.0",
        "gateway": gateways[0].name if gateways else "gw1",
        "cluster": "home",
        "health": Health.HEALTHY,
        "uptime_s": 273_600.0,
        "gateways": gateways,
        "serial_ports": (),
        "problems": (),
        "store": None,
        "tls": None,
    }
    return Status(**(values | changes))


DISK = StoreStatus(
    *(StoreState.OK, 1204, 3.14, 15_320, 31_400_000),
    *(99_000_000, 8_000_000, 7_100_000_000, 4000.0),
)
BROKER = BrokerStatus(12, 40, 0, 120, 0, {"messages_in": 4_711, "dropped_expired": 0})
TWO_COPIES = CopyStatus(CopyState.TWO, 86_400.0, "gw2", "", 0, 4_711, 0, 1, ("gw3",))
OWN_CERTIFICATE = TlsStatus("2f77f3eb" * 8, "9999-12-31T23:59:59Z", 2_912_807.5, True, "off")
CERTIFICATE = TlsStatus("ab01cd23" * 8, "2027-01-31T23:59:59Z", 67.4, False, "required")
GW1 = gateway("gw1", "192.168.1.11", self=True, rtt_ms=None)
GW2 = gateway("gw2", "192.168.1.12", rtt_ms=1.24, load=1.0, waiting=15_320)
GW3 = gateway("gw3", "192.168.1.13", clients=104, messages_in_per_s=0.3, uptime_s=59.0)

SCALE = SerialPortStatus("gw1", "scale", "/dev/ttyUSB0", PortState.OPEN, 15_320, 2, 0.5, "")
METER = SerialPortStatus(
    "gw2",
    "meter",
    "/dev/serial/by-id/usb-FTDI_FT232R_USB_UART_A50285BI-if00-port0",
    PortState.MISSING,
    1_204,
    0,
    86_400.0,
    "no USB device 0403:6001 with serial number A50285BI is plugged in; looking every second",
)

# What `make run` is after half a minute, for README.md; the sensor is plugged in there.
_DEMO: dict[str, Any] = {
    **dict.fromkeys(("clients", "messages_in_per_s", "messages_out_per_s", "waiting"), 0),
    "uptime_s": 31.7,
    "load": 0.42,
    "memory_percent": 2.6,
    "disk_percent": 15.6,
}
DEMO = (
    gateway("gw1", "127.0.0.1", **_DEMO)._replace(
        self=True, rtt_ms=None, clients=1, messages_in_per_s=1.4
    ),
    gateway("gw2", "127.0.0.2", **_DEMO)._replace(rtt_ms=0.99),
    gateway("gw3", "127.0.0.3", **_DEMO)._replace(rtt_ms=1.64),
)

SITUATIONS = {
    "make-run": status(
        *DEMO,
        cluster="demo",
        uptime_s=31.8,
        store=StoreStatus(
            *(StoreState.OK, 8, 0.96, 0, 660_064),
            *(660_064, 4_608, 66_648_256_512, None),
        ),
        copies=CopyStatus(CopyState.TWO, 28.4, "gw3", "", 0, 1_699, 0, 1, ("gw2",)),
        tls=TlsStatus(
            "4b739fc8891637c143505631ff2181589b7abad20dc540ace4d55845b2f9b74d",
            *("9999-12-31T23:59:59Z", 2_912_114.4, True, "off"),
        ),
        broker=BrokerStatus(1, 1, 0, 1, 0, {"messages_in": 39}),
        serial_ports=(
            SerialPortStatus("gw1", "weather", "/dev/ttyUSB0", PortState.OPEN, 30, 0, 0.8, ""),
        ),
        safe_to_unplug=("gw1", "gw2", "gw3"),
    ),
    "three-gateways": status(
        GW1,
        GW2,
        GW3,
        serial_ports=(SCALE,),
        tls=CERTIFICATE,
        safe_to_unplug=("gw2", "gw3"),
    ),
    "one-gateway-alone": status(GW1, cluster=None, store=DISK, tls=OWN_CERTIFICATE, broker=BROKER),
    "counts-that-say-something": status(
        GW1,
        broker=BROKER._replace(
            shared_subscriptions=3,
            replays=2,
            counters={"dropped_queue_full": 15_320, "publishers_slowed": 7, "of_tomorrow": 1},
        ),
    ),
    "one-of-each": status(
        GW1,
        store=DISK._replace(commits=1, messages_never_written=1),
        tls=CERTIFICATE._replace(ends_days=0.8),
        broker=BrokerStatus(
            *(1, 1, 1, 1, 1),
            dict.fromkeys(Vitals().counters(), 1),
        ),
    ),
    "one-copy-late-once": status(GW1, GW2, copies=TWO_COPIES._replace(not_waited=1)),
    "what-waits-for-others": status(
        GW1,
        GW2,
        copies=TWO_COPIES,
        couriers=(
            CourierStatus("gw2", 0, 0, None, 0.0, 0, 0, 0),
            CourierStatus("gw3", 1_204, 3_100_000, 7_300.0, 350.0, 0, 0, 0),
            CourierStatus("gw4", 1, 240, 3.0, 0.0, 1, 20, 300),
            CourierStatus("gw5", 0, 0, None, 0.0, 0, 1, 0),
        ),
    ),
    "two-copies": status(GW1, GW2, store=DISK, copies=TWO_COPIES),
    "one-copy-only": status(
        GW1,
        GW2,
        health=Health.DEGRADED,
        copies=TWO_COPIES._replace(
            state=CopyState.ONE,
            since_s=187.0,
            reason="gw2 is away",
            behind_bytes=3_200_000,
            not_waited=2,
        ),
        problems=(
            ProblemStatus(
                Severity.WARNING,
                "one copy only: gw2 is away",
                "nothing is lost while this disk works; see to that gateway, or wait until another"
                " one is chosen (cluster.copy_after_s)",
            ),
        ),
    ),
    "temperatures": status(GW1._replace(temperature_c=52.4), GW2._replace(temperature_c=-3.0), GW3),
    "one-dead-one-suspect": status(
        GW1,
        GW2._replace(state=GatewayState.SUSPECT),
        unknown("gw3", "192.168.1.13", state=GatewayState.DEAD, last_heard_s=75.0),
        health=Health.DEGRADED,
        serial_ports=(SCALE, METER),
        problems=(
            ProblemStatus(
                Severity.WARNING,
                "gw2 is suspect: nothing heard from it for 2 s",
                "wait a moment; if it stays so, look at the network between gw1 and gw2",
            ),
            ProblemStatus(
                Severity.ERROR,
                "gw3 is dead: nothing heard from it for 75 s. 3,204 messages wait for it on "
                "this gateway's disk",
                "look at its power and its network cable; its clients may connect to gw1",
            ),
        ),
    ),
    "one-over-another": status(
        GW1,
        GW2._replace(over="gw3", rtt_ms=2.31),
        GW3,
        health=Health.DEGRADED,
        problems=(
            ProblemStatus(
                Severity.WARNING,
                "gw2 is reached over gw3 only: there is no link to it",
                "see to the network between this gateway and 192.168.1.12",
            ),
        ),
    ),
    "everything-is-long": status(
        gateway(
            "kitchen-and-pantry-gateway-01",
            "fd00:1234:5678:9abc:def0:1234:5678:9abc",
            state=GatewayState.SUSPECT,
            uptime_s=9_999_999_999.0,
            clients=9_999,
            messages_in_per_s=999_499.0,
            messages_out_per_s=1_499_999.0,
            waiting=999_999_999_999,
            rtt_ms=998.7,
            load=99.7,
            memory_percent=100.0,
            disk_percent=99.6,
            temperature_c=-40.0,
        ),
        gateway("kitchen-and-pantry-gateway-02", "192.168.100.102", uptime_s=863_999.0),
        cluster="the-longest-name-that-a-cluster-can-have-has-sixty-three-letter",
        health=Health.DEGRADED,
        serial_ports=(METER._replace(name="electricity-meter-of-the-north-wing"),),
        problems=(ProblemStatus(Severity.ERROR, "x" * 200, "y " * 100),),
    ),
    "terminal-codes-from-outside": status(
        gateway("gw1\x1b[2J", "192.168.1.11\n"),
        cluster="\x1b]0;title\x07",
        health=Health.DEGRADED,
        serial_ports=(SCALE._replace(detail="\x1b[31mred\r\nand 重量 in kilogrammes " * 5),),
    ),
}
