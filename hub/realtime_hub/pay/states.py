"""Every move of a payment is in this table; nothing else changes a payment's state."""

from collections.abc import Mapping
from enum import Enum
from typing import Final

from realtime_protocol.messages import PaymentState


class Move(Enum):
    """What can happen to a payment, named for what was learned."""

    HANDED_OVER = "handed over"
    """A node took the bytes; no promise."""
    REFUSED = "refused"
    """The payer may not pay any more, and nothing was broadcast."""
    FOUND = "found"
    """The target tick is processed and holds the transaction."""
    PROVEN_ABSENT = "proven absent"
    """The target tick is processed, or proven empty, without the transaction."""
    LEFT_UNPROVEN = "left unproven"
    """The target tick is past, but what it held is not proven here."""
    MONEY_MOVED = "money moved"
    MONEY_STAYED = "money stayed"
    OUTCOME_HIDDEN = "outcome hidden"
    """Included, but what the nodes tell can't show whether money moved."""
    SIGNED_AGAIN = "signed again"
    """A new attempt, in place of one that is proven dead."""
    TIME_OVER = "time over"
    """Missed, and too late for a further attempt."""


S = PaymentState

# Rule: a payment that may run on the chain has one live attempt. Only from MISSED, which is proof
# that the last is dead, does a new signature lead back to ACCEPTED; never from UNKNOWN.
MOVES: Final[Mapping[tuple[PaymentState, Move], PaymentState]] = {
    (S.ACCEPTED, Move.HANDED_OVER): S.BROADCAST,
    (S.ACCEPTED, Move.REFUSED): S.REJECTED,
    (S.ACCEPTED, Move.FOUND): S.INCLUDED,
    (S.ACCEPTED, Move.PROVEN_ABSENT): S.MISSED,
    (S.ACCEPTED, Move.LEFT_UNPROVEN): S.UNKNOWN,
    (S.BROADCAST, Move.FOUND): S.INCLUDED,
    (S.BROADCAST, Move.PROVEN_ABSENT): S.MISSED,
    (S.BROADCAST, Move.LEFT_UNPROVEN): S.UNKNOWN,
    (S.UNKNOWN, Move.FOUND): S.INCLUDED,
    (S.UNKNOWN, Move.PROVEN_ABSENT): S.MISSED,
    (S.INCLUDED, Move.MONEY_MOVED): S.SETTLED,
    (S.INCLUDED, Move.MONEY_STAYED): S.NOT_MOVED,
    (S.INCLUDED, Move.OUTCOME_HIDDEN): S.INCLUDED,
    (S.MISSED, Move.SIGNED_AGAIN): S.ACCEPTED,
    (S.MISSED, Move.TIME_OVER): S.EXPIRED,
}

LIVE: Final = frozenset({S.ACCEPTED, S.BROADCAST, S.UNKNOWN})
"""States in which the last attempt may still run, or have run unseen."""


def after(state: PaymentState, move: Move) -> PaymentState:
    """Return the state that *move* leads to; ValueError when it isn't allowed here."""
    following = MOVES.get((state, move))
    if following is None:
        raise ValueError(f"a payment that is {state.name.lower()} can't be {move.value}")
    return following
