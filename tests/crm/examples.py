"""What an example of docs/CRM.md may come to at a server that has the demo's data."""

from __future__ import annotations

from mubss.pb import crm_pb2

RPCS = {
    f"{service.name}/{method.name}": method
    for service in crm_pb2.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}

# They name a bill, a voucher, an activity or a session that there is at another time; all else of them must be right.
_OF_ANOTHER_TIME = {
    "Bills/GetBill": {"NOT_FOUND"},
    "Bills/CreditBill": {"NOT_FOUND", "FAILED_PRECONDITION", "INVALID_ARGUMENT"},
    "Bills/RecordPayment": {"NOT_FOUND"},
    "Vouchers/RedeemVoucher": {"INVALID_ARGUMENT"},
    "Vouchers/BlockBatch": {"NOT_FOUND", "FAILED_PRECONDITION"},
    "Vouchers/UnblockBatch": {"NOT_FOUND", "FAILED_PRECONDITION"},
    "Vouchers/BlockVoucher": {"NOT_FOUND", "FAILED_PRECONDITION"},
    "Vouchers/UnblockVoucher": {"NOT_FOUND", "FAILED_PRECONDITION"},
    "Vouchers/LookupVoucher": {"NOT_FOUND"},
    "Notifications/RetryNotifications": {"NOT_FOUND"},
    "Notifications/AcknowledgeNotifications": {"NOT_FOUND"},
    "Billing/GetActivity": {"NOT_FOUND"},
    "Billing/CancelActivity": {"NOT_FOUND"},
    "Billing/WatchActivity": {"NOT_FOUND"},
    "Refdata/RollbackRefdata": {"ABORTED"},
    "Sessions/AbortSession": {"INVALID_ARGUMENT"},
}


def may_come_to(name: str) -> set[str]:
    """The statuses beside OK that are fine."""
    return _OF_ANOTHER_TIME.get(name, set())
