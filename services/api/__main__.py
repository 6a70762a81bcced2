"""`python -m services.api --host H --port P`."""

from services.http.serve import serve

serve("services.api.app:create_app", "The API and the dashboard.", 8000)
