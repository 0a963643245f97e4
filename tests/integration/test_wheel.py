"""What a user installs: the wheel and the source distribution, alone in a clean environment."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[2]
SEARCH = """
import importlib.util
import kt_plus

class Parabola(kt_plus.EvolutionarySearch):
    def run_trial(self, trial, *args, **kwargs):
        return (trial.hyperparameters.Float("x", -1.0, 1.0) - 0.5) ** 2

search = Parabola(max_trials=2, seed=0, directory="projects", project_name="parabola")
search.search()
trials = search.oracle.get_best_trials(2)
assert [trial.status for trial in trials] == ["COMPLETED"] * 2, trials
for trial in trials:
    assert trial.score == (trial.hyperparameters.get("x") - 0.5) ** 2, trial.get_state()
assert search.get_best_hyperparameters()[0].values == trials[0].hyperparameters.values
print(kt_plus.__file__)
print(importlib.util.find_spec("tfx_components").origin)
"""


def run(command: Sequence[str | Path], cwd: Path, **environment: str) -> str:
    """What the command printed; if it fails, so does the test, with both its streams."""
    done = subprocess.run(
        command, cwd=cwd, env=clean_environment() | environment, capture_output=True, text=True
    )
    if done.returncode:
        pytest.fail(f"{' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}", pytrace=False)
    return done.stdout


def clean_environment() -> dict[str, str]:
    hidden = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PYTEST_CURRENT_TEST")
    return {name: value for name, value in os.environ.items() if name not in hidden}


def uv() -> str | None:
    """The uv beside this interpreter, else the one on PATH."""
    return shutil.which("uv", path=Path(sys.executable).parent) or shutil.which("uv")


@pytest.fixture(scope="module")
def package_index(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Skips where no package index can be reached; on CI that is a failure."""
    pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-cache-dir", "six"]
    found = uv()
    probe = [found, "pip", "compile", "--refresh", "--quiet", "-"] if found else pip
    empty = tmp_path_factory.mktemp("probe")
    done = subprocess.run(probe, cwd=empty, input="six\n", capture_output=True, text=True)
    if done.returncode:
        answer = pytest.fail if os.environ.get("CI") else pytest.skip
        answer(f"The wheel's dependencies cannot be installed from here: {done.stderr.strip()}")


@pytest.fixture(scope="module")
def distributions(package_index: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source distribution and the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("dist")
    installer = ["--installer=uv"] if uv() else []
    run([sys.executable, "-m", "build", *installer, "--outdir", folder, REPOSITORY], folder)
    return folder


@pytest.fixture
def clean_python(distributions: Path, tmp_path: Path) -> Iterator[Path]:
    """A Python that has the wheel, its dependencies and TensorFlow, and nothing else."""
    folder = tmp_path / "venv"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    wheel = next(distributions.glob("*.whl"))
    what = [f"{wheel}[tensorflow]", "--constraint", REPOSITORY / "requirements" / "core.lock"]
    if found := uv():
        run([found, "venv", "--python", sys.executable, folder], tmp_path)
        run([found, "pip", "install", "--python", python, *what], tmp_path)
    else:
        run([sys.executable, "-m", "venv", folder], tmp_path)
        run([python, "-m", "pip", "install", *what], tmp_path)
    yield python
    shutil.rmtree(folder)  # two gigabytes


def package_files() -> set[str]:
    files = {
        path.relative_to(REPOSITORY).as_posix()
        for package in ("kt_plus", "tfx_components")
        for pattern in ("*.py", "py.typed")
        for path in (REPOSITORY / package).rglob(pattern)
    }
    assert files >= {"kt_plus/__init__.py", "kt_plus/py.typed", "tfx_components/__init__.py"}
    return files


def test_the_wheel_holds_both_packages_and_nothing_else(distributions: Path) -> None:
    names = set(zipfile.ZipFile(next(distributions.glob("*.whl"))).namelist())
    metadata = {name for name in names if ".dist-info/" in name}
    assert names - metadata == package_files()
    assert any(name.endswith("licenses/LICENSE") for name in metadata)


def test_the_source_distribution_holds_what_a_build_needs(distributions: Path) -> None:
    with tarfile.open(next(distributions.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert names >= package_files()
    assert names >= {"setup.cfg", "setup.py", "pyproject.toml", "README.md", "LICENSE"}
    assert not any(name.startswith(("tests", "benchmarks", "examples")) for name in names)


def test_a_search_runs_where_only_the_wheel_is_installed(
    clean_python: Path, tmp_path: Path
) -> None:
    printed = run([clean_python, "-c", SEARCH], tmp_path, KERAS_BACKEND="tensorflow")
    environment = clean_python.parents[1]
    for origin in printed.splitlines()[-2:]:
        assert Path(origin).is_relative_to(environment), printed
