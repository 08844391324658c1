"""For every test: the logs of the brokers that it ran stand in the report of its failure."""

from collections.abc import Generator

import pytest

from tests.gateways import captured_logs, forget_closed


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        report.sections.extend(captured_logs())
    if report.when == "teardown":
        forget_closed()
    return report
