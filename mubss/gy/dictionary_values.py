"""The numbers of the wire that have names: Result-Codes and the values of Enumerated AVPs.

Sources: RFC 6733 §7.1 and the section of each AVP, RFC 8506 §8 and §9, TS 29.229 and TS 32.299 §7.2.
"""

from __future__ import annotations

RESULT_CODES: tuple[tuple[int, str], ...] = (
    (1001, "DIAMETER_MULTI_ROUND_AUTH"),
    (2001, "DIAMETER_SUCCESS"),
    (2002, "DIAMETER_LIMITED_SUCCESS"),
    (3001, "DIAMETER_COMMAND_UNSUPPORTED"),
    (3002, "DIAMETER_UNABLE_TO_DELIVER"),
    (3003, "DIAMETER_REALM_NOT_SERVED"),
    (3004, "DIAMETER_TOO_BUSY"),
    (3005, "DIAMETER_LOOP_DETECTED"),
    (3006, "DIAMETER_REDIRECT_INDICATION"),
    (3007, "DIAMETER_APPLICATION_UNSUPPORTED"),
    (3008, "DIAMETER_INVALID_HDR_BITS"),
    (3009, "DIAMETER_INVALID_AVP_BITS"),
    (3010, "DIAMETER_UNKNOWN_PEER"),
    (4001, "DIAMETER_AUTHENTICATION_REJECTED"),
    (4002, "DIAMETER_OUT_OF_SPACE"),
    (4003, "ELECTION_LOST"),
    (4010, "DIAMETER_END_USER_SERVICE_DENIED"),
    (4011, "DIAMETER_CREDIT_CONTROL_NOT_APPLICABLE"),
    (4012, "DIAMETER_CREDIT_LIMIT_REACHED"),
    (5001, "DIAMETER_AVP_UNSUPPORTED"),
    (5002, "DIAMETER_UNKNOWN_SESSION_ID"),
    (5003, "DIAMETER_AUTHORIZATION_REJECTED"),
    (5004, "DIAMETER_INVALID_AVP_VALUE"),
    (5005, "DIAMETER_MISSING_AVP"),
    (5006, "DIAMETER_RESOURCES_EXCEEDED"),
    (5007, "DIAMETER_CONTRADICTING_AVPS"),
    (5008, "DIAMETER_AVP_NOT_ALLOWED"),
    (5009, "DIAMETER_AVP_OCCURS_TOO_MANY_TIMES"),
    (5010, "DIAMETER_NO_COMMON_APPLICATION"),
    (5011, "DIAMETER_UNSUPPORTED_VERSION"),
    (5012, "DIAMETER_UNABLE_TO_COMPLY"),
    (5013, "DIAMETER_INVALID_BIT_IN_HEADER"),
    (5014, "DIAMETER_INVALID_AVP_LENGTH"),
    (5015, "DIAMETER_INVALID_MESSAGE_LENGTH"),
    (5016, "DIAMETER_INVALID_AVP_BIT_COMBO"),
    (5017, "DIAMETER_NO_COMMON_SECURITY"),
    (5030, "DIAMETER_USER_UNKNOWN"),
    (5031, "DIAMETER_RATING_FAILED"),
)

ENUMERATIONS: tuple[tuple[str, tuple[tuple[int, str], ...]], ...] = (
    # RFC 6733
    ("Redirect-Host-Usage", (
        (0, "DONT_CACHE"), (1, "ALL_SESSION"), (2, "ALL_REALM"), (3, "REALM_AND_APPLICATION"), (4, "ALL_APPLICATION"),
        (5, "ALL_HOST"), (6, "ALL_USER"))),
    ("Session-Server-Failover", (
        (0, "REFUSE_SERVICE"), (1, "TRY_AGAIN"), (2, "ALLOW_SERVICE"), (3, "TRY_AGAIN_ALLOW_SERVICE"))),
    ("Disconnect-Cause", ((0, "REBOOTING"), (1, "BUSY"), (2, "DO_NOT_WANT_TO_TALK_TO_YOU"))),
    ("Auth-Request-Type", ((1, "AUTHENTICATE_ONLY"), (2, "AUTHORIZE_ONLY"), (3, "AUTHORIZE_AUTHENTICATE"))),
    ("Auth-Session-State", ((0, "STATE_MAINTAINED"), (1, "NO_STATE_MAINTAINED"))),
    ("Re-Auth-Request-Type", ((0, "AUTHORIZE_ONLY"), (1, "AUTHORIZE_AUTHENTICATE"))),
    ("Termination-Cause", (
        (1, "DIAMETER_LOGOUT"), (2, "DIAMETER_SERVICE_NOT_PROVIDED"), (3, "DIAMETER_BAD_ANSWER"),
        (4, "DIAMETER_ADMINISTRATIVE"), (5, "DIAMETER_LINK_BROKEN"), (6, "DIAMETER_AUTH_EXPIRED"),
        (7, "DIAMETER_USER_MOVED"), (8, "DIAMETER_SESSION_TIMEOUT"))),
    ("Accounting-Record-Type", (
        (1, "EVENT_RECORD"), (2, "START_RECORD"), (3, "INTERIM_RECORD"), (4, "STOP_RECORD"))),
    ("Accounting-Realtime-Required", ((1, "DELIVER_AND_GRANT"), (2, "GRANT_AND_STORE"), (3, "GRANT_AND_LOSE"))),
    # RFC 8506
    ("CC-Request-Type", (
        (1, "INITIAL_REQUEST"), (2, "UPDATE_REQUEST"), (3, "TERMINATION_REQUEST"), (4, "EVENT_REQUEST"))),
    ("CC-Session-Failover", ((0, "FAILOVER_NOT_SUPPORTED"), (1, "FAILOVER_SUPPORTED"))),
    ("Check-Balance-Result", ((0, "ENOUGH_CREDIT"), (1, "NO_CREDIT"))),
    ("Credit-Control", ((0, "CREDIT_AUTHORIZATION"), (1, "RE_AUTHORIZATION"))),
    ("Credit-Control-Failure-Handling", ((0, "TERMINATE"), (1, "CONTINUE"), (2, "RETRY_AND_TERMINATE"))),
    ("Direct-Debiting-Failure-Handling", ((0, "TERMINATE_OR_BUFFER"), (1, "CONTINUE"))),
    ("Tariff-Change-Usage", (
        (0, "UNIT_BEFORE_TARIFF_CHANGE"), (1, "UNIT_AFTER_TARIFF_CHANGE"), (2, "UNIT_INDETERMINATE"))),
    ("CC-Unit-Type", (
        (0, "TIME"), (1, "MONEY"), (2, "TOTAL-OCTETS"), (3, "INPUT-OCTETS"), (4, "OUTPUT-OCTETS"),
        (5, "SERVICE-SPECIFIC-UNITS"))),
    ("Final-Unit-Action", ((0, "TERMINATE"), (1, "REDIRECT"), (2, "RESTRICT_ACCESS"))),
    ("Redirect-Address-Type", ((0, "IPv4 Address"), (1, "IPv6 Address"), (2, "URL"), (3, "SIP URI"))),
    ("Multiple-Services-Indicator", (
        (0, "MULTIPLE_SERVICES_NOT_SUPPORTED"), (1, "MULTIPLE_SERVICES_SUPPORTED"))),
    ("Requested-Action", (
        (0, "DIRECT_DEBITING"), (1, "REFUND_ACCOUNT"), (2, "CHECK_BALANCE"), (3, "PRICE_ENQUIRY"))),
    ("Subscription-Id-Type", (
        (0, "END_USER_E164"), (1, "END_USER_IMSI"), (2, "END_USER_SIP_URI"), (3, "END_USER_NAI"),
        (4, "END_USER_PRIVATE"))),
    ("User-Equipment-Info-Type", ((0, "IMEISV"), (1, "MAC"), (2, "EUI64"), (3, "MODIFIED_EUI64"))),
    # 3GPP
    ("3GPP-PDP-Type", ((0, "IPv4"), (1, "PPP"), (2, "IPv6"), (3, "IPv4v6"))),
    ("Role-Of-Node", ((0, "ORIGINATING_ROLE"), (1, "TERMINATING_ROLE"), (2, "PROXY_ROLE"), (3, "B2BUA_ROLE"))),
    ("Node-Functionality", (
        (0, "S-CSCF"), (1, "P-CSCF"), (2, "I-CSCF"), (3, "MRFC"), (4, "MGCF"), (5, "BGCF"), (6, "AS"), (7, "IBCF"),
        (8, "S-GW"), (9, "P-GW"), (10, "HSGW"))),
    ("Reporting-Reason", (
        (0, "THRESHOLD"), (1, "QHT"), (2, "FINAL"), (3, "QUOTA_EXHAUSTED"), (4, "VALIDITY_TIME"),
        (5, "OTHER_QUOTA_TYPE"), (6, "RATING_CONDITION_CHANGE"), (7, "FORCED_REAUTHORISATION"), (8, "POOL_EXHAUSTED"),
        (9, "UNUSED_QUOTA_TIMER"))),
    ("Address-Type", (
        (0, "e-mail address"), (1, "MSISDN"), (2, "IPv4 Address"), (3, "IPv6 Address"), (4, "Numeric Shortcode"),
        (5, "Alphanumeric Shortcode"), (6, "Other"), (7, "IMSI"))),
    ("AoC-Request-Type", (
        (0, "AoC_NOT_REQUESTED"), (1, "AoC_FULL"), (2, "AoC_COST_ONLY"), (3, "AoC_TARIFF_ONLY"))),
    ("SMS-Node", ((0, "SMS Router"), (1, "IP-SM-GW"), (2, "SMS Router and IP-SM-GW"), (3, "SMS-SC"))),
    ("SM-Message-Type", ((0, "SUBMISSION"), (1, "DELIVERY_REPORT"), (2, "SM Service Request"))),
    ("Low-Balance-Indication", ((0, "NOT-APPLICABLE"), (1, "YES"))),
)  # fmt: skip
