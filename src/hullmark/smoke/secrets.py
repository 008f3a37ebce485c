"""What is made anew for one test: passwords, and the certificates of an authority that lives as long.

Needs the library of the extra `smoke` for certificates; passwords need nothing.
"""

from __future__ import annotations

import ipaddress
import secrets
import ssl
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from hullmark.build.smoke import Made
from hullmark.errors import EnvironmentFaultError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.x509 import Certificate

NAMES = ("localhost",)
ADDRESS = "127.0.0.1"
LIFE = timedelta(days=2)
EXTRA = "pip install 'hullmark[smoke]'"


class Secrets:
    """The secrets of one test, by their path in the image."""

    def __init__(self, declared: Mapping[str, Made]) -> None:
        self._values = {path: self._make(made) for path, made in declared.items()}

    @cached_property
    def authority(self) -> Authority:
        """The authority of this test; made when the first certificate is needed."""
        return Authority("Smoke test authority")

    def _make(self, made: Made) -> bytes:
        match made:
            case Made.PASSWORD:
                return secrets.token_urlsafe(24).encode()
            case Made.CERTIFICATE:
                return self.authority.server_certificate
            case Made.KEY:
                return self.authority.server_key
            case Made.AUTHORITY:
                return self.authority.certificate
            case Made.STRANGER:
                return Authority("Another authority").certificate

    @property
    def files(self) -> Mapping[str, bytes]:
        """Content by path."""
        return self._values

    def text(self, path: str) -> str:
        """The password at `path`."""
        return self._values[path].decode()

    def tls(self) -> ssl.SSLContext:
        """What a client needs that verifies certificate and name."""
        context = ssl.create_default_context(cadata=self.authority.certificate.decode())
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context


class Authority:
    """An authority and one server certificate that it signed."""

    def __init__(self, name: str) -> None:
        try:
            from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - an extra
            from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415 - same
        except ImportError as error:
            raise EnvironmentFaultError("certificates need the library cryptography", hint=EXTRA) from error
        # The image has the machine's clock, whatever time its test is recorded under.
        now = datetime.now(UTC)
        encoding = serialization.Encoding.PEM
        key, server = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        signer = _certificate(name, key, None, key, now)
        self.certificate = signer.public_bytes(encoding)
        self.server_certificate = _certificate(ADDRESS, server, signer, key, now).public_bytes(encoding)
        self.server_key = server.private_bytes(
            encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


def _certificate(
    name: str,
    key: EllipticCurvePrivateKey,
    issuer: Certificate | None,
    signer: EllipticCurvePrivateKey,
    now: datetime,
) -> Certificate:
    """A certificate of `key`: an authority's when it has no `issuer`, else one of a server on loopback."""
    from cryptography import x509  # noqa: PLC0415 - an extra
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415 - same
    from cryptography.x509.oid import NameOID  # noqa: PLC0415 - same

    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - LIFE)
        .not_valid_after(now + LIFE)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
    )
    if issuer is None:
        usage = x509.KeyUsage(
            digital_signature=False,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=True,
            crl_sign=True,
            encipher_only=False,
            decipher_only=False,
        )
        builder = builder.add_extension(usage, critical=True)
    else:
        names = [x509.DNSName(each) for each in NAMES]
        address = x509.IPAddress(ipaddress.ip_address(ADDRESS))
        builder = builder.add_extension(x509.SubjectAlternativeName([*names, address]), critical=False)
    return builder.sign(signer, hashes.SHA256())
