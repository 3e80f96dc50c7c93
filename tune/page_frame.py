"""The frame of pages with drawings: one file of HTML that needs nothing else."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.util import find_spec
from typing import Any

from tilewright.tune.error import TuneError

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem;
       color: #1b1f24; background: #fff; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; } h3 { font-size: 1rem; }
table { border-collapse: collapse; width: 100%; }
th { text-align: left; font-weight: 600; border-bottom: 2px solid #d0d7de; }
th, td { padding: 0.2rem 0.75rem 0.2rem 0; }
td { border-bottom: 1px solid #eaeef2; font-variant-numeric: tabular-nums; }
.number { text-align: right; } .bar { width: 22%; }
.bar div { height: 0.8rem; background: #0969da; }
.bound { font-weight: 600; color: #0969da; }
p, li { color: #57606a; } select { font: inherit; }
"""
FONT = {"family": "system-ui, sans-serif", "size": 13}
_PLOT = """
// Nothing leaves the page: there is a button that uploads it.
const options = {
  responsive: true, displaylogo: false, showSendToCloud: false, plotlyServerURL: "",
  modeBarButtonsToRemove: ["select2d", "lasso2d"],
};
for (const [name, figure] of Object.entries(figures))
  Plotly.newPlot(name, figure.data, figure.layout, options);
"""


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of a page.

    Members:
        heading, text: what is shown, and its definition; plain text.
        figure: the drawing's name, and that of its place; empty: none.
        body: HTML below.
    """

    heading: str
    text: str = ""
    figure: str = ""
    body: str = ""

    def html(self) -> str:
        """The section, with room for its drawing."""
        text = f"<p>{escape(self.text)}</p>" if self.text else ""
        figure = f'<div id="{self.figure}"></div>' if self.figure else ""
        return f"<section><h2>{escape(self.heading)}</h2>{text}{figure}{self.body}</section>"


def framed(
    title: str,
    sections: Sequence[Section],
    figures: Mapping[str, Mapping[str, Any]],
    *,
    style: str = STYLE,
    script: str = "",
    end: str = "",
) -> str:
    """A page.

    Args:
        title: plain text.
        sections: from top to bottom.
        figures: drawings by name, with `data` and `layout` as plotly has them; without any the page needs no
            plotly.
        style: CSS.
        script: JavaScript that runs when all is drawn; `figures` and `options` are there.
        end: HTML below the sections.

    Raises:
        TuneError: if there are figures, and plotly is missing.
    """
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{style}</style></head><body>"
        f"<h1>{escape(title)}</h1>{''.join(section.html() for section in sections)}{end}"
        f"{_scripts(figures, script) if figures else ''}</body></html>\n"
    )


def _scripts(figures: Mapping[str, Mapping[str, Any]], script: str) -> str:
    # "</" would end the script.
    data = json.dumps(figures, separators=(",", ":")).replace("</", "<\\/")
    drawn = f"<script>const figures = {data};{_PLOT}{script}</script>"
    return f"<script>{_plotly_script()}</script>{drawn}"


def _plotly_script() -> str:
    try:
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        raise missing_plotly() from error
    return str(get_plotlyjs())


def has_plotly() -> bool:
    """Whether pages can have drawings."""
    return find_spec("plotly") is not None


def missing_plotly() -> TuneError:
    """The error where plotly is missing, with the remedy."""
    return TuneError("pages need plotly, which is not installed: pip install 'tilewright[tune]'")
