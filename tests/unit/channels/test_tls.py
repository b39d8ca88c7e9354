"""HTTP channels trust exactly the current CA bundle of the environment."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.certificates import make_certificate, server_tls
from tests.support.http_server import HttpServer, http_server, reply
from tests.unit.channels.test_http_channels import ACCEPTED, CHANNELS, refusal, send


@pytest.fixture
def certificate(tmp_path) -> Path:
    return make_certificate(tmp_path)


@pytest.fixture
def server(certificate) -> Iterator[HttpServer]:
    with http_server(reply(200, ACCEPTED), tls=server_tls(certificate)) as running:
        yield running


@pytest.fixture
def bundle(certificate, tmp_path, monkeypatch) -> Path:
    """A CA bundle in the environment that trusts the server."""
    path = tmp_path / "bundle.pem"
    path.write_bytes(certificate.read_bytes())
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(path))
    return path


@pytest.fixture(params=CHANNELS, ids=lambda make: make.__name__)
def channel(request, server):
    return request.param(server.url)


def exchange(bundle: Path, certificate: Path) -> None:
    """Replace the bundle, as an update of the machine's certificates does; its modification time changes too."""
    changed = bundle.stat().st_mtime_ns
    bundle.write_bytes(certificate.read_bytes())
    os.utime(bundle, ns=(changed + 10**9, changed + 10**9))


def test_a_server_in_the_bundle_gets_the_message(channel, server, bundle):
    send(channel)
    assert len(server.requests) == 1


def test_an_untrusted_server_gets_nothing_even_after_a_trusted_one(channel, server, bundle, tmp_path_factory):
    send(channel)
    exchange(bundle, make_certificate(tmp_path_factory.mktemp("other")))
    error = refusal(channel)
    assert (error.permanent, error.rejected) == (False, True)
    assert "certificate was refused" in str(error)
    assert len(server.requests) == 1


def test_an_updated_bundle_that_trusts_the_server_is_enough(channel, server, certificate, bundle, tmp_path_factory):
    exchange(bundle, make_certificate(tmp_path_factory.mktemp("other")))
    refusal(channel)
    os.utime(bundle, ns=(10**18, 10**18))
    bundle.write_bytes(certificate.read_bytes())
    send(channel)
    assert len(server.requests) == 1


def test_a_bundle_is_not_read_again_for_each_message(channel, server, bundle, monkeypatch):
    send(channel)
    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", lambda *_, **__: pytest.fail("read again"))
    send(channel)
    assert len(server.requests) == 2
