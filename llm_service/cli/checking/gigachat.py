"""GigaChat: its hosts reached and trusted, a token given for the key and scope, the model in the account, tokens left."""

from __future__ import annotations

import asyncio
import ssl
import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from enum import Enum, auto

from llm_service.cli.checking.collection import Collection
from llm_service.cli.checking.finding import Finding
from llm_service.cli.checking.gigachat_host import ROOT, Host, origin
from llm_service.errors import (
    ProviderAccountError,
    ProviderError,
    ProviderRateLimited,
    RequestRejected,
    SettingsInvalid,
)
from llm_service.providers.gigachat_client import GigaChatClient, KeyRefused, ScopeRefused
from llm_service.providers.gigachat_options import SCOPE_CONCURRENCY, GigaChatOptions, tls
from llm_service.providers.gigachat_token import TOKEN_LIFE_S, AccessToken, is_authorization_key
from llm_service.providers.transport import Timeouts
from llm_service.resilience.clock import Clock
from llm_service.settings import Settings

_TIMEOUTS = Timeouts(connect_s=2.0, silence_s=2.0)
"""The vendor answers these calls within half a second."""

_SKEW_S = 60.0
"""A token's remaining life is known to the second; a minute beyond its 30 is a clock, not the way."""

_KEY_REMEDY = (
    "Set GIGACHAT_ACCESS_TOKEN to the authorization key of the project, as the vendor's page shows it: "
    "Base64 of id:secret."
)


async def probe(settings: Settings, clock: Clock) -> Sequence[Finding]:
    """What is found at OAUTH_URL and BASE_URL, within 8 s."""
    found = Collection("gigachat")
    if not settings.gigachat.configured:
        found.skipped("key", "not configured: set GIGACHAT_ACCESS_TOKEN to use it")
        return found.findings
    try:
        options = replace(GigaChatOptions.of(settings.gigachat.model_dump()), timeouts=_TIMEOUTS)
        look = _Look(options, tls(options), clock, found)
    except SettingsInvalid as error:
        found.failed("certificates", error.message, f"Set GIGACHAT_CA_BUNDLE to a file with {ROOT}.")
        return found.findings
    remedy = "See whether the network between here and the vendor is overloaded, and ask again in a minute."
    return await found.within(look.run(), remedy)


class _Form(Enum):
    """What GIGACHAT_ACCESS_TOKEN looks like."""

    KEY = auto()
    BEARER = auto()
    UNKNOWN = auto()


class _Look:
    """One look at the vendor; each step says whether the next one makes sense."""

    def __init__(
        self, options: GigaChatOptions, context: ssl.SSLContext, clock: Clock, found: Collection
    ) -> None:
        self._options = options
        self._context = context
        self._clock = clock
        self._found = found

    async def run(self) -> None:
        form = self._form()
        if not self._options.verify_ssl:
            self._found.warning(
                "TLS verification",
                "off: anyone on the way can read the key and the documents",
                f"Set GIGACHAT_VERIFY_SSL=True and GIGACHAT_CA_BUNDLE to a file with {ROOT}.",
            )
        oauth, api = await self._hosts()
        client = GigaChatClient(self._options, self._clock)
        try:
            await self._account(client, form, oauth=oauth, api=api)
        finally:
            await client.close()

    async def _hosts(self) -> tuple[bool, bool]:
        """Whether the host of tokens and that of the API can be asked; looked at as one where they are one."""
        oauth, api = self._options.oauth_url, self._options.base_url
        host = Host(self._options.ca_bundle, self._context, self._clock, self._found)
        if origin(oauth) == origin(api):
            both = await host.look(api, "OAUTH_URL and BASE_URL")
            return both, both
        first, second = await asyncio.gather(host.look(oauth, "OAUTH_URL"), host.look(api, "BASE_URL"))
        return first, second

    async def _account(self, client: GigaChatClient, form: _Form, *, oauth: bool, api: bool) -> None:
        if form is _Form.UNKNOWN:
            self._found.skipped("token", "not asked for: there is no key to ask with")
        elif form is _Form.KEY and not oauth:
            self._found.skipped("token", "not asked for: its server is not to be had")
        elif form is _Form.BEARER or await self._token(client):
            if not api:
                self._found.skipped("model", "not asked for: the API is not to be had")
            elif await self._models(client, form):
                await self._balance(client)

    def _form(self) -> _Form:
        value = self._options.access_token
        if is_authorization_key(value):
            self._found.ok("key", "an authorization key by its form")
            return _Form.KEY
        if value.startswith("ey") and value.count(".") >= 2:
            self._found.warning(
                "key", "a bearer token: it lives 30 minutes and can't be renewed from here", _KEY_REMEDY
            )
            return _Form.BEARER
        half = "an id or a secret alone, not the authorization key"
        seen = half if _is_uuid(value) else "neither an authorization key nor a token"
        self._found.failed("key", seen, _KEY_REMEDY)
        return _Form.UNKNOWN

    async def _token(self, client: GigaChatClient) -> bool:
        began = self._clock.monotonic()
        try:
            token = await client.new_token()
        except KeyRefused:
            self._found.failed(
                "token",
                "refused: the vendor does not know this key, or not any more",
                "Make a new authorization key on the vendor's page and set GIGACHAT_ACCESS_TOKEN to it.",
            )
        except ScopeRefused as error:
            await self._scope(client, error)
        except ProviderRateLimited as error:
            self._later("token", error)
        except ProviderError as error:
            self._found.failed("token", error.message, "Correct OAUTH_URL, or wait until the vendor is back.")
        else:
            self._valid(token, self._clock.monotonic() - began)
            return True
        return False

    async def _scope(self, client: GigaChatClient, refused: ScopeRefused) -> None:
        """The vendor does not say which scope the account has; asking for the others tells."""
        wrong = self._options.scope
        for scope in SCOPE_CONCURRENCY.keys() - {wrong}:
            try:
                await client.new_token(scope)
            except ProviderError:
                continue
            self._found.failed(
                "token", f"the account has {scope}, not {wrong}", f"Set GIGACHAT_SCOPE={scope}."
            )
            return
        self._found.failed(
            "token",
            f"refused for {wrong} and every other scope: {refused.message}",
            "Set GIGACHAT_SCOPE and GIGACHAT_ACCESS_TOKEN to those of one project on the vendor's page.",
        )

    def _valid(self, token: AccessToken, seconds: float) -> None:
        left = token.expires_at_s - self._clock.now().timestamp()
        until = datetime.fromtimestamp(token.expires_at_s, UTC)
        seen = f"valid until {until:%H:%M:%S} UTC, {left / 60:.0f} min"
        if -_SKEW_S < left - TOKEN_LIFE_S < _SKEW_S or 0 < left < TOKEN_LIFE_S:
            self._found.ok("token", seen, seconds)
            return
        way = "ahead of" if left <= 0 else "behind"
        self._found.warning(
            "token",
            f"{seen} by this machine's clock, which is {way} the vendor's",
            "Set this machine's clock by NTP.",
            seconds,
        )

    async def _models(self, client: GigaChatClient, form: _Form) -> bool:
        began = self._clock.monotonic()
        try:
            models = await client.models()
        except ProviderRateLimited as error:
            self._later("model", error)
        except RequestRejected as error:
            self._found.failed("model", error.message, "Correct BASE_URL and API_VERSION.")
        except ProviderAccountError as error:
            remedy = "See on the vendor's page that the account is paid and may use the API."
            self._found.failed("model", error.message, remedy if form is _Form.KEY else _KEY_REMEDY)
        except ProviderError as error:
            self._found.failed("model", error.message, "Correct BASE_URL, or wait until the vendor is back.")
        else:
            self._named(models, self._clock.monotonic() - began)
            return True
        return False

    def _named(self, models: Sequence[str], seconds: float) -> None:
        wanted = self._options.model
        if wanted in models:
            seen = f"{wanted} is one of the account's {len(models)}: {', '.join(models[:20])}"
            self._found.ok("model", seen, seconds)
            return
        self._found.failed(
            "model",
            f"the account has no {wanted!r}; it has {', '.join(models[:10]) or 'none'}",
            "Set GIGACHAT_MODEL to one of the account's models.",
            seconds,
        )

    async def _balance(self, client: GigaChatClient) -> None:
        try:
            packages = await client.packages()
        except ProviderAccountError:
            self._found.ok("balance", "not told: the account pays as it goes")
            return
        except ProviderError as error:
            self._found.skipped("balance", f"not told: {error.message}")
            return
        told = ", ".join(f"{name} {value:,.0f}" for name, value in packages.items()) or "no packages"
        remedy = "Buy tokens for it on the vendor's page, or set GIGACHAT_MODEL to a model that has some."
        if packages and max(packages.values()) <= 0:
            self._found.failed("balance", f"all tokens are used up: {told}", remedy)
        elif packages.get(self._options.model, 1) <= 0:
            self._found.failed("balance", f"those of {self._options.model} are used up: {told}", remedy)
        else:
            self._found.ok("balance", f"tokens left: {told}")

    def _later(self, subject: str, error: ProviderRateLimited) -> None:
        self._found.warning(
            subject,
            f"the vendor asks to come later: {error.message}",
            "Wait a minute; if it stays, lower GIGACHAT_MAX_CONCURRENT of all workers of the account.",
        )


def _is_uuid(value: str) -> bool:
    try:
        uuid.UUID(value)
    except ValueError:
        return False
    return True
