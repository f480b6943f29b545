import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.contracts import pagination
from chalicelib.contracts.fields import is_sku
from chalicelib.errors import InvalidPageToken
from tests.support.ids import ids

skus = ids(64).filter(is_sku)


@given(skus)
def test_a_token_decodes_to_its_sku(sku: str) -> None:
    assert pagination.decode("products", pagination.encode("products", sku)) == sku


@given(skus)
def test_a_token_needs_no_escaping_in_a_query(sku: str) -> None:
    assert set(pagination.encode("products", sku)) <= set(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    )


@given(skus)
def test_a_token_is_bound_to_its_listing(sku: str) -> None:
    with pytest.raises(InvalidPageToken):
        pagination.decode("inventory", pagination.encode("products", sku))


@given(st.data(), skus)
def test_a_tampered_token_is_refused(data: st.DataObject, sku: str) -> None:
    token = pagination.encode("products", sku)
    at = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(
        st.sampled_from(
            [
                token[:at],
                token[:at] + token[at + 1 :],
                token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :],
                token[:at] + data.draw(st.characters()) + token[at:],
                token + "=",
                token + "\n",
            ]
        )
    )
    with pytest.raises(InvalidPageToken) as refused:
        pagination.decode("products", other)
    assert [fault.field for fault in refused.value.errors] == ["next_token"]


@given(st.text())
def test_arbitrary_text_is_refused(text: str) -> None:
    with pytest.raises(InvalidPageToken):
        pagination.decode("products", text)


@pytest.mark.parametrize("sku", ["", " a", "a  b", "x" * 65, "A\n", "x" * 3000, "."])
def test_a_forged_token_can_only_name_a_valid_sku(sku: str) -> None:
    with pytest.raises(InvalidPageToken):
        pagination.decode("products", pagination.encode("products", sku))
