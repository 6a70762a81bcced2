"""Where a client finds its services."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from services.client.config import load_config
from services.client.errors import ConfigError
from services.embedded.record import Record, write_record
from services.embedded.state import StateDirectory

FILE_URL, ENV_URL, FLAG_URL = "http://file:1", "http://environment:2", "http://flag:3"


def write_toml(folder: Path, text: str) -> None:
    (folder / "unroll.toml").write_text(text, encoding="utf-8")


@pytest.fixture
def running_stack(tmp_path: Path) -> Iterator[Path]:
    """A state directory that this process holds as a supervisor would."""
    state = StateDirectory(tmp_path / "state")
    state.acquire()
    (pid_text,) = (state.path / "lock").read_text().split()
    urls = {"api_url": "http://127.0.0.1:5001", "inference_url": "http://127.0.0.1:5002"}
    servers = {"database_url": "", "redis_url": ""}
    write_record(state.path, Record(pid=int(pid_text), **urls, **servers, ports={}, processes={}))
    yield state.path
    state.release()


def test_without_any_choice_the_defaults_hold(tmp_path: Path) -> None:
    config = load_config(environ={}, directory=tmp_path)

    assert config.api_url == "http://127.0.0.1:8000"
    assert config.inference_url == "http://127.0.0.1:8001"
    assert config.state_dir == tmp_path / ".unroll"
    assert config.timeout_s == 30
    assert config.api_key is None


def test_a_flag_beats_the_environment_which_beats_the_file(tmp_path: Path) -> None:
    write_toml(tmp_path, f'api_url = "{FILE_URL}"\ntimeout_s = 5\n')
    environ = {"UNROLL_API_URL": ENV_URL}

    from_file = load_config(environ={}, directory=tmp_path)
    from_environment = load_config(environ=environ, directory=tmp_path)
    from_flag = load_config({"api_url": FLAG_URL}, environ=environ, directory=tmp_path)

    urls = [config.api_url for config in (from_file, from_environment, from_flag)]
    assert urls == [FILE_URL, ENV_URL, FLAG_URL]
    assert from_flag.timeout_s == 5


def test_a_flag_that_was_not_given_and_an_empty_variable_choose_nothing(tmp_path: Path) -> None:
    write_toml(tmp_path, f'api_url = "{FILE_URL}"\n')

    config = load_config({"api_url": None}, environ={"UNROLL_API_URL": ""}, directory=tmp_path)

    assert config.api_url == FILE_URL


def test_an_unknown_key_in_the_file_is_refused_by_name(tmp_path: Path) -> None:
    write_toml(tmp_path, 'api_ulr = "http://x"\n')

    with pytest.raises(ConfigError, match=r"unknown key 'api_ulr'; known keys: api_url, "):
        load_config(environ={}, directory=tmp_path)


def test_a_file_that_is_no_toml_is_refused_by_path(tmp_path: Path) -> None:
    write_toml(tmp_path, "api_url = \n")

    with pytest.raises(ConfigError, match=r"unroll\.toml is not TOML"):
        load_config(environ={}, directory=tmp_path)


@pytest.mark.parametrize(
    ("flags", "environ", "toml", "name"),
    [
        ({"api_url": "localhost"}, {}, "", "--api-url"),
        ({"api_url": "ftp://host"}, {}, "", "--api-url"),
        ({"api_url": "http://host:99999"}, {}, "", "--api-url"),
        ({"timeout_s": 0}, {}, "", "--timeout-s"),
        ({"timeout_s": float("inf")}, {}, "", "--timeout-s"),
        ({}, {"UNROLL_TIMEOUT_S": "soon"}, "", "UNROLL_TIMEOUT_S"),
        ({}, {"UNROLL_API_KEY": "a\nb"}, "", "UNROLL_API_KEY"),
        ({}, {"UNROLL_API_KEY": "schlüssel"}, "", "UNROLL_API_KEY"),
        ({}, {}, "timeout_s = -1", r"unroll\.toml: timeout_s"),
        ({}, {}, 'inference_url = "http://"', r"unroll\.toml: inference_url"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_by_the_name_its_owner_wrote(
    tmp_path: Path, flags: dict[str, object], environ: dict[str, str], toml: str, name: str
) -> None:
    write_toml(tmp_path, toml)

    with pytest.raises(ConfigError, match=f"^{name}: "):
        load_config(flags, environ=environ, directory=tmp_path)


def test_a_key_never_shows_in_the_text_of_a_configuration(tmp_path: Path) -> None:
    config = load_config({"api_key": "secret-key"}, environ={}, directory=tmp_path)

    assert "secret-key" not in repr(config)
    assert config.api_key is not None
    assert config.api_key.get_secret_value() == "secret-key"


def test_inference_is_looked_for_beside_a_chosen_api(tmp_path: Path) -> None:
    config = load_config({"api_url": "https://train.example:8443"}, environ={}, directory=tmp_path)
    ipv6 = load_config({"api_url": "http://[::1]:9"}, environ={}, directory=tmp_path)

    assert config.inference_url == "https://train.example:8001"
    assert ipv6.inference_url == "http://[::1]:8001"


def test_a_running_stack_is_found_through_its_state_directory(
    tmp_path: Path, running_stack: Path
) -> None:
    config = load_config({"state_dir": running_stack}, environ={}, directory=tmp_path)

    assert config.api_url == "http://127.0.0.1:5001"
    assert config.inference_url == "http://127.0.0.1:5002"


def test_a_chosen_url_beats_a_running_stack_and_never_mixes_with_it(
    tmp_path: Path, running_stack: Path
) -> None:
    write_toml(tmp_path, f'api_url = "{FILE_URL}"\nstate_dir = "state"\n')

    config = load_config(environ={}, directory=tmp_path)

    assert config.state_dir == running_stack
    assert config.api_url == FILE_URL
    assert config.inference_url == "http://file:8001"


def test_the_record_of_a_stack_that_ended_is_not_believed(
    tmp_path: Path, running_stack: Path
) -> None:
    (running_stack / "lock").unlink()

    config = load_config({"state_dir": running_stack}, environ={}, directory=tmp_path)

    assert config.api_url == "http://127.0.0.1:8000"
