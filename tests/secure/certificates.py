"""Certificates of the tests: an authority, what it signs, and another one that nobody trusts."""

import datetime
from dataclasses import dataclass
from pathlib import Path

import trustme
from cryptography.hazmat.primitives import serialization

HOST = "127.0.0.1"
_LONG_AGO = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)


@dataclass(frozen=True)
class Identity:
    """A certificate with its key, as files."""

    certificate: Path
    key: Path
    #: Both in one, as Kafka's PEM keystores have it.
    both: Path


class Certificates:
    """An authority of the tests' own; everything lies in `directory`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._authority, stranger = trustme.CA(), trustme.CA()
        self.ca = directory / "ca.pem"
        self._authority.cert_pem.write_to_path(str(self.ca))
        #: An authority that has signed nothing here.
        self.other_ca = directory / "other-ca.pem"
        stranger.cert_pem.write_to_path(str(self.other_ca))

    def server(self) -> Identity:
        """A certificate for servers on this machine."""
        return self._issued("server", None, expired=False)

    def client(self, name: str, *, password: str | None = None, expired: bool = False) -> Identity:
        """A client's certificate, its key encrypted with the password."""
        return self._issued(name, password, expired=expired)

    def _issued(self, name: str, password: str | None, *, expired: bool) -> Identity:
        ends = _LONG_AGO + datetime.timedelta(days=1) if expired else None
        issued = self._authority.issue_cert(HOST, common_name=name, not_before=_LONG_AGO, not_after=ends)
        # Kafka reads keys in PKCS #8 only.
        plain = serialization.load_pem_private_key(issued.private_key_pem.bytes(), None)
        encryption = (
            serialization.NoEncryption()
            if password is None
            else serialization.BestAvailableEncryption(password.encode())
        )
        key = plain.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
        chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
        files = Identity(*(self._directory / f"{name}.{kind}.pem" for kind in ("certificate", "key", "both")))
        for file, content in ((files.certificate, chain), (files.key, key), (files.both, key + chain)):
            file.write_bytes(content)
        return files
