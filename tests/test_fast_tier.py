"""`make test-fast` runs where Keras cannot be imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
FILES = {
    "test_pure.py": "import kt_plus\n\ndef test_it():\n    assert kt_plus.Record\n",
    "test_of_keras.py": "import keras\n\ndef test_it():\n    assert False\n",
    "test_hidden.py": "def test_it():\n    import kt_plus.errors\n",
}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs pytest with the plugin of the tier in a process of its own."""
    command = [sys.executable, "-m", "pytest", "-p", "tests.without_keras", "-q", *arguments]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=300)


def test_no_test_of_the_tier_imports_keras_when_it_is_collected() -> None:
    done = run("@tests/fast.txt", "--collect-only")
    assert done.returncode == 0, done.stdout
    files = {line.partition("::")[0] for line in done.stdout.splitlines() if "::" in line}
    assert "tests/search_strategies/test_evolution.py" in files
    assert "tests/performance_estimation/test_every_rule.py" in files
    assert "tests/engine/test_space.py" in files
    assert "tests/engine/test_ledger.py" not in files, "this file imports Keras Tuner"


def test_a_file_that_imports_keras_is_left_out_and_a_hidden_import_fails(tmp_path: Path) -> None:
    for name, code in FILES.items():
        (tmp_path / name).write_text(code)
    done = run(str(tmp_path), "-p", "no:cacheprovider")
    assert done.returncode == 1, done.stdout
    assert "1 failed, 1 passed" in done.stdout
    assert "keras_tuner is blocked in `make test-fast`" in done.stdout
