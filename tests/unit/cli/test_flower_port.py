"""Where Flower listens is the caller's choice, also for `wfe dev`."""

import pytest

from workflow_engine.cli.flower import _has_login, choose_port, port_at_hand
from workflow_engine.embedded.ports import LOOPBACK, free_port
from workflow_engine.errors import ConfigurationError


def test_the_port_is_the_one_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = free_port()
    monkeypatch.setenv("FLOWER_PORT", str(wanted))

    assert choose_port(LOOPBACK, port_at_hand()) == wanted


def test_without_one_some_free_port_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLOWER_PORT", raising=False)

    assert port_at_hand() is None
    assert choose_port(LOOPBACK, None) > 0


def test_what_is_no_number_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWER_PORT", "tcp://10.0.0.1:5555")

    with pytest.raises(ConfigurationError, match="FLOWER_PORT"):
        port_at_hand()


@pytest.mark.parametrize(
    ("options", "variables", "has_login"),
    [
        ([], {}, False),
        (["--persistent=True"], {"FLOWER_BASIC_AUTH": ""}, False),
        (["--basic-auth=ada:secret"], {}, True),
        (["--basic_auth", "ada:secret"], {}, True),
        (["--auth=.*@example.org"], {}, True),
        ([], {"FLOWER_BASIC_AUTH": "ada:secret"}, True),
    ],
)
def test_a_login_is_known_by_option_and_by_variable(
    options: list[str], variables: dict[str, str], has_login: bool
) -> None:
    assert _has_login(options, variables) is has_login
