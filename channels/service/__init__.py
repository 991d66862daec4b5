"""The verbs of delivery. Each is one transaction, which the caller opens and commits."""

from channels.service.account import account_by_key, pause_account, resume_account, upsert_account
from channels.service.delivery import delivery_with_attempts, export_deliveries, list_deliveries
from channels.service.distribution import (
    cancel_pending,
    complete_if_done,
    expire_after_end,
    gate,
    give_back,
    open_distributions,
    progress,
    resume_distribution,
    stop_distribution,
    sweep_deliveries,
    theme_by_key,
)
from channels.service.ledger import Ledger
from channels.service.retry import Settlement, retry_failed, settle_unknown

__all__ = [
    "Ledger",
    "Settlement",
    "account_by_key",
    "cancel_pending",
    "complete_if_done",
    "delivery_with_attempts",
    "expire_after_end",
    "export_deliveries",
    "gate",
    "give_back",
    "list_deliveries",
    "open_distributions",
    "pause_account",
    "progress",
    "resume_account",
    "resume_distribution",
    "retry_failed",
    "settle_unknown",
    "stop_distribution",
    "sweep_deliveries",
    "theme_by_key",
    "upsert_account",
]
