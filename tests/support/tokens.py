"""Keys, and tokens of every kind that an API should take or refuse."""

import hmac
import json
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

SECRET: Final = "a-secret-of-these-tests-and-of-nobody-else"
EVERYTHING: Final = ("runs:read", "runs:write", "events:read", "admin")
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@cache
def rsa_key(number: int = 0, bits: int = 2048) -> rsa.RSAPrivateKey:
    """Return an RSA key; the same one for the same number."""
    del number
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


@cache
def ec_key() -> ec.EllipticCurvePrivateKey:
    """Return an EC key on P-256."""
    return ec.generate_private_key(ec.SECP256R1())


def public_pem(key: PrivateKey) -> bytes:
    """Return the public half, as a PEM file has it."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def private_pem(key: PrivateKey) -> bytes:
    """Return the private half."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def jwk(key: PrivateKey, name: str | None, **more: Any) -> dict[str, Any]:
    """Return the public half as a JWKS has it."""
    public = key.public_key()
    algorithm = RSAAlgorithm if isinstance(public, rsa.RSAPublicKey) else ECAlgorithm
    found: dict[str, Any] = algorithm.to_jwk(public, as_dict=True)
    return {**found, **({} if name is None else {"kid": name}), **more}


def jwks(**keys: PrivateKey) -> dict[str, Any]:
    """Return a JWKS of keys by their names."""
    return {"keys": [jwk(key, name) for name, key in keys.items()]}


def claims(**changes: Any) -> dict[str, Any]:
    """Return what a good token says, for ten minutes; None takes a claim away."""
    usual = {
        "sub": "ada@example.org",
        "scopes": list(EVERYTHING),
        "namespaces": ["default"],
        "exp": int((datetime.now(UTC) + timedelta(minutes=10)).timestamp()),
    }
    return {name: value for name, value in {**usual, **changes}.items() if value is not None}


def signed(key: str | PrivateKey = SECRET, *, kid: str | None = None, **changes: Any) -> str:
    """Return a token, signed as its key asks for."""
    algorithm = "HS256" if isinstance(key, str) else "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"
    return jwt.encode(claims(**changes), key, algorithm=algorithm, headers=None if kid is None else {"kid": kid})


def bearer(**changes: Any) -> dict[str, str]:
    """Return the header that a token goes in."""
    return {"Authorization": f"Bearer {signed(**changes)}"}


def forged(header: Mapping[str, Any], payload: Any = None, signature: bytes = b"") -> str:
    """Return something in the form of a token, whatever it says."""
    parts = [json.dumps(header).encode(), json.dumps(claims() if payload is None else payload).encode(), signature]
    return ".".join(urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def seconds_from_now(seconds: float) -> int:
    """Return a moment as claims have it."""
    return int(datetime.now(UTC).timestamp() + seconds)


def hs256_with_a_public_key(key: PrivateKey) -> str:
    """Return a token whose HS256 secret is the public key, which everybody has; PyJWT would not make it."""
    text = forged({"alg": "HS256", "typ": "JWT"}).rpartition(".")[0]
    signature = hmac.digest(public_pem(key), text.encode(), "sha256")
    return f"{text}.{urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def _tampered() -> str:
    head, body, signature = signed(namespaces=["elsewhere"]).split(".")
    return f"{head}.{forged({}).split('.')[1]}.{signature}" if body else head


BAD: Final[Mapping[str, Callable[[], str]]] = {
    "of another secret": lambda: signed("another-secret-that-is-long-enough-for-hs256"),
    "expired": lambda: signed(exp=seconds_from_now(-1)),
    "not valid yet": lambda: signed(nbf=seconds_from_now(60)),
    "from the future": lambda: signed(iat=seconds_from_now(60)),
    "without an end": lambda: signed(exp=None),
    "with an end that is a word": lambda: signed(exp="tomorrow"),
    "with an end that is no number": lambda: signed(exp=float("nan")),
    "with an end that never comes": lambda: signed(exp=float("inf")),
    "with a huge beginning": lambda: signed(nbf=1e400),
    "without a subject": lambda: signed(sub=None),
    "with an empty subject": lambda: signed(sub=""),
    "with a NUL in its subject": lambda: signed(sub="ada\x00"),
    "with a line break in its subject": lambda: signed(sub="ada\nadmin"),
    "with a long subject": lambda: signed(sub="a" * 201),
    "with a subject that is a number": lambda: forged({"alg": "HS256"}, claims(sub=7)),
    "with scopes that are a table": lambda: signed(scopes={"admin": True}),
    "with scopes that are numbers": lambda: signed(scopes=[1, 2]),
    "with namespaces that are text": lambda: signed(namespaces="default"),
    "alg none": lambda: forged({"alg": "none", "typ": "JWT"}),
    "alg None": lambda: forged({"alg": "None"}),
    "alg missing": lambda: forged({"typ": "JWT"}),
    "alg a list": lambda: forged({"alg": ["HS256"]}),
    "unsigned": lambda: signed().rpartition(".")[0] + ".",
    "tampered with": _tampered,
    "of an RSA key": lambda: signed(rsa_key()),
    "HS256 with a public key": lambda: hs256_with_a_public_key(rsa_key()),
    "HS512": lambda: jwt.encode(claims(), SECRET * 2, algorithm="HS512"),
    "with a critical header": lambda: jwt.encode(claims(), SECRET, headers={"crit": ["x"], "x": 1}),
    "with a key name that is a table": lambda: forged({"alg": "HS256", "kid": {"a": 1}}),
    "with a key of its own": lambda: forged({"alg": "RS256", "jwk": jwk(rsa_key(), "own")}),
    "not a token": lambda: "abc",
    "two dots": lambda: "..",
    "an empty one": lambda: ".e30.",
    "no JSON": lambda: "AAAA.AAAA.AAAA",
    "nested": lambda: f"{urlsafe_b64encode(b'[' * 5_000).decode()}.e30.AAAA",
    "letters of no alphabet": lambda: "é" * 20,
    "long": lambda: "a" * 9_000,
    "with a list as its claims": lambda: forged({"alg": "HS256"}, [1]),
}
"""Tokens that nobody may come in with, where HS256 tokens of ``SECRET`` are taken."""


def write(path: Path, content: bytes | str) -> Path:
    """Write a key file; return its path."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path
