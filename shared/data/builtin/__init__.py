"""The datasets that come with the product. Each is made on this machine, the same every time."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial

from shared.data.build import BuiltDataset, build_dataset
from shared.data.builtin import code, generated, measured, text
from shared.data.builtin.measured import MissingExtra
from shared.data.options import DatasetOptions
from shared.data.records import Record

__all__ = ["BUILTINS", "Builtin", "MissingExtra", "build_builtin", "find_builtin"]


@dataclass(frozen=True)
class Builtin:
    """One dataset that needs no download, and what a page says about it."""

    name: str
    title: str
    row: str  # what one record is
    source: str
    licence: str
    make: Callable[[], Iterable[Record]]
    options: DatasetOptions = field(default_factory=DatasetOptions)
    stream: bool = False  # the records are pieces of one long text
    time_ordered: bool = False  # later records go to later splits


_ADDING = Builtin(
    name="adding",
    title="The adding problem, 50 steps",
    row="50 pairs of a random number and a mark; the target is the sum of the two marked numbers",
    source="generated; Hochreiter and Schmidhuber, Long Short-Term Memory (1997), section 5.4",
    licence="public domain",
    make=partial(generated.adding, 50),
)
_COPY = Builtin(
    name="copy",
    title="The copy problem, a delay of 50 steps",
    row="10 random letters, 50 blank steps, then 10 steps in which the letters must be recalled",
    source="generated; after Arjovsky, Shah and Bengio, Unitary Evolution RNNs (2016), section 5.1",
    licence="public domain",
    make=partial(generated.copy, 50),
)

BUILTINS: dict[str, Builtin] = {
    builtin.name: builtin
    for builtin in (
        Builtin(
            name="digits",
            title="Handwritten digits",
            row="the 8 rows of an 8 x 8 image from top to bottom; the target is the digit",
            source="scikit-learn load_digits; UCI Optical Recognition of Handwritten Digits",
            licence="CC BY 4.0",
            make=measured.digits,
        ),
        Builtin(
            name="digits-flat",
            title="Handwritten digits as vectors",
            row="the 64 grey values of an 8 x 8 image, without order; the target is the digit",
            source="scikit-learn load_digits; UCI Optical Recognition of Handwritten Digits",
            licence="CC BY 4.0",
            make=measured.flat_digits,
            options=DatasetOptions(input_kind="vector"),
        ),
        Builtin(
            name="sunspots",
            title="Sunspots, 1700 to 2008",
            row="the sunspot numbers of 24 years; the target is that of the next year",
            source="statsmodels sunspots; US National Geophysical Data Center",
            licence="public domain",
            make=measured.sunspots,
            time_ordered=True,
        ),
        Builtin(
            name="surnames",
            title="Surnames and where they are at home",
            row="a surname, letter by letter; the target is its locale, such as it_IT",
            source="the person providers of Faker; names common to several locales are left out",
            licence="MIT",
            make=text.surnames,
        ),
        Builtin(
            name="names-by-locale",
            title="Surnames to be made up for a locale",
            row="a locale, such as it_IT; the target is a surname from there, letter by letter",
            source="the person providers of Faker; names common to several locales are left out",
            licence="MIT",
            make=text.names_by_locale,
            options=DatasetOptions(input_kind="category", target_kind="text"),
        ),
        Builtin(
            name="pydocs",
            title="The Python language reference as text",
            row="400,000 characters in one stream; the target is the next character",
            source="pydoc_data.topics of the Python that runs this",
            licence="PSF-2.0",
            make=text.pydocs,
            stream=True,
        ),
        Builtin(
            name="highlight",
            title="Syntax highlighting of Python",
            row="a few lines of code, up to 200 characters; the target is the colour class of each",
            source="the standard library of the Python that runs this, tagged by Pygments",
            licence="PSF-2.0",
            make=code.highlight,
        ),
        Builtin(
            name="dates",
            title="Dates as people write them, generated",
            row="a date such as 3 March 1994; the target is the same date as 1994-03-03",
            source="generated; days from 1900 to 2099 in eight ways of writing",
            licence="public domain",
            make=generated.dates,
            options=DatasetOptions(target_kind="text"),
        ),
        _ADDING,
        _COPY,
    )
}

_LENGTHS = range(2, 2001)  # that may follow the name of a generated dataset
_SIZED = re.compile(r"(adding|copy)-([1-9][0-9]{0,3})")


def find_builtin(name: str) -> Builtin | None:
    """The built-in of that name; `adding-200` and `copy-100` name another length (2 to 2000)."""
    sized = _SIZED.fullmatch(name)
    if sized is None or int(sized[2]) not in _LENGTHS:
        return BUILTINS.get(name)
    base, length = BUILTINS[sized[1]], int(sized[2])
    return replace(
        base,
        name=name,
        title=base.title.replace("50", str(length)),
        row=base.row.replace("50", str(length)),
        make=partial(getattr(generated, base.name), length),
    )


def build_builtin(builtin: Builtin) -> BuiltDataset:
    """Make and build it; the same bytes on every call. Raises MissingExtra."""
    return build_dataset(
        builtin.make(), builtin.options, stream=builtin.stream, time_ordered=builtin.time_ordered
    )
