"""TLS of one connection, in the modes that MySQL's clients know.

`preferred` takes what the server has, `required` encrypts without asking who it is, `verify-ca` checks the server's
certificate against `ssl-ca`, `verify-identity` the name in it as well.
"""

from __future__ import annotations

import socket
import ssl

from mubss.xdev.errors import StoreAway, StoreUnavailable
from mubss.xdev.mysql.address import Address, Host


def make_context(address: Address) -> ssl.SSLContext:
    """The context of an address; StoreUnavailable names the file that can't be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = address.ssl_mode == "verify-identity"
    if not address.ssl_mode.startswith("verify"):
        context.verify_mode = ssl.CERT_NONE
    try:
        if address.ssl_ca:
            context.load_verify_locations(cafile=address.ssl_ca)
    except (OSError, ssl.SSLError) as error:
        raise StoreUnavailable(
            f"ssl-ca: {address.ssl_ca}: no certificates can be read from it ({_why(error)})"
        ) from None
    try:
        if address.ssl_cert:
            context.load_cert_chain(address.ssl_cert, address.ssl_key, password=_no_password)
    except (OSError, ssl.SSLError) as error:
        named = f"{address.ssl_cert}, {address.ssl_key}"
        raise StoreUnavailable(f"ssl-cert, ssl-key: {named}: not a certificate and its key ({_why(error)})") from None
    return context


def secure(sock: socket.socket, host: Host, context: ssl.SSLContext) -> ssl.SSLSocket:
    """The socket in TLS; StoreUnavailable says what is wrong with the server's certificate, StoreAway: it is gone."""
    try:
        return context.wrap_socket(sock, server_hostname=host.name if context.check_hostname else None)
    except ssl.SSLCertVerificationError as error:
        raise StoreUnavailable(f"{host}: its certificate is refused: {error.verify_message}") from None
    except (OSError, ssl.SSLError) as error:
        # How an end amid the handshake is told depends on the versions of Python and OpenSSL.
        ends = ConnectionError, TimeoutError, ssl.SSLEOFError, ssl.SSLZeroReturnError
        is_gone = isinstance(error, ends)
        raise (StoreAway if is_gone else StoreUnavailable)(f"{host}: TLS can't be had: {_why(error)}") from None


def _no_password() -> str:
    raise OSError("it is encrypted; expected a key without a pass phrase")


def _why(error: OSError) -> str:
    return getattr(error, "reason", "") or error.strerror or str(error)
