"""Whom a source of trust may obey."""

from dataclasses import replace

from realtime_hub.auth.stewardship import ForgetfulMemory, Stewards, Stewardship
from realtime_protocol.identity import PublicKey
from realtime_protocol.qubic.contract_abi import ABI_VERSION, MAGIC, NO_WALLET, ContractInfo

ADMIN, NEXT, STRANGER = (PublicKey(bytes([number]) * 32) for number in (1, 2, 3))
NOBODY = PublicKey(NO_WALLET)


class Memory:
    """Keeps stewards as a file does."""

    def __init__(self) -> None:
        self.kept: Stewards | None = None

    def load(self) -> Stewards | None:
        return self.kept

    def save(self, stewards: Stewards) -> None:
        self.kept = stewards


def info(admin: PublicKey, proposed: PublicKey = NOBODY) -> ContractInfo:
    return ContractInfo(MAGIC, ABI_VERSION, 65_536, 7, 3, admin, proposed, 0)


def test_the_configured_administrator_counts() -> None:
    assert Stewardship(ADMIN, ForgetfulMemory()).judge(info(ADMIN)) is None


def test_another_administrator_does_not() -> None:
    trouble = Stewardship(ADMIN, ForgetfulMemory()).judge(info(STRANGER))
    assert trouble is not None
    assert "set hub.admin" in trouble


def test_another_contract_or_version_does_not() -> None:
    stewardship = Stewardship(ADMIN, ForgetfulMemory())
    assert stewardship.judge(replace(info(ADMIN), magic=1)) is not None
    assert stewardship.judge(replace(info(ADMIN), abi_version=2)) is not None


def test_without_a_configured_administrator_nobody_counts() -> None:
    stewardship = Stewardship(None, ForgetfulMemory())
    assert stewardship.judge(info(ADMIN)) is not None
    assert stewardship.proposed is None


def test_a_hand_over_that_was_seen_is_followed_through_a_restart() -> None:
    memory = Memory()
    stewardship = Stewardship(ADMIN, memory)
    assert stewardship.judge(info(ADMIN, NEXT)) is None
    assert stewardship.proposed == NEXT
    assert stewardship.judge(info(NEXT)) is None
    assert Stewardship(ADMIN, memory).judge(info(NEXT)) is None
    assert Stewardship(ADMIN, memory).judge(info(ADMIN)) is not None


def test_a_hand_over_without_its_first_step_is_not_followed() -> None:
    stewardship = Stewardship(ADMIN, Memory())
    assert stewardship.judge(info(ADMIN, NEXT)) is None
    assert stewardship.judge(info(ADMIN)) is None
    assert stewardship.judge(info(NEXT)) is not None


def test_an_administrator_that_the_operator_sets_anew_begins_anew() -> None:
    memory = Memory()
    Stewardship(ADMIN, memory).judge(info(ADMIN, NEXT))
    assert Stewardship(STRANGER, memory).judge(info(NEXT)) is not None
    assert Stewardship(STRANGER, memory).judge(info(STRANGER)) is None


def test_the_zero_key_takes_nothing_over() -> None:
    stewardship = Stewardship(ADMIN, ForgetfulMemory())
    stewardship.judge(info(ADMIN))
    assert stewardship.judge(info(NOBODY)) is not None
