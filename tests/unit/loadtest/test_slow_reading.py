"""A slow reader's requests never pile up where it could block on them."""

from realtime_loadtest.slow_reading import ANSWER_BYTES_MIN, UNDER_WAY_MAX, Backlog


def test_as_many_questions_are_under_way_as_allowed_and_no_more() -> None:
    backlog = Backlog()
    assert sum(backlog.questions_to_send() for _ in range(100)) == UNDER_WAY_MAX
    backlog.read(2 * ANSWER_BYTES_MIN)
    assert [backlog.questions_to_send() for _ in range(3)] == [1, 1, 0]
