"""Settings that can't be used are refused by name."""

import pytest

from realtime_hub.config import HubSettings, SettingsError, check_settings
from realtime_protocol.identity import encode_identity

ADMIN = encode_identity(bytes(range(32)))


def test_the_defaults_can_be_used() -> None:
    check_settings(HubSettings())


def test_only_the_devnet_has_a_default_contract_index() -> None:
    assert HubSettings().turboauth_index == 29
    assert HubSettings(chain="mainnet").turboauth_index is None
    assert HubSettings(chain="mainnet", contract_index=30).turboauth_index == 30


def test_payments_aim_five_ticks_ahead_on_the_devnet_and_ten_elsewhere() -> None:
    assert HubSettings().tick_offset == 5
    assert HubSettings(chain="mainnet").tick_offset == 10
    assert HubSettings(target_tick_offset=7).tick_offset == 7


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (HubSettings(admin_host="0.0.0.0"), "hub.admin_host"),
        (HubSettings(admin=ADMIN[:-1] + "A"), "hub.admin"),
        (HubSettings(nodes=["localhost"]), "hub.nodes"),
        (HubSettings(nodes=["localhost:0"]), "hub.nodes"),
        (HubSettings(nodes=["localhost:99999"]), "hub.nodes"),
        (HubSettings(origins={"null": "x"}), "hub.origins"),
        (HubSettings(origins={"app.example": "x"}), "hub.origins"),
        (HubSettings(chain="mainnet", contract_index=30), "hub.admin"),
    ],
)
def test_a_bad_setting_is_named(settings: HubSettings, named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        check_settings(settings)


def test_the_demo_administrator_serves_on_loopback_only() -> None:
    demo = frozenset({ADMIN})
    check_settings(HubSettings(admin=ADMIN), demo_identities=demo)
    with pytest.raises(SettingsError, match="demo administrator"):
        check_settings(HubSettings(admin=ADMIN, host="0.0.0.0"), demo_identities=demo)


def test_no_origin_is_let_in_under_the_hubs_own_address_unless_that_is_switched_off() -> None:
    assert HubSettings().domain_without_origin == "127.0.0.1:8080"
    assert HubSettings(native_domain="app.example").domain_without_origin == "app.example"
    assert HubSettings(native_domain="").domain_without_origin is None
