"""A certificate by which the parts of a service recognise each other (mutual TLS)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

CERTIFICATE, KEY = "certificate.pem", "key.pem"


def create_certificate(folder: Path) -> None:
    """Create a self-signed certificate for 127.0.0.1 with its private key, unless the folder has them."""
    from cryptography import x509  # `make stop` and `make status` don't need it
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    if (folder / CERTIFICATE).exists():
        return
    key = generate_private_key(SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "local stack")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=36500))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .sign(key, SHA256())
    )
    private = folder / KEY
    private.unlink(missing_ok=True)
    private.touch(0o600)
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (folder / CERTIFICATE).write_bytes(certificate.public_bytes(Encoding.PEM))
