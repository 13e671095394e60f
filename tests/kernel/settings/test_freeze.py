"""When nothing is deployed."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from ops.kernel.settings import freeze
from tests.kernel.settings.conftest import Faults, Load

BERLIN = ZoneInfo("Europe/Berlin")
WEEKEND = "fri 16:00/mon 08:00"
MORNING = "tue 08:00/tue 09:30"
ONCE = "2026-12-20T00:00/2027-01-03T00:00"
ZONED = "2026-12-20T00:00+01:00/2026-12-20T01:00+01:00"
APP = """\
[app]
name = "shop"
default_environment = "production"
[environments.staging]
target = "compose"
[environments.production]
target = "compose"
[environments.production.policy]
"""


@pytest.mark.parametrize(
    ("window", "moment", "end"),
    [
        (WEEKEND, "2026-11-20T15:59+01:00", ""),  # a Friday
        (WEEKEND, "2026-11-20T16:00+01:00", "mon 08:00"),
        (WEEKEND, "2026-11-22T12:00+01:00", "mon 08:00"),
        (WEEKEND, "2026-11-23T07:59+01:00", "mon 08:00"),
        (WEEKEND, "2026-11-23T08:00+01:00", ""),
        (WEEKEND, "2026-11-20T15:30+00:00", "mon 08:00"),
        (MORNING, "2026-11-24T07:59+01:00", ""),
        (MORNING, "2026-11-24T09:29+01:00", "tue 09:30"),
        (MORNING, "2026-11-25T09:00+01:00", ""),
        (ONCE, "2026-12-19T23:59+01:00", ""),
        (ONCE, "2026-12-19T23:30+00:00", "2027-01-03T00:00"),
        (ONCE, "2027-01-03T00:00+01:00", ""),
        (ZONED, "2026-12-19T23:30+00:00", "2026-12-20T01:00+01:00"),
    ],
)
def test_end_of_the_window_that_a_moment_lies_in(window: str, moment: str, end: str) -> None:
    assert freeze.until(window, datetime.fromisoformat(moment), BERLIN) == end


def test_policy_is_read(load: Load) -> None:
    text = APP + (
        'ci_only = true\nbranch = "main"\nclean = true\nafter = "staging"\n'
        f'freeze = ["{ONCE}", "Fri 16:00/Mon 08:00"]\ntime_zone = "Europe/Berlin"\n'
    )
    policy = load(text).environment.policy
    assert (policy.ci_only, policy.branch, policy.clean, policy.after) == (
        True,
        "main",
        True,
        "staging",
    )
    assert policy.freeze == (ONCE, WEEKEND)
    assert load(APP).environment.policy.freeze == ()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('freeze = ["friday"]', 'policy.freeze[0] must be "2026-12-20T00:00/'),
        ('freeze = ["fri 16:00/2027-01-03T00:00"]', "policy.freeze[0] must be "),
        ('freeze = ["fri 16:00/fri 16:00"]', "must begin before it ends"),
        ('freeze = ["fri 24:00/mon 08:00"]', "policy.freeze[0] must be "),
        ('freeze = ["2027-01-03T00:00/2026-12-20T00:00"]', "must begin before it ends"),
        ('freeze = ["2027-13-03T00:00/2027-12-20T00:00"]', "policy.freeze[0] must be "),
        ('time_zone = "Berlin"', 'policy.time_zone must be a time zone such as "Europe/Berlin"'),
        ('time_zone = "/etc/passwd"', "policy.time_zone must be a time zone"),
        ('after = "stagin"', "which is no other environment: there is only staging, did you mean"),
        ('after = "production"', "policy.after is 'production', which is no other environment"),
        ("ci_only = 1", "policy.ci_only must be true or false"),
        ('brunch = "main"', "policy.brunch is not a known key, did you mean 'branch'?"),
    ],
)
def test_wrong_policy_is_one_line_with_its_place(faults_of: Faults, line: str, words: str) -> None:
    (found,) = faults_of(APP + line + "\n")
    assert found.startswith("ops.toml:9: environments.production."), found
    assert words in found


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ('registry_user = "env:U"', "registry_user needs registry"),
        ('registry = "r:5000"\nregistry_user = "env:U"', "registry_user needs registry_password"),
        (
            'registry = "r:5000"\nregistry_password = "env:U"',
            "registry_password needs registry_user",
        ),
        (
            'registry = "r:5000"\nregistry_user = "anna"\nregistry_password = "env:P"',
            "registry_user",
        ),
    ],
)
def test_half_a_login_to_a_registry_is_told(faults_of: Faults, lines: str, words: str) -> None:
    text = APP.replace("[environments.production.policy]\n", lines + "\n")
    found = faults_of(text)
    assert any(words in each for each in found), found
    assert not any("anna" in each for each in found)
