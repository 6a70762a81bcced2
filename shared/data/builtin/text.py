"""Built-in datasets of written words. Loads a library only when its dataset is made."""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Iterator

import numpy as np

from shared.data.records import Record

_LOCALES = (
    "de_DE",
    "el_GR",
    "en_GB",
    "es_ES",
    "et_EE",
    "fi_FI",
    "fr_FR",
    "ga_IE",
    "hr_HR",
    "hy_AM",
    "it_IT",
    "ka_GE",
    "nl_NL",
    "ru_RU",
    "sk_SK",
    "sv_SE",
    "uk_UA",
)
_NAME_LISTS = ("last_names", "last_names_male", "last_names_female")
_NAMES_A_LOCALE = 600  # keeps the largest lists from drowning the others
_NUM_CHARACTERS = 400_000


def surnames() -> Iterator[Record]:
    """Surnames of 17 locales that no other of them shares, at most 600 of each."""
    names = {locale: _surnames_of(locale) for locale in _LOCALES}
    owners = Counter(name for members in names.values() for name in members)
    for locale, members in names.items():
        own = [name for name in members if owners[name] == 1]
        for name in _drawn(own):
            yield Record(name, locale, None, f"{locale} {name}")


def names_by_locale() -> Iterator[Record]:
    """The records of `surnames` the other way round: a locale, then one of its surnames."""
    for record in surnames():
        yield Record(record.target, record.input, None, record.where)


def _surnames_of(locale: str) -> list[str]:
    provider = importlib.import_module(f"faker.providers.person.{locale}").Provider
    lists = (getattr(provider, attribute, None) or () for attribute in _NAME_LISTS)
    return sorted({name.strip() for names in lists for name in names})


def _drawn(names: list[str]) -> list[str]:
    order = np.random.default_rng(0).permutation(len(names))
    return [names[index] for index in sorted(order[:_NAMES_A_LOCALE])]


def pydocs() -> Iterator[Record]:
    """The topics of Python's own help, one after the other by name, a record a line."""
    from pydoc_data.topics import topics

    text = "\n".join(topics[name] for name in sorted(topics))[:_NUM_CHARACTERS]
    for index, line in enumerate(text.splitlines(keepends=True)):
        yield Record(line, None, None, f"item {index}")
