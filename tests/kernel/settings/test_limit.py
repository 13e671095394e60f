from __future__ import annotations

import pytest

from ops.kernel.errors import ConfigurationError
from ops.kernel.settings import limit
from tests.kernel.settings.conftest import Faults, Load

COMPOSE = (
    '[app]\nname = "shop"\ndefault_environment = "staging"\n[environments.staging]\n'
    'target = "compose"\n'
)
HOSTS = COMPOSE + 'hosts = ["deploy@web1", "deploy@web2:2222", "deploy@web3"]\n'


@pytest.mark.parametrize(
    "words", [["web2:2222"], ["deploy@web2:2222"], ["web2:2222", "web2:2222"]], ids=str
)
def test_hosts_that_are_not_named_are_left_out(load: Load, words: list[str]) -> None:
    settings = limit.limited(load(HOSTS), words)
    assert dict(settings.left_out) == dict.fromkeys(("web1", "web3"), limit.NOT_NAMED)
    assert settings.environment.hosts == load(HOSTS).environment.hosts


def test_without_names_nothing_is_left_out(load: Load) -> None:
    settings = load(HOSTS)
    assert limit.limited(settings, []) is settings


@pytest.mark.parametrize(
    ("text", "words", "message"),
    [
        (HOSTS, ["web9"], "staging has no host 'web9', did you mean 'web3'"),
        (HOSTS, ["web2"], "staging has no host 'web2'"),
        (COMPOSE, ["web1"], "staging has no host 'web1'.*it has localhost"),
    ],
)
def test_unknown_host_is_refused_with_those_there_are(
    load: Load, text: str, words: list[str], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        limit.limited(load(text), words)
    assert caught.value.exit_code == 3


def test_this_machine_is_the_only_host_where_none_is_named(load: Load) -> None:
    assert not limit.limited(load(COMPOSE), ["localhost"]).left_out


def test_what_is_left_out_adds_up(load: Load) -> None:
    first = limit.limited(load(HOSTS), ["web1", "web2:2222"])
    both = limit.without(first, {"web1": "down"})
    assert dict(both.left_out) == {"web3": limit.NOT_NAMED, "web1": "down"}


@pytest.mark.parametrize(
    ("value", "size"), [('"5GB"', 5 * 10**9), ('"1.5 GB"', 1_500_000_000), ('"500MB"', 5 * 10**8)]
)
def test_size_is_read(load: Load, value: str, size: int) -> None:
    assert load(f"{HOSTS}free_disk = {value}\n").environment.free_disk == size


@pytest.mark.parametrize("value", ['"5"', "5", '"-1GB"', '"0GB"', '"5gb"', '"much"', "true"])
def test_what_is_no_size_is_refused(faults_of: Faults, value: str) -> None:
    (fault,) = faults_of(f"{HOSTS}free_disk = {value}\n")
    assert 'must be a size such as "500MB" or "5GB"' in str(fault)


def test_allowing_hosts_to_be_down_needs_hosts(faults_of: Faults) -> None:
    (fault,) = faults_of(f"{COMPOSE}allow_down = 1\n")
    assert "allow_down" in str(fault) and "needs hosts" in str(fault)
