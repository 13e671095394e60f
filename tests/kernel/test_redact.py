from __future__ import annotations

import base64
import json
import threading
import time
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ops.kernel import redact
from ops.kernel.redact import MASK, Redactor

SECRET = 'p@ss/w"rd+é ~1'


def _redactor(*values: str) -> Redactor:
    made = Redactor()
    for value in values:
        made.add(value)
    return made


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        quote(SECRET),
        quote(SECRET, safe=""),
        quote_plus(SECRET),
        "p%40ss%2fw%22rd%2b%c3%a9%20~1",
        json.dumps(SECRET),
        json.dumps(SECRET, ensure_ascii=False),
    ],
)  # fmt: skip
def test_every_form_of_a_secret_is_hidden(form: str) -> None:
    shown = _redactor(SECRET).text(f"before {form} after")

    assert shown.replace('"', "") == f"before {MASK} after"


@pytest.mark.parametrize("before", ["", "a", "ab", "abc", "user:"])
@pytest.mark.parametrize("after", ["", "x", "xy", "xyz"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("secret", ["sixsix", "seven77", "a longer?secret>", "ÿþÿþÿþ"])
def test_base64_is_hidden_wherever_the_secret_stands_in_it(
    encode: object, before: str, after: str, secret: str
) -> None:
    assert callable(encode)
    encoded = encode(f"{before}{secret}{after}".encode()).decode()

    shown = _redactor(secret).text(encoded)

    assert MASK in shown
    # At most the characters at both ends that also belong to the neighbours are left.
    left = shown.replace(MASK, "").rstrip("=")
    outside = base64.b64encode(before.encode()).rstrip(b"=") + base64.b64encode(after.encode())
    assert len(left) <= len(outside.rstrip(b"=")) + 3


def test_other_text_is_left_alone() -> None:
    redactor = _redactor("secret-1")

    assert redactor.text("secret-2 and secret") == "secret-2 and secret"
    assert redactor.text("") == ""
    assert Redactor().text("anything") == "anything"
    assert redactor.data(b"\xff\x00 secret-1") == b"\xff\x00 ***"


def test_overlapping_secrets_leave_nothing() -> None:
    redactor = _redactor("abcdefgh", "efghijkl", "cdefgh")

    assert redactor.text("1 abcdefghijkl 2") == f"1 {MASK} 2"
    assert redactor.text("abcdefghabcdefgh") == MASK * 2


@pytest.mark.parametrize(
    ("url", "text", "shown"),
    [
        ("postgresql://u:open-sesame@h/d", "the password is open-sesame", "the password is ***"),
        ("postgresql://u:open%2Fsesame@h/d", "or open/sesame, open%2Fsesame", "or ***, ***"),
        ("postgresql://u:tiny@h/d", "tiny stays, u:tiny@h does not", "tiny stays, u***h does not"),
        ("postgresql://u:tiny@h/d", "postgresql://u:tiny@h/d", "***"),
        ("https://[broken", "https://[broken", "***"),
    ],
)
def test_the_password_of_a_url_is_hidden_by_itself(url: str, text: str, shown: str) -> None:
    assert _redactor(url).text(text) == shown


def test_a_key_file_is_hidden_line_by_line() -> None:
    redactor = _redactor("-----BEGIN-----\nc2VjcmV0LWtleQ\nabc\n-----END-----")

    assert redactor.text("log: c2VjcmV0LWtleQ") == "log: ***"
    assert redactor.text("abc") == "abc"


@pytest.mark.parametrize("value", ["", "12345"])
def test_a_short_value_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="at least 6 characters"):
        Redactor().add(value)


@pytest.mark.parametrize("value", ["lone\udce9surrogate", "broken\ud800half"])
def test_what_is_not_unicode_is_hidden(value: str) -> None:
    redactor = _redactor(value)

    assert redactor.text(f"a {value} b") == "a *** b"
    if value == "lone\udce9surrogate":
        assert redactor.data(b"a lone\xe9surrogate b") == b"a *** b"


def test_a_secret_split_over_two_writes_is_hidden() -> None:
    for cut in range(1, len("secret-1")):
        stream = _redactor("secret-1").stream()
        shown = stream.feed(b"a secret-1 b"[: 2 + cut]) + stream.feed(b"a secret-1 b"[2 + cut :])
        assert shown + stream.flush() == b"a *** b"


def test_a_line_without_a_beginning_of_a_secret_passes_at_once() -> None:
    stream = _redactor("secret-1").stream()

    assert stream.feed(b"ready\n") == b"ready\n"
    assert stream.feed(b"the sec") == b"the "
    assert stream.feed(b"ond\n") == b"second\n"
    assert stream.feed(b"se") == b""
    assert stream.flush() == b"se"
    assert stream.flush() == b""


def test_a_secret_added_in_between_is_hidden() -> None:
    redactor = Redactor()
    stream = redactor.stream()

    assert stream.feed(b"secret-1 ") == b"secret-1 "
    redactor.add("secret-1")
    assert stream.feed(b"secret-1 ") == b"*** "


PIECES = st.lists(
    st.binary(max_size=4) | st.sampled_from([b"abcabc", b"abcabcab", b"bcabca", b"abc"])
)


@given(PIECES)
@example([b"abcabcabc"])
def test_pieces_show_what_the_whole_shows(pieces: list[bytes]) -> None:
    redactor = _redactor("abcabc", "cabcabca", "xyzxyz")
    stream = redactor.stream()
    shown = b"".join(map(stream.feed, pieces))

    whole = b"".join(pieces)

    assert shown + stream.flush() == redactor.data(whole)
    assert not [form for form in redactor.forms if form in shown]


@given(st.text(min_size=6), st.text(), st.text())
def test_no_secret_is_left_in_any_text(secret: str, before: str, after: str) -> None:
    shown = _redactor(secret).text(before + secret + after)

    assert secret not in shown.replace(MASK, "\0")


def test_threads_share_a_redactor() -> None:
    redactor = Redactor()

    def add(at: int) -> None:
        for number in range(20):
            redactor.add(f"secret-{at}-{number}")

    threads = [threading.Thread(target=add, args=(at,)) for at in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert all(redactor.text(f"secret-{at}-{n}") == MASK for at in range(8) for n in range(20))


def test_without_secrets_it_costs_nothing() -> None:
    data = b"x" * 50_000_000
    stream = Redactor().stream()

    before = time.process_time()
    assert stream.feed(data) is data
    assert time.process_time() - before < 0.05


def test_with_many_secrets_a_megabyte_takes_well_under_a_second() -> None:
    redactor = _redactor(*(f"secret-number-{number}" for number in range(20)))
    data = b"2026-11-21 10:00:00 GET /api/orders 200 se\n" * 25_000

    before = time.process_time()
    assert redactor.data(data) == data
    assert time.process_time() - before < 1


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://anna:open@db:5433/shop", "postgresql://anna:***@db:5433/shop"),
        ("postgresql://anna@db/shop", "postgresql://anna@db/shop"),
        ("postgresql://db/shop?password=x", "postgresql://db/shop?***"),
        ("postgresql:///shop", "postgresql:///shop"),
        ("redis://:open@cache/0", "redis://:***@cache/0"),
        ("sqlite:////var/state.db", "sqlite:////var/state.db"),
        ("no url", MASK),
        ("x://", MASK),
        ("x://h:port/", MASK),
        ("https://[broken", MASK),
    ],
)
def test_a_url_is_shown_without_password_and_query(url: str, shown: str) -> None:
    assert redact.mask_url(url) == shown


def test_the_process_has_one_redactor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redact.CENTRAL, "_forms", ())
    redact.CENTRAL.add("central-secret")

    assert redact.text("a central-secret") == "a ***"
