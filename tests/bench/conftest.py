"""A real Mosquitto for the generator to prove itself on."""

from collections.abc import Iterator

import pytest

from bench.brokers import Cores, Product, Running, mosquitto, mosquitto_path
from tests.requires import missing

ANY_CORE = Cores(None, ())


@pytest.fixture(scope="module")
def product() -> Product:
    path = mosquitto_path()
    if path is None:
        missing("Mosquitto is not installed: apt install mosquitto")
    return mosquitto(path)


@pytest.fixture(scope="module")
def broker(product: Product) -> Iterator[Running]:
    with product.start(1, ANY_CORE) as running:
        yield running
