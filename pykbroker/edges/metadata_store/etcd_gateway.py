"""Requests to an etcd cluster, over the JSON gateway that each of its members serves.

A request goes to one member at a time. One that cannot be reached, or does not answer, is left for
the next. What may be said twice is then said again; what may not (a transaction) is repeated only
if it cannot have been heard: otherwise nobody knows whether it took effect.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx

from pykbroker.edges.metadata_store.deadline import TooLate, within
from pykbroker.ports import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pykbroker.ports import Clock

INVALID_ARGUMENT, NOT_FOUND, RESOURCE_EXHAUSTED = 3, 5, 8
PERMISSION_DENIED, FAILED_PRECONDITION, OUT_OF_RANGE, UNAUTHENTICATED = 7, 9, 11, 16
FAILED = (httpx.TransportError, OSError)
"""How a connection fails: what TLS says of a handshake that is refused late comes as it is."""
_TOKEN_REASONS = ("invalid auth token", "revision in header is old")


class EtcdError(Exception):
    """A member refused: nothing was changed. ``code`` is gRPC's."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class BadCredentials(StoreUnavailable):
    """Not with this user and this password."""


class Credentials(NamedTuple):
    username: str
    password: str


class _NotSent(Exception):
    """A member was not reached: it cannot have heard the request."""


class _NotAnswered(Exception):
    """A member may have heard the request; or it has, and does not know what became of it."""


class Gateway:
    """``endpoints`` are URLs. The client is the caller's to close."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        endpoints: Sequence[str],
        clock: Clock,
        *,
        credentials: Credentials | None,
        attempt_timeout_ms: int,
    ) -> None:
        self._client = client
        self._endpoints = endpoints
        self._clock = clock
        self._credentials = credentials
        self._attempt_timeout_ms = attempt_timeout_ms
        self._current = 0
        self._token: str | None = None

    @property
    def endpoint(self) -> str:
        """The member that is asked first."""
        return self._endpoints[self._current]

    def leave(self, endpoint: str) -> None:
        """Ask another member from now on."""
        if endpoint == self.endpoint:
            self._current = (self._current + 1) % len(self._endpoints)

    def forget_token(self) -> None:
        """It is no longer good: another is asked for when it is needed."""
        self._token = None

    async def call(self, path: str, body: Mapping[str, Any], *, repeat: bool = True) -> Any:
        """The answer. Raises EtcdError, or StoreUnavailable: then it may have been heard.

        ``repeat``: it does no harm to say it twice.
        """
        reason = ""
        for _ in self._endpoints:
            endpoint = self.endpoint
            try:
                return await self.call_member(endpoint, path, body)
            except _NotSent as error:
                self.leave(endpoint)
                reason = f"{endpoint}: {error}"
            except _NotAnswered as error:
                self.leave(endpoint)
                reason = f"{endpoint}: {error}"
                if not repeat:
                    break
        raise StoreUnavailable(f"etcd does not answer: {reason}")

    async def version(self) -> str:
        """Of the member that is asked first; empty if it does not tell."""
        try:
            response = await within(
                self._clock,
                self._attempt_timeout_ms,
                lambda: self._client.get(f"{self.endpoint}/version"),
            )
            return str(response.json()["etcdserver"])
        except (*FAILED, TooLate, ValueError, KeyError, TypeError):
            return ""

    async def ping(self, endpoint: str, body: Mapping[str, Any]) -> None:
        """Whether this very member still answers a linearizable read. Raises StoreUnavailable."""
        try:
            await self.call_member(endpoint, "kv/range", body)
        except (_NotSent, _NotAnswered, EtcdError) as error:
            raise StoreUnavailable(f"{endpoint}: {error}") from error

    async def call_member(self, endpoint: str, path: str, body: Mapping[str, Any]) -> Any:
        """One request to one member, again with a new token if the old one was no longer good."""
        token = await self._have_token(endpoint)
        try:
            return await self._post(endpoint, path, body, token)
        except EtcdError as error:
            if self._credentials is None or not _is_about_token(error):
                raise
            if self._token == token:
                self._token = None
            return await self._post(endpoint, path, body, await self._have_token(endpoint))

    async def stream(self, endpoint: str, path: str, body: Mapping[str, Any]) -> httpx.Response:
        """An answer that goes on; its reader closes it. Raises StoreUnavailable."""
        try:
            headers = _headers(await self._have_token(endpoint))
            # etcd's own clients call this WithRequireLeader: a member that is cut off from the
            # others ends the watch.
            headers["Grpc-Metadata-hasleader"] = "true"
            timeout = self._client.timeout
            request = self._client.build_request(
                "POST",
                f"{endpoint}/v3/{path}",
                content=json.dumps(body),
                headers=headers,
                timeout=httpx.Timeout(timeout.connect, read=None),
            )
            response = await within(
                self._clock,
                self._attempt_timeout_ms,
                lambda: self._client.send(request, stream=True),
            )
            if response.status_code != 200:
                read_answer(response.status_code, await response.aread())
            return response
        except (*FAILED, TooLate, _NotSent, _NotAnswered, EtcdError) as error:
            self.leave(endpoint)
            raise StoreUnavailable(f"{endpoint}: {_reason(error)}") from error

    async def _have_token(self, endpoint: str) -> str | None:
        if self._credentials is None or self._token is not None:
            return self._token
        name, password = self._credentials
        body = {"name": name, "password": password}
        try:
            answer = await self._post(endpoint, "auth/authenticate", body, None)
        except EtcdError as error:
            if error.code == FAILED_PRECONDITION:  # authentication is not enabled: all may come in
                return None
            raise BadCredentials(f"{endpoint}: {error}") from error
        self._token = str(answer["token"])
        return self._token

    async def _post(
        self, endpoint: str, path: str, body: Mapping[str, Any], token: str | None
    ) -> Any:
        try:
            response = await within(
                self._clock,
                self._attempt_timeout_ms,
                lambda: self._client.post(
                    f"{endpoint}/v3/{path}", content=json.dumps(body), headers=_headers(token)
                ),
            )
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise _NotSent(_reason(error)) from error
        except FAILED as error:
            raise _NotAnswered(_reason(error)) from error
        except TooLate:
            raise _NotAnswered(f"no answer within {self._attempt_timeout_ms} ms") from None
        return read_answer(response.status_code, response.content)


def read_answer(status: int, content: bytes) -> Any:
    """Raises what the error in it stands for."""
    try:
        answer = json.loads(content)
    except ValueError as error:
        raise _NotAnswered(f"HTTP {status}, not from etcd") from error
    if status == 200 and isinstance(answer, dict) and "error" not in answer:
        # The gateway wraps what its protocol has as a stream.
        return answer.get("result", answer)
    code, text = read_error(answer)
    if code == PERMISSION_DENIED or "user name is empty" in text:
        raise BadCredentials(text)
    if code in (INVALID_ARGUMENT, NOT_FOUND, FAILED_PRECONDITION, OUT_OF_RANGE, UNAUTHENTICATED):
        raise EtcdError(code, text)
    if code == RESOURCE_EXHAUSTED and "message larger than max" in text:
        raise EtcdError(code, text)
    raise _NotAnswered(text or f"HTTP {status}")


def read_error(answer: Any) -> tuple[int, str]:
    """gRPC's code and etcd's words, however this version of the gateway puts them."""
    if not isinstance(answer, dict):
        return -1, ""
    inner = answer.get("error")
    if isinstance(inner, dict):
        answer = inner
    code = answer.get("code", answer.get("grpc_code", -1))
    text = answer.get("message") or answer.get("error") or ""
    return (code if isinstance(code, int) else -1), str(text)


def _is_about_token(error: EtcdError) -> bool:
    return error.code == UNAUTHENTICATED or any(text in str(error) for text in _TOKEN_REASONS)


def _headers(token: str | None) -> dict[str, str]:
    return {} if token is None else {"Authorization": token}


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
