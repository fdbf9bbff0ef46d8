"""Which role an RPC needs at least. Every RPC of proto/crm.proto stands here, or the server doesn't start."""

from __future__ import annotations

from mubss.core.roles import ADMIN, AGENT, SUPERVISOR, VIEWER

LEAST_ROLE: dict[str, str] = {
    "Subscribers/CreateSubscriber": AGENT,
    "Subscribers/GetSubscriber": VIEWER,
    "Subscribers/UpdateSubscriber": AGENT,
    "Subscribers/SearchSubscribers": VIEWER,
    "Subscribers/SuspendSubscriber": AGENT,
    "Subscribers/ReactivateSubscriber": AGENT,
    "Subscribers/TerminateSubscriber": SUPERVISOR,
    "Subscribers/GetHistory": VIEWER,
    "Subscribers/ChangePlan": AGENT,
    "Balances/GetBalance": VIEWER,
    "Balances/TopUp": AGENT,
    "Balances/Adjust": SUPERVISOR,
    "Balances/ListPostings": VIEWER,
    "Balances/BuyBundle": AGENT,
    "Balances/StopBundle": AGENT,
    "Usage/ListUsage": VIEWER,
    "Usage/ExplainCharge": VIEWER,
    "Bills/ListBills": VIEWER,
    "Bills/GetBill": VIEWER,
    "Bills/GetBillPdf": VIEWER,
    "Bills/ReformatBill": AGENT,
    "Bills/VoidBill": SUPERVISOR,
    "Bills/CreditBill": SUPERVISOR,
    "Bills/RecordPayment": AGENT,
    "Bills/ListOverdue": VIEWER,
    "Billing/QueueBilling": SUPERVISOR,
    "Billing/GetActivity": VIEWER,
    "Billing/ListActivities": VIEWER,
    "Billing/CancelActivity": SUPERVISOR,
    "Billing/WatchActivity": VIEWER,
    "Sessions/ListSessions": VIEWER,
    "Sessions/AbortSession": SUPERVISOR,
    "System/GetSystem": ADMIN,
}
