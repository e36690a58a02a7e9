"""Time limits that a slow or busy machine keeps too: CPU time, in units of a piece of work of its own."""

import time
from collections.abc import Callable
from typing import Any


def cpu_seconds(work: Callable[[], Any]) -> float:
    """CPU seconds that this process spends on something."""
    began = time.process_time()
    work()
    return time.process_time() - began


def million_squares() -> float:
    """CPU seconds that Python takes to add up a million squares, at the least of three times.

    It is about 0.05 where one is used to a fast machine.
    """
    return min(cpu_seconds(lambda: sum(i * i for i in range(10**6))) for _ in range(3))
