"""A connection uses the environment's proxy and certificates, and each failure is one line."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading

import pytest

from importer.deliver.delivery import Delivery
from importer.deliver.endpoint import plain_http_warning
from importer.deliver.retry import RetryPolicy
from importer.errors import DeliveryError
from tests.delivering import KEY, Clock, envelope
from tests.posthog_server import Fault, PostHogServer

VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
AWAY = "https://posthog.invalid"


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    for name in (*VARIABLES, "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def server():
    with PostHogServer(KEY) as server:
        yield server


def send(host, attempts=1):
    """Send one event; return the reasons of the retries, or raise."""
    clock, reasons = Clock(), []
    with Delivery(
        host=host,
        api_key=KEY,
        clock=clock,
        sleep=clock.sleep,
        retry=RetryPolicy(attempts=attempts),
        on_retry=lambda reason, wait_s: reasons.append(reason),
    ) as sender:
        sender.add(envelope())
    return reasons


def error_of(host, attempts=1):
    with pytest.raises(DeliveryError) as raised:
        send(host, attempts)
    message = str(raised.value)
    assert "\n" not in message
    return message


def test_a_proxy_of_the_environment_is_used_and_no_proxy_wins(server, monkeypatch):
    with PostHogServer(KEY) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        proxy.faults = [Fault(status=200, body=b'{"status":1}')]
        send("http://posthog.invalid")
        assert [request.path for request in proxy.requests] == ["http://posthog.invalid/batch/"]
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        send(server.url)
        assert (len(proxy.requests), len(server.accepted)) == (1, 1)


def test_https_goes_through_the_proxy_as_a_tunnel(monkeypatch):
    asked = []

    def answer():
        connection, _ = listener.accept()
        with connection:
            asked.append(connection.recv(1000).split(b"\r\n")[0])
            connection.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer)
        thread.start()
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{listener.getsockname()[1]}")
        message = error_of(AWAY)
        thread.join(10)
    assert asked[0].startswith(b"CONNECT posthog.invalid:443 HTTP/1.")
    assert "proxy error: check HTTPS_PROXY" in message


@pytest.mark.parametrize("proxy", ["http://", "http:///x", "socks5://127.0.0.1:9"])
def test_a_proxy_that_cannot_be_used_is_one_line_that_names_it(monkeypatch, proxy):
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    assert "HTTPS_PROXY" in error_of(AWAY)


def test_a_name_that_does_not_resolve_is_tried_again(monkeypatch):
    def unknown(*_args, **_kwargs):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    message = error_of(AWAY, attempts=3)
    assert "after 3 tries" in message
    assert "could not be resolved: check POSTHOG_HOST and the network" in message


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
def test_a_file_of_certificates_that_is_not_there_is_one_line(monkeypatch, tmp_path, variable):
    monkeypatch.setenv(variable, str(tmp_path / "none.pem"))
    assert variable in error_of(AWAY)


@pytest.fixture
def tls_server(tmp_path):
    """Run a server with a certificate of its own; yield its address and the certificate."""
    if not shutil.which("openssl"):
        pytest.skip("needs openssl to make a certificate")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command += ["-keyout", key, "-out", certificate, "-days", "30", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = PostHogServer(KEY)
    server.wrap(context)
    with server:
        yield server, certificate


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
def test_a_certificate_of_ones_own_is_trusted_when_the_environment_names_it(
    tls_server, monkeypatch, variable
):
    server, certificate = tls_server
    monkeypatch.setenv(variable, str(certificate))
    assert send(server.url) == []
    assert len(server.accepted) == 1


def test_a_certificate_that_nobody_vouches_for_is_tried_again_and_says_what_to_check(tls_server):
    server, _ = tls_server
    message = error_of(server.url, attempts=3)
    assert "after 3 tries" in message
    assert "certificate could not be verified: check POSTHOG_HOST" in message
    assert server.accepted == []


@pytest.mark.parametrize(
    "host",
    [
        "https://us.i.posthog.com",
        "http://127.0.0.1:8000",
        "http://127.8.9.1",
        "http://[::1]:8000",
        "http://localhost",
        "http://posthog.localhost:8000",
    ],
)
def test_what_is_encrypted_or_stays_on_the_machine_needs_no_warning(host):
    assert plain_http_warning(host) is None


@pytest.mark.parametrize(
    "host", ["http://posthog.example.com", "http://10.0.0.5:8000", "http://localhost.example"]
)
def test_plain_http_to_another_machine_is_warned_of(host):
    assert plain_http_warning(host).startswith(f"{host} is plain HTTP: your API key")
