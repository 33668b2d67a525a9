"""What one network address may have open, and how fast it may open more."""

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from realtime_hub.session.shared_rates import SharedRate, SharedRates
from realtime_protocol.limits import Limits, TokenBucket

IDLE_ADDRESSES_MAX: Final = 65_536
"""Addresses without a connection whose rate is remembered; the one seen longest ago goes first."""
_IPV6_PREFIX_BITS: Final = 64


@dataclass(slots=True)
class _Address:
    bucket: TokenBucket
    connections: int = 0
    long_logins: int = 0


class AddressBook:
    """Counts connections and upgrades per address; an IPv6 client counts by its /64."""

    def __init__(self, limits: Limits, *, idle_max: int = IDLE_ADDRESSES_MAX) -> None:
        self._limits = limits
        self._idle_max = idle_max
        self._rates = SharedRates(limits.requests_per_ip_per_s, "this address")
        self._connected: dict[str, _Address] = {}
        """Bounded by the number of connections."""
        self._idle: OrderedDict[str, _Address] = OrderedDict()

    def __len__(self) -> int:
        return len(self._connected) + len(self._idle)

    def try_upgrade(self, address: str, *, now_s: float) -> int:
        """Count an upgrade and return 0, or return the wait in ms until one is allowed."""
        known = self._connected.get(address) or self._remembered(address, now_s)
        return known.bucket.take(1, now_s=now_s)

    def try_connect(self, address: str, *, now_s: float) -> bool:
        """Count a connection; False when there are too many. Give it back with `disconnect`."""
        known = self._connected.get(address) or self._remembered(address, now_s)
        if known.connections >= self._limits.sessions_per_ip_max:
            return False
        known.connections += 1
        self._idle.pop(address, None)
        self._connected[address] = known
        return True

    def disconnect(self, address: str) -> None:
        """A connection is gone."""
        known = self._connected[address]
        known.connections -= 1
        if not known.connections:
            del self._connected[address]
            self._rates.forget(address)
            self._idle[address] = known
            self._forget_some()

    def shared_rate(self, address: str, *, now_s: float) -> SharedRate | None:
        """Return what a connection shares with the others of its address; None for a lone one."""
        known = self._connected.get(address)
        members = 0 if known is None else known.connections
        return self._rates.join(address, members=members, now_s=now_s)

    def try_long_login(self, address: str) -> bool:
        """Count a connection whose login may take long; False when too many wait."""
        known = self._connected[address]
        if known.long_logins >= self._limits.long_logins_per_ip_max:
            return False
        known.long_logins += 1
        return True

    def end_long_login(self, address: str) -> None:
        """That login was done, or its connection is about to be given back."""
        self._connected[address].long_logins -= 1

    def _remembered(self, address: str, now_s: float) -> _Address:
        known = self._idle.get(address)
        if known is None:
            per_s = self._limits.upgrades_per_ip_per_s
            known = self._idle[address] = _Address(TokenBucket(per_s, per_s, now_s=now_s))
            self._forget_some()
        else:
            self._idle.move_to_end(address)
        return known

    def _forget_some(self) -> None:
        while len(self._idle) > self._idle_max:
            self._idle.popitem(last=False)


def count_as(host: str) -> str:
    """Return the name under which a peer's address is counted."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return host
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(address), _IPV6_PREFIX_BITS), strict=False))
