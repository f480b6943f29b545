import pytest

from chalicelib.errors import SettingsError
from chalicelib.settings import AuthSettings, TableSettings

TABLES = {
    "PRODUCT_TABLE_NAME": "products",
    "INVENTORY_TABLE_NAME": "inventory",
    "PROCESSED_EVENTS_TABLE_NAME": "events",
    "OUTBOX_TABLE_NAME": "outbox",
}


def test_records_are_kept_for_90_days_unless_the_environment_says_otherwise() -> None:
    assert TableSettings.load(TABLES).record_ttl_days == 90
    assert TableSettings.load({**TABLES, "RECORD_TTL_DAYS": "30"}).record_ttl_days == 30


def test_firm_orders_stay_open_unless_the_environment_says_otherwise() -> None:
    assert TableSettings.load(TABLES).fulfill_after_days is None
    assert TableSettings.load({**TABLES, "FULFILL_AFTER_DAYS": ""}).fulfill_after_days is None
    assert TableSettings.load({**TABLES, "FULFILL_AFTER_DAYS": "1"}).fulfill_after_days == 1


def test_every_missing_variable_is_named() -> None:
    with pytest.raises(SettingsError, match=r"(?s)PRODUCT_TABLE_NAME.*PROCESSED_EVENTS_TABLE_NAME"):
        TableSettings.load({"INVENTORY_TABLE_NAME": "inventory"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RECORD_TTL_DAYS", "1"),
        ("RECORD_TTL_DAYS", "x"),
        ("RECORD_TTL_DAYS", ""),
        ("FULFILL_AFTER_DAYS", "0"),
        ("FULFILL_AFTER_DAYS", "1.5"),
        ("FULFILL_AFTER_DAYS", "x"),
        ("FULFILL_AFTER_DAYS", " "),
        ("PRODUCT_TABLE_NAME", ""),
    ],
)
def test_an_invalid_variable_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        TableSettings.load({**TABLES, name: value})


def test_the_environment_of_the_process_is_read_unless_another_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AUTH_ISSUER", "https://issuer.example")
    assert AuthSettings.load().issuer == "https://issuer.example"
