"""The next picture, read and made into patches by a thread while the model works on the present one."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from itertools import pairwise

from hide_utils.method import HiDe, Session
from hide_utils.samples import Sample


class Ahead:
    """Opens the sessions of pictures one after another, each ahead of the model.

    When a picture is handed out, a thread begins to open and prepare the next one. At most one picture is held besides
    the one in hand. What goes wrong in the thread is raised where that picture is asked for. Leaving the context waits
    for the thread, which ends.

    Args:
        hide: the method with its settings.
        samples: the first sample of each picture, in the order in which they will be asked for.
        thread: False opens and prepares each picture when it is asked for. None takes a thread unless the model runs on
            a CPU, whose cores it would take: measured, runs took longer there, and rows more seconds.

    Attributes:
        waited: seconds for which the model waited for pictures.
    """

    def __init__(self, hide: HiDe, samples: Sequence[Sample], thread: bool | None = None) -> None:
        thread = hide.model.device.type != "cpu" if thread is None else thread
        self.waited = 0.0
        self._hide = hide
        self._next = {one.id: following for one, following in pairwise(samples)} if thread else {}
        self._pool = ThreadPoolExecutor(1, "picture-ahead")
        self._ready: dict[str, Future[Session]] = {}
        self._last: Session | None = None
        self._prepares = True
        self._began: float | None = None

    def __enter__(self) -> Ahead:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)
        self._ready, self._last = {}, None

    @property
    def share(self) -> float | None:
        """Share in [0, 1] of the time since the first picture was asked for in which the model waited. None before."""
        return None if self._began is None else self.waited / (time.perf_counter() - self._began)

    def open(self, sample: Sample) -> Session:
        """The session of a sample's picture. Its picture is prepared, unless the last one was never shown to the model.

        Raises:
            Exception: what reading the picture raises.
        """
        if self._last is not None:  # methods that show the model other pictures only need none prepared
            self._prepares = self._last.shared.cost is not None
            self._last = None  # lets go of that picture before this one is waited for or read
        asked = time.perf_counter()
        self._began = self._began or asked
        ready = self._ready.pop(sample.id, None)
        try:
            session = self._opened(sample, self._prepares) if ready is None else ready.result()
        finally:
            self.waited += time.perf_counter() - asked
        if following := self._next.get(sample.id):
            self._ready[following.id] = self._pool.submit(self._opened, following, self._prepares)
        self._last = session
        return session

    def _opened(self, sample: Sample, prepares: bool) -> Session:
        session = self._hide.open(sample.images)
        if prepares:
            with suppress(Exception):  # the first prompt prepares it again, so that an error is its method's alone
                session.prepare()
        return session
