"""Figures are medians, ratios are ours over Mosquitto's, and a loss ends with status 1."""

import pytest

from bench import cli, report
from bench.measure import Round
from bench.report import Outcome
from bench.rows import ROWS, Row

ROW = ROWS[0]


def rounds(*values: float, broker: float = 1.0, generator: float = 0.5) -> list[Round]:
    return [Round(value, 1.0, broker, generator) for value in values]


def outcome(row: Row = ROW) -> Outcome:
    return Outcome(row, rounds(100, 500, 300), rounds(50, 100, 60), rounds(9000)[0])


def test_the_ratio_is_that_of_the_medians_with_the_span_of_the_rounds() -> None:
    result = outcome()
    assert result.ratio == 300 / 60
    assert (min(result.ratios), max(result.ratios)) == (2, 5)
    assert result.reached([result]) is True


def test_a_missed_aim_is_said_and_is_no_loss() -> None:
    result = Outcome(ROW, rounds(100), rounds(100), rounds(9000)[0])
    assert result.reached([result]) is False
    assert ">=5 MISSED" in report.figures_table([result])
    assert not result.lost


def test_a_share_of_another_row_is_worked_out_from_both() -> None:
    whole = Outcome(Row("whole", "all of it"), rounds(1000), rounds(100))
    part = Outcome(Row("part", "some", share_of="whole", share_least=0.4), rounds(390), rounds(10))
    assert part.share([whole, part]) == 0.39
    assert part.reached([whole, part]) is False
    assert "0.390>=0.4 MISSED" in report.figures_table([whole, part])
    assert part.reached([part]) is None


def test_what_else_was_measured_is_shown_as_medians() -> None:
    result = outcome()
    for number, r in enumerate(result.ours):
        r.details["bytes a message"] = 10.0 * number
    assert report.details([result])[-1].strip() == "bytes a message 10.0"
    assert report.as_json([result], {})["rows"][0]["details"]["gateway"] == {"bytes a message": 10}


@pytest.mark.parametrize("fault", ("missing", "duplicates", "late", "altered"))
@pytest.mark.parametrize("whose", ("ours", "theirs"))
def test_a_fault_of_either_broker_ends_with_status_1(
    fault: str, whose: str, capsys: pytest.CaptureFixture[str]
) -> None:
    result = outcome()
    setattr(getattr(result, whose)[1], fault, 3)
    assert cli._finish([result], {}, None) == 1
    name = "gateway" if whose == "ours" else "mosquitto"
    assert f"qos0, {name}, round 2: 3 " in capsys.readouterr().out


def test_no_fault_ends_with_status_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli._finish([outcome()], {}, None) == 0
    assert "Every message arrived once" in capsys.readouterr().out


def test_a_rate_near_the_ceiling_of_an_idle_broker_is_doubtful() -> None:
    result = Outcome(ROW, rounds(900, broker=0.5), rounds(900), rounds(1000, broker=0.5)[0])
    assert result.doubtful(result.ours)
    assert not result.doubtful(result.theirs)
    assert "?" in report.proof_table([result]).splitlines()[-1]


def test_a_shovel_that_was_the_slower_one_does_not_hide_the_ceiling() -> None:
    result = Outcome(ROW, [], [], rounds(1000, broker=1.0, generator=0.5)[0])
    assert result.generator_ceiling == 2000


def test_tables_fit_a_hundred_columns() -> None:
    results = [outcome(row) for row in ROWS]
    text = report.figures_table(results) + "\n" + report.proof_table(results)
    assert max(len(line) for line in text.splitlines()) <= 100


def test_a_row_that_failed_says_why_and_is_a_loss() -> None:
    result = Outcome(ROW, failure="gateway: no answer from the broker")
    assert result.lost
    assert report.faults([result]) == ["qos0: gateway: no answer from the broker"]
    assert report.figures_table([result])


def test_without_mosquitto_one_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "mosquitto_path", lambda: None)
    assert cli.main([]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and "apt install mosquitto" in said.err
