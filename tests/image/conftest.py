"""Boot tests are run by name alone (`make test-image`): they need root, an image and minutes."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.image.installer import Operator
from tests.image.site import Site
from tests.requires import missing

REPOSITORY = Path(__file__).parent.parent.parent
HERE = Path(__file__).parent


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    """Skips this folder unless somebody asked for it, or for something in it."""
    asked = [Path(argument.split("::")[0]).resolve() for argument in config.args]
    return None if any(path.is_relative_to(HERE) for path in asked) else True


@pytest.fixture(scope="session")
def twin_system() -> Path:
    """The root folder of the twin."""
    if os.geteuid() != 0:
        missing("containers need root")
    system = REPOSITORY / "build/image/twin"
    if not (system / "usr/bin/gatewayd").is_file():
        missing("there is no twin: make image")
    return system


@pytest.fixture(scope="session")
def card_image() -> Path:
    """The image of the SD card."""
    images = sorted((REPOSITORY / "build").glob("gateway-*.img"))
    return images[-1] if images else missing("there is no image: make image")


@pytest.fixture(scope="session")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Operator:
    return Operator(tmp_path_factory.mktemp("operator"))


@pytest.fixture(scope="session")
def site(twin_system: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(twin_system, tmp_path_factory.mktemp("site"))
    yield site
    site.close()
