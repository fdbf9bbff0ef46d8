"""Rows of the wire dictionary that 3GPP owns (Vendor-Id 10415): (code, name, type, M).

Sources: TS 29.061 §16.4.7 (codes below 256, which are RADIUS attributes carried over), TS 32.299 §7.2,
TS 29.214 and TS 29.212 (the QoS ones).
"""

from __future__ import annotations

from mubss.gy.dictionary_base import Row

PACKET_DATA: tuple[Row, ...] = (
    (1, "3GPP-IMSI", "UTF8String", "must"),
    (2, "3GPP-Charging-Id", "OctetString", "must"),
    (3, "3GPP-PDP-Type", "Enumerated", "must"),
    (4, "3GPP-CG-Address", "OctetString", "must"),
    (5, "3GPP-GPRS-Negotiated-QoS-Profile", "UTF8String", "must"),
    (6, "3GPP-SGSN-Address", "OctetString", "must"),
    (7, "3GPP-GGSN-Address", "OctetString", "must"),
    (8, "3GPP-IMSI-MCC-MNC", "UTF8String", "must"),
    (9, "3GPP-GGSN-MCC-MNC", "UTF8String", "must"),
    (10, "3GPP-NSAPI", "UTF8String", "must"),
    (11, "3GPP-Session-Stop-Indicator", "OctetString", "must"),
    (12, "3GPP-Selection-Mode", "UTF8String", "must"),
    (13, "3GPP-Charging-Characteristics", "UTF8String", "must"),
    (14, "3GPP-CG-IPv6-Address", "OctetString", "must"),
    (15, "3GPP-SGSN-IPv6-Address", "OctetString", "must"),
    (16, "3GPP-GGSN-IPv6-Address", "OctetString", "must"),
    (17, "3GPP-IPv6-DNS-Server", "OctetString", "must"),
    (18, "3GPP-SGSN-MCC-MNC", "UTF8String", "must"),
    (19, "3GPP-Teardown-Indicator", "OctetString", "must"),
    (20, "3GPP-IMEISV", "OctetString", "must"),
    (21, "3GPP-RAT-Type", "OctetString", "must"),
    (22, "3GPP-User-Location-Info", "OctetString", "must"),
    (23, "3GPP-MS-TimeZone", "OctetString", "must"),
    (24, "3GPP-CAMEL-Charging-Info", "OctetString", "must"),
    (25, "3GPP-Packet-Filter", "OctetString", "must"),
    (26, "3GPP-Negotiated-DSCP", "OctetString", "must"),
    (27, "3GPP-Allocate-IP-Type", "OctetString", "must"),
)

CHARGING: tuple[Row, ...] = (
    (829, "Role-Of-Node", "Enumerated", "must"),
    (831, "Calling-Party-Address", "UTF8String", "must"),
    (832, "Called-Party-Address", "UTF8String", "must"),
    (847, "GGSN-Address", "Address", "must"),
    (868, "Time-Quota-Threshold", "Unsigned32", "must"),
    (869, "Volume-Quota-Threshold", "Unsigned32", "must"),
    (871, "Quota-Holding-Time", "Unsigned32", "must"),
    (872, "Reporting-Reason", "Enumerated", "must"),
    (873, "Service-Information", "Grouped", "must"),
    (874, "PS-Information", "Grouped", "must"),
    (876, "IMS-Information", "Grouped", "must"),
    (877, "MMS-Information", "Grouped", "must"),
    (897, "Address-Data", "UTF8String", "must"),
    (899, "Address-Type", "Enumerated", "must"),
    (1016, "QoS-Information", "Grouped", "must"),
    (1201, "Recipient-Address", "Grouped", "must"),
    (1226, "Unit-Quota-Threshold", "Unsigned32", "must"),
    (1227, "PDP-Address", "Address", "must"),
    (1228, "SGSN-Address", "Address", "must"),
    (2000, "SMS-Information", "Grouped", "must"),
    (2026, "Recipient-Info", "Grouped", "must"),
    (2055, "AoC-Request-Type", "Enumerated", "must"),
)
