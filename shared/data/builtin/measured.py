"""Built-in datasets that people once measured. Loads a library only when its dataset is made."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from shared.data.records import Record

_YEARS = 24  # two solar cycles and a little


class MissingExtra(Exception):
    """A built-in dataset whose library is not installed; the message says how to get it."""


def digits() -> Iterator[Record]:
    """Images of scikit-learn's load_digits as 8 rows of 8 grey values from 0 to 16."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    for index, (image, digit) in enumerate(zip(bunch.images, bunch.target, strict=True)):
        yield Record(image, int(digit), None, f"item {index}")


def flat_digits() -> Iterator[Record]:
    """The images of `digits` as vectors of 64 grey values."""
    for record in digits():
        yield Record(np.ravel(np.asarray(record.input)), record.target, None, record.where)


def sunspots() -> Iterator[Record]:
    """Windows over the yearly sunspot numbers. Raises MissingExtra without statsmodels."""
    try:
        from statsmodels.datasets import sunspots as source
    except ImportError:
        raise MissingExtra(
            "sunspots needs statsmodels: install it with pip install 'unroll[datasets]'"
        ) from None
    series = source.load_pandas().data["SUNACTIVITY"].to_numpy(dtype=np.float64)
    for start in range(len(series) - _YEARS):
        end = start + _YEARS
        yield Record(
            series[start:end], float(series[end]), None, f"item {start}", rows=(start, end + 1)
        )
