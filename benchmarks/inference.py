"""How long answers take, as a multiple of what else there is for the same weights on this machine.

    python -m benchmarks.inference [--seconds 5] [--only network step service sessions leaving peers]

network   one sequence (LSTM 2x256, 100 steps of 32 features): ours, a bare torch loop, onnxruntime
step      one step of one session (LSTM of 128 units): ours, torch, onnxruntime
service   the service under 1, 8 and 64 clients, by JSON and by tensors in binary; the first beside
          the bare network
sessions  1,000 live sessions stepped round robin by 8 clients
leaving   10,000 requests, one in a hundred of whose callers leave: what stays in memory
peers     the same load on LitServe and `mlflow models serve`, where they are installed

Every load is bounded by `--seconds`. What is not installed is said to be absent.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any
from urllib.request import urlopen

import numpy as np
import orjson
import torch
from rich.console import Console
from rich.table import Table
from safetensors.torch import save_file

from benchmarks.load import Load, Request, is_up, run_load
from benchmarks.onnx_lstm import onnx_session
from benchmarks.peers import WEIGHTS
from services.embedded.servers import Servers, erase
from shared.config import get_settings
from shared.data.encoding import ClassTarget, Encoding
from shared.data.parts import NumericInput
from shared.db.blobs import BlobStore
from shared.db.engine import reset_engine, transaction
from shared.db.migrate import upgrade
from shared.db.models import ModelStore
from shared.nn.checkpoint import Checkpoint, pack, weights_sha256
from shared.nn.kernels.spare import second_core
from shared.nn.network import Network
from shared.nn.spec import Mapping, NetworkSpec, Shape
from shared.nn.steps.cells import lay_out
from shared.nn.steps.network import Stepper

STEPS, FEATURES, LABELS = 100, 32, 10
CLIENTS = (1, 8, 64)
NUM_SESSIONS, SESSION_CLIENTS = 1000, 8
NUM_LEAVING, LEAVE_EVERY = 10_000, 100
START_S = 120.0
ROUNDS = 5
WARM_S = 5.0  # in which the service reads its compiled loops; peers get a second, and need none
LAST_WORDS = 2000  # characters of a server that did not start
PORT = 18_471
Row = tuple[str, str, str]


class NoServer(RuntimeError):
    """A server that did not start; in its own words."""


def make_network(mapping: Mapping, **network: Any) -> Network:
    torch.manual_seed(0)
    spec = NetworkSpec.model_validate({"cell": "lstm", **network})
    alignment = "aligned" if mapping is Mapping.MANY_TO_MANY else None
    shape = Shape(
        mapping=mapping,
        alignment=alignment,
        input_kind="numeric",
        input_size=FEATURES,
        output_size=LABELS,
    )
    made = Network(spec, shape).eval()
    made.requires_grad_(False)
    return made


def big() -> Network:
    return make_network(Mapping.MANY_TO_ONE, hidden_size=256, num_layers=2)


def seconds_of(work: Callable[[], object], budget_s: float) -> float:
    """The median of as many runs as the budget allows, after some that do not count."""
    for _ in range(5):
        work()
    times, until = [], time.perf_counter() + budget_s
    while time.perf_counter() < until or len(times) < 5:
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return median(times)


def compared(
    works: dict[str, Callable[[], object] | None], budget_s: float, unit_s: float, unit: str
) -> Iterator[Row]:
    """Each as a time and as a multiple of ours, which comes first; measured in turns."""
    times: dict[str, list[float]] = {name: [] for name, work in works.items() if work}
    for _ in range(ROUNDS):
        for name, runs in times.items():
            work = works[name]
            assert work is not None
            runs.append(seconds_of(work, budget_s / ROUNDS / len(times)))
    ours = median(next(iter(times.values())))
    for name in works:
        if name in times:
            taken = median(times[name])
            yield name, f"{taken / unit_s:.2f} {unit}", f"ours is {ours / taken:.2f} of it"
        else:
            yield name, "absent", "install it to compare"


def measure_network(budget_s: float) -> Iterator[Row]:
    network, ours = big(), big()
    lay_out(ours)
    x_TF = np.random.default_rng(0).normal(size=(STEPS, FEATURES)).astype(np.float32)
    x, lengths = torch.from_numpy(x_TF[None]), torch.tensor([STEPS])

    def bare() -> object:
        with torch.inference_mode():
            return network(x, lengths)

    def as_served() -> object:
        with torch.inference_mode(), second_core(True):
            return ours(x, lengths)

    session = onnx_session(network)
    works: dict[str, Callable[[], object] | None] = {
        "ours": as_served,
        "torch.inference_mode": bare,
        "onnxruntime": session and (lambda: session.sequence(x_TF)),
    }
    yield from compared(works, budget_s, 1e-3, "ms")


def measure_step(budget_s: float) -> Iterator[Row]:
    network = make_network(Mapping.MANY_TO_MANY, hidden_size=128)
    stepper = Stepper(network)
    x_BF = np.random.default_rng(0).normal(size=(1, FEATURES)).astype(np.float32)
    state_BS = stepper.initial_state()
    x, one, state = torch.from_numpy(x_BF[None]), torch.tensor([1]), network.initial_state(1)

    def bare() -> object:
        with torch.inference_mode():
            return network(x, one, state)

    session = onnx_session(network)
    works: dict[str, Callable[[], object] | None] = {
        "ours": lambda: stepper.step(x_BF, state_BS),
        "torch.inference_mode": bare,
        "onnxruntime": session and (lambda: session.step(x_BF)),
    }
    yield from compared(works, budget_s, 1e-6, "µs")


def encoding() -> Encoding:
    scale = {"mean": (0.0,) * FEATURES, "std": (1.0,) * FEATURES}
    labels = tuple(f"class {number}" for number in range(LABELS))
    numeric = NumericInput(size=FEATURES, binary=False, **scale)
    return Encoding(input=numeric, target=ClassTarget(labels=labels))


def publish(name: str, network: Network) -> None:
    checkpoint = Checkpoint(network.spec, network.shape, network.state_dict())
    with transaction() as db:
        ModelStore(db).publish(
            name,
            dataset="none",
            network=network.spec.model_dump(mode="json"),
            shape=network.shape.model_dump(mode="json"),
            encoding=encoding().model_dump(mode="json"),
            metrics={},
            num_parameters=sum(each.numel() for each in network.parameters()),
            blob_id=BlobStore(db).write(pack(checkpoint)).id,
            weights_sha256=weights_sha256(network.state_dict()),
        )


@contextmanager
def service() -> Iterator[None]:
    """Servers and one inference process, erased afterwards."""
    path = Path(tempfile.mkdtemp(prefix="unroll-inference-"))
    path.chmod(0o755)
    try:
        with Servers(path, durable=False) as servers:
            os.environ |= {
                "UNROLL_DATABASE_URL": servers.database_url,
                "UNROLL_REDIS_URL": servers.redis_url,
                "UNROLL_RATE_LIMIT_PER_S": "0",
                "UNROLL_LOG_LEVEL": "WARNING",
            }
            get_settings.cache_clear()
            upgrade()
            publish("big", big())
            publish("small", make_network(Mapping.MANY_TO_ONE, hidden_size=128))
            command = [sys.executable, "-m", "services.inference", "--port", str(PORT)]
            with running(command, "/readyz"):
                yield
            reset_engine()
    finally:
        erase(path)


@contextmanager
def running(command: Sequence[str], path: str) -> Iterator[None]:
    """A server process that answers at `path`, ended afterwards."""
    with (
        tempfile.TemporaryFile() as log,
        subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True) as process,
    ):
        try:
            until = time.monotonic() + START_S
            while not is_up(PORT, path):
                if process.poll() is not None or time.monotonic() > until:
                    log.seek(0)
                    raise NoServer(log.read().decode(errors="replace")[-LAST_WORDS:])
                time.sleep(0.1)
            yield
        finally:
            os.killpg(process.pid, signal.SIGTERM)  # some have processes of their own


def sequence() -> list[list[float]]:
    numbers: list[list[float]] = np.random.default_rng(0).normal(size=(STEPS, FEATURES)).tolist()
    return numbers


def shown(load: Load) -> str:
    return f"{load.per_s:.0f} a second, p50 {load.quantile_ms(50):.1f} ms, p99 {load.quantile_ms(99):.1f} ms"


def measure_service(budget_s: float) -> Iterator[Row]:
    as_json = Request("/v1/models/big/predict", orjson.dumps({"inputs": [sequence()]}))
    run_load(PORT, [as_json], 1, WARM_S)
    for name, request in (("JSON", as_json), ("binary", binary())):
        yield measure_one_client(name, request, budget_s)
        for clients in CLIENTS[1:]:
            load = run_load(PORT, [request], clients, budget_s)
            yield f"{clients} clients, {name}", shown(load), f"{load.num_failed} failed"


def measure_one_client(name: str, request: Request, budget_s: float) -> Row:
    """In turns with the bare network, which the same machine computes faster at one time than at another."""
    network, x, lengths = big(), torch.tensor([sequence()]), torch.tensor([STEPS])

    def bare() -> object:
        with torch.inference_mode():
            return network(x, lengths)

    loads, bares_ms = [], []
    for _ in range(ROUNDS):
        loads.append(run_load(PORT, [request], 1, budget_s / ROUNDS))
        bares_ms.append(1e3 * seconds_of(bare, budget_s / ROUNDS / 5))
    medians_ms = [load.quantile_ms(50) for load in loads]
    per_s = sum(load.per_s for load in loads) / ROUNDS
    took = f"{per_s:.0f} a second, p50 {median(medians_ms):.1f} ms"
    extra_ms = median(medians_ms) - median(bares_ms)
    return f"1 client, {name}", took, f"{extra_ms:.2f} ms above the bare network"


def binary() -> Request:
    """The same sequence as a tensor of the Open Inference Protocol."""
    x_BTF = np.array([sequence()], np.float32)
    told = {"name": "input", "shape": x_BTF.shape, "datatype": "FP32"}
    head = orjson.dumps({"inputs": [{**told, "parameters": {"binary_data_size": x_BTF.nbytes}}]})
    headers = (
        "Content-Type: application/octet-stream",
        f"Inference-Header-Content-Length: {len(head)}",
    )
    return Request("/v2/models/big/infer", head + x_BTF.tobytes(), headers)


def measure_sessions(budget_s: float) -> Iterator[Row]:
    make = Request("/v1/models/small/sessions", b"{}")
    made = run_load(PORT, [make], SESSION_CLIENTS, START_S, num_requests=NUM_SESSIONS)
    ids = [orjson.loads(body)["id"] for body in made.bodies]
    body = orjson.dumps({"inputs": [sequence()[0]]})
    steps = [Request(f"/v1/sessions/{session_id}/step", body) for session_id in ids]
    load = run_load(PORT, steps, SESSION_CLIENTS, budget_s)
    yield f"{len(ids)} sessions, round robin", shown(load), f"{load.num_failed} failed"


def measure_leaving(budget_s: float) -> Iterator[Row]:
    """Two halves, so that what a process takes once is not taken for a leak."""
    request = Request("/v1/models/small/predict", orjson.dumps({"inputs": [sequence()[:10]]}))
    half = NUM_LEAVING // 2
    sizes, left, failed = [memory_mib()], 0, 0
    for _ in range(2):
        load = run_load(PORT, [request], 64, START_S, num_requests=half, leave_every=LEAVE_EVERY)
        sizes.append(memory_mib())
        left, failed = left + load.num_left, failed + load.num_failed
    first, second = sizes[1] - sizes[0], sizes[2] - sizes[1]
    grown = f"memory {first:+.1f} MiB, then {second:+.1f} MiB"
    yield f"{NUM_LEAVING} requests, {left} left early", grown, f"{failed} failed"


def memory_mib() -> float:
    """What the service says of itself."""
    with urlopen(f"http://127.0.0.1:{PORT}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    [line] = [line for line in lines if line.startswith("process_resident_memory_bytes")]
    return float(line.split()[1]) / 2**20


PEERS = {"litserve": "/health", "mlflow": "/ping"}


def measure_peers(budget_s: float) -> Iterator[Row]:
    for name, health in PEERS.items():
        if find_spec(name) is None:
            yield name, "absent", "install it to compare"
            continue
        try:
            yield from measure_peer(name, health, budget_s)
        except NoServer as error:
            Console(stderr=True).print(str(error))
            yield name, "did not start", "see stderr"


def measure_peer(name: str, health: str, budget_s: float) -> Iterator[Row]:
    request = Request(*peer_request(name))
    with tempfile.TemporaryDirectory() as folder:
        save_file(big().state_dict(), Path(folder, WEIGHTS))
        command = [sys.executable, "-m", "benchmarks.peers", name, folder, str(PORT)]
        with running(command, health):
            run_load(PORT, [request], 1, 1.0)
            for clients in CLIENTS:
                load = run_load(PORT, [request], clients, budget_s)
                yield f"{name}, {clients} clients", shown(load), f"{load.num_failed} failed"


def peer_request(name: str) -> tuple[str, bytes]:
    """The same sequence in the form of each peer."""
    path, field = {"litserve": ("/predict", "input"), "mlflow": ("/invocations", "inputs")}[name]
    return path, orjson.dumps({field: sequence() if name == "litserve" else [sequence()]})


MEASURES: dict[str, Callable[[float], Iterator[Row]]] = {
    "network": measure_network,
    "step": measure_step,
    "service": measure_service,
    "sessions": measure_sessions,
    "leaving": measure_leaving,
    "peers": measure_peers,
}
WITH_SERVICE = ("service", "sessions", "leaving")


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure inference beside its peers.")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    parser.add_argument("--only", nargs="*", choices=MEASURES, default=list(MEASURES))
    arguments = parser.parse_args()
    table = Table("what", "measured", "beside")
    alone = [name for name in arguments.only if name not in WITH_SERVICE]
    served = [name for name in arguments.only if name in WITH_SERVICE]
    for name in alone:
        _add(table, name, arguments.seconds)
    if served:
        with service():
            for name in served:
                _add(table, name, arguments.seconds)
    Console().print(table)


def _add(table: Table, name: str, budget_s: float) -> None:
    for what, measured, beside in MEASURES[name](budget_s):
        table.add_row(f"{name}: {what}", measured, beside)


if __name__ == "__main__":
    main()
