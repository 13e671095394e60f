"""What HAProxy answers, as objects."""

from __future__ import annotations

import pytest

from ops.hosts.agent.servers import Server, read, serving

STAT = """\
# pxname,svname,scur,qcur,status,check_status,check_code,weight,stot,hrsp_2xx,hrsp_5xx,
web,blue,3,1,UP,L7OK,200,1,40,39,1,
web,green,0,0,MAINT (resolution),,,1,0,0,0,
api,blue1,0,0,DRAIN,L7OK,200,1,0,0,0,
api,blue2,0,0,DOWN,L4CON,,1,0,0,0,
:probe-web-blue,probe,0,0,no check,,,1,0,0,0,
"""
STATES = """\
1
# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight
3 web 1 blue 10.0.0.1 2 0 1 1
3 web 2 green - 0 {green} 1 1
4 api 1 blue1 10.0.0.2 2 8 1 1
4 api 2 blue2 10.0.0.3 0 32 1 1

5 :probe-web-blue 1 probe 10.0.0.1 2 0 1 1
"""


def servers(green: int = 5) -> dict[str, Server]:
    return {each.name: each for each in read(STAT, STATES.format(green=green))}


def test_servers_of_slots_are_found_and_no_others() -> None:
    found = servers()
    assert list(found) == ["web/blue", "web/green", "api/blue1", "api/blue2"]
    blue = found["web/blue"]
    assert (blue.service, blue.slot, blue.current, blue.queued) == ("web", "blue", 3, 1)
    assert (blue.weight, blue.configured) == (1, 1)
    assert (blue.check, blue.address, blue.counters["hrsp_5xx"]) == ("L7OK 200", "10.0.0.1", 1)
    assert (found["api/blue2"].slot, found["api/blue1"].told) == ("blue", "drain")


@pytest.mark.parametrize(
    ("flags", "told"), [(0, "ready"), (1, "maint"), (5, "maint"), (8, "drain"), (32, "ready")]
)
def test_what_a_server_was_told_is_not_what_dns_says(flags: int, told: str) -> None:
    assert servers(flags)["web/green"].told == told


def test_a_server_without_a_name_has_no_address() -> None:
    assert servers()["web/green"].address == ""
    assert servers()["api/blue2"].address == "", "its name is gone"


@pytest.mark.parametrize(
    ("status", "check", "alive"),
    [
        ("UP", "L7OK 200", True),
        ("DRAIN", "L7OK 200", True),
        ("UP", "INI", False),
        ("UP 1/2", "L7OK 200", False),
        ("DOWN", "L7STS 503", False),
        ("MAINT", "", False),
    ],
)
def test_alive_is_what_passed_a_check(status: str, check: str, alive: bool) -> None:
    found = servers()["web/blue"]
    assert Server(**{**vars(found), "status": status, "check": check}).alive is alive


@pytest.mark.parametrize(
    ("flags", "expected"), [(5, "blue"), (0, "mixed"), (8, "blue"), (32, "mixed")]
)
def test_the_slot_that_serves_is_the_one_that_is_told_to(flags: int, expected: str) -> None:
    found = [each for each in servers(flags).values() if each.service == "web"]
    assert serving(found) == expected
    assert serving([]) == ""
