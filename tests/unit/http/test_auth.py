"""Where a service may listen and which headers open it. Starts nothing."""

import pytest
from pydantic import SecretStr

from services.http.auth import OpenToTheWorld, check_bind, is_admitted
from shared.config import Settings

OPEN = Settings()
LOCKED = Settings(api_keys=(SecretStr("first"), SecretStr("sécond")))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "::1", "localhost"])
def test_without_keys_this_machine_alone_may_be_listened_to(host: str) -> None:
    check_bind(host, OPEN)


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "10.0.0.7", "", "example.org", "*", "127.0.0.1.evil"]
)
def test_without_keys_listening_to_others_is_refused_with_the_remedy(host: str) -> None:
    with pytest.raises(OpenToTheWorld, match="UNROLL_API_KEYS"):
        check_bind(host, OPEN)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.7"])
def test_with_keys_any_address_may_be_listened_to(host: str) -> None:
    check_bind(host, LOCKED)


@pytest.mark.parametrize("header", [None, "", "Bearer anything", "nonsense"])
def test_without_keys_everyone_is_admitted(header: str | None) -> None:
    assert is_admitted(header, OPEN)


@pytest.mark.parametrize("header", ["Bearer first", "bearer first", "Bearer sécond"])
def test_each_configured_key_is_admitted(header: str) -> None:
    assert is_admitted(header, LOCKED)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer firs",
        "Bearer firstt",
        "first",
        "Basic first",
        "Bearer FIRST",
    ],
)
def test_nothing_but_a_configured_key_is_admitted(header: str | None) -> None:
    assert not is_admitted(header, LOCKED)
