"""Whom the trust source may obey: the configured administrator, or who took over before our eyes.

A hand-over has two steps, as in the contract: the administrator proposes, the proposed accepts. A
hub that saw the proposal under the administrator it knew follows; one that saw only the result does
not, for it can't tell a hand-over from another contract.
"""

import logging
from dataclasses import dataclass, replace
from typing import Final, Protocol

from realtime_protocol.identity import PublicKey, encode_identity
from realtime_protocol.qubic.contract_abi import NO_WALLET, ContractInfo

logger = logging.getLogger(__name__)

_NOBODY: Final = PublicKey(NO_WALLET)


@dataclass(frozen=True, slots=True)
class Stewards:
    """What is known of the administrators of one network's source."""

    configured: PublicKey
    """By the operator; another one in the settings begins anew."""
    admin: PublicKey
    proposed: PublicKey


class StewardMemory(Protocol):
    """Remembers stewards through restarts."""

    def load(self) -> Stewards | None:
        """Return what was saved last."""
        ...

    def save(self, stewards: Stewards) -> None:
        """Keep them; on return they are on disk."""
        ...


class ForgetfulMemory:
    """A StewardMemory for a process that needs none."""

    def load(self) -> Stewards | None:
        """Return nothing."""
        return None

    def save(self, stewards: Stewards) -> None:
        """Keep nothing."""


class Stewardship:
    """Judges what a source says of itself."""

    def __init__(self, configured: PublicKey | None, memory: StewardMemory) -> None:
        self._configured = configured
        self._memory = memory
        self._stewards: Stewards | None = None

    @property
    def admin(self) -> PublicKey | None:
        """The administrator who counts now; None when none is configured."""
        return None if self._configured is None else self._known().admin

    @property
    def proposed(self) -> PublicKey | None:
        """Who may accept to be the administrator; None when nobody is proposed."""
        proposed = _NOBODY if self._configured is None else self._known().proposed
        return None if proposed == _NOBODY else proposed

    def judge(self, info: ContractInfo) -> str | None:
        """Tell why the source doesn't count; None when it does. A hand-over is followed."""
        if not info.is_turboauth():
            return "that contract is not TurboAuth of ABI version 1"
        if self._configured is None:
            return "no administrator is configured; set hub.admin"
        known = self._known()
        admin, proposed = PublicKey(info.admin), PublicKey(info.pending_admin)
        if admin != known.admin:
            if admin != known.proposed or admin == _NOBODY:
                return (
                    f"the contract obeys {encode_identity(admin)}, not the administrator "
                    f"{encode_identity(known.admin)}; if it was handed over, set hub.admin"
                )
            logger.warning("the administrator handed over to %s", encode_identity(admin))
        if (admin, proposed) != (known.admin, known.proposed):
            self._keep(replace(known, admin=admin, proposed=proposed))
        return None

    def _known(self) -> Stewards:
        if self._stewards is None:
            if self._configured is None:
                raise ValueError("no administrator is configured")
            kept = self._memory.load()
            if kept is None or kept.configured != self._configured:
                kept = Stewards(self._configured, self._configured, _NOBODY)
            self._stewards = kept
        return self._stewards

    def _keep(self, stewards: Stewards) -> None:
        self._memory.save(stewards)
        self._stewards = stewards
