"""What inference measures for Prometheus: how long answers and loads take."""

from prometheus_client import Histogram

FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

PREDICT_SECONDS = Histogram(
    "unroll_inference_seconds",
    "Time from a valid request to its outputs, of each predict request",
    buckets=FAST,
)
LOAD_SECONDS = Histogram(
    "unroll_model_load_seconds", "Time to read a network from the database", buckets=FAST
)
INPUTS = Histogram(
    "unroll_inference_inputs", "Inputs of a predict request", buckets=(1, 4, 16, 64, 256, 1024)
)
