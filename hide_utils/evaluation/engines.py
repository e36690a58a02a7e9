"""Where pictures are answered: here, in processes of this machine (one a GPU), or on a Ray cluster.

An engine yields `Answered` as samples are done, in any order. The program that called it is the only one that stores
rows. A worker that dies loses nothing but the picture in its hands, and another answers that again.
"""

from __future__ import annotations

import logging
import math
import multiprocessing
import os
import pickle
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from typing import Any

import torch

from hide_utils.evaluation.answers import Answered, failed
from hide_utils.evaluation.workers import Recipe, Task, Worker

ENGINES = ("local", "processes", "ray")
ATTEMPTS = 3  # how often all workers may die before they have begun a picture
RAY_RETRIES = 2  # how often a picture is given to another worker after one died at it, on Ray and in processes


def over_processes(tasks: Sequence[Task], recipe: Recipe, workers: int | None = None) -> Iterator[Answered]:
    """Answer in processes of this machine.

    A process that dies, for lack of memory perhaps, is replaced. It takes the others with it, so the pictures that any
    of them had in hand are tried alone, one at a time. A picture whose process dies `RAY_RETRIES` times more while it
    is alone counts as failed, and the run goes on.

    Args:
        tasks: what to answer.
        recipe: what a process needs for it.
        workers: how many processes. None takes one a GPU, or without any one for every four cores.

    Raises:
        ValueError: methods or samples cannot be sent to a process.
        RuntimeError: the calling script has no main guard, or workers died `ATTEMPTS` times before they began anything.
    """
    try:
        pickle.dumps((recipe, tasks[:1]))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise ValueError(
            f"engine 'processes' cannot send these methods or samples to its workers ({error}): name methods of "
            "hide_utils.baselines.METHODS, or use functions that a module defines"
        ) from error
    left, died, idle = dict(enumerate(tasks)), Counter[int](), 0
    suspects: list[int] = []
    while left:
        some, before, hands = {number: left[number] for number in suspects} or left, len(left), list[int]()
        count = 1 if suspects else min(workers or _shares(), before)
        for number, answered in _round(some, recipe, count):
            if answered is None:
                hands.append(number)
                continue
            del left[number]
            yield from answered
        for number in hands if count == 1 else ():
            died[number] += 1
            if died[number] > RAY_RETRIES:
                yield _given_up(left.pop(number))
        suspects = [number for number in (some if suspects else hands) if number in left]
        idle = 0 if hands or len(left) < before else idle + 1
        if idle == ATTEMPTS:
            names = ", ".join(task[0][0].image_id for task in list(left.values())[:3])
            raise RuntimeError(
                f"worker processes died {ATTEMPTS} times as they started, without finishing any of {before} pictures "
                f"({names}, ...): the model cannot be loaded (what they printed says more), for lack of memory? "
                "Rows so far are stored; try fewer workers"
            )


def _given_up(task: Task) -> Answered:
    """Rows of a picture at which workers died again and again: all together, so that they count as one failure."""
    lost = RuntimeError(f"its worker died {RAY_RETRIES + 1} times, for lack of memory perhaps")
    return Answered([row for sample, names in task for row in failed(sample, names, lost).rows], lost)


def _shares() -> int:
    return torch.cuda.device_count() or max((os.cpu_count() or 1) // 4, 1)


def _round(left: Mapping[int, Task], recipe: Recipe, workers: int) -> Iterator[tuple[int, list[Answered] | None]]:
    """Numbers and answers of the tasks that one pool of processes finishes: all of them, unless a process dies.

    Then those that the processes had in hand come last, with None in place of answers.
    """
    context = multiprocessing.get_context("spawn")  # CUDA does not survive a fork
    workers = min(workers, len(left))
    gpus, threads = torch.cuda.device_count(), max((os.cpu_count() or 1) // workers, 1)
    recipes, hands = context.SimpleQueue(), context.RawArray("q", [-1] * workers)
    for i in range(workers):
        recipes.put((i, recipe.on(f"cuda:{i % gpus}") if gpus else recipe.on("cpu", threads)))
    begun = context.Event()
    pool = ProcessPoolExecutor(workers, context, _start, (recipes, begun, hands))
    broken: set[int] = set()
    try:
        futures = {pool.submit(_answer_task, number, task): number for number, task in left.items()}
        for future in as_completed(futures):
            try:
                answered = future.result()
            except BrokenProcessPool:
                broken.add(futures[future])
                continue
            yield futures[future], answered
    finally:
        pool.shutdown(wait=bool(broken), cancel_futures=True)  # the next pool needs the memory of one that broke
    yield from ((number, None) for number in hands if number in broken)
    if (script := getattr(sys.modules["__main__"], "__file__", None)) and not begun.is_set():
        raise RuntimeError(
            f"no worker process got past {script}, which each of them reads anew before it begins (what they printed "
            'says more): put everything there that runs below a line `if __name__ == "__main__":`'
        )


# Both exist in worker processes alone, one in each.
_worker: Worker
_in_hand: Callable[[int], None]  # tells the calling program the number of the task that is begun


def _start(recipes, begun, hands) -> None:
    global _worker, _in_hand
    begun.set()
    threading.Thread(target=_end_with_the_program, daemon=True).start()
    place, recipe = recipes.get()
    _worker, _in_hand = Worker(recipe), partial(hands.__setitem__, place)


def _end_with_the_program() -> None:
    """End this process when the calling program ends. A killed program's workers would keep their GPUs' memory."""
    if (program := multiprocessing.parent_process()) is not None:
        program.join()
        os._exit(1)


def _answer_task(number: int, task: Task) -> list[Answered]:
    _in_hand(number)
    return _worker.answer(task)


def over_ray(tasks: Sequence[Task], recipe: Recipe, workers: int | None = None) -> Iterator[Answered]:
    """Answer on Ray. The model's folder and the pictures have to be in reach of every machine under the same path.

    Without a running `ray.init` the cluster that RAY_ADDRESS names is joined, else one is started here. Every actor has
    one picture at a time and gets the next when its answers were taken. Ray restarts an actor that dies and gives it
    its picture again. A picture whose actors die `RAY_RETRIES` times more counts as failed, and the run goes on.

    Args:
        tasks: what to answer.
        recipe: what an actor needs for it.
        workers: how many actors. None takes one a GPU of the cluster, or without any one for every four cores.

    Raises:
        ImportError: Ray is not installed.
        RuntimeError: no actor is left.
    """
    try:
        import ray
        from ray.exceptions import RayActorError
        from ray.util import ActorPool
    except ImportError as error:
        raise ImportError(
            "engine 'ray' needs Ray: pip install 'hide-utils[ray]'. For several GPUs of one machine "
            "engine 'processes' needs nothing more"
        ) from error
    _join(ray)
    pool = ActorPool(_actors(ray, recipe, workers))
    left, died = dict(enumerate(tasks)), []
    for numbered in left.items():
        pool.submit(lambda actor, numbered: actor.numbered.remote(*numbered), numbered)
    while pool.has_next():
        try:
            number, answered = pool.get_next_unordered()
        except RayActorError as error:  # all attempts at one picture died; the pool does not say at which
            died.append(str(error))  # the error itself would keep the pool, and with it the actors
            continue
        del left[number]
        yield from answered
    if len(left) > len(died):
        why = died[-1].strip().splitlines()[-1] if died else "the cluster is gone"
        raise RuntimeError(
            f"no worker on Ray is left, {len(left)} pictures are unanswered ({why}); rows so far are stored"
        )
    yield from map(_given_up, left.values())


def _join(ray: Any) -> None:
    if ray.is_initialized():
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a cluster started here reports to nobody
    # Without "local" Ray waits minutes for a cluster that was started by hand before, even where that was killed.
    where = {} if os.environ.get("RAY_ADDRESS") else {"address": "local"}
    ray.init(include_dashboard=False, logging_level=logging.WARNING, log_to_driver=False, **where)


def _actors(ray: Any, recipe: Recipe, workers: int | None) -> list[Any]:
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    gpus = sum(int(machine.get("GPU", 0)) for machine in machines)
    if gpus:
        workers = workers or gpus
        # Ray shows an actor its own GPU alone, whose number is then 0.
        mine, needs = recipe.on("cuda:0"), {"num_cpus": 1, "num_gpus": 1 / math.ceil(workers / gpus)}
    else:
        workers, cores = shares([int(machine.get("CPU", 0)) for machine in machines], workers)
        mine, needs = recipe.on("cpu", max(int(cores), 1)), {"num_cpus": cores}
    actor = ray.remote(max_restarts=-1, max_task_retries=RAY_RETRIES, **needs)(Worker)
    return [actor.remote(mine) for _ in range(workers)]


def shares(cores: Sequence[int], workers: int | None = None) -> tuple[int, float]:
    """How many workers, and the cores of each, such that all find room.

    Args:
        cores: of each machine.
        workers: how many. None takes one for every four cores.

    Returns:
        Workers and cores of each, a fraction where there are more workers than cores.
    """
    cores = [n for n in cores if n]
    if workers is None:
        each = min(4, *cores)
        return sum(n // each for n in cores), each
    fitting = [each for each in range(1, max(cores) + 1) if sum(n // each for n in cores) >= workers]
    return workers, fitting[-1] if fitting else 1 / math.ceil(workers / sum(cores))
