"""The whole product in a minute: start, train on surnames, call the trained network."""

import shlex
import sys
from typing import Annotated, Any, NamedTuple

import typer

from services.client.client import Job, Prediction, UnrollClient
from services.client.commands.exits import BY_JOB_STATUS, CommandError
from services.client.commands.jobs import dashboard_url
from services.client.commands.options import with_state_dir
from services.client.commands.output import line, note, print_table
from services.client.commands.predict import top
from services.client.commands.watching import Bar, PlainLines, follow
from services.client.config import ClientConfig

WAIT_S = 900.0  # on the slowest machine; two cores take about a minute
SPEC: dict[str, Any] = {
    "name": "surnames demo",
    "dataset": "surnames",
    "mapping": "many_to_one",
    "network": {
        "cell": "lstm",
        "hidden_size": 64,
        "bidirectional": True,
        "embedding_size": 32,
        "dropout": 0.2,
    },
    "training": {
        "epochs": 8,
        "batch_size": 64,
        "optimizer": {"type": "adamw", "lr": 0.004},
        "schedule": {"type": "cosine"},
    },
    "model_name": "surnames",
    "metadata": {"made_by": "unroll demo"},
}


class Known(NamedTuple):
    """A surname and where it is at home."""

    surname: str
    locale: str
    country: str


HELD_OUT = (  # none of them is in the training split
    Known("Bellini", "it_IT", "Italy"),
    Known("Ramírez", "es_ES", "Spain"),
    Known("Deschamps", "fr_FR", "France"),
    Known("Schweitzer", "de_DE", "Germany"),
    Known("van Beek", "nl_NL", "Netherlands"),
    Known("Björklund", "sv_SE", "Sweden"),
    Known("Nieminen", "fi_FI", "Finland"),
    Known("Davidson", "en_GB", "United Kingdom"),
    Known("Ó Cinnéide", "ga_IE", "Ireland"),
    Known("Michálik", "sk_SK", "Slovakia"),
    Known("Παπανδρέου", "el_GR", "Greece"),
    Known("Лебедев", "ru_RU", "Russia"),
)


@with_state_dir
def demo(
    config: ClientConfig,
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything running.")] = False,
    port: Annotated[int | None, typer.Option(help="Port of the API and dashboard.")] = None,
    inference_port: Annotated[int | None, typer.Option(help="Port of inference.")] = None,
) -> None:
    """Start everything, train a network on surnames, and ask it where names come from."""
    from services.client.commands.local import reuse_or_start
    from services.embedded.stopping import StopRequested, StopSignals

    signals = StopSignals(hurry=lambda: None)
    try:
        with (
            signals.installed(),
            reuse_or_start(config, port=port, inference_port=inference_port, keep=keep) as stack,
            UnrollClient(config=stack.config) as client,
        ):
            job = train(client)
            answer = client.predict(job.spec["model_name"], [known.surname for known in HELD_OUT])
            show_answer(answer, job)
            show_way_on(stack.config, job, stays=keep or stack.was_running)
    except StopRequested as stop:
        raise typer.Exit(130) from stop


def train(client: UnrollClient) -> Job:
    """Submit the job, show how it goes, and return it; raises `CommandError` if it fails."""
    job = client.submit(SPEC)
    note(f"Training {job.name!r}, job {job.id}: {dashboard_url(job, client.config)}")
    watcher = Bar() if sys.stderr.isatty() else PlainLines(notes=True)
    job = follow(client, job.id, watcher, wait_s=WAIT_S)
    if job.status != "succeeded":
        reason = f": {job.error.message}" if job.error else ""
        raise CommandError(f"the job {job.status}{reason}", BY_JOB_STATUS[job.status])
    return job


def show_answer(answer: Prediction, job: Job) -> None:
    """Each surname with the network's three likeliest locales and the country it comes from."""
    note("\nSurnames that the network has not seen in training:")
    rows = [
        (known.surname, f"{known.country} ({known.locale})", top(output), _verdict(known, output))
        for known, output in zip(HELD_OUT, answer.outputs, strict=True)
    ]
    print_table(("SURNAME", "COMES FROM", "THE NETWORK SAYS", ""), rows, for_people=True)
    accuracy = job.latest["test/accuracy"]
    num_locales = len(answer.outputs[0]["probabilities"])
    chance = f"chance: {1 / num_locales:.0%}"
    line(f"Test accuracy {accuracy:.1%} over {num_locales} locales ({chance}).")


def show_way_on(config: ClientConfig, job: Job, *, stays: bool) -> None:
    """Where to look, and the commands to go on with."""
    if not stays:
        note("See it live with `unroll demo --keep`; `unroll up` starts everything without a demo.")
        return
    where = f"--state-dir {shlex.quote(str(config.state_dir))}"
    line(f"Dashboard      {dashboard_url(job, config)}")
    line(f"API documents  {config.api_url}/docs")
    line(f"Call it        unroll predict surnames Rosselli {where}")
    line(f"Train another  unroll submit --dataset digits --cell gru --watch {where}")
    line(f"Stop it        unroll down {where}")


def _verdict(known: Known, output: dict[str, Any]) -> str:
    return "right" if output["label"] == known.locale else "wrong"
