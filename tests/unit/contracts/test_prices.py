from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import to_json

from chalicelib.contracts.fields import price_number
from chalicelib.contracts.requests import CreateProduct
from chalicelib.contracts.validation import parse
from chalicelib.errors import FieldError, InvalidInput

PRODUCT = {"sku": "A", "name": "a", "price": 1}


def price(value: Any) -> Decimal:
    return parse(CreateProduct, {"body": PRODUCT | {"price": value}}).body.price


@given(st.integers(0, 10**12 - 1))
def test_a_price_of_at_most_12_digits_is_returned_unchanged(digits: int) -> None:
    for written in (Decimal(digits), Decimal(digits).scaleb(-1), Decimal(digits).scaleb(-2)):
        taken = price(written)
        assert taken == written
        assert Decimal(to_json(price_number(taken)).decode()) == written
        assert str(taken) == f"{taken:f}"


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (0, "0"),
        (Decimal("-0.0"), "0"),
        (Decimal("10.990"), "10.99"),
        (Decimal("1E+2"), "100"),
        (Decimal("1.10"), "1.1"),
        (Decimal("0.05"), "0.05"),
        (Decimal("9999999999.99"), "9999999999.99"),
        (999_999_999_999, "999999999999"),
    ],
)
def test_a_price_is_stored_without_an_exponent(value: Any, plain: str) -> None:
    assert str(price(value)) == plain


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("1", "must be a number"),
        (True, "must be a number"),
        (None, "must be a number"),
        (1.5, "must be a number"),
        ([1], "must be a number"),
        (-1, "must not be negative"),
        (Decimal("-0.01"), "must not be negative"),
        (Decimal("0.001"), "must have at most 2 decimals and 12 digits"),
        (Decimal("1." + "0" * 60 + "1"), "must have at most 2 decimals and 12 digits"),
        (Decimal("1E-400000"), "must have at most 2 decimals and 12 digits"),
        (10**12, "must have at most 2 decimals and 12 digits"),
        (10**4000, "must have at most 2 decimals and 12 digits"),
        (Decimal("10000000000.01"), "must have at most 2 decimals and 12 digits"),
        (Decimal("1E+999999"), "must have at most 2 decimals and 12 digits"),
    ],
)
def test_an_invalid_price_is_refused(value: Any, message: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        price(value)
    assert refused.value.errors == (FieldError("price", message),)
