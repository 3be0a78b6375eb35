"""Tokens: who a JWT is from, and tokens of our own for development."""

import logging
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from math import isfinite
from pathlib import Path
from typing import Any, Final, NoReturn

import jwt

from workflow_engine.api.caller import Caller
from workflow_engine.api.jwks import NoKeys, PublishedKeys, download, parse, read_bounded
from workflow_engine.api.keys import HS256, Key, Keys, OneKey, public_key, read, secret_of
from workflow_engine.api.refusals import Unauthorized
from workflow_engine.clock import Clock, SystemClock
from workflow_engine.config import Settings
from workflow_engine.errors import ConfigurationError, InvalidInput

logger = logging.getLogger(__name__)

LEEWAY_SECONDS: Final = 10
"""How much the issuer's clock may be ahead of ours."""
_LONGEST_TOKEN: Final = 8_192
_KNOWN_LIMIT: Final = 1_000
_LONGEST_NAME: Final = 200
"""As the actor of what a caller does is stored."""
_LONGEST_LIFE: Final = timedelta(days=3_660)
_MOST_NAMES: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What a token says that was checked with a key; good for as long as that is the key of its name."""

    key_name: str | None
    key: Key
    caller: Caller
    ends_at: float


class Tokens:
    """Says who a token is from; what it has checked it knows for a while, for the same one comes again and again."""

    def __init__(
        self, keys: Keys, *, issuer: str | None = None, audience: str | None = None, clock: Clock | None = None
    ) -> None:
        self._keys = keys
        self._clock = clock or SystemClock()
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._claims: dict[str, Any] = {"issuer": issuer, "audience": audience}
        self._options: Any = {
            "require": ["exp", "sub"],
            "verify_iss": issuer is not None,
            "verify_aud": audience is not None,
            "verify_exp": False,  # by us, without the leeway that nbf and iat have
        }

    async def caller(self, token: str) -> Caller:
        """Return who a token is from.

        Raises:
            Unauthorized: it is not valid, or has expired; why it is not valid is not told.
            KeysUnavailable: it cannot be checked, for the keys could not be had so far.
        """
        known = self._known.get(token)
        if known is None or await self._keys.find(known.key_name) is not known.key:
            known = await self._check(token)
        if known.ends_at <= self._clock.now().timestamp():
            _refuse("the token has expired")
        return known.caller

    async def _check(self, token: str) -> "_Known":
        if len(token) > _LONGEST_TOKEN:
            _refuse()
        name = _key_name(token)
        key = await self._keys.find(name)
        if key is None:
            logger.debug("a token was refused: no key is named %.200r", name)
            _refuse()
        claims = self._verified(token, key)
        known = _Known(key_name=name, key=key, caller=_caller(claims), ends_at=claims["exp"])
        self._known[token] = known
        if len(self._known) > _KNOWN_LIMIT:
            self._known.popitem(last=False)
        return known

    def _verified(self, token: str, key: Key) -> Mapping[str, Any]:
        try:
            claims: Mapping[str, Any] = jwt.decode(
                token,
                key.value,
                algorithms=[key.algorithm],
                leeway=LEEWAY_SECONDS,
                options=self._options,
                **self._claims,
            )
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
            # Not louder: strangers decide how often. And not to them: why it is not valid would help only who forges.
            logger.debug("a token was refused: %s: %.200r", type(error).__name__, str(error))
            _refuse()
        if not isinstance(claims["exp"], int | float) or not isfinite(claims["exp"]):
            _refuse()
        return claims


def tokens_of(settings: Settings) -> Tokens:
    """Return what checks the tokens of callers, as the settings say.

    Raises:
        ConfigurationError: no key is set, or it cannot be used; the message names the setting.
    """
    return Tokens(_keys(settings), issuer=settings.api_issuer, audience=settings.api_audience)


def make_token(
    settings: Settings,
    *,
    subject: str,
    scopes: Iterable[str],
    namespaces: Iterable[str],
    now: datetime,
    lifetime: timedelta,
) -> str:
    """Return a token that this API takes, signed with the secret of the settings.

    Raises:
        ConfigurationError: no secret is set.
        InvalidInput: a claim that a token could not be used with.
    """
    secret = secret_of(settings)
    if lifetime <= timedelta(0):
        raise InvalidInput("expires_in", "must be more than 0")
    if lifetime > _LONGEST_LIFE:
        raise InvalidInput("expires_in", f"must be at most {_LONGEST_LIFE.days} days")
    claims = {
        "sub": subject,
        "scopes": sorted(set(scopes)),
        "namespaces": sorted(set(namespaces)),
        "iat": int(now.timestamp()),
        "exp": int((now + lifetime).timestamp()),
        **({} if settings.api_issuer is None else {"iss": settings.api_issuer}),
        **({} if settings.api_audience is None else {"aud": settings.api_audience}),
    }
    if not _is_name(subject):
        raise InvalidInput("subject", f"must have 1 to {_LONGEST_NAME} characters that can be printed")
    token = jwt.encode(claims, secret, algorithm=HS256)
    if len(token) > _LONGEST_TOKEN:
        raise InvalidInput("namespaces", f"make the token longer than {_LONGEST_TOKEN} characters, which are read")
    return token


def _keys(settings: Settings) -> Keys:
    if settings.api_secret is not None or settings.api_secret_file is not None:
        return OneKey(Key(algorithm=HS256, value=secret_of(settings)))
    if settings.api_public_key_file is not None:
        return OneKey(public_key(settings.api_public_key_file))
    if settings.api_jwks_url is not None:
        return PublishedKeys(partial(download, settings.api_jwks_url))
    if settings.api_jwks_file is not None:
        _check_published("WFE_API_JWKS_FILE", settings.api_jwks_file)
        return PublishedKeys(partial(read_bounded, settings.api_jwks_file))
    raise ConfigurationError(
        "the API has no key to check tokens with: set WFE_API_SECRET (HS256), WFE_API_PUBLIC_KEY_FILE (RS256) or "
        "WFE_API_JWKS_URL; or start `wfe api --no-auth`, for this machine only"
    )


def _check_published(setting: str, path: Path) -> None:
    try:
        parse(read(setting, path))
    except NoKeys as error:
        raise ConfigurationError(f"{setting}: {path}: {error}") from None


def _key_name(token: str) -> str | None:
    """Return the ``kid`` of a token that nobody has checked yet."""
    try:
        name = jwt.get_unverified_header(token).get("kid")
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        _refuse()
    return name if isinstance(name, str) else None


def _caller(claims: Mapping[str, Any]) -> Caller:
    scopes = claims.get("scopes", claims.get("scope", []))
    if isinstance(scopes, str):
        scopes = scopes.split()
    namespaces = claims.get("namespaces", [])
    if not (_is_name(claims["sub"]) and _are_names(scopes) and _are_names(namespaces)):
        _refuse()
    return Caller(
        subject=claims["sub"],
        scopes=frozenset(scopes),
        namespaces=frozenset(namespaces),
        expires_at=float(claims["exp"]),
    )


def _is_name(value: object) -> bool:
    return isinstance(value, str) and 1 <= len(value) <= _LONGEST_NAME and value.isprintable()


def _are_names(values: object) -> bool:
    return isinstance(values, list) and len(values) <= _MOST_NAMES and all(isinstance(each, str) for each in values)


def _refuse(reason: str = "the token is not valid") -> NoReturn:
    challenge = f'Bearer realm="workflow-engine", error="invalid_token", error_description="{reason}"'
    raise Unauthorized(reason, headers={"WWW-Authenticate": challenge})
