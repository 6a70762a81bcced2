"""What must hold after the storm, each as a question to the database; an answer is a violation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.chaos.service import Service

CALM, STORM = "calm", "storm"

CURVES = """
    curves AS (
        SELECT job_id, name, count(*) AS num, count(DISTINCT step) AS num_distinct,
               md5(string_agg(step || '=' || value, ' ' ORDER BY step)) AS points
        FROM metrics WHERE name NOT IN ('train/examples_per_s') GROUP BY job_id, name
    )"""
"""All that was measured but the speed, which is another every time."""

WITH = f"""
    WITH calm AS (SELECT * FROM jobs WHERE metadata->>'kind' = '{CALM}'),
         storm AS (SELECT * FROM jobs WHERE metadata->>'kind' = '{STORM}'),
         {CURVES}"""

QUESTIONS: dict[str, str] = {
    "jobs that did not succeed": """
        SELECT id, status, error->>'message' FROM storm WHERE status != 'succeeded'""",
    "jobs without exactly one attempt that succeeded": """
        SELECT id FROM storm WHERE 1 !=
            (SELECT count(*) FROM attempts WHERE job_id = storm.id AND outcome = 'succeeded')""",
    "attempts without an outcome": """
        SELECT job_id, number FROM attempts JOIN storm ON id = job_id WHERE outcome IS NULL""",
    "jobs that did not end exactly once, by their events": """
        SELECT id FROM storm WHERE 1 != (SELECT count(*) FROM events WHERE job_id = storm.id
            AND type = 'status' AND data->>'status' = 'succeeded')""",
    "jobs without exactly one model version": """
        SELECT id FROM storm WHERE 1 != (SELECT count(*) FROM model_versions AS v
            WHERE v.job_id = storm.id AND (v.name, v.version) = (model_name, model_version))""",
    "models whose versions have gaps": """
        SELECT name FROM model_versions GROUP BY name HAVING count(*) != max(version)""",
    "weights that differ from the calm run's": """
        SELECT storm.id FROM storm JOIN calm USING (model_name)
        WHERE storm.weights_sha256 IS DISTINCT FROM calm.weights_sha256""",
    "published weights that differ from the job's": """
        SELECT storm.id FROM storm JOIN model_versions AS v ON v.job_id = storm.id
        WHERE v.weights_sha256 != storm.weights_sha256""",
    "curves with a step twice": """
        SELECT id, curves.name FROM curves JOIN storm ON id = job_id WHERE num != num_distinct""",
    "curves that differ from the calm run's": """
        SELECT DISTINCT coalesce(s.job_id, c.job_id), coalesce(s.name, c.name) FROM
            (SELECT curves.*, model_name FROM curves JOIN storm ON id = job_id) AS s FULL JOIN
            (SELECT storm.id AS job_id, curves.name, points FROM curves
             JOIN calm ON calm.id = curves.job_id JOIN storm USING (model_name)) AS c
            ON (s.job_id, s.name) = (c.job_id, c.name)
        WHERE s.points IS DISTINCT FROM c.points""",
    "checkpoints of an attempt after a later one began": """
        SELECT c.job_id, c.step FROM checkpoints AS c JOIN attempts AS a ON a.job_id = c.job_id
        WHERE a.number > c.attempt AND c.created_at > a.started_at""",
}


@dataclass(frozen=True)
class Finding:
    what: str
    violations: list[tuple[Any, ...]]


def findings(service: Service, ids: Sequence[str]) -> list[Finding]:
    """Every check with what violates it; `ids` are the jobs that were promised to their sender."""
    stored = [row[0] for row in service.query(f"{WITH} SELECT id FROM storm")]
    counted = [
        Finding("promised jobs that are lost", [(id,) for id in set(ids) - set(stored)]),
        Finding("jobs that nobody was promised", [(id,) for id in set(stored) - set(ids)]),
        Finding("jobs promised twice", [(id,) for id in set(ids) if ids.count(id) > 1]),
    ]
    asked = [Finding(what, service.query(WITH + sql)) for what, sql in QUESTIONS.items()]
    return [*counted, *asked, Finding("processes that ended by themselves", _died(service))]


def _died(service: Service) -> list[tuple[Any, ...]]:
    return [(obituary,) for obituary in service.died]


def attempts(service: Service) -> dict[str, int]:
    """How the attempts of the storm's jobs ended, and how many went on from a checkpoint."""
    outcomes = service.query(
        f"{WITH} SELECT coalesce(outcome, 'none'), count(*) FROM attempts "
        "JOIN storm ON id = job_id GROUP BY 1 ORDER BY 1"
    )
    [(resumed, most)] = service.query(
        f"{WITH} SELECT count(*) FILTER (WHERE resumed_from_step > 0), max(number) "
        "FROM attempts JOIN storm ON id = job_id"
    )
    told = {f"attempts: {outcome}": number for outcome, number in outcomes}
    return {**told, "attempts that went on from a checkpoint": resumed, "most attempts": most or 0}
