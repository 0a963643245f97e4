"""The page of the report: its style, light and dark, and the script that sorts its table."""

from __future__ import annotations

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; --ink: #1a1a1a; --paper: #fff; --line: #ddd; --soft: #f4f4f4; }}
@media (prefers-color-scheme: dark) {{
  :root {{ --ink: #e6e6e6; --paper: #16181c; --line: #3a3d42; --soft: #22252a; }}
  svg {{ filter: brightness(1.35); }}
}}
body {{ font: 15px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 1200px; margin: 2rem auto; padding: 0 1rem; }}
h1, h2 {{ font-weight: 600; line-height: 1.2; }}
h2 {{ margin-top: 2rem; font-size: 1.2rem; }}
dl {{ display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1.5rem; }}
dt {{ opacity: .75; }} dd {{ margin: 0; }}
.pictures {{ display: grid; gap: 1.5rem;
  grid-template-columns: repeat(auto-fit, minmax(min(460px, 100%), 1fr)); }}
figure {{ margin: 0; }} svg {{ width: 100%; height: auto; }}
.scroll {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-size: .87rem; font-variant-numeric: tabular-nums; }}
th, td {{ padding: .3rem .6rem; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; }}
td {{ white-space: nowrap; }} td:nth-last-child(-n+2) {{ white-space: normal; min-width: 9rem; }}
tbody tr:nth-child(even) {{ background: var(--soft); }}
th button {{ all: unset; cursor: pointer; font-weight: 600; white-space: nowrap; }}
th button:focus-visible {{ outline: 2px solid; }}
th[aria-sort=ascending] button::after {{ content: " \\25B2"; }}
th[aria-sort=descending] button::after {{ content: " \\25BC"; }}
.warning {{ border-left: 4px solid #D55E00; padding: .4rem .8rem; background: var(--soft); }}
.made {{ opacity: .7; }}
</style>
</head>
<body>
<h1>{title}</h1>
<p class="made">Written by kt_plus, {made}</p>
{damaged}
<dl>
{facts}
</dl>
<h2>Best trial</h2>
{best}
<h2>The search</h2>
<div class="pictures">
{pictures}
</div>
<h2>All trials</h2>
<p>Best first. A click on a heading sorts by that column.</p>
<div class="scroll">
{table}
</div>
<script>
for (const th of document.querySelectorAll("th")) th.firstChild.addEventListener("click", () => {{
  const body = document.querySelector("tbody"), column = th.cellIndex;
  const up = th.getAttribute("aria-sort") !== "ascending", sign = up ? 1 : -1;
  const rows = [...body.rows].map(row => [row.cells[column].textContent, row]);
  const numbers = rows.every(([text]) => text === "" || !isNaN(text));
  rows.sort(([a], [b]) => a === "" || b === "" ? (a === "") - (b === "")
    : sign * (numbers ? a - b : a.localeCompare(b)));
  body.append(...rows.map(([, row]) => row));
  document.querySelectorAll("th").forEach(other => other.removeAttribute("aria-sort"));
  th.setAttribute("aria-sort", up ? "ascending" : "descending");
}});
</script>
</body>
</html>
"""
