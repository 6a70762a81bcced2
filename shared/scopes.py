"""How a key may be called, and what it may do, in four words; knows no key."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

KeyName = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]
"""For people: at most 100 characters, none of them a control character."""


class Scope(StrEnum):
    """What a request needs, and what a key has."""

    READ = "read"  # look at jobs, datasets, models, workers and the queue
    SUBMIT = "submit"  # make, change and delete jobs, datasets and models
    INFER = "infer"  # call models on the inference service
    ADMIN = "admin"  # everything, with everyone's objects; and keys


EVERY_SCOPE = frozenset(Scope)
USUAL_SCOPES = (Scope.READ, Scope.SUBMIT, Scope.INFER)
"""What a new key may do unless told otherwise."""
