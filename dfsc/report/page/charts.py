"""Charts that plotly draws in the browser: the forest plot of paired differences. The page's style colours them."""

import json
from typing import Any

import pandas as pd

from dfsc.metrics.summary import HEADLINE_METRICS
from dfsc.report.compare import ALL, COLUMNS
from dfsc.report.tables import CONSTRAINT_INACTIVE, HEADINGS, NOT_MEASURED, TITLES, Context, gain
from dfsc.settings.grid import Method

SYMBOLS = dict(zip(COLUMNS, ("circle", "square", "triangle-up", "diamond"), strict=True))  # told apart without colour
ROW_HEIGHT, FRAME = 66, 122  # pixels


def forests(comparison: pd.DataFrame, context: Context) -> list[dict[str, Any]]:
    """A forest plot per declared method and headline metric: {label, method, metric, figure, text}."""
    found = []
    for metric in HEADLINE_METRICS:
        for baseline, method in context.grid.pairs:
            label = f"{context.label(method, ALL)} minus {baseline.label}, {TITLES[metric]}"
            rows = comparison[(comparison["metric"] == metric) & (comparison["method"] == method.name)]
            rows = rows[rows["difference"].notna()]
            text = _described(rows, label)
            found.append({"label": label, "figure": _forest(rows, context, method), "text": text})
    return found


def _forest(rows: pd.DataFrame, context: Context, method: Method) -> dict[str, Any]:
    """Differences in points with their 95 % intervals: a row per category, a mark per anomaly type and their mean."""
    from plotly import graph_objects

    places = [*context.grid.categories, ALL]
    shown = [kind for kind in COLUMNS if (rows["anomaly_type"] == kind).any()]
    figure = graph_objects.Figure()
    for number, kind in enumerate(shown):
        of_kind = rows[rows["anomaly_type"] == kind]
        offset = 0.2 * (number - (len(shown) - 1) / 2)
        value, low, high = (100 * of_kind[name] for name in ("difference", "low", "high"))
        figure.add_scatter(
            name=HEADINGS[kind],
            mode="markers",
            x=value.round(3).tolist(),
            y=[places.index(name) + offset for name in of_kind["category"]],
            error_x={
                "type": "data",
                "symmetric": False,
                "width": 0,
                "thickness": 2.6 if kind == "mean" else 1.5,
                "array": (high - value).fillna(0).round(3).tolist(),
                "arrayminus": (value - low).fillna(0).round(3).tolist(),
            },
            marker={"symbol": SYMBOLS[kind], "size": 12 if kind == "mean" else 9},
            text=[f"{_plain(row['category'])}: {gain(row, spread=False)}" for row in _rows(of_kind)],
            hovertemplate="%{text}<extra></extra>",
            meta=kind,
        )
    inactive = [name for name in places if context.label(method, name) != method.label]
    marks = dict.fromkeys(inactive, f"<br><i>{CONSTRAINT_INACTIVE}</i>")
    texts = [_plain(name.replace("_", " ")) + marks.get(name, "") for name in places]
    figure.update_layout(
        height=FRAME + ROW_HEIGHT * len(places),
        xaxis={"title": {"text": "difference in points; bar: 95 % interval", "font": {"size": 12}}, "zeroline": True},
        yaxis={
            "zeroline": False,
            "showgrid": False,
            "tickvals": list(range(len(places))),
            "ticktext": texts,
            "range": [len(places) - 0.5, -0.5],
        },
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        margin={"l": 8, "r": 12, "t": 44, "b": 48},
        template="none",
    )
    made: dict[str, Any] = json.loads(figure.to_json())
    made["layout"].pop("template", None)
    return made


def _rows(frame: pd.DataFrame) -> list[pd.Series]:
    return [row for _, row in frame.iterrows()]


def _plain(text: str) -> str:
    """Text that plotly does not take for its own kind of HTML."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _described(rows: pd.DataFrame, label: str) -> str:
    """The chart in words, for those who do not see it."""
    if rows.empty:
        return f"{label}: {NOT_MEASURED}."
    parts = [f"{row['category']}, {HEADINGS[row['anomaly_type']]}: {gain(row, spread=False)}" for row in _rows(rows)]
    return f"{label}. {'; '.join(parts)}."
