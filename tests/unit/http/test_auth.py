"""Where a service may listen. Starts nothing."""

import pytest

from services.http.auth import OpenToTheWorld, check_bind
from services.http.keys import Keyring


class FixedKeyring(Keyring):
    """One that need not ask whether there are keys."""

    def __init__(self, *, open_: bool) -> None:
        super().__init__()
        self.open = open_

    def is_open(self) -> bool:
        return self.open


OPEN, LOCKED = FixedKeyring(open_=True), FixedKeyring(open_=False)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "::1", "localhost"])
def test_without_keys_this_machine_alone_may_be_listened_to(host: str) -> None:
    check_bind(host, OPEN)


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "10.0.0.7", "", "example.org", "*", "127.0.0.1.evil"]
)
def test_without_keys_listening_to_others_is_refused_with_the_remedy(host: str) -> None:
    with pytest.raises(OpenToTheWorld, match=r"unroll keys create.*UNROLL_API_KEYS"):
        check_bind(host, OPEN)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.7"])
def test_with_keys_any_address_may_be_listened_to(host: str) -> None:
    check_bind(host, LOCKED)
