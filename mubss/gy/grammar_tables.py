"""The grammars of commands and groups, in the notation of RFC 6733 §3.2: what must, may and must not stand where.

`<X>` has a fixed place, `{X}` is required, `[X]` optional, `*` several, `[AVP]` whatever else. NOT_ALLOWED are the AVPs
that the tables of RFC 6733 §10.1 and RFC 8506 §10.1 give as 0 though the grammar ends with `*[AVP]`.
"""

from __future__ import annotations

_SESSION_ANSWER = """<Session-Id> {Result-Code} {Origin-Host} {Origin-Realm} [User-Name] [Origin-State-Id]
    [Error-Message] [Error-Reporting-Host] [Failed-AVP] *[Redirect-Host] [Redirect-Host-Usage]
    [Redirect-Max-Cache-Time] *[Proxy-Info] *[AVP]"""
_CAPABILITIES = """{Origin-Host} {Origin-Realm} 1*{Host-IP-Address} {Vendor-Id} {Product-Name} [Origin-State-Id]
    *[Supported-Vendor-Id] *[Auth-Application-Id] *[Inband-Security-Id] *[Acct-Application-Id]
    *[Vendor-Specific-Application-Id] [Firmware-Revision] *[AVP]"""
_OCTETS_TIME_MONEY = """[CC-Time] [CC-Money] [CC-Total-Octets] [CC-Input-Octets] [CC-Output-Octets]
    [CC-Service-Specific-Units] *[AVP]"""

COMMANDS: dict[str, str] = {
    # RFC 6733 §5.3, §5.4, §5.5, §8.3, §8.5
    "CER": _CAPABILITIES,
    "CEA": "{Result-Code} [Error-Message] [Failed-AVP] " + _CAPABILITIES,
    "DPR": "{Origin-Host} {Origin-Realm} {Disconnect-Cause} *[AVP]",
    "DPA": "{Result-Code} {Origin-Host} {Origin-Realm} [Error-Message] [Failed-AVP] *[AVP]",
    "DWR": "{Origin-Host} {Origin-Realm} [Origin-State-Id] *[AVP]",
    "DWA": "{Result-Code} {Origin-Host} {Origin-Realm} [Error-Message] [Failed-AVP] [Origin-State-Id] *[AVP]",
    # With the additions of RFC 8506 §5.5 to a Re-Auth-Request.
    "RAR": """<Session-Id> {Origin-Host} {Origin-Realm} {Destination-Realm} {Destination-Host} {Auth-Application-Id}
        {Re-Auth-Request-Type} [User-Name] [Origin-State-Id] [CC-Sub-Session-Id] [G-S-U-Pool-Identifier]
        [Service-Identifier] [Rating-Group] *[Proxy-Info] *[Route-Record] *[AVP]""",
    "RAA": _SESSION_ANSWER,
    "ASR": """<Session-Id> {Origin-Host} {Origin-Realm} {Destination-Realm} {Destination-Host} {Auth-Application-Id}
        [User-Name] [Origin-State-Id] *[Proxy-Info] *[Route-Record] *[AVP]""",
    "ASA": _SESSION_ANSWER,
    # RFC 8506 §3.1 and §3.2; TS 32.299 §6.4.2 adds AoC-Request-Type and Service-Information.
    "CCR": """<Session-Id> {Origin-Host} {Origin-Realm} {Destination-Realm} {Auth-Application-Id} {Service-Context-Id}
        {CC-Request-Type} {CC-Request-Number} [Destination-Host] [User-Name] [CC-Sub-Session-Id]
        [Acct-Multi-Session-Id] [Origin-State-Id] [Event-Timestamp] *[Subscription-Id] *[Subscription-Id-Extension]
        [Service-Identifier] [Termination-Cause] [Requested-Service-Unit] [Requested-Action] *[Used-Service-Unit]
        [Multiple-Services-Indicator] *[Multiple-Services-Credit-Control] *[Service-Parameter-Info]
        [CC-Correlation-Id] [User-Equipment-Info] [User-Equipment-Info-Extension] *[Proxy-Info] *[Route-Record]
        [AoC-Request-Type] [Service-Information] *[AVP]""",
    "CCA": """<Session-Id> {Result-Code} {Origin-Host} {Origin-Realm} {Auth-Application-Id} {CC-Request-Type}
        {CC-Request-Number} [User-Name] [CC-Session-Failover] [CC-Sub-Session-Id] [Acct-Multi-Session-Id]
        [Origin-State-Id] [Event-Timestamp] [Granted-Service-Unit] *[Multiple-Services-Credit-Control]
        [Cost-Information] [Final-Unit-Indication] [QoS-Final-Unit-Indication] [Check-Balance-Result]
        [Credit-Control-Failure-Handling] [Direct-Debiting-Failure-Handling] [Validity-Time] *[Redirect-Host]
        [Redirect-Host-Usage] [Redirect-Max-Cache-Time] [Low-Balance-Indication] [Remaining-Balance]
        [Service-Information] *[Proxy-Info] *[Route-Record] *[Failed-AVP] *[AVP]""",
}

ANSWER_MESSAGE = """0*1<Session-Id> {Origin-Host} {Origin-Realm} {Result-Code} [Origin-State-Id] [Error-Message]
    [Error-Reporting-Host] [Failed-AVP] [Experimental-Result] *[Proxy-Info] *[AVP]"""
"""Any answer with the E flag (RFC 6733 §7.2)."""

_NOT_PER_HOP = """Acct-Interim-Interval Accounting-Realtime-Required Auth-Request-Type Auth-Session-State
    Authorization-Lifetime Class Destination-Host Destination-Realm Proxy-Info Re-Auth-Request-Type Redirect-Host
    Redirect-Host-Usage Redirect-Max-Cache-Time Route-Record Session-Binding Session-Id Session-Server-Failover
    Session-Timeout Termination-Cause User-Name Error-Reporting-Host"""
_NOT_IN_REQUESTS = "Result-Code Error-Message Failed-AVP Experimental-Result"
_NOT_CAPABILITIES = """Acct-Application-Id Auth-Application-Id Vendor-Specific-Application-Id Host-IP-Address
    Inband-Security-Id Vendor-Id Product-Name Firmware-Revision Supported-Vendor-Id"""

NOT_ALLOWED: dict[str, str] = {
    "CER": f"{_NOT_PER_HOP} {_NOT_IN_REQUESTS} Disconnect-Cause",
    "CEA": f"{_NOT_PER_HOP} Disconnect-Cause",
    "DPR": f"{_NOT_PER_HOP} {_NOT_IN_REQUESTS} {_NOT_CAPABILITIES} Origin-State-Id",
    "DPA": f"{_NOT_PER_HOP} {_NOT_CAPABILITIES} Origin-State-Id Disconnect-Cause",
    "DWR": f"{_NOT_PER_HOP} {_NOT_IN_REQUESTS} {_NOT_CAPABILITIES} Disconnect-Cause",
    "DWA": f"{_NOT_PER_HOP} {_NOT_CAPABILITIES} Disconnect-Cause",
    "RAR": _NOT_IN_REQUESTS,
    "RAA": "Destination-Host Destination-Realm Route-Record",
    "ASR": _NOT_IN_REQUESTS,
    "ASA": "Destination-Host Destination-Realm Route-Record",
    "CCR": f"""{_NOT_IN_REQUESTS} CC-Session-Failover Check-Balance-Result Cost-Information Granted-Service-Unit
        Credit-Control-Failure-Handling Direct-Debiting-Failure-Handling Final-Unit-Indication
        QoS-Final-Unit-Indication Redirect-Host Redirect-Host-Usage Redirect-Max-Cache-Time Validity-Time""",
    "CCA": """Destination-Host Destination-Realm Multiple-Services-Indicator Requested-Action Requested-Service-Unit
        Service-Context-Id Service-Identifier Service-Parameter-Info Subscription-Id Subscription-Id-Extension
        Termination-Cause Used-Service-Unit User-Equipment-Info User-Equipment-Info-Extension CC-Correlation-Id""",
}

GROUPS: dict[str, str] = {
    # RFC 6733
    "Proxy-Info": "{Proxy-Host} {Proxy-State} *[AVP]",
    "Vendor-Specific-Application-Id": "{Vendor-Id} [Auth-Application-Id] [Acct-Application-Id]",
    "Experimental-Result": "{Vendor-Id} {Experimental-Result-Code}",
    # RFC 8506 §8
    "Multiple-Services-Credit-Control": """[Granted-Service-Unit] [Requested-Service-Unit] *[Used-Service-Unit]
        [Tariff-Change-Usage] *[Service-Identifier] [Rating-Group] *[G-S-U-Pool-Reference] [Validity-Time]
        [Result-Code] [Final-Unit-Indication] [QoS-Final-Unit-Indication] [Time-Quota-Threshold]
        [Volume-Quota-Threshold] [Unit-Quota-Threshold] [Quota-Holding-Time] [Quota-Consumption-Time]
        *[Reporting-Reason] [Trigger] [PS-Furnish-Charging-Information] [Refund-Information]
        *[AF-Correlation-Information] *[Envelope] [Envelope-Reporting] [Time-Quota-Mechanism]
        *[Service-Specific-Info] [QoS-Information] *[AVP]""",
    "Granted-Service-Unit": "[Tariff-Time-Change] " + _OCTETS_TIME_MONEY,
    "Requested-Service-Unit": _OCTETS_TIME_MONEY,
    "Used-Service-Unit": "[Reporting-Reason] [Tariff-Change-Usage] *[Event-Charging-TimeStamp] " + _OCTETS_TIME_MONEY,
    "CC-Money": "{Unit-Value} [Currency-Code]",
    "Unit-Value": "{Value-Digits} [Exponent]",
    "Cost-Information": "{Unit-Value} {Currency-Code} [Cost-Unit]",
    "G-S-U-Pool-Reference": "{G-S-U-Pool-Identifier} {CC-Unit-Type} {Unit-Value}",
    "Final-Unit-Indication": "{Final-Unit-Action} *[Restriction-Filter-Rule] *[Filter-Id] [Redirect-Server]",
    "QoS-Final-Unit-Indication": """{Final-Unit-Action} *[Restriction-Filter-Rule] *[Filter-Id]
        [Redirect-Server-Extension] *[AVP]""",
    "Redirect-Server": "{Redirect-Address-Type} {Redirect-Server-Address}",
    "Service-Parameter-Info": "{Service-Parameter-Type} {Service-Parameter-Value}",
    "Subscription-Id": "{Subscription-Id-Type} {Subscription-Id-Data}",
    "User-Equipment-Info": "{User-Equipment-Info-Type} {User-Equipment-Info-Value}",
    "Subscription-Id-Extension": """[Subscription-Id-E164] [Subscription-Id-IMSI] [Subscription-Id-SIP-URI]
        [Subscription-Id-NAI] [Subscription-Id-Private] *[AVP]""",
    "User-Equipment-Info-Extension": """[User-Equipment-Info-IMEISV] [User-Equipment-Info-MAC]
        [User-Equipment-Info-EUI64] [User-Equipment-Info-ModifiedEUI64] [User-Equipment-Info-IMEI] *[AVP]""",
    # TS 32.299 §7.2
    "Service-Information": """*[Subscription-Id] [AoC-Information] [PS-Information] [IMS-Information] [MMS-Information]
        [LCS-Information] [PoC-Information] [MBMS-Information] [SMS-Information] [MMTel-Information]
        [Service-Generic-Information] *[AVP]""",
    "Trigger": "*[Trigger-Type] *[AVP]",
    "Time-Quota-Mechanism": "{Time-Quota-Type} {Base-Time-Interval} *[AVP]",
    "AF-Correlation-Information": "{AF-Charging-Identifier} *[Flows] *[AVP]",
    "Envelope": """{Envelope-Start-Time} [Envelope-End-Time] [CC-Total-Octets] [CC-Input-Octets] [CC-Output-Octets]
        [CC-Service-Specific-Units] *[AVP]""",
    "Service-Specific-Info": "[Service-Specific-Data] [Service-Specific-Type] *[AVP]",
}
"""What isn't here may hold anything."""

EXACTLY_ONE = ("Subscription-Id-Extension", "User-Equipment-Info-Extension")
"""Groups of which one alternative is there and no second one (RFC 8506 §8.52, §8.58)."""
