"""Requests made from the service's own description, right ones and wrong ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
from hypothesis import given, settings, strategies as st
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from detect_tl.web.schema import PICTURE_TYPES
from tests.web.conftest import encoded, serving, two_cells

TOKEN = "a-token-for-tests"  # noqa: S105

for _kind in PICTURE_TYPES:
    schemathesis.openapi.media_type(_kind, st.just(encoded(two_cells(), f".{_kind[6:]}")))


@pytest.fixture(scope="module")
def described(segment_model: Path) -> Iterator[schemathesis.BaseSchema]:
    """The service asks for a token, so that what it says of that is looked at too."""
    with serving(segment_model, token=TOKEN, seconds=5) as address:
        base = f"http://{address.host}:{address.port}"
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        yield schemathesis.openapi.from_url(f"{base}/openapi.json", headers=bearer)


@pytest.mark.parametrize(
    ("name", "mode", "count"),
    [
        ("GET /healthz", GenerationMode.POSITIVE, 2),
        ("GET /model", GenerationMode.POSITIVE, 2),
        ("GET /metrics", GenerationMode.POSITIVE, 2),
        ("POST /predict", GenerationMode.POSITIVE, 50),
        ("POST /predict", GenerationMode.NEGATIVE, 50),
    ],
)
def test_answers_are_as_described(
    described: schemathesis.BaseSchema, name: str, mode: GenerationMode, count: int
) -> None:
    """Every status, type and body is one that the description has; nothing ends in a 5xx.

    That right requests are accepted is tested elsewhere: a schema cannot say which bytes are a
    picture, nor which texts are classes.
    """
    method, path = name.split()

    @given(case=described[path][method].as_strategy(generation_mode=mode))
    @settings(max_examples=count)
    def ask(case: schemathesis.Case) -> None:
        case.call_and_validate(
            headers={"Authorization": f"Bearer {TOKEN}"},
            excluded_checks=[positive_data_acceptance],
        )

    ask()


def test_everything_is_described(described: schemathesis.BaseSchema) -> None:
    found = {f"{one.ok().method.upper()} {one.ok().path}" for one in described.get_all_operations()}
    assert found == {"GET /healthz", "GET /model", "GET /metrics", "POST /predict"}
