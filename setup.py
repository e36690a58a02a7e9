"""The wheel takes a copy of the data that the package reads; pyproject.toml says all else.

Which files those are stands in `hide_utils.paths.TRAVELS`. An editable install takes none: it reads the checkout.
"""

import runpy
import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
TRAVELS = runpy.run_path(str(ROOT / "hide_utils" / "paths.py"))["TRAVELS"]


class BuildWithData(build_py):
    """Copies modules as setuptools does, then the data."""

    def run(self) -> None:
        """Build into a folder without files of earlier builds, which would travel along."""
        if self.editable_mode:
            return super().run()
        package = Path(self.build_lib) / "hide_utils"
        shutil.rmtree(package, ignore_errors=True)
        super().run()
        for name in self.travelling():
            target = package / "shipped" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, target)

    def travelling(self) -> list[str]:
        """The data files, by their paths below the root."""
        found = [path for pattern in TRAVELS for path in sorted(ROOT.glob(pattern))]
        return [path.relative_to(ROOT).as_posix() for path in found if path.is_file() and path.name[0] != "."]

    def get_source_files(self) -> list[str]:
        """What a source distribution takes along."""
        return [*super().get_source_files(), *self.travelling()]


setup(cmdclass={"build_py": BuildWithData})
