"""What is trained: short jobs that keep every state an exact resume needs; knows no process."""

from typing import Any

NUM_SEEDS = 5
SAVED_EVERY = 30  # steps; a killed training has some of them to do again

Spec = dict[str, Any]

RECIPES: dict[str, Spec] = {
    "elman": {  # its state is carried from chunk to chunk of the same sequences
        "dataset": "copy-5",
        "training": {"epochs": 1, "tbptt_steps": 4, "schedule": {"type": "cosine"}},
        "network": {"hidden_size": 8},
    },
    "gru": {  # what earlier evaluations found decides the rate, and when to end
        "dataset": "digits",
        "training": {
            "epochs": 8,
            "schedule": {"type": "plateau", "patience": 1, "factor": 0.5},
            "early_stopping": {"patience": 3},
        },
        "network": {"hidden_size": 16, "bidirectional": True},
    },
    "lstm": {  # sequences of many lengths, grouped anew in every epoch
        "dataset": "surnames",
        "training": {"epochs": 2, "schedule": {"type": "one_cycle", "max_lr": 0.01}},
        "network": {"hidden_size": 12, "recurrent_dropout": 0.2},
    },
}


def distinct_specs(num_seeds: int = NUM_SEEDS) -> list[Spec]:
    """Every recipe with every seed; each is published under a name of its own."""
    return [_spec(cell, seed) for seed in range(1, num_seeds + 1) for cell in RECIPES]


def _spec(cell: str, seed: int) -> Spec:
    recipe = RECIPES[cell]
    return {
        "dataset": recipe["dataset"],
        "network": {"cell": cell, "num_layers": 2, "dropout": 0.2, **recipe["network"]},
        "training": {"batch_size": 64, "seed": seed, **recipe["training"]},
        "checkpoint": {"every_steps": SAVED_EVERY},
        "max_attempts": 100,  # no number of kills is to end a job
        "model_name": f"{cell}-{seed}",
    }
