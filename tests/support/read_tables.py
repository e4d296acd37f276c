"""Tables as people get them, read back into rows of text (Markdown, LaTeX, HTML), and their cells against numbers."""

import math
import re
import statistics
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from support.told_arithmetic import deviation

Rows = list[list[str]]  # the headings first
SIGNS = ((r"$\tau'$", "τ'"), (r"$\pm$", "±"), ("$-$", "−"), ("$<$", "<"), ("$>$", ">"), (r"\%", "%"), (r"\_", "_"))


def from_markdown(path: Path) -> tuple[str, Rows]:
    """Title and caption, and the rows."""
    text, _, table = path.read_text(encoding="utf-8").partition("\n\n")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.strip().splitlines()]
    assert all(re.fullmatch(r":?-+:?", cell) for cell in rows[1])
    return text.replace("**", ""), [rows[0], *rows[2:]]


def from_latex(path: Path) -> tuple[str, Rows, str]:
    """Title and caption, the rows, and the alignment of the columns; one whose lines are broken is left, too."""
    text = path.read_text(encoding="utf-8")
    alignment = re.search(r"\\begin\{longtable\}\{((?:\w|\{\w+\})+)\}", text)
    caption = re.search(r"\\caption\{(.*)\}\\\\", text)
    assert alignment and caption
    head, body = text.split(r"\endfoot")
    heads = [line for line in head.splitlines() if line.endswith(r" \\")]
    assert len(heads) == 2 and heads[0] == heads[1], "the first page's and the others'"
    lines = [heads[0], *(line for line in body.splitlines() if line and not line.startswith("\\"))]
    assert all(line.endswith(r" \\") for line in lines)
    rows = [[_plain(cell).strip() for cell in line.removesuffix(r" \\").split(" & ")] for line in lines]
    return _plain(caption[1]), rows, re.sub(r"p\{\w+\}", "l", alignment[1])


def _plain(text: str) -> str:
    for latex, sign in SIGNS:
        text = text.replace(latex, sign)
    assert "$" not in text and "\\" not in text, text
    return text


class _Page(HTMLParser):
    """Collects the rows of the page's table, and the text of its other elements."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: Rows = []
        self.texts: dict[str, str] = {}
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        tag = self.open[-1] if self.open else ""
        if tag in ("td", "th"):
            self.rows[-1][-1] += data
        else:
            self.texts[tag] = self.texts.get(tag, "") + data


def from_html(path: Path) -> tuple[str, str, Rows]:
    """Title, caption ('' if there is none), and the rows."""
    page = _Page()
    page.feed(path.read_text(encoding="utf-8"))
    assert page.texts["title"] == page.texts["h1"]
    return page.texts["h1"], page.texts.get("p", ""), page.rows


def number_of(text: str) -> float:
    """A printed number; '−' is its minus sign, and '-' none."""
    assert "-" not in text, text
    return float(text.replace("−", "-"))


def check_value(text: str, values: list[float]) -> None:
    """A mean over seeds in per cent, and its standard deviation where there are two seeds or more."""
    found = re.fullmatch(r"(\d+\.\d)(?: ± (\d+\.\d))?", text)
    assert found, text
    assert number_of(found[1]) == pytest.approx(100 * statistics.fmean(values), abs=0.0501), text
    assert (found[2] is None) == (len(values) == 1), text
    if found[2]:
        assert number_of(found[2]) == pytest.approx(100 * deviation(values), abs=0.0501), text


def check_gain(text: str, gains: list[float], row: dict[str, Any], spread: bool = True) -> None:
    """A difference in points, its standard deviation, and its interval, which is that of the row of comparison.csv."""
    if not gains:
        assert text == ""
        return
    found = re.fullmatch(r"([+−]\d+\.\d)(?: ± (\d+\.\d))?(?: \[([+−]\d+\.\d), ([+−]\d+\.\d)\])?", text)
    assert found, text
    assert number_of(found[1]) == pytest.approx(100 * statistics.fmean(gains), abs=0.0501), text
    assert (found[2] is None) == (len(gains) == 1 or not spread), text
    if found[2]:
        assert number_of(found[2]) == pytest.approx(100 * deviation(gains), abs=0.0501), text
    for bound, shown in (("low", found[3]), ("high", found[4])):
        assert (shown is None) == math.isnan(row[bound]), text
        if shown:
            assert number_of(shown) == pytest.approx(100 * row[bound], abs=0.0501), text


def check_probability(text: str, row: dict[str, Any]) -> None:
    """That of the row of comparison.csv, in two digits."""
    if math.isnan(row["probability"]):
        assert text == ""
    elif row["probability"] < 0.01 or row["probability"] > 0.99:
        assert text == ("< 0.01" if row["probability"] < 0.01 else "> 0.99")
    else:
        assert float(text) == pytest.approx(row["probability"], abs=0.00501) and re.fullmatch(r"0\.\d\d", text)
