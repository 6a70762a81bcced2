"""`python -m services.inference --host H --port P`."""

import os

from services.http.serve import serve

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch loads, which is later
serve("services.inference.app:create_app", "The inference service.", 8001)
