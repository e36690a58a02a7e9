"""The quick part of `make faults`: every fault that is cheap to do, and that the table shows what fails."""

import pytest
from faults import Outcome, forks
from faults.__main__ import COUNTS, FAULTS, MODEL, do, line

# Left to `make faults`: these start several Python processes. test_engines, test_ray, test_run, test_store (a killed
# process) and test_edited_benchmarks cover them.
SLOW = (
    "kill -9 of an evaluation",
    "benchmark edited between runs",
    "kill -9 of an evaluation by two workers",
    "kill -9 of one of two workers",
    "worker killed: processes",
    "worker killed: ray",
    "a notebook fails in the middle",
)


@pytest.fixture(scope="module")
def children():
    with forks.Forks(MODEL) as server:
        yield server


@pytest.mark.parametrize("name", [name for name in FAULTS if name not in SLOW and name != "hostile pictures"])
def test_nothing_is_lost(children, name):
    found = do(name, children, heavy=False)
    assert found.ok, f"expected: {found.expected}; happened: {found.happened}"


def test_the_slow_ones_are_there():
    assert set(SLOW) < set(FAULTS)


def test_calls_end_as_they_end(children):
    """A table made with a harness that cannot see failure would prove nothing."""
    raised = children.call("faults.work:load", checkpoint="nowhere/to/be/found")
    assert raised.state == "raised" and "no model folder" in raised.error
    assert children.call("os:_exit", status=3).state == "died"
    ended = children.call("faults.work:answer", checkpoint=str(MODEL), out=None, n=40, kill_after=0.05)
    assert ended.state == "killed" and ended.value is None


def test_an_outcome_is_ok_only_if_all_survived_and_none_is_lost():
    assert Outcome(3, 3, 0, "", "").ok
    assert Outcome(3, 3, 0, "", "", doubled=0, wrong=0).ok
    assert not Outcome(3, 3, 0, "", "", doubled=1).ok and not Outcome(3, 3, 0, "", "", wrong=1).ok
    assert not Outcome(3, 2, 0, "", "").ok and not Outcome(3, 3, 1, "", "").ok and not Outcome(0, 0, 0, "", "").ok
    assert line("fault", *COUNTS, "seconds").split() == [
        "fault",
        "runs",
        "survived",
        "lost",
        "doubled",
        "wrong",
        "seconds",
    ]
    assert line("fault", 1, 1, 0, None, None, 2).split() == ["fault", "1", "1", "0", "-", "-", "2"]


def test_differences_are_counted():
    from faults.work import differences

    rows = [{"sample_id": f"s{i}", "method": "direct", "letter": "A"} for i in range(3)]
    assert differences(rows[:2], rows) == 0, "rows that are not there yet are no differences"
    assert differences([*rows, rows[0]], rows) == 1
    assert differences([rows[0] | {"letter": "B"}], rows) == 1
    assert differences([rows[0] | {"sample_id": "other"}], rows) == 1


def test_lost_doubled_and_wrong_rows_are_told_apart():
    from faults.work import added, compared

    rows = [{"sample_id": f"s{i}", "method": "direct", "letter": "A", "correct": True, "error": None} for i in range(3)]
    failed = rows[0] | {"error": "OSError: gone", "letter": None, "correct": None}
    assert compared(rows, rows) == compared([failed, *rows[1:]], rows) == {"lost": 0, "doubled": 0, "wrong": 0}
    assert compared(rows[:2], rows) == {"lost": 1, "doubled": 0, "wrong": 0}
    assert compared(rows[:2], rows, partly=True)["lost"] == 0
    assert compared([*rows, rows[0]], rows) == {"lost": 0, "doubled": 1, "wrong": 0}
    for wrong in (failed | {"correct": False}, failed | {"letter": "A"}, rows[0] | {"letter": "B"}):
        assert compared([wrong, *rows[1:]], rows) == {"lost": 0, "doubled": 0, "wrong": 1}
    assert added({"lost": 1, "doubled": 0, "wrong": 2}, compared(rows[:2], rows)) == {
        "lost": 2,
        "doubled": 0,
        "wrong": 2,
    }


def test_rows_are_the_same_but_for_the_last_digits():
    from faults.work import same

    rows = [{"sample_id": "s0", "method": "direct", "margin": 0.0114999, "regions": [1.0, 2.0], "error": None}]
    assert same([rows[0] | {"margin": 0.0115001}], rows) and not same([rows[0] | {"margin": 0.0118}], rows)
    assert not same([rows[0] | {"margin": None}], rows) and not same([], rows) and not same(None, rows)
    assert not same([rows[0] | {"regions": [1.0, 3.0]}], rows)
