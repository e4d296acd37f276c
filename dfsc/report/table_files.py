"""Tables as files: CSV, Markdown, LaTeX (booktabs) and HTML, every sign of their text escaped.

Not by pandas' Styler: it escapes no caption, and leaves signs that LaTeX lacks, such as the minus sign.
"""

import html
import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from dfsc.files import write_text
from dfsc.report.tables import HEADINGS, REFERENCE_KINDS, Table

STYLE = (
    "body{font:14px/1.4 sans-serif;margin:2em;max-width:75em}table{border-collapse:collapse;margin:1em 0}"
    "td,th{padding:.25em .8em;text-align:right;white-space:nowrap}thead{border-top:2px solid;border-bottom:1px solid}"
    "tbody{border-bottom:2px solid}tr.first{border-top:1px solid #aaa}.words{text-align:left}"
)
LONG_LABEL = 36  # signs that a page has room for
DOCUMENT = r"""\documentclass[a4paper,9pt]{extarticle}
\usepackage[T1]{fontenc}
\usepackage[margin=12mm,landscape]{geometry}
\usepackage{booktabs,longtable}
\begin{document}
\footnotesize
"""


def write_tables(tables: Sequence[Table], folder: Path) -> None:
    """Write each table, and tables.tex, a document of them all."""
    for table in tables:
        write_table(table, folder)
    included = "".join(rf"\input{{{table.name}}}" + "\n\\clearpage\n" for table in tables)
    write_text(folder / "tables.tex", DOCUMENT + included + "\\end{document}\n")


def write_table(table: Table, folder: Path) -> None:
    """Write <name>.csv (numbers), .md, .tex (to be included; wants booktabs and longtable) and .html."""
    write_text(folder / f"{table.name}.csv", table.numbers.to_csv(index=False))
    cells = table.shown.map(lambda cell: str(cell).replace("|", r"\|"))
    markdown = cells.to_markdown(index=False, disable_numparse=True)
    write_text(folder / f"{table.name}.md", f"**{table.title}** {table.caption}\n\n{markdown}\n")
    write_text(folder / f"{table.name}.tex", to_latex(table))
    write_text(folder / f"{table.name}.html", to_html(table))


def starts_block(table: pd.DataFrame) -> list[bool]:
    """Per row whether it begins another category, or what others report, and so is set off by a line."""
    if table.empty:  # then it has no columns either: what was not measured has no rows
        return []
    reported = tuple(f"{kind}: " for kind in REFERENCE_KINDS.values())
    sources = table["source"] if "source" in table else [""] * len(table)
    blocks = [None if source.startswith(reported) else category
              for source, category in zip(sources, table["category"], strict=True)]  # fmt: skip
    return [number > 0 and block != blocks[number - 1] for number, block in enumerate(blocks)]


LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": "$<$", ">": "$>$", "|": "$|$",
    "τ'": r"$\tau'$", "±": r"$\pm$", "−": "$-$",
}  # fmt: skip


def latex(text: object) -> str:
    """Text for LaTeX, each of its signs escaped at once, so that no escape is escaped again."""
    return re.sub("|".join(map(re.escape, LATEX)), lambda sign: LATEX[sign[0]], str(text))


def to_latex(table: Table) -> str:
    """A longtable with booktabs rules; numbers right, words left."""
    columns = list(table.shown.columns)
    kinds = {name: "r" if name in HEADINGS.values() else "l" for name in columns}
    if "" in columns and table.shown[""].str.len().max() > LONG_LABEL:
        kinds[""] = "p{48mm}"  # its lines are broken
    head = " & ".join(latex(name) for name in columns) + r" \\"
    lines = [
        r"\setlength{\LTcapwidth}{\linewidth}",
        r"\setlength{\tabcolsep}{4pt}",
        r"\begin{longtable}{" + "".join(kinds.values()) + "}",
        rf"\caption{{{latex(table.title.partition('. ')[2])} {latex(table.caption)}}}\\",  # LaTeX numbers it
        r"\toprule", head, r"\midrule", r"\endfirsthead", r"\toprule", head, r"\midrule", r"\endhead",
        r"\bottomrule", r"\endfoot",
    ]  # fmt: skip
    for begins, row in zip(starts_block(table.shown), table.shown.itertuples(index=False, name=None), strict=True):
        lines += [r"\midrule"] if begins else []
        lines.append(" & ".join(latex(value) for value in row) + r" \\")
    return "\n".join([*lines, r"\end{longtable}", ""])


def to_html(table: Table) -> str:
    """A page of its own, for the report."""

    def cells(tag: str, values: tuple[object, ...]) -> str:
        kinds = ["" if name in HEADINGS.values() else ' class="words"' for name in table.shown.columns]
        return "".join(
            f"<{tag}{kind}>{html.escape(str(value))}</{tag}>" for kind, value in zip(kinds, values, strict=True)
        )

    body = "".join(
        f"<tr{' class=first' if begins else ''}>{cells('td', row)}</tr>\n"
        for begins, row in zip(starts_block(table.shown), table.shown.itertuples(index=False, name=None), strict=True)
    )
    head = cells("th", tuple(table.shown.columns))
    shown = f"<table><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table>"
    return _document(table.title, STYLE, f"<p>{html.escape(table.caption)}</p>\n{shown}")


def page(title: str, table: pd.DataFrame) -> str:
    """A page of a plain table."""
    style = STYLE + "td{text-align:left;white-space:normal}th{text-align:left!important}"
    with pd.option_context("display.max_colwidth", None):  # or digests are cut short
        body = table.to_html(index=False, border=0)
    return _document(title, style, body)


def _document(title: str, style: str, body: str) -> str:
    heading = html.escape(title)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{heading}</title>'
        f"<style>{style}</style><h1>{heading}</h1>{body}</html>\n"
    )
