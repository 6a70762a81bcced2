"""Run a service: bind address, refusal to be open to the world, logs, a graceful end."""

import argparse
import sys

import uvicorn
from sqlalchemy.exc import SQLAlchemyError

from services.http.auth import OpenToTheWorld, check_bind
from services.http.keys import Keyring
from shared.config import get_settings
from shared.logging import configure_logging

GRACE_S = 3  # open event streams end by then


def serve(app: str, description: str, port: int) -> None:
    """`app` is an import string of an application factory."""
    arguments = _parse(description, port)
    settings = get_settings()
    try:
        check_bind(arguments.host, Keyring())
    except OpenToTheWorld as error:
        sys.exit(f"unroll: {error}")
    except SQLAlchemyError as error:
        sys.exit(f"unroll: cannot ask the database whether there are keys: {error}")
    configure_logging(settings.log_level, as_json=settings.log_json)
    uvicorn.run(
        app,
        factory=True,
        host=arguments.host,
        port=arguments.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
    )


def _parse(description: str, port: int) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=port, help=f"port (default {port})")
    return parser.parse_args()
