"""The quick part of `make faults`: every fault that is cheap to do, and that the table shows what fails."""

import pytest
from faults import Outcome, forks
from faults.__main__ import FAULTS, MODEL, do, line

# Left to `make faults`: the first two start several Python processes, and test_run covers the third.
SLOW = ("kill -9 of an evaluation by two workers", "kill -9 of one of two workers", "a notebook fails in the middle")


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
    assert not Outcome(3, 2, 0, "", "").ok and not Outcome(3, 3, 1, "", "").ok and not Outcome(0, 0, 0, "", "").ok
    assert line("fault", "runs", "survived", "lost", "seconds").split() == [
        "fault",
        "runs",
        "survived",
        "lost",
        "seconds",
    ]


def test_differences_are_counted():
    from faults.work import differences

    rows = [{"sample_id": f"s{i}", "method": "direct", "letter": "A"} for i in range(3)]
    assert differences(rows[:2], rows) == 0, "rows that are not there yet are no differences"
    assert differences([*rows, rows[0]], rows) == 1
    assert differences([rows[0] | {"letter": "B"}], rows) == 1
    assert differences([rows[0] | {"sample_id": "other"}], rows) == 1
