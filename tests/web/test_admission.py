"""Places and rates, with a clock that tells what it is told."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st
from prometheus_client import CollectorRegistry, Gauge
from starlette.exceptions import HTTPException

from detect_tl.core.errors import UsageError
from detect_tl.web import admission
from detect_tl.web.admission import Places, Rate
from detect_tl.web.settings import Limits, Settings, is_wildcard


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def admitted(rate: Rate, address: str = "a") -> bool:
    try:
        rate.take(address)
    except HTTPException as error:
        return not (error.status_code == 429 and int((error.headers or {})["Retry-After"]) >= 1)
    return True


@given(
    rate=st.floats(0.1, 100),
    pauses=st.lists(st.floats(0, 3), min_size=1, max_size=200),
)
def test_nobody_gets_more_than_the_rate(rate: float, pauses: list[float]) -> None:
    clock = Clock()
    bucket = Rate(rate, clock)
    count = 0
    for pause in pauses:
        clock.now += pause
        count += admitted(bucket)
    assert 1 <= count <= max(rate, 1) + clock.now * rate + 1e-6


@given(rate=st.floats(0.1, 100), count=st.integers(1, 50))
def test_whoever_keeps_to_the_rate_is_let_in(rate: float, count: int) -> None:
    clock = Clock()
    bucket = Rate(rate, clock)
    for _ in range(count):
        assert admitted(bucket)
        clock.now += 1.001 / rate


def test_addresses_do_not_share_and_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "_MOST_ADDRESSES", 10)
    clock = Clock()
    bucket = Rate(1, clock)
    for number in range(100):
        assert admitted(bucket, str(number))
        assert not admitted(bucket, str(number))
        assert len(bucket._left) <= 10
        clock.now += 0.2


def test_places_are_given_back_whatever_happens() -> None:
    gauge = Gauge("clients", "", registry=CollectorRegistry())
    places = Places(1, gauge)

    def fail() -> None:
        with places.one():
            assert gauge._value.get() == 1
            with pytest.raises(HTTPException) as refusal, places.one():
                pass
            assert refusal.value.status_code == 503
            raise RuntimeError

    for _ in range(3):
        with pytest.raises(RuntimeError):
            fail()
    assert gauge._value.get() == 0


@pytest.mark.parametrize(
    ("host", "safe", "everywhere"),
    [
        ("127.0.0.1", True, False),
        ("127.8.8.8", True, False),
        ("localhost", True, False),
        ("[::1]", True, False),
        ("LOCALHOST", True, False),
        ("0.0.0.0", False, True),  # noqa: S104
        ("::", False, True),
        ("192.168.1.5", False, False),
        ("localhost.example", False, False),
    ],
)
def test_only_this_machine_goes_without_a_token(host: str, safe: bool, everywhere: bool) -> None:
    settings = Settings.for_host("m", host, 1, None, Limits())
    assert (settings.token is None) == safe
    assert is_wildcard(settings.host) == everywhere
    given = Settings.for_host("m", host, 1, "a-token-of-mine", Limits())
    assert given.token == "a-token-of-mine"  # noqa: S105


def test_limits_must_be_positive() -> None:
    for name in ("max_bytes", "max_pixels", "rate", "clients", "seconds", "idle"):
        with pytest.raises(UsageError, match=name):
            Limits(**{name: 0})
