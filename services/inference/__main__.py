"""`python -m services.inference --host H --port P`."""

import os

from services.http.serve import serve

# Read when torch loads, which is later. Several threads of one operation would wait for one another
# at each step of a sequence; the service gives them rows of a batch instead.
os.environ.setdefault("OMP_NUM_THREADS", "1")
serve("services.inference.app:create_app", "The inference service.", 8001)
