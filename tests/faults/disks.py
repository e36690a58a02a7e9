"""A disk that is full or read-only while results, figures, answers or cached rows are written."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

from faults import Outcome
from faults.forks import Forks
from faults.work import METHODS, added, answer, compared, differences, load, same, samples, stored
from hide_utils.evaluation.store import ResultStore

NEW_MOUNTS, NEW_USER = 0x00020000, 0x10000000  # flags of unshare(2)
READ_ONLY, REMOUNT, BIND, RECURSIVE, PRIVATE = 1, 32, 4096, 16384, 1 << 18  # of mount(2)
DETACH = 2  # of umount2(2): files that are open stay so
SAYS = {"full": "no space left", "read-only": "cannot be written"}


def _libc(name: str, *given) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*given):
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")


class Disk:
    """A small disk of this process alone, mounted at `folder`.

    Where this user may not mount, a limit on the size of files takes its place.

    Args:
        folder: made here.
        size: of the disk, in bytes.
    """

    def __init__(self, folder: Path, size: int) -> None:
        self.folder, self.size = folder, size
        folder.mkdir(parents=True)
        user, group = os.getuid(), os.getgid()
        try:
            _libc("unshare", NEW_MOUNTS | NEW_USER)
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/uid_map").write_text(f"0 {user} 1")
            Path("/proc/self/gid_map").write_text(f"0 {group} 1")
            _libc("mount", b"none", b"/", None, RECURSIVE | PRIVATE, None)
            _libc("mount", b"tmpfs", os.fsencode(folder), b"tmpfs", 0, f"size={size}".encode())
            self.mounted = True
        except OSError:
            self.mounted = False

    def fill(self, leave: int) -> None:
        """Fill the disk so that `leave` bytes are left."""
        if not self.mounted:
            resource.setrlimit(resource.RLIMIT_FSIZE, (leave, resource.RLIM_INFINITY))
            return
        with (self.folder / "filler").open("wb", buffering=0) as filler, contextlib.suppress(OSError):
            while True:
                filler.write(bytes(1024))
        os.truncate(self.folder / "filler", max((self.folder / "filler").stat().st_size - leave, 0))

    def free(self) -> None:
        """Make room again."""
        if self.mounted:
            (self.folder / "filler").unlink()
        else:
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    def lock(self) -> bool:
        """Make the disk read-only; False where that cannot be, because this user may write everywhere."""
        if self.mounted:
            _libc("mount", None, os.fsencode(self.folder), None, REMOUNT | READ_ONLY, None)
            return True
        for folder in [self.folder, *(p for p in self.folder.rglob("*") if p.is_dir())]:
            folder.chmod(0o555)
        return os.getuid() != 0


def said(do: Callable[[], object]) -> str:
    """The error's text, empty where none is raised."""
    try:
        do()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def leftovers(folder: Path) -> list[str]:
    """Temporary files that should be gone."""
    return [path.name for path in folder.rglob(".*") if path.is_file()]


def results(checkpoint: str, folder: str, n: int) -> dict:
    """Run an evaluation into a full disk, and go on when there is room."""
    expected = answer(checkpoint, None, n)
    disk = Disk(Path(folder) / "disk", 400_000)
    out = disk.folder / "rows.parquet"
    answer(checkpoint, str(out), n // 2)
    disk.fill(leave=4096 if disk.mounted else 6000)
    text = said(lambda: answer(checkpoint, str(out), n))
    kept = stored(out)
    disk.free()
    whole = answer(checkpoint, str(out), n)
    counts = added(compared(kept, expected, partly=True), compared(whole, expected))
    counts["lost"] += max(n // 2 * len(METHODS) - len(kept), 0)
    return {
        "said": text,
        **counts,
        "whole": same(whole, expected) and not leftovers(disk.folder),
        "mounted": disk.mounted,
    }


def figures(folder: str, read_only: bool = False) -> dict:
    """Write figures and a table anew on a full or read-only disk. The earlier files stay as they were."""
    import matplotlib

    matplotlib.use("Agg")
    import pandas as pd

    from hide_utils.evaluation.saving import save_figure, save_table
    from hide_utils.plots import new_figure

    disk = Disk(Path(folder) / "disk", 2_000_000)
    os.environ["HIDE_FIGURES"] = str(disk.folder)

    def draw(n: int) -> None:
        fig, ax = new_figure()
        ax.imshow([[i * j % 251 for i in range(200)] for j in range(n)])
        save_figure(fig, "drawn", "00_any", {"n": n})

    def write(n: int) -> None:
        save_table(pd.DataFrame({"x": range(n)}), "table", "00_any", {"n": n})

    draw(10), write(10)
    before = {path: path.read_bytes() for path in disk.folder.rglob("*") if path.is_file()}
    if read_only and not disk.lock():
        return {"skipped": "this user may write everywhere"}
    if not read_only:
        disk.fill(leave=0 if disk.mounted else 1000)
    texts = [said(lambda: draw(200)), said(lambda: write(20_000))]
    changed = [path for path, content in before.items() if path.read_bytes() != content]
    bad = len(changed) + len(leftovers(disk.folder))
    if not read_only:
        disk.free()
        draw(200), write(20_000)
    return {"said": "; ".join(texts), "all_said": all(texts), "lost": bad, "whole": True, "mounted": disk.mounted}


def cache(checkpoint: str, folder: str, n: int, read_only: bool = False) -> dict:
    """Capture rows that cannot be kept. Those that were kept before are read."""
    from hide_utils.evaluation.captured import RowCache
    from hide_utils.method.entities import given_entities
    from hide_utils.method.session import Session

    disk = Disk(Path(folder) / "disk", 400_000)
    some, model = samples(n), load(checkpoint)
    for sample in some:
        sample.entities = ["dog", "scooter"]
    RowCache(disk.folder / "rows").load(model, some[: n // 2], [1], progress=False)
    if read_only and not disk.lock():
        return {"skipped": "this user may write everywhere"}
    if not read_only:
        disk.fill(leave=0 if disk.mounted else 100)
    rows = RowCache(disk.folder / "rows")
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        found, _ = rows.load(model, some, [1], progress=False)
    right = [Session(model, s.image).search(given_entities(s.entities), [1]) for s in some]
    same = [(a.semantic == b.semantic).all() and a.tokens == b.tokens for a, b in zip(found, right, strict=True)]
    return {
        "said": "; ".join(sorted({str(one.message) for one in warned})),
        "lost": int(len(same) - sum(same)) + n // 2 - rows.hits,
        "whole": rows.captured == n - n // 2 and not (leftovers(disk.folder) if not read_only else []),
        "mounted": disk.mounted,
    }


def read_only(checkpoint: str, folder: str, n: int) -> dict:
    """Read results in a read-only folder, and try to add some, which is refused before anything is run."""
    disk = Disk(Path(folder) / "disk", 400_000)
    out = disk.folder / "rows.parquet"
    expected = answer(checkpoint, str(out), n)
    if not disk.lock():
        return {"skipped": "this user may write everywhere"}
    model = load(checkpoint)
    model.counts.clear()
    texts = [
        said(lambda: answer(checkpoint, str(out), n + 2)),
        said(lambda: answer(checkpoint, str(disk.folder / "new" / "rows.parquet"), n)),
    ]
    ran = sum(model.counts.values())
    unread = said(lambda: stored(out))
    return {
        "said": "; ".join([*texts, *filter(None, [unread])]),
        "all_said": all(texts),
        **compared([] if unread else stored(out), expected),
        "whole": ran == 0,
        "mounted": disk.mounted,
    }


def half_mounted(checkpoint: str, folder: str, n: int) -> dict:
    """Unmount the disk of the results while an evaluation writes them. Mount it again, and evaluate again.

    What is written meanwhile goes into the folder below, which can be written. Where this user may not mount, the
    folder is renamed and an empty one put in its place.
    """
    expected = answer(checkpoint, None, n)
    disk, place = Disk(Path(folder) / "disk", 2_000_000), Path(folder) / "place"
    place.mkdir()
    aside, written, append = place.with_name("aside"), [], ResultStore.append

    def mount() -> None:
        if disk.mounted:
            _libc("mount", os.fsencode(disk.folder), os.fsencode(place), None, BIND, None)
        elif aside.exists():
            shutil.rmtree(place)
            aside.rename(place)

    def unmount() -> None:
        if disk.mounted:
            _libc("umount2", os.fsencode(place), DETACH)
        else:
            place.rename(aside)
            place.mkdir()

    def appended(store, rows, *rest):
        if len(written) == n // 2:
            unmount()
        written.extend(rows[:1])  # one a sample; a run begins by storing the rows of its shards, which are none here
        return append(store, rows, *rest)

    mount()
    out, tables = place / "rows.parquet", []
    ResultStore.append = appended
    text = said(lambda: tables.append(answer(checkpoint, str(out), n)))
    ResultStore.append = append
    mount()
    kept = stored(out)
    tables.append(answer(checkpoint, str(out), n))
    counts = added(*(compared(table, expected) for table in tables), compared(stored(out), expected))
    counts["lost"] += max(n // 2 * len(METHODS) - len(kept), 0)
    counts["wrong"] += differences(kept, expected)
    return {"said": text, "counts": counts, "ended": len(tables) == 1, "mounted": disk.mounted}


def unmounted(forks: Forks, folder: Path, checkpoint: Path, n: int) -> Outcome:
    """The run ends and says so, what was stored stays, and the next run goes on."""
    ended = forks.call("faults.disks:half_mounted", checkpoint=str(checkpoint), folder=str(folder), n=n)
    bad = {"counts": {"lost": 1, "doubled": 0, "wrong": 0}, "ended": False, "said": ended.error, "mounted": True}
    found = ended.value or bad
    ok = found["ended"] and "mount" in found["said"] and not any(found["counts"].values())
    how = "" if found["mounted"] else " (by a folder that was renamed)"
    expected = "ends and says so; rows before stay; goes on when it is mounted again"
    happened = f"{found['said'] or 'not said'}{how}"[:300]
    return Outcome(1, int(ok), expected=expected, happened=happened, **found["counts"])


def outcome(forks: Forks, do: str, wanted: str, expected: str, folder: Path, **given) -> Outcome:
    """One call of a function above in a process of its own, as an outcome."""
    ended = forks.call(f"faults.disks:{do}", folder=str(folder), **given)
    found = ended.value or {"said": ended.error or ended.state, "lost": 1, "whole": False}
    if "skipped" in found:
        return Outcome(1, 1, 0, expected, f"not tried: {found['skipped']}")
    counts = {name: found.get(name) for name in ("lost", "doubled", "wrong")}
    ok = found["whole"] and not any(counts.values()) and wanted in found["said"] and found.get("all_said", True)
    how = "" if found.get("mounted", True) else " (by a limit on files' sizes)"
    return Outcome(1, int(ok), expected=expected, happened=f"{found['said']}{how}"[:300], **counts)
