"""Records -> pages: tables, figures and the words around them. No torch."""

from typing import Literal

# What a table for a paper is written in, see `bench.pages.paper`.
Format = Literal["latex", "markdown", "csv", "typst", "bibtex"]
