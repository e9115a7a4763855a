"""Takes the lessons, which lie beside the package in the repository, into the wheel, as entropic_edu/lessons."""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

LESSONS = ("*.ipynb", "workspace.json", "solutions/*.ipynb", "instructors/*", "quiz/*.json")


class BuildPy(build_py):
    """As setuptools does it, and the lessons; an editable installation finds them where they are."""

    def run(self):
        """Build."""
        super().run()
        if self.editable_mode:
            return
        here = Path(__file__).parent / "lessons"
        for file in sorted(file for pattern in LESSONS for file in here.glob(pattern)):
            target = Path(self.build_lib) / "entropic_edu" / "lessons" / file.relative_to(here)
            self.mkpath(str(target.parent))
            self.copy_file(str(file), str(target))


setup(cmdclass={"build_py": BuildPy})
