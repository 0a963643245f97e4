"""The command line: `python -m kt_plus report DIR`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command, and returns the exit status."""
    parser = argparse.ArgumentParser("python -m kt_plus", description="Look at searches.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    report = commands.add_parser("report", help="write a search as one HTML file")
    report.add_argument("directory", metavar="DIR", help="the folder of the project")
    report.add_argument("--output", "-o", default="report.html", metavar="FILE")
    options = parser.parse_args(arguments)
    import kt_plus
    from kt_plus.errors import ResultsError, StorageError

    try:
        print(kt_plus.report(options.directory, options.output))
    except (ResultsError, StorageError, ImportError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
