"""Stores that earlier versions left, after a crash or a stop, are opened with everything in them."""

import tarfile
from pathlib import Path

import pytest

from tests.stores.__main__ import FIRST, gateway_on
from tests.stores.scenario import check, check_later

STORES = sorted(Path(__file__).parent.glob("*.tar.xz"))


def test_there_are_stores_of_more_than_one_version_killed_and_closed() -> None:
    names = {path.name.removesuffix(".tar.xz").rsplit("-", 1)[0] for path in STORES}
    assert FIRST in names and len(names) * 2 == len(STORES) > 2


@pytest.mark.slow
@pytest.mark.parametrize("path", STORES, ids=lambda path: path.name.removesuffix(".tar.xz"))
def test_a_store_of_an_earlier_version_is_opened_with_everything_in_it(
    path: Path, tmp_path: Path
) -> None:
    gateway = gateway_on(tmp_path)
    with tarfile.open(path) as archive:
        archive.extractall(gateway.state_dir, filter="data")
    with gateway:
        check(gateway)
        if not path.name.startswith(FIRST):
            check_later(gateway)
    with gateway_on(tmp_path) as again:  # and it is not worse off for having been opened
        assert not [line for line in again.log().splitlines() if "cannot be read" in line]
