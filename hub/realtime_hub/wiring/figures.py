"""The figures that are read from the hub's parts when somebody asks for the metrics."""

from realtime_hub.auth.trust import TrustBook
from realtime_hub.chain.watcher import ChainWatcher
from realtime_hub.export.service import EventExport
from realtime_hub.metrics import Metrics
from realtime_hub.pay.ownership import Ownership
from realtime_hub.session.coverage import Coverage


def show_figures(
    metrics: Metrics,
    watcher: ChainWatcher,
    book: TrustBook,
    ownership: Ownership,
    export: EventExport,
    coverage: Coverage,
) -> None:
    """Have *metrics* show what each part tells of itself."""
    metrics.watch("realtime_chain_tick", "Newest tick seen", lambda: watcher.current_tick)
    metrics.watch("realtime_chain_frozen", "1: another network", lambda: watcher.frozen is not None)
    metrics.watch("realtime_backbone_ok", "1: trust is vouched for", lambda: book.backbone_ok)
    metrics.watch("realtime_trust_log_ok", "1: the trust log answers", lambda: book.log_answers)
    metrics.watch("realtime_trust_log_gaps", "Missed and read back", lambda: book.gaps)
    metrics.watch("realtime_trust_log_head", "Place in the log", lambda: book.position().offset)
    metrics.watch(
        "realtime_payments_owner",
        "1: this process writes the journals and broadcasts",
        lambda: ownership.fence is not None,
    )
    metrics.watch("realtime_payments_open", "Payments under way", lambda: ownership.open_count)
    metrics.watch("realtime_events_delivered", "Events taken", lambda: export.counts.delivered)
    metrics.watch("realtime_events_dropped", "Events lost", lambda: export.counts.dropped)
    metrics.watch("realtime_events_refused", "Events refused", lambda: export.counts.refused)
    metrics.watch(
        "realtime_revocations_waiting",
        "Revocations that sessions were sent and may not have seen: of each session each",
        lambda: coverage.waiting,
    )
    metrics.watch(
        "realtime_revocations_oldest_waiting_seconds",
        "For how long the oldest revocation that not all have seen has been on its way",
        lambda: coverage.oldest_waiting_ms / 1_000,
    )
