"""Keys: what tokens are checked with. Each key has one algorithm, which no token can talk it out of.

So a token signed by HS256 with a public key as its secret, or one that says ``alg: none``, is refused whatever it says.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt.algorithms import ECAlgorithm, HMACAlgorithm, RSAAlgorithm
from jwt.exceptions import InvalidKeyError

from workflow_engine.config import Settings
from workflow_engine.config.api import check_secret
from workflow_engine.errors import ConfigurationError

HS256: Final = "HS256"
RS256: Final = "RS256"
ES256: Final = "ES256"
SMALLEST_RSA_BITS: Final = 2048
_PARTS: Final[Mapping[str, tuple[str, ...]]] = {"RSA": ("kty", "n", "e"), "EC": ("kty", "crv", "x", "y")}
"""What a public key is made of in a JWK; of a private one that was published by mistake the rest is not looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key and its one algorithm."""

    algorithm: str
    value: bytes | RSAPublicKey | EllipticCurvePublicKey

    def __repr__(self) -> str:
        return f"Key({self.algorithm})"  # never the key: it may end in a log


class Keys(Protocol):
    """Where a token's key is found."""

    async def find(self, name: str | None) -> Key | None:
        """Return the key that a token names by its ``kid``, if any; None if there is no such key.

        Raises:
            KeysUnavailable: no key could be had so far.
        """


class OneKey:
    """The same key for every token, whatever it names."""

    def __init__(self, key: Key) -> None:
        self._key = key

    async def find(self, name: str | None) -> Key | None:
        """Return the key."""
        del name
        return self._key


def secret_of(settings: Settings) -> bytes:
    """Return the secret of HS256 tokens.

    Raises:
        ConfigurationError: none is set, or it is too short; the message names the setting.
    """
    setting, secret = "WFE_API_SECRET", b""
    if settings.api_secret is not None:
        secret = settings.api_secret.get_secret_value().encode()
    elif settings.api_secret_file is not None:
        setting = "WFE_API_SECRET_FILE"
        secret = read(setting, settings.api_secret_file).removesuffix(b"\n").removesuffix(b"\r")
    else:
        raise ConfigurationError(
            "WFE_API_SECRET is not set (nor WFE_API_SECRET_FILE): only with a secret can tokens be made here; "
            "where others make them, WFE_API_PUBLIC_KEY_FILE and WFE_API_JWKS_URL check them"
        )
    try:
        check_secret(secret)
        HMACAlgorithm(HMACAlgorithm.SHA256).prepare_key(secret)
    except (ValueError, InvalidKeyError) as error:
        raise ConfigurationError(f"{setting}: {error}") from None
    return secret


def public_key(path: Path) -> Key:
    """Return the key in a PEM file.

    Raises:
        ConfigurationError: there is none, or one we do not take; the message names the setting.
    """
    setting = "WFE_API_PUBLIC_KEY_FILE"
    text = read(setting, path)
    if b"PRIVATE KEY" in text:
        raise ConfigurationError(f"{setting}: {path} has a private key; give the public one: `openssl pkey -pubout`")
    try:
        found = load_pem_public_key(text)
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigurationError(f"{setting}: {path} has no public key in PEM form") from None
    key = pinned(found)
    if key is None:
        raise ConfigurationError(
            f"{setting}: {path} must have an RSA key of {SMALLEST_RSA_BITS} bits or more, or an EC key on P-256"
        )
    return key


def key_of_jwk(jwk: Mapping[str, Any]) -> Key | None:
    """Return a public key of a JWKS; None if it is not for signatures, or of a kind that we do not take."""
    kind = jwk.get("kty")
    parts = _PARTS.get(kind) if isinstance(kind, str) else None
    if parts is None or jwk.get("use", "sig") != "sig":
        return None
    public = {name: jwk[name] for name in parts if name in jwk}
    try:
        found = RSAAlgorithm.from_jwk(public) if kind == "RSA" else ECAlgorithm.from_jwk(public)
    except (InvalidKeyError, ValueError, TypeError, AttributeError):
        return None
    key = pinned(found)
    return key if key is not None and jwk.get("alg", key.algorithm) == key.algorithm else None


def pinned(value: object) -> Key | None:
    """Return a public key with the algorithm of its kind; None if it is too weak, or of a kind we do not take."""
    if isinstance(value, RSAPublicKey) and value.key_size >= SMALLEST_RSA_BITS:
        return Key(algorithm=RS256, value=value)
    if isinstance(value, EllipticCurvePublicKey) and isinstance(value.curve, SECP256R1):
        return Key(algorithm=ES256, value=value)
    return None


def read(setting: str, path: Path) -> bytes:
    """Return what is in the file that a setting names.

    Raises:
        ConfigurationError: it cannot be read; the message names the setting.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{setting}: {path} cannot be read: {error.strerror}") from error
