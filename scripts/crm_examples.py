"""An example of each call of the management interface, for docs/CRM.md, and how PHP and Python write it.

tests/crm sends each row to a real server with the demo's data, so that none shows what isn't accepted. A call without a
row shows the fields that VALUES knows.
"""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor

KEY = "idempotency_key"  # PHP's client makes it by itself
WIDTH = 100  # of a line; a longer call has a line for each field

SUBSCRIBER = "999700000001"

EXAMPLES: dict[str, dict[str, Any]] = {
    "Subscribers/CreateSubscriber": {"msisdn": "999700000555", "plan": "demo-prepaid", "balance_micros": 5_000_000},
    "Subscribers/GetSubscriber": {"subscriber": SUBSCRIBER},
    "Subscribers/UpdateSubscriber": {"subscriber": SUBSCRIBER, "version": 1, "language": "pt-BR"},
    "Subscribers/SearchSubscribers": {"type": "postpaid", "bill_cycle": 3, "page_size": 50},
    "Subscribers/SuspendSubscriber": {"subscriber": SUBSCRIBER, "reason": "phone lost"},
    "Subscribers/BarSubscriber": {"subscriber": "999700000008", "reason": "case 4711: fraud"},
    "Subscribers/ReactivateSubscriber": {"subscriber": SUBSCRIBER, "reason": "found again"},
    "Subscribers/TerminateSubscriber": {"subscriber": "imsi:999700000000010", "reason": "moved away"},
    "Subscribers/GetHistory": {"subscriber": SUBSCRIBER},
    "Subscribers/ChangeIdentity": {"subscriber": "999700000009", "version": 1, "imsi": "999700000099999"},
    "Subscribers/ChangePlan": {"subscriber": SUBSCRIBER, "plan": "demo-prepaid", "at_next_cycle": True},
    "Balances/GetBalance": {"subscriber": SUBSCRIBER},
    "Balances/TopUp": {"subscriber": SUBSCRIBER, "amount_micros": 12_500_000, "reference": "shop 7, receipt 4711"},
    "Balances/Adjust": {"subscriber": SUBSCRIBER, "amount_micros": -1_000_000, "reason": "charged twice in May"},
    "Balances/ListPostings": {"subscriber": SUBSCRIBER, "page_size": 50},
    "Usage/ListUsage": {"subscriber": "999700000101", "service": "VOICE", "from_s": 1_790_000_000},
    "Usage/ExplainCharge": {"subscriber": "999700000101", "service": "VOICE", "units": 600, "called": "4930123456"},
    "Bills/ListBills": {"cycle": 3, "period": "2026-11"},
    "Bills/GetBill": {"number": "INV-2026-0000001"},
    "Bills/CreditBill": {"number": "INV-2026-0000001", "amount": 500, "reason": "goodwill"},
    "Bills/RecordPayment": {"number": "INV-2026-0000001", "amount": 1000, "reference": "bank 4711"},
    "Bills/ListOverdue": {"cycle": 3},
    "Vouchers/MakeBatch": {
        "count": 100,
        "value_micros": 10_000_000,
        "currency": "EUR",
        "last_day": "2030-12-31",
        "recipient": "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p",
    },
    "Vouchers/RedeemVoucher": {"subscriber": SUBSCRIBER, "pin": "1234 5678 9012 34"},
    "Vouchers/BlockBatch": {"number": 1, "reason": "stolen"},
    "Vouchers/UnblockBatch": {"number": 1, "reason": "found again"},
    "Vouchers/BlockVoucher": {"serial": "000001-0000001", "reason": "card stolen"},
    "Vouchers/UnblockVoucher": {"serial": "000001-0000001", "reason": "found again"},
    "Vouchers/LookupVoucher": {"serial": "000001-0000001"},
    "Vouchers/ListBatches": {"page_size": 50},
    "Notifications/ListNotifications": {"state": "dead", "page_size": 50},
    "Notifications/RetryNotifications": {"ids": ["f3b107020d566f26937e43d4d51a03a9"]},
    "Notifications/AcknowledgeNotifications": {"ids": ["f3b107020d566f26937e43d4d51a03a9"]},
    "Notifications/ListTemplates": {"language": "en"},
    "Notifications/TestNotification": {"subscriber": SUBSCRIBER},
    "Billing/QueueBilling": {"cycle": 3, "dry_run": True},
    "Billing/GetActivity": {"id": "f3b107020d566f26937e43d4d51a03a9"},
    "Billing/ListActivities": {"cycle": 3, "state": "RUNNING"},
    "Billing/CancelActivity": {"id": "f3b107020d566f26937e43d4d51a03a9"},
    "Billing/WatchActivity": {"id": "f3b107020d566f26937e43d4d51a03a9"},
    "Refdata/GetRefdata": {"table": "price_plans", "key": "demo-prepaid"},
    "Refdata/DownloadRefdata": {"table": "destinations"},
    "Refdata/ValidateRefdata": {"toml": "[[taxes]]\ncode = 'VAT'\nname = 'VAT'\nrate_percent = '19'\n"},
    "Refdata/DiffRefdata": {"toml": "[[currencies]]\ncode = 'EUR'\nname = 'Euro'\nnumeric = 978\ndecimals = 2\n"},
    "Refdata/ListRefdataVersions": {"page_size": 10},
    "Refdata/RollbackRefdata": {"version": 2, "to_version": 1, "dry_run": True},
    "Sessions/ListSessions": {"subscriber": SUBSCRIBER},
    "Sessions/AbortSession": {"session_id": "pgw.example;1795915404;17"},
    "Statistics/GetSeries": {"metric": "revenue", "period": "month", "group_by": ["service"]},
    "Statistics/ListMetrics": {},
    "System/GetSystem": {},
}

VALUES: dict[str, Any] = {
    "subscriber": SUBSCRIBER,
    "bundle": "DAY1GB",
    "reason": "as the customer wished",
    "reference": "shop 7, receipt 4711",
    "cycle": 3,
    "period": "2026-11",
    "number": "INV-2026-0000001",
    "page_size": 50,
}


def fields_of(name: str, method: MethodDescriptor) -> dict[str, Any]:
    """What an example of a call says."""
    if name in EXAMPLES:
        return EXAMPLES[name]
    form = method.input_type.fields
    return {
        one.name: VALUES[one.name] for one in form if one.name in VALUES and one.label != FieldDescriptor.LABEL_REPEATED
    }


def php_call(name: str, method: MethodDescriptor) -> str:
    """The expression of PHP."""
    fields = [f"{php(field)} => {php(value)}" for field, value in fields_of(name, method).items()]
    start = f"$crm->{_do(method)}('{name}'"
    if not fields:
        return f"{start})"
    line = f"{start}, [{', '.join(fields)}])"
    return line if len(line) <= WIDTH else _tall(f"{start}, [", fields, "])")


def python_call(name: str, method: MethodDescriptor) -> str:
    """The expression of Python."""
    said = [f"{field}={python(value)}" for field, value in fields_of(name, method).items()]
    if KEY in method.input_type.fields_by_name:
        said.append(f"{KEY}=str(uuid4())")
    start = f"crm.{_do(method)}("
    line = f"{start}{', '.join([python(name), *said])})"
    return line if len(line) <= WIDTH else _tall(start, [python(name), *said], ")")


def _tall(start: str, parts: list[str], end: str) -> str:
    return "\n".join([start, *(f"    {part}," for part in parts), end])


def _do(method: MethodDescriptor) -> str:
    return "stream" if method.server_streaming else "call"


def php(value: Any) -> str:
    """A value as PHP writes it."""
    if isinstance(value, dict):
        return f"[{', '.join(f'{php(key)} => {php(one)}' for key, one in value.items())}]"
    if isinstance(value, list):
        return f"[{', '.join(map(php, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value:_}"
    return "'" + str(value).replace("\\", "\\\\").replace("'", "\\'") + "'"


def python(value: Any) -> str:
    """A value as Python writes it."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{python(key)}: {python(one)}' for key, one in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(python, value))}]"
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, int):
        return f"{value:_}"
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
