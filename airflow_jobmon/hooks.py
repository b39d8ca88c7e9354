"""ResendHook: the connection type `resend`, email through Resend's HTTP API."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from airflow.sdk import BaseHook

from airflow_jobmon.errors import ConfigurationError, DeliveryError

DEFAULT_HOST = "https://api.resend.com"


class ResendHook(BaseHook):
    """Resend's address and API key: the key in the password; an empty host means Resend itself."""

    conn_name_attr = "resend_conn_id"
    default_conn_name = "resend_default"
    conn_type = "resend"
    hook_name = "Resend"

    def __init__(self, resend_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.resend_conn_id = resend_conn_id

    def get_conn(self) -> tuple[str, str]:
        """The base URL without a trailing slash, and the API key.

        Raises ConfigurationError if the connection has no key or its host is not a valid address.
        """
        connection = self.get_connection(self.resend_conn_id)
        where = f"connection {self.resend_conn_id!r}"
        api_key = (connection.password or "").strip()
        if not api_key:
            raise ConfigurationError(f"{where} has no password; put the Resend API key (re_...) there")
        if not (api_key.isascii() and api_key.isprintable()):
            raise ConfigurationError(f"{where}: the password is not a valid API key; copy it from Resend again")
        host = (connection.host or "").strip() or DEFAULT_HOST
        base_url = host if "://" in host else f"{connection.schema or 'https'}://{host}"
        if connection.port:
            base_url = f"{base_url.rstrip('/')}:{connection.port}"
        parts = urlsplit(base_url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ConfigurationError(f"{where}: host is not a valid HTTP address; leave it empty to use Resend itself")
        return base_url.rstrip("/"), api_key

    def test_connection(self) -> tuple[bool, str]:
        """Check the key without sending mail, by listing the domains.

        A key that may only send gets the error `restricted_api_key`, which proves it valid.
        """
        from airflow_jobmon.http.client import fetch, open_session  # noqa: PLC0415 - loads requests

        try:
            base_url, api_key = self.get_conn()
            response = fetch(
                open_session(), f"{base_url}/domains", headers={"Authorization": f"Bearer {api_key}"}, timeout=10
            )
        except (ConfigurationError, DeliveryError) as error:
            return False, str(error)
        if response.status == 200:
            return True, f"{response.host} accepts the API key"
        if "restricted_api_key" in response.body:
            return True, f"{response.host} accepts the API key, which may only send email: all that alerts need"
        if response.status in {400, 401, 403}:
            return False, f"{response.host} refuses the API key ({response.status}); put a valid one in password"
        return False, f"{response.summary}; is host right? Leave it empty to use Resend itself"
