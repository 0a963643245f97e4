"""Runs notebooks from top to bottom and keeps what they show: `python tools/notebooks.py FILE`.

Each runs in an empty folder, in the Python that runs this. What depends on the machine is left out.
"""

from __future__ import annotations

import argparse
import html
import os
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

NOISE = re.compile(
    r"^(WARNING: All log messages before absl|[IWE]\d{4} |\d{4}-\d\d-\d\d .*: [IWE] |"
    r"To enable the following instructions|WARNING:tensorflow:\d+ out of the last \d+ calls).*\n?",
    re.MULTILINE,
)
"""What TensorFlow says of the processor, of missing GPUs, and of many small functions."""

ADDRESS = re.compile(
    r"(colab\.research\.google\.com/github/|git\+https://github\.com/)[\w.-]+/[\w.-]+"
)
"""Where Colab finds the notebooks, and pip the package."""

LIMIT = 600


def run(path: Path) -> Any:
    """The notebook with its outputs, made anew.

    Raises:
        nbclient.exceptions.CellExecutionError: If a cell raises.
    """
    notebook = nbformat.read(path, as_version=4)
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(notebook, timeout=LIMIT, kernel_name="python3")
        client.execute(cwd=folder)
    return notebook


def tidied(notebook: Any) -> Any:
    """The notebook without what changes from run to run, and with bars as text."""
    widgets = notebook.metadata.get("widgets", {}).get("application/vnd.jupyter.widget-state+json")
    states = (widgets or {}).get("state", {})
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for cell in notebook.cells:
        cell.metadata = {k: v for k, v in cell.metadata.items() if k == "tags"}
        if cell.cell_type == "code":
            captured = cell.source.startswith("%%capture")  # what processes print is not
            cell.outputs = [] if captured else [o for o in cell.outputs if _tidy(o, states)]
    return notebook


def _tidy(output: Any, states: dict[str, Any]) -> bool:
    """Mends an output in place; whether it is worth keeping."""
    if output.output_type == "stream":
        output.text = NOISE.sub("", output.text)
        return bool(output.text.strip())
    widget = output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)
    if widget:
        children = states.get(widget["model_id"], {}).get("state", {}).get("children", [])
        texts = (states[c.removeprefix("IPY_MODEL_")]["state"].get("value") for c in children)
        told = " ".join(html.unescape(text) for text in texts if isinstance(text, str))
        output.data["text/plain"] = " ".join(told.replace("\xa0", " ").split())
    return True


def addressed(notebook: Any, repository: str) -> Any:
    """The notebook with links to another repository."""
    for cell in notebook.cells:
        cell.source = ADDRESS.sub(rf"\g<1>{repository}", cell.source)
    return notebook


def main(arguments: list[str] | None = None) -> int:
    """Runs the notebooks one after another, and writes them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", nargs="+", type=Path)
    parser.add_argument(
        "--repository", metavar="OWNER/NAME", help="only let them link to this one on GitHub"
    )
    options = parser.parse_args(arguments)
    for path in options.notebooks:
        if options.repository:
            notebook = nbformat.read(path, as_version=4)
            nbformat.write(addressed(notebook, options.repository), path)
            continue
        begun = time.monotonic()
        nbformat.write(tidied(run(path)), path)
        size = path.stat().st_size / 1e6
        print(f"{path}: {time.monotonic() - begun:.0f} s, {size:.2f} MB", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
