"""Email over SMTP: connection type `smtp`, extras `to` and `from_email`.

Airflow's hook connects, secures and logs in; this module sends the mail itself, since the hook retries a refused mail
six times, sends HTML only and does not report refused recipients.
"""

from __future__ import annotations

import smtplib
from collections.abc import Sequence
from dataclasses import dataclass, field
from email import message_from_bytes
from email.utils import getaddresses
from typing import TYPE_CHECKING, Any
from uuid import UUID

from airflow.providers.smtp.hooks.smtp import SmtpHook
from airflow.sdk.exceptions import AirflowException

from airflow_jobmon.channels import Accepted
from airflow_jobmon.channels.airflow_connection import AirflowConnection, hook_for
from airflow_jobmon.channels.email_message import alert_email_bytes, email_bytes, read_addresses, read_sender
from airflow_jobmon.channels.email_report import report_email
from airflow_jobmon.core.model.alerts import Alert
from airflow_jobmon.core.model.report import Report
from airflow_jobmon.core.text import fit, one_line
from airflow_jobmon.errors import ConfigurationError, DeliveryError, PermanentDeliveryError
from airflow_jobmon.http.deadline import Deadline, within

if TYPE_CHECKING:
    from airflow.sdk import Connection


class EmailChannel:
    """Sends one email to all recipients at once; recipients refused for now are retried alone.

    `to` and `from_email` override the connection's extras. Opening raises ConfigurationError if one of them or the host
    is missing.
    """

    def __init__(
        self,
        conn_id: str,
        *,
        name: str | None = None,
        to: str | Sequence[str] | None = None,
        from_email: str | None = None,
        connection: Connection | None = None,
    ) -> None:
        self.name = name or conn_id
        self._connection = AirflowConnection(conn_id, connection)
        extra = self._connection.extra()
        where = f"connection {conn_id!r}"
        if not self._connection.get().host:  # smtplib takes an empty host for "do not connect"
            raise ConfigurationError(f"{where} has no host; put the SMTP server's name there")
        self.to = read_addresses(to or extra.get("to"), where=where, field="to")
        self.from_email = read_sender(from_email or extra.get("from_email"), where=where, field="from_email")

    def render(self, alerts: Sequence[Alert], *, key: UUID) -> bytes:
        return alert_email_bytes(alerts, key=key, sender=self.from_email, recipients=self.to)

    def render_report(self, report: Report, *, key: UUID) -> bytes:
        return email_bytes(report_email(report), at=report.at, key=key, sender=self.from_email, recipients=self.to)

    def send(self, body: bytes, *, key: UUID, timeout: float, only: Sequence[str] | None = None) -> Accepted:  # noqa: ARG002
        connection = self._connection.get()
        headers = message_from_bytes(body)
        ((_, sender),) = getaddresses([str(headers["From"])])
        listed = [address for _, address in getaddresses([str(headers["To"])])]
        recipients = [address for address in listed if only is None or address in only]
        server = f"{connection.host}:{connection.port or 'default port'}"

        def work(deadline: Deadline) -> Accepted:
            return _send_mail(connection, server, _Envelope(sender, recipients, body), deadline)

        return within(timeout, work, where=server)


@dataclass(slots=True)
class _Envelope:
    sender: str
    recipients: Sequence[str]
    body: bytes
    refused: dict[str, str] = field(default_factory=dict)
    retry: dict[str, str] = field(default_factory=dict)


def _send_mail(connection: Connection, server: str, envelope: _Envelope, deadline: Deadline) -> Accepted:
    try:
        client = _log_in(connection, deadline)
        with client:
            return _transfer(client, server, envelope, deadline)
    except smtplib.SMTPResponseException as error:  # before the mail: greeting, EHLO, STARTTLS, AUTH
        raise _refusal(server, error.smtp_code, error.smtp_error) from None
    except smtplib.SMTPNotSupportedError as error:
        raise PermanentDeliveryError(
            f"{server}: {fit(one_line(str(error)), 200).rstrip('.')}; "
            "if the server offers no STARTTLS, set disable_tls in the extra"
        ) from None
    except (smtplib.SMTPException, OSError, EOFError, RuntimeError) as error:
        if deadline.passed or isinstance(error, TimeoutError):
            raise TimeoutError from None
        words = _words(error)
        if deadline.begun:
            raise DeliveryError(
                f"{server} closed the connection after the mail was sent ({words}); it may have it"
            ) from None
        raise DeliveryError(f"{server}: {words}", rejected=True) from None


def _log_in(connection: Connection, deadline: Deadline) -> Any:
    class OneAttempt(SmtpHook):
        @property
        def timeout(self) -> Any:
            return deadline.remaining

        @property
        def smtp_retry_limit(self) -> int:
            return 0

    hook: Any = hook_for(OneAttempt, connection, smtp_conn_id=connection.conn_id)
    deadline.on_end(lambda: _client_of(hook).sock.shutdown(2))
    try:
        hook.get_conn()
    except Exception as error:
        if client := _client_of(hook):
            client.close()
        if isinstance(error, AirflowException):  # the hook wraps a lost connection or a failed login
            wrapped = error.__context__
            raise (
                wrapped if isinstance(wrapped, smtplib.SMTPException) else smtplib.SMTPException(str(error))
            ) from None
        raise
    return _client_of(hook)


def _client_of(hook: Any) -> Any:
    """The hook's private client; older versions of the provider name it without the underscore."""
    return getattr(hook, "_smtp_client", None) or getattr(hook, "smtp_client", None)


def _transfer(client: Any, server: str, envelope: _Envelope, deadline: Deadline) -> Accepted:
    client.ehlo_or_helo_if_needed()
    _expect(server, client.mail(envelope.sender), f"the sender {envelope.sender}")
    for address in envelope.recipients:
        code, said = client.rcpt(address)
        if not 200 <= code < 300:
            (envelope.refused if code >= 500 else envelope.retry)[address] = f"{code} {_said(said)}"
        if code == 421:
            raise _refusal(server, code, said)
    if len(envelope.refused) + len(envelope.retry) == len(envelope.recipients):
        return _all_refused(server, envelope)
    deadline.begin()
    _expect(server, client.data(envelope.body), "the mail")
    return Accepted(refused=envelope.refused, retry=envelope.retry)


def _all_refused(server: str, envelope: _Envelope) -> Accepted:
    words = "; ".join(f"{address}: {said}" for address, said in (envelope.refused | envelope.retry).items())
    problem = fit(f"{server} refused every recipient: {words}", 600)
    if envelope.retry:
        raise DeliveryError(problem, rejected=True)
    raise PermanentDeliveryError(f"{problem}; correct 'to' in the connection")


def _expect(server: str, answer: tuple[int, bytes], what: str) -> None:
    code, said = answer
    if not 200 <= code < 300:
        raise _refusal(server, code, said, what=what)


def _refusal(server: str, code: int, said: bytes | str, *, what: str = "") -> DeliveryError:
    """5xx is permanent, a wrong password (535) included; 4xx and a lost connection are temporary."""
    problem = f"{server} refused{f' {what}' if what else ''}: {code} {_said(said)}"
    if code >= 500:
        advice = "correct the connection's login and password" if code in {530, 534, 535} else "correct the connection"
        return PermanentDeliveryError(f"{problem}; {advice}")
    return DeliveryError(problem, rejected=True)


def _said(said: bytes | str) -> str:
    return fit(one_line(said.decode("utf-8", "replace") if isinstance(said, bytes) else said), 200)


def _words(error: BaseException) -> str:
    verify = getattr(error, "verify_message", None)
    if verify:
        return f"its certificate was refused: {verify}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return fit(one_line(str(error)), 200) or type(error).__name__
