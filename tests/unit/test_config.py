"""What the operator chose is read from the environment, or refused with the variable's name."""

import pytest

from shared.config import BadSetting, get_settings, is_loopback


@pytest.mark.parametrize(
    ("variable", "value"),
    [("UNROLL_LEASE_S", "-1"), ("UNROLL_MAX_BODY_BYTES", "many"), ("UNROLL_LOG_JSON", "perhaps")],
)
def test_a_bad_setting_ends_the_process_with_its_name(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    get_settings.cache_clear()

    with pytest.raises(BadSetting, match=f"unroll: {variable}: Input should"):
        get_settings()

    get_settings.cache_clear()


def test_keys_are_separated_by_commas_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNROLL_API_KEYS", "first, second,,")
    get_settings.cache_clear()

    settings = get_settings()

    assert [key.get_secret_value() for key in settings.api_keys] == ["first", "second"]
    assert "first" not in repr(settings)
    get_settings.cache_clear()


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("example.org", False),
    ],
)
def test_only_this_machine_is_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
