"""The report of a search for people: one HTML file that needs no other."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

STYLE = (
    "body{font:14px sans-serif;margin:2em;color:#222}table{border-collapse:collapse}"
    "th,td{padding:.3em .7em;border-bottom:1px solid #ddd;text-align:left;vertical-align:top}"
    "th{background:#f4f4f4}.best{background:#e8f4e8}.FAILED{color:#a33}"
    "polyline{fill:none;stroke:#36c;stroke-width:1.5}"
)
WIDTH, HEIGHT = 120, 30


def to_html(report: Mapping[str, Any]) -> str:
    """The report as a page.

    Args:
        report: What `outputs.report` returns.
    """
    objective = ", ".join(f"{o['name']} ({o['direction']})" for o in report["objective"])
    facts = {
        "Objective": objective,
        "Trials": len(report["trials"]),
        "Best trial": f"{report['best_trial']}, {report['best_score']:.6g}",
        "Epochs": report["epochs"],
        "Seed": report["seed"],
    }
    names = list(dict.fromkeys(n for t in report["trials"] for n in t["hyperparameters"]))
    heads = ["trial", "status", "score", "curve", *names, "parent", "ended because"]
    listed = "".join(f"<li>{escape(n)}: {escape(str(v))}</li>" for n, v in facts.items())
    rows = "".join(_row(trial, names, report) for trial in _best_first(report))
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        f"<title>{escape(report['tuner'])}</title><style>{STYLE}</style></head><body>"
        f"<h1>{escape(report['tuner'])}</h1><ul>{listed}</ul><table><thead><tr>"
        + "".join(f"<th>{escape(head)}</th>" for head in heads)
        + f"</tr></thead><tbody>{rows}</tbody></table></body></html>"
    )


def _best_first(report: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    largest = [objective["direction"] for objective in report["objective"]] == ["max"]
    scored = [trial for trial in report["trials"] if trial["score"] is not None]
    others = [trial for trial in report["trials"] if trial["score"] is None]
    return sorted(scored, key=lambda trial: trial["score"], reverse=largest) + others


def _row(trial: Mapping[str, Any], names: list[str], report: Mapping[str, Any]) -> str:
    error = (trial["error"] or "").strip().splitlines()
    why = trial.get("stop_reason") or trial.get("dry_stop_reason") or (error or [""])[-1]
    score = "" if trial["score"] is None else f"{trial['score']:.6g}"
    values = [trial["hyperparameters"].get(name, "") for name in names]
    cells = [trial["trial_id"], trial["status"], score, None, *values, trial.get("parent"), why]
    classes = f"{trial['status']}{' best' * (trial['trial_id'] == report['best_trial'])}"
    columns = "".join(
        f"<td>{_curves(trial) if i == 3 else escape(str('' if cell is None else cell))}</td>"
        for i, cell in enumerate(cells)
    )
    return f'<tr class="{classes}">{columns}</tr>'


def _curves(trial: Mapping[str, Any]) -> str:
    """The objective over the epochs, as a small picture."""
    curves = [
        [value for value in curve["values"] if not isinstance(value, str)]
        for curve in trial.get("curves", [])
    ]
    seen = [value for curve in curves for value in curve]
    if not seen:
        return ""
    low, high = min(seen), max(seen)
    drawn = "".join(_line(curve, low, (high - low) or 1.0) for curve in curves if curve)
    return (
        f'<svg width="{WIDTH}" height="{HEIGHT}"><title>{low:.4g} to {high:.4g}, '
        f"{len(seen)} epochs</title>{drawn}</svg>"
    )


def _line(curve: list[float], low: float, span: float) -> str:
    step = WIDTH / max(len(curve) - 1, 1)
    if len(curve) == 1:
        curve = curve * 2
    points = " ".join(
        f"{i * step:.1f},{1 + (HEIGHT - 2) * (1 - (value - low) / span):.1f}"
        for i, value in enumerate(curve)
    )
    return f'<polyline points="{points}"/>'
