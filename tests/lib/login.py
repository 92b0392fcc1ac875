"""What a client needs to log in, computed here and not by the code under test: RFC 7616 and 7617."""

import base64
import hashlib
import os
import re


def basic(user, password):
    return "Proxy-Authorization: Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def function_of(algorithm):
    name = algorithm.lower().removesuffix("-sess")
    return {"md5": "md5", "sha-256": "sha256", "sha-512-256": "sha512_256"}[name]


class Challenge(dict):
    """The parameters of one Digest challenge."""

    def __init__(self, value):
        found = re.findall(r'([\w-]+)=(?:"((?:[^"\\]|\\.)*)"|([^",\s]+))', value)
        super().__init__((name.lower(), quoted or plain) for name, quoted, plain in found)


def challenges(response):
    """The Digest challenges of a 407, in their order."""
    values = response.all("Proxy-Authenticate")
    return [Challenge(value) for value in values if value.lower().startswith("digest ")]


class Digest:
    """Answers a challenge; each use takes the next count.  A keyword replaces what is said, not what is computed."""

    def __init__(self, challenge, user="alice", password="sesame", nc=0, **changes):
        self.challenge, self.user, self.password, self.nc = dict(challenge), user, password, nc
        self.challenge.update(changes)

    def h(self, *parts):
        text = b":".join(p if isinstance(p, bytes) else p.encode() for p in parts)
        return hashlib.new(function_of(self.challenge["algorithm"]), text).hexdigest()

    def response(self, method, uri, nc, cnonce, qop="auth", body=b""):
        ha1 = self.h(self.user, self.challenge["realm"], self.password)
        if self.challenge["algorithm"].lower().endswith("-sess"):
            ha1 = self.h(ha1, self.challenge["nonce"], cnonce)
        ha2 = self.h(method, uri, hashlib.new(function_of(self.challenge["algorithm"]), body).hexdigest()) if (
            qop == "auth-int"
        ) else self.h(method, uri)
        return self.h(ha1, self.challenge["nonce"], nc, cnonce, qop, ha2)

    def line(self, method, uri, qop="auth", body=b"", nc=None, userhash=False, extended=False, **says):
        """The whole Proxy-Authorization line."""
        self.nc = self.nc + 1 if nc is None else nc
        count, cnonce = f"{self.nc:08x}", os.urandom(8).hex()
        user = f'username="{self.user}"'
        if userhash:
            user = f'username="{self.h(self.user, self.challenge["realm"])}", userhash=true'
        if extended:
            user = "username*=UTF-8''" + "".join(f"%{b:02X}" for b in self.user.encode())
        parts = {
            "realm": f'"{self.challenge["realm"]}"',
            "nonce": f'"{self.challenge["nonce"]}"',
            "uri": f'"{uri}"',
            "algorithm": self.challenge["algorithm"],
            "cnonce": f'"{cnonce}"',
            "nc": count,
            "qop": qop,
            "response": f'"{self.response(method, uri, count, cnonce, qop, body)}"',
        }
        parts.update(says)
        said = ", ".join(f"{name}={value}" for name, value in parts.items() if value is not None)
        return f"Proxy-Authorization: Digest {user}, {said}"

    def proves(self, response, uri):
        """Whether rspauth shows that the proxy knows the password too (RFC 7616 3.5)."""
        info = Challenge(response.get("Proxy-Authentication-Info"))
        return info["rspauth"] == self.response("", uri, info["nc"], info["cnonce"], info["qop"])
