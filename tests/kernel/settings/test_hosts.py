from __future__ import annotations

import pytest

from ops.kernel.settings import addresses
from ops.kernel.settings.addresses import Address
from tests.kernel.settings.conftest import Faults, Load

APP = '[app]\nname = "shop"\ndefault_environment = "staging"\n[environments.staging]\n'
COMPOSE = APP + 'target = "compose"\n'
HOSTS = COMPOSE + 'hosts = ["deploy@web1", "deploy@web2:2222"]\n'
KEY = "SHA256:" + "x" * 43


@pytest.mark.parametrize(
    ("text", "expected", "name"),
    [
        ("deploy@web1", Address("deploy", "web1", 22), "web1"),
        ("deploy@web1:22", Address("deploy", "web1", 22), "web1"),
        ("a.b_c-d@web-1.example.org:2222", Address("a.b_c-d", "web-1.example.org", 2222), None),
        ("root@10.0.0.1:2222", Address("root", "10.0.0.1", 2222), "10.0.0.1:2222"),
        ("root@[fe80::1]", Address("root", "fe80::1", 22), "[fe80::1]"),
        ("root@[fe80::1]:2222", Address("root", "fe80::1", 2222), "[fe80::1]:2222"),
    ],
)
def test_address_is_read(text: str, expected: Address, name: str | None) -> None:
    assert addresses.parse(text) == expected
    assert expected.name == (name or text.partition("@")[2])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "web1",
        "@web1",
        "deploy@",
        "deploy@web1:",
        "deploy@web1:0",
        "deploy@web1:65536",
        "deploy@web1:ssh",
        "deploy@web1:22:22",
        "deploy@fe80::1",
        "ssh://deploy@web1",
        "deploy@web1 -oProxyCommand=x",
        "-oProxyCommand=x@web1",
        "deploy@web1\n",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be"):
        addresses.parse(text)


def test_environment_on_hosts_is_read(load: Load) -> None:
    text = HOSTS + (
        f'gateway = "jump@gate:2200"\nhost_keys = {{ web1 = "{KEY}=", "web2:2222" = "{KEY}" }}\n'
        'ssh_key = "env:DEPLOY_KEY"\nbase_folder = "/srv/shop"\n'
    )
    chosen = load(text).environment
    assert chosen.hosts == ("deploy@web1", "deploy@web2:2222")
    assert chosen.gateway == "jump@gate:2200"
    assert dict(chosen.host_keys) == {"web1": KEY, "web2:2222": KEY}
    assert chosen.base_folder == "/srv/shop"


def test_environment_with_a_domain_gets_its_certificate_from_lets_encrypt(load: Load) -> None:
    chosen = load(COMPOSE + 'hosts = ["deploy@web1"]\ndomain = "shop.example.org"\n').environment
    assert chosen.domain == "shop.example.org"
    assert chosen.acme_server == addresses.LETS_ENCRYPT
    assert (chosen.acme_email, chosen.acme_ca) == ("", None)


def test_environment_without_hosts_is_this_machine(load: Load) -> None:
    chosen = load(COMPOSE).environment
    assert (chosen.hosts, chosen.gateway, dict(chosen.host_keys)) == ((), None, {})


def test_environments_on_other_hosts_may_have_the_same_port(load: Load) -> None:
    other = '[environments.production]\ntarget = "compose"\nhosts = ["a@b"]\nport = 80\n'
    assert load(HOSTS + "port = 80\n" + other).environment.port == 80


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            APP + 'target = "local"\nhosts = ["deploy@web1"]\n',
            'staging.hosts needs target = "compose"',
        ),
        (
            APP + 'target = "local"\nbase_folder = "/srv"\n',
            'base_folder needs target = "compose"',
        ),
        (APP + 'target = "local"\nssh_key = "env:X"\n', 'ssh_key needs target = "compose"'),
        (COMPOSE + 'gateway = "a@b"\n', "staging.gateway needs hosts"),
        (COMPOSE + f'host_keys = {{ web1 = "{KEY}" }}\n', "staging.host_keys needs hosts"),
        (COMPOSE + 'hosts = ["web1"]\n', "hosts[0] must be"),
        (COMPOSE + "hosts = [22]\n", "hosts[0]"),
        (COMPOSE + 'hosts = "deploy@web1"\n', "staging.hosts"),
        (COMPOSE + 'hosts = ["a@web1", "b@web1:22"]\n', "hosts[1] names web1 again"),
        (HOSTS + f'host_keys = {{ web3 = "{KEY}" }}\n', "known are web1, web2:2222"),
        (HOSTS + f'host_keys = {{ web2 = "{KEY}" }}\n', "did you mean"),
        (HOSTS + 'host_keys = { web1 = "MD5:00" }\n', "must be a fingerprint"),
        (HOSTS + 'gateway = "gate"\n', "staging.gateway must be"),
        (HOSTS + 'ssh_key = "-----BEGIN KEY"\n', "ssh_key must be a reference"),
        (HOSTS + 'base_folder = "srv"\n', "must be an absolute path"),
        (HOSTS + 'base_folder = "/srv/../etc"\n', "must be an absolute path"),
        (HOSTS + 'base_folder = "/srv/a b"\n', "must be an absolute path"),
        (HOSTS + 'base_folder = "/"\n', "must be an absolute path"),
        (HOSTS + 'domain = "shop.example.org"\n', "domain needs one host"),
        (COMPOSE + 'domain = "shop"\n', 'must be a name such as "shop.example.org"'),
        (COMPOSE + 'domain = "shop.example.org/x"\n', "must be a name such as"),
        (COMPOSE + 'domain = "*.example.org"\n', "must be a name such as"),
        (APP + 'target = "local"\ndomain = "shop.example.org"\n', 'needs target = "compose"'),
        (COMPOSE + 'acme_email = "anna@example.org"\n', "acme_email needs domain"),
        (
            COMPOSE + 'domain = "a.example.org"\nacme_server = "http://x"\n',
            "acme_server must be a URL",
        ),
        (
            COMPOSE + 'domain = "a.example.org"\nacme_ca = "/etc/ca.pem"\n',
            "must be relative to the project",
        ),
    ],
)
def test_mistake_is_told_once(faults_of: Faults, text: str, expected: str) -> None:
    found = faults_of(text)
    assert len(found) == 1
    assert expected in found[0]
