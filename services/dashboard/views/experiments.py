"""Experiments as lines of a list and of a leaderboard; made from what the API says of them."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from services.api.experiments_view import (
    ArmJobView,
    ExperimentSummaryView,
    ExperimentView,
    StandingView,
)
from services.dashboard.views import words
from services.dashboard.views.dots import Plot, Row, plot
from services.dashboard.views.overlay import DASHES
from services.dashboard.views.scatter import Point, Scatter, scatter
from shared.jobs.experiments import MAX_SEEDS
from shared.jobs.leaderboard import ExperimentStatus

SURE = 0.001  # a smaller p is not worth its digits
VERDICTS = {True: "worse", False: "no clear difference"}


@dataclass(frozen=True, slots=True)
class Head:
    """How far an experiment is."""

    id: str
    href: str
    name: str
    dataset: str
    status: str
    icon: str
    size: str
    """Arms and seeds of each."""
    fraction: float
    percent: str
    ended: str


@dataclass(frozen=True, slots=True)
class SeedLink:
    href: str
    seed: int
    status: str
    icon: str
    value: str


@dataclass(frozen=True, slots=True)
class ArmLine:
    """A row of the leaderboard, all of it as text."""

    rank: str
    label: str
    colour: int
    dash: str
    is_best: bool
    mean: str
    best: str
    """Value of its best seed."""
    interval: str
    n: str
    p: str
    verdict: str
    effect: str
    test: str
    parameters: str
    train: str
    epoch: str
    seeds: list[SeedLink]


@dataclass(frozen=True, slots=True)
class Detail:
    head: Head
    metric: str
    direction: str
    conclusion: str
    warnings: list[str]
    lines: list[ArmLine]
    plot: Plot | None
    scatter: Scatter | None
    test_metric: str | None
    is_running: bool


def style(index: int) -> tuple[int, str]:
    """Colour, from 1, and dashes of an arm; the same for as long as there is the experiment."""
    turns, place = divmod(index, len(DASHES))
    return place + 1, DASHES[(place + turns) % len(DASHES)]


def head(view: ExperimentSummaryView) -> Head:
    progress, per_arm = view.progress, words.plural(len(view.seeds), "seed")
    return Head(
        id=view.id,
        href=f"/experiments/{view.id}",
        name=view.name,
        dataset=view.dataset,
        status=view.status,
        icon=words.ICONS[view.status],
        size=f"{words.plural(view.num_arms, 'arm')} × {per_arm}",
        fraction=progress.fraction,
        percent=words.percent(progress.fraction),
        ended=f"{progress.ended:,} of {words.plural(progress.total, 'job')}",
    )


def detail(view: ExperimentView) -> Detail:
    return Detail(
        head=head(view),
        metric=view.metric,
        direction="higher is better" if view.higher_is_better else "lower is better",
        conclusion=view.conclusion,
        warnings=view.warnings,
        lines=[
            _line(place, row, max if view.higher_is_better else min)
            for place, row in enumerate(view.leaderboard, 1)
        ],
        plot=plot([_dots(row) for row in view.leaderboard if row.values]),
        scatter=scatter([_point(row) for row in view.leaderboard if row.values and row.train_s]),
        test_metric=view.test_metric,
        is_running=view.status == ExperimentStatus.RUNNING,
    )


def _line(place: int, row: StandingView, better: Callable[[list[float]], float]) -> ArmLine:
    colour, dash = style(row.index)
    return ArmLine(
        rank=words.NONE if row.mean is None else str(place),
        label=row.label,
        colour=colour,
        dash=dash,
        is_best=row.is_best,
        mean=_spread(row.mean, row.std),
        best=words.number(better(row.values)) if row.values else words.NONE,
        interval=_interval(row.ci95),
        n=f"{row.n} of {row.progress.total}",
        p=_p(row.p_value),
        verdict=_verdict(row),
        effect=words.NONE if row.effect_size is None else f"{row.effect_size:+.2f}",
        test=_spread(row.test_mean, row.test_std),
        parameters=words.number(row.parameters),
        train=words.duration(row.train_s),
        epoch=words.NONE if row.epoch_s is None else f"{row.epoch_s:.2g} s",
        seeds=[_seed(job) for job in row.jobs],
    )


def _spread(mean: float | None, std: float | None) -> str:
    return words.number(mean) if std is None else f"{words.number(mean)} ± {std:.2g}"


def _interval(ends: tuple[float, float] | None) -> str:
    return f"{words.number(ends[0])} to {words.number(ends[1])}" if ends else words.NONE


def _p(value: float | None) -> str:
    if value is None:
        return words.NONE
    return f"< {SURE}" if value < SURE else f"{value:.2g}"


def _verdict(row: StandingView) -> str:
    if row.is_significant is None:
        return row.untested_because or ""
    return VERDICTS[row.is_significant]


def _seed(job: ArmJobView) -> SeedLink:
    icon, value = words.ICONS[job.status], words.number(job.value)
    return SeedLink(f"/jobs/{job.id}", job.seed, job.status, icon, value)


def _dots(row: StandingView) -> Row:
    assert row.mean is not None
    colour, dash = style(row.index)
    return Row(row.label, colour, dash, row.values, row.mean, row.ci95)


def _point(row: StandingView) -> Point:
    assert row.mean is not None
    assert row.train_s is not None
    return Point(row.label, style(row.index)[0], row.train_s, row.mean)


def seeds_of(text: str) -> list[int | str]:
    """`4, 7` or `4..9` as numbers; what is none stays text, for the spec to refuse."""
    found: list[int | str] = []
    for part in filter(None, map(str.strip, text.split(","))):
        first, dots, last = (each.strip() for each in part.partition(".."))
        if dots and _is_number(first) and _is_number(last):
            start = int(first)
            found += range(start, min(int(last), start + MAX_SEEDS) + 1)
        else:
            found.append(int(part) if _is_number(part) else part)
    return found


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 20


def next_seeds(seeds: Sequence[int], count: int = 2) -> str:
    """What a person would add: the numbers after the largest."""
    first = max(seeds, default=0) + 1
    return ", ".join(str(first + place) for place in range(count))


def vary_lines(vary: dict[str, list[Any]]) -> list[tuple[str, str]]:
    """What varies: a path, and its values as a person would list them."""
    return [(path, ", ".join(map(_said, values))) for path, values in vary.items()]


def _said(value: Any) -> str:
    if not isinstance(value, dict):
        return value if isinstance(value, str) else json.dumps(value)
    options = ", ".join(f"{key}={_said(each)}" for key, each in value.items() if key != "type")
    if "type" not in value:
        return json.dumps(value)
    return f"{value['type']}({options})" if options else str(value["type"])
