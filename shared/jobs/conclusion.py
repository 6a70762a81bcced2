"""What an experiment has shown, in one sentence, and what should make a reader careful."""

from collections.abc import Iterator, Sequence

from shared.jobs.leaderboard import ExperimentStatus, Leaderboard, Progress, Standing
from shared.jobs.states import JobStatus
from shared.statistics import ALPHA

MOST_NAMED = 3


def conclusion_of(
    board: Leaderboard, progress: Progress, status: str, metric: str, labels: Sequence[str]
) -> str:
    """One sentence; it claims a difference only where a corrected p is below `ALPHA`."""
    if status == ExperimentStatus.RUNNING:
        return f"Not finished: {progress.ended} of {progress.total} jobs have ended."
    ranked = board.ranked
    if not ranked:
        return f"No job has succeeded with a {metric}, so there is nothing to compare."
    return _sentence(ranked, metric, labels)


def _sentence(ranked: list[Standing], metric: str, labels: Sequence[str]) -> str:
    best, others = ranked[0], ranked[1:]
    lead = f"{labels[best.arm]} has the best mean {metric}, {_number(best)}"
    if not others:
        return f"{lead}; there is no other arm to compare it with."
    worse = [each for each in others if each.is_worse]
    same = [each for each in others if each.is_worse is False]
    unknown = [each for each in others if each.is_worse is None]
    parts = [
        f"it is significantly better than {_named(worse, labels)} ({_p(worse, 'p')})"
        if worse
        else "",
        f"there is no significant difference to {_named(same, labels)} ({_p(same, 'p')})"
        if same
        else "",
        f"nothing can be said of {_named(unknown, labels)} ({_reason(unknown)})" if unknown else "",
    ]
    return f"{lead}; {' and '.join(part for part in parts if part)}."


def _number(standing: Standing) -> str:
    summary = standing.summary
    assert summary is not None
    seeds = f"{summary.num} seed{'s' if summary.num > 1 else ''}"
    if summary.ci95 is None:
        return f"{summary.mean:.4g} ({seeds})"
    low, high = summary.ci95
    return f"{summary.mean:.4g} (95 % interval {low:.4g} to {high:.4g}, {seeds})"


def _named(standings: list[Standing], labels: Sequence[str]) -> str:
    names = [labels[each.arm] for each in standings[:MOST_NAMED]]
    if len(standings) > MOST_NAMED:
        names.append(f"{len(standings) - MOST_NAMED} more")
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _p(standings: list[Standing], letter: str) -> str:
    found = [t.p_value for each in standings if (t := each.against_best) and t.p_value is not None]
    low, high = min(found), max(found)
    if f"{low:.2g}" == f"{high:.2g}":
        return f"{letter} = {low:.2g}"
    return f"{letter} = {low:.2g} to {high:.2g}"


def _reason(standings: list[Standing]) -> str:
    reasons = [each.against_best.untested_because for each in standings if each.against_best]
    return "; ".join(dict.fromkeys(reason for reason in reasons if reason))


def warnings_of(board: Leaderboard, labels: Sequence[str]) -> Iterator[str]:
    """What numbers alone would hide."""
    for standing in board.standings:
        label, runs = labels[standing.arm], standing.runs
        failed = sum(run.status is JobStatus.FAILED for run in runs)
        if failed:
            rest = "; its numbers are those of the others" if standing.counted else ""
            yield f"{failed} of {len(runs)} seeds of {label} failed{rest}."
        odd = sum(run.status is JobStatus.SUCCEEDED and not run.counts for run in runs)
        if odd:
            yield f"{odd} of {len(runs)} seeds of {label} succeeded without a finite value."
    known = [len(standing.counted) for standing in board.ranked]
    if known and len(known) > 1 and max(known) == 2:
        yield (
            f"With two seeds a difference must be very regular to reach p < {ALPHA:g}; add seeds."
        )
