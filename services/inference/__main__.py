"""`python -m services.inference --host H --port P`."""

from services.http.serve import serve

serve("services.inference.app:create_app", "The inference service.", 8001)
