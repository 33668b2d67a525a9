"""Settings that can't be used are refused by name."""

import msgspec
import pytest

from realtime_hub.config import (
    AppSettings,
    HubSettings,
    SettingsError,
    TrustSourceKind,
    check_settings,
)
from realtime_protocol.identity import encode_identity

ADMIN = encode_identity(bytes(range(32)))
CONTRACT, REGISTRY = TrustSourceKind.CONTRACT, TrustSourceKind.REGISTRY


def test_the_defaults_can_be_used() -> None:
    check_settings(HubSettings())


def test_only_the_devnet_has_a_default_contract_index() -> None:
    assert HubSettings().turboauth_index == 29
    assert HubSettings(chain="mainnet").turboauth_index is None
    assert HubSettings(chain="mainnet", contract_index=30).turboauth_index == 30


def test_the_source_of_trust_follows_from_what_is_named() -> None:
    assert HubSettings().trust_kind is CONTRACT
    assert HubSettings(chain="mainnet").trust_kind is None
    followed = HubSettings(chain="mainnet", admin=ADMIN, registry_url="https://keeper.example")
    assert followed.trust_kind is REGISTRY
    check_settings(followed)
    check_settings(HubSettings(chain="mainnet", trust_source=TrustSourceKind.NONE))
    nodes = ["10.0.0.1:21841", "10.0.0.2:21841"]
    check_settings(HubSettings(chain="mainnet", contract_index=30, admin=ADMIN, nodes=nodes))


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
        (HubSettings(chain="mainnet"), "hub.trust_source"),
        (HubSettings(chain="mainnet", trust_source=CONTRACT), "hub.contract_index"),
        (HubSettings(trust_source=REGISTRY), "hub.admin"),
        (HubSettings(registry_url="https://keeper.example"), "hub.registry_url"),
        (
            HubSettings(trust_source=REGISTRY, admin=ADMIN, registry_url="http://keeper.example"),
            "hub.registry_url",
        ),
        (HubSettings(contract_http_urls=["ftp://x"]), "hub.contract_http_urls"),
        (HubSettings(trust_sources_agree=2), "hub.trust_sources_agree"),
        (
            HubSettings(chain="mainnet", contract_index=30, admin=ADMIN),
            "hub.trust_sources_agree: 2 sources must agree and there is one",
        ),
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


@pytest.mark.parametrize(
    ("apps", "told"),
    [
        ([{"name": "a", "domains": ["x"]}, {"name": "a", "domains": ["y"]}], "the same name"),
        ([{"name": "a"}], "name an origin or a domain"),
        ([{"name": "a", "domains": ["x"]}, {"name": "b", "domains": ["x"]}], "belongs to app a"),
        ([{"name": "a", "domains": ["taken.example"]}], "belongs to hub.origins"),
        ([{"name": "a", "origins": {"null": "x"}}], "is not like"),
        ([{"name": "a", "domains": ["two words"]}], "audience"),
    ],
)
def test_it_is_never_open_whose_a_domain_is(apps: list[dict[str, object]], told: str) -> None:
    origins = {"https://taken.example": "taken.example"}
    listed = msgspec.convert(apps, list[AppSettings])
    with pytest.raises(SettingsError, match=told):
        check_settings(HubSettings(apps=listed, origins=origins))
