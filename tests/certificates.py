"""Certificates for tests of TLS, made by openssl."""

import os
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest

needs_openssl = pytest.mark.skipif(  # on CI its absence fails the tests instead
    not shutil.which("openssl") and not os.environ.get("CI"), reason="openssl, which makes the certificate, is not here"
)


def certified(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """Make a certificate of ``localhost``, and the context of a server that shows it."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2"),
            *("-keyout", key, "-out", certificate),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return certificate, context
