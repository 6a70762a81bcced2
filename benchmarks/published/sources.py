"""Public data as records of the service, from its original files; trains nothing."""

import json
import random
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Record = dict[str, Any]
_TENTHS = ("train",) * 8 + ("val", "test")


@dataclass(frozen=True)
class Source:
    """A dataset to upload: the original file, how it is read, and the options that go with it."""

    needs: str
    read: Callable[[Path], Iterator[Record]] | None = None  # none: the service reads it as it is
    options: dict[str, Any] = field(default_factory=dict)


def chorales(path: Path) -> Iterator[Record]:
    """Frames of 88 keys in the splits of Boulanger-Lewandowski et al. 2012."""
    from scipy.io import loadmat

    splits = loadmat(path)
    for key, split in (("traindata", "train"), ("validdata", "val"), ("testdata", "test")):
        for roll in splits[key][0]:
            yield {"input": roll.astype(int).tolist(), "split": split}


def names(path: Path) -> Iterator[Record]:
    """Names in plain letters, each with its language; those that two languages share left out."""
    languages: dict[str, set[str]] = {}
    for file in sorted(path.glob("*.txt")):
        for line in file.read_text(encoding="utf-8").split("\n"):
            plain = unicodedata.normalize("NFD", line.strip()).encode("ascii", "ignore").decode()
            if plain:
                languages.setdefault(plain, set()).add(file.stem)
    for name, owners in languages.items():
        if len(owners) == 1:
            yield {"input": name, "target": owners.pop()}


def names_to_write(path: Path) -> Iterator[Record]:
    """A language, and a name from there; in splits that are known here, for the n-grams."""
    return _split({"input": each["target"], "target": each["input"]} for each in names(path))


def pronunciations(path: Path) -> Iterator[Record]:
    """Words and their first pronunciation, stress left out; no word in two splits."""
    return _split(_words(path))


def _words(path: Path) -> Iterator[Record]:
    for line in path.read_text(encoding="utf-8").splitlines():
        word, *phonemes = line.partition("#")[0].split()
        if not word.endswith(")"):  # word(2) is another pronunciation of word
            yield {"input": word, "target": [phoneme.rstrip("012") for phoneme in phonemes]}


def _split(records: Iterator[Record]) -> Iterator[Record]:
    shuffled = list(records)
    random.Random(0).shuffle(shuffled)
    for index, record in enumerate(shuffled):
        yield {**record, "split": _TENTHS[index * 10 // len(shuffled)]}


SOURCES = {
    "jsb": Source("jsb_chorales/JSB_Chorales.mat", chorales),
    "names": Source("names_languages", names),
    "tinyshakespeare": Source("tinyshakespeare/input.txt", options={"split": [0.9, 0.1, 0.0]}),
    "cmudict": Source("cmudict/cmudict.dict", pronunciations, {"target_kind": "text"}),
    "generation": Source(
        "names_languages", names_to_write, {"input_kind": "category", "target_kind": "text"}
    ),
}


def convert(name: str, data: Path, folder: Path) -> Path:
    """The original data as a file that the service takes."""
    source = SOURCES[name]
    if source.read is None:
        return data / source.needs
    target = folder / f"{name}.jsonl"
    with target.open("w", encoding="utf-8") as file:
        for record in source.read(data / source.needs):
            file.write(json.dumps(record) + "\n")
    return target


def pairs(file: Path, split: str) -> list[tuple[str, str]]:
    """Input and target of a converted file's split."""
    with file.open(encoding="utf-8") as lines:
        records = [json.loads(line) for line in lines]
    return [(each["input"], each["target"]) for each in records if each["split"] == split]
