"""The audit log shows whatever was done to it."""

import random

import msgspec
import pytest

from realtime_hub.auth.audit import (
    AuditError,
    AuditHead,
    Place,
    head_at,
    next_record,
    place_of,
    verify_log,
)
from realtime_protocol.identity import PublicKey

KEY = b"k" * 32
ADMIN = PublicKey(b"\xad" * 32)


def written(count: int) -> tuple[list[bytes], AuditHead]:
    place, lines = Place(), []
    for number in range(count):
        record = next_record(
            KEY, place, at_ms=number, action="set_status", actor=ADMIN, details={"tick": number}
        )
        place = place_of(record)
        lines.append(msgspec.json.encode(record) + b"\n")
    return lines, head_at(KEY, place)


def test_a_log_as_it_was_written_is_verified_to_its_end() -> None:
    lines, head = written(5)
    assert verify_log(KEY, lines, head).number == 5
    assert verify_log(KEY, [], head_at(KEY, Place())).number == 0


def test_each_removed_record_is_found() -> None:
    lines, head = written(5)
    for number in range(5):
        with pytest.raises(AuditError):
            verify_log(KEY, lines[:number] + lines[number + 1 :], head)


def test_each_pair_of_swapped_records_is_found() -> None:
    lines, head = written(5)
    for number in range(4):
        swapped = list(lines)
        swapped[number], swapped[number + 1] = swapped[number + 1], swapped[number]
        with pytest.raises(AuditError):
            verify_log(KEY, swapped, head)


def test_any_changed_byte_that_changes_a_record_is_found() -> None:
    lines, head = written(3)
    random_number = random.Random(7)
    for _ in range(300):
        number = random_number.randrange(3)
        line = bytearray(lines[number])
        at = random_number.randrange(len(line) - 1)
        line[at] ^= 1 << random_number.randrange(7)
        changed = [*lines[:number], bytes(line), *lines[number + 1 :]]
        with pytest.raises(AuditError):
            verify_log(KEY, changed, head)


def test_records_of_another_key_are_found() -> None:
    lines, head = written(2)
    with pytest.raises(AuditError):
        verify_log(b"other" + KEY[5:], lines, head)


def test_a_removed_end_shows_by_the_head_beside_it() -> None:
    lines, head = written(5)
    with pytest.raises(AuditError, match="ends at record 3; 5 were written"):
        verify_log(KEY, lines[:3], head)
    with pytest.raises(AuditError, match="is gone"):
        verify_log(KEY, lines, None)
    lowered = msgspec.structs.replace(head, number=3)
    with pytest.raises(AuditError, match="was changed"):
        verify_log(KEY, lines[:3], lowered)


def test_one_record_more_than_the_head_tells_is_a_hub_that_was_killed_in_between() -> None:
    lines, _ = written(5)
    _, before = written(4)
    assert verify_log(KEY, lines, before).number == 5
    _, long_before = written(3)
    with pytest.raises(AuditError):
        verify_log(KEY, lines, long_before)
