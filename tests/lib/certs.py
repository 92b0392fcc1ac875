"""A private CA and certificates for one test run, made by the openssl command."""

import base64
import functools
import hashlib
import pathlib
import ssl
import subprocess

NAMES = "DNS:localhost,DNS:target.test,DNS:other.test,IP:127.0.0.1,IP:::1"


def openssl(*arguments, **more):
    return subprocess.run(["openssl", *arguments], check=True, capture_output=True, **more)


class Authority:
    """ca.pem, cert.pem (with the CA's behind it) and key.pem in `folder`."""

    def __init__(self, folder, name="/CN=viaduct test CA"):
        self.folder = pathlib.Path(folder)
        self.ca, self.cert, self.key = (
            self.folder / name for name in ("ca.pem", "cert.pem", "key.pem")
        )
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        openssl(
            "req",
            "-x509",
            *curve,
            "-keyout",
            str(self.folder / "ca.key"),
            "-out",
            str(self.ca),
            "-days",
            "30",
            "-subj",
            name,
            "-addext",
            "basicConstraints=critical,CA:TRUE",
            "-addext",
            "keyUsage=critical,keyCertSign,cRLSign",
        )
        openssl(
            "req",
            *curve,
            "-keyout",
            str(self.key),
            "-out",
            str(self.folder / "cert.csr"),
            "-subj",
            "/CN=target.test",
        )
        extensions = self.folder / "cert.ext"
        extensions.write_text(
            f"subjectAltName={NAMES}\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n"
        )
        openssl(
            "x509",
            "-req",
            "-in",
            str(self.folder / "cert.csr"),
            "-CA",
            str(self.ca),
            "-CAkey",
            str(self.folder / "ca.key"),
            "-CAcreateserial",
            "-days",
            "30",
            "-extfile",
            str(extensions),
            "-out",
            str(self.cert),
        )
        for path in (self.ca, self.cert, self.key):
            path.chmod(0o644)

    def target(self, versions=(None, None)):
        """The context of a TLS target; `versions`: least and highest."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.cert, self.key)
        if versions[0]:
            context.minimum_version = versions[0]
        if versions[1]:
            context.maximum_version = versions[1]
        return context

    def client(self, trusting=True, versions=(None, None)):
        """The context of a client that trusts this CA, or only nobody."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if trusting:
            context.load_verify_locations(self.ca)
        if versions[0]:
            context.minimum_version = versions[0]
        if versions[1]:
            context.maximum_version = versions[1]
        return context

    @functools.cached_property
    def spki(self):
        """Base64 of the SHA-256 of the certificate's public key, as Chromium's allowance list wants it."""
        public = openssl("x509", "-in", str(self.cert), "-noout", "-pubkey").stdout
        der = openssl("pkey", "-pubin", "-outform", "DER", input=public).stdout
        return base64.b64encode(hashlib.sha256(der).digest()).decode()
