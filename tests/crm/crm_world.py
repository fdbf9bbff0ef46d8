"""The server in this process, on a free port of loopback, with what clients need to reach it."""

from __future__ import annotations

import itertools
import time
from pathlib import Path
from typing import Any

import grpc
from mubss_crm import Crm

from mubss.cli.init import set_up
from mubss.config import load
from mubss.core.roles import ADMIN
from mubss.crm.office import Office
from mubss.crm.server import CrmServer
from mubss.crm.tls import Certificates
from mubss.services import private_ca
from mubss.services.tokens import issue, make_key, terms_of
from mubss.storage.database import open_database

PREPAID, POSTPAID = "999700000001", "999700000101"


class CrmWorld:
    """A running server; `client` makes clients of it, `call` is an admin's."""

    def __init__(self, url: str, folder: Path, **options: str) -> None:
        options = {"delivers": "false", **options}  # a test that wants notifications delivered does it itself
        names = {name: name.upper() if "__" in name else f"CRM__{name.upper()}" for name in options}
        variables = {f"MUBSS_{names[name]}": value for name, value in options.items()}
        environment = {"MUBSS_STORE__URL": url, "MUBSS_GENERAL__DATA_DIR": str(folder), **variables}
        self.config = load(None, environment)
        self.folder = folder
        set_up(self.config, with_demo=True)
        made = private_ca.make_server(folder / "var/tls", ["localhost"], int(time.time()))
        self.ca = made.ca.read_bytes()
        make_key(self.config.resolve(self.config.crm.keys_folder), "k1")
        self.store = open_database(self.config.store_url)
        self.office = Office(self.config, self.store)
        self.server = CrmServer(self.office)
        self.server.listen("localhost:0", Certificates(self.config).credentials())
        self.server.start()
        self.address = f"localhost:{self.server.port}"
        self._keys = itertools.count(1)
        self._clients: dict[str, Crm] = {}

    def token(self, role: str = ADMIN, subject: str = "tester") -> str:
        """A token that is good for an hour."""
        return issue(self.server.keys, terms_of(self.config.crm), subject, role, 3600, int(time.time()))[0]

    def client(self, role: str = ADMIN, token: str | None = None) -> Crm:
        """A client with a role, or with any token."""
        if token is not None:
            return Crm(self.address, token, self.ca)
        if role not in self._clients:
            self._clients[role] = Crm(self.address, self.token(role), self.ca)
        return self._clients[role]

    def call(self, name: str, /, **fields: Any) -> Any:
        """An admin's call."""
        return self.client().call(name, **fields)

    def write(self, name: str, /, **fields: Any) -> Any:
        """An admin's write, with a key of its own."""
        return self.call(name, idempotency_key=self.key(), **fields)

    def key(self) -> str:
        """An idempotency key that wasn't used."""
        return f"key-{next(self._keys)}"

    def close(self) -> None:
        """Ends clients and server."""
        for client in self._clients.values():
            client.close()
        self.server.drain(5)
        self.store.close()


def refused(work: Any) -> tuple[grpc.StatusCode, str]:
    """Status and message of a call that must be refused."""
    try:
        answer = work()
    except grpc.RpcError as error:
        return error.code(), error.details()
    raise AssertionError(f"answered: {answer}")
