"""The artifact that holds everything about a search."""

from __future__ import annotations

from tfx.types import artifact

JSON_FILE = "search_report.json"
HTML_FILE = "search_report.html"


class SearchReport(artifact.Artifact):
    """Every trial of a search: status, score, curves, lineage, and why it was stopped.

    `search_report.json` is for programs, `search_report.html` for people. The number of
    trials, of completed and of failed ones, and the best score are custom properties, so that
    they can be asked of ML Metadata.
    """

    TYPE_NAME = "tfx_components.SearchReport"  # Kubeflow imports the class by this name
