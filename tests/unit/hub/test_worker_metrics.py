"""One exposition of several workers."""

from prometheus_client.parser import text_string_to_metric_families

from realtime_hub.metrics import Metrics
from realtime_hub.worker_metrics import merge_expositions


def exposition(sessions: int) -> str:
    metrics = Metrics()
    metrics.sessions.set(sessions)
    metrics.closes.labels("draining").inc(sessions)
    metrics.loop_lag_s.observe(0.01)
    return metrics.exposition()[0].decode()


def test_each_sample_names_its_worker_and_each_family_stands_once() -> None:
    merged = merge_expositions({"0": exposition(3), "1": exposition(4)})
    families = list(text_string_to_metric_families(merged))
    names = [family.name for family in families]
    assert len(names) == len(set(names))
    found = {
        (sample.name, sample.labels["worker"], sample.labels.get("code")): sample.value
        for family in families
        for sample in family.samples
    }
    assert found["realtime_sessions", "0", None] == 3
    assert found["realtime_sessions", "1", None] == 4
    assert found["realtime_closes_total", "1", "draining"] == 4
    assert found["realtime_loop_lag_seconds_count", "0", None] == 1


def test_no_worker_is_an_empty_exposition() -> None:
    assert merge_expositions({}) == ""
