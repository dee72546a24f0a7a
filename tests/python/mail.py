#!/usr/bin/env python3
"""Channels that send mail, against a foreign mail server: `aiosmtpd`, plain, with STARTTLS and with TLS from the first
byte, with a login and without.

Takes the binary as its first argument. Needs the packages of requirements.txt in this folder. The certificates are those
of ../fixtures/mail; what trusts them is told so by SSL_CERT_FILE.
"""

import email
import email.policy
import logging
import os
import pathlib
import queue
import socket
import ssl
import subprocess
import sys
import tempfile
import time

import grpc
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from life_of_a_hold import Server, make_stubs, newest_binary

CERTIFICATES = pathlib.Path(__file__).resolve().parents[1] / "fixtures" / "mail"
# How long a mail may take to arrive, in seconds.
WITHIN = 20
TITLE = "Schalen & Tassen – „Winter“"


class Mailbox:
    """Takes every mail, or answers as it is set to."""

    def __init__(self):
        self.mails = queue.Queue()
        self.answer = "250 taken"
        self.attempts = 0

    async def handle_DATA(self, _server, session, envelope):
        self.attempts += 1
        if self.answer.startswith("250"):
            self.mails.put((session, envelope, email.message_from_bytes(envelope.content, policy=email.policy.default)))
        return self.answer


def authenticated(_server, _session, _envelope, _mechanism, data):
    """Lets the shop in."""
    good = isinstance(data, LoginPassword) and (data.login, data.password) == (b"shop", b"pass word")
    # Not handled: the server says 535 itself.
    return AuthResult(success=good, handled=False)


def context():
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(CERTIFICATES / "cert.pem", CERTIFICATES / "key.pem")
    return made


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def mail_server(**options):
    """A mail server on a free port."""
    server = Controller(Mailbox(), hostname="127.0.0.1", port=free_port(), **options)
    server.start()
    return server


def channel(name, port, more, types="drop.opened"):
    return f'''
[[channels]]
name = "{name}"
matches = {{ types = ["{types}"] }}
kind = "smtp"
server = "localhost"
port = {port}
from = "Keramik Größe <shop@example.com>"
to = "drops@lists.example.com"
subject = "{{{{ drop.title }}}}"
body = """
{{{{ drop.title }}}} ist offen.
.
Bis bald
"""
{more}
'''


LOGIN = 'user = "shop"\npassword = "${MAIL_PASSWORD}"'


def command(binary, config, *words, trusting=True):
    environment = dict(os.environ, MAIL_PASSWORD="pass word")
    if trusting:
        environment["SSL_CERT_FILE"] = str(CERTIFICATES / "ca.pem")
    began = time.monotonic()
    done = subprocess.run(
        [binary, "channels", *words, "--config", config], capture_output=True, text=True, env=environment, check=False
    )
    return done.returncode, done.stdout + done.stderr, time.monotonic() - began


def sent(binary, config, name, server, upgraded=False):
    """Sends a test, which must arrive as it was written."""
    code, said, _ = command(binary, config, "test", name)
    assert code == 0, said
    session, envelope, mail = server.handler.mails.get(timeout=WITHIN)
    # A listener that speaks TLS from the first byte has no session to upgrade.
    assert (session.ssl is not None) == upgraded, (name, session.ssl)
    assert envelope.mail_from == "shop@example.com" and envelope.rcpt_tos == ["drops@lists.example.com"]
    assert mail["Subject"] == '[test] Sample "drop" \\ of bowls & cups', mail["Subject"]
    assert mail["From"].addresses[0].display_name == "Keramik Größe" and mail["Auto-Submitted"] == "auto-generated"
    lines = mail.get_content().splitlines()
    assert lines == ['Sample "drop" \\ of bowls & cups ist offen.', ".", "Bis bald"], lines


def refused(binary, config, name, words, **options):
    """A test that must not be sent."""
    code, said, took = command(binary, config, "test", name, **options)
    assert code == 1 and any(word in said for word in words), (words, said)
    return took


def by_commands(binary, folder):
    plain, starttls = mail_server(), mail_server(tls_context=context(), require_starttls=True,
                                                 authenticator=authenticated, auth_required=True)
    implicit = mail_server(ssl_context=context(), authenticator=authenticated, auth_require_tls=False)
    silent = socket.create_server(("127.0.0.1", 0))
    config = folder / "commands.toml"
    config.write_text("".join([
        channel("plain", plain.port, 'tls = "none"'),
        channel("starttls", starttls.port, LOGIN),
        channel("implicit", implicit.port, 'tls = "tls"'),
        channel("stripped", plain.port, ""),
        channel("wrong", starttls.port, 'user = "shop"\npassword = "wrong"'),
        channel("silent", silent.getsockname()[1], 'tls = "none"'),
        channel("nobody", free_port(), 'tls = "none"'),
    ]), encoding="utf-8")
    code, said, _ = command(binary, config, "check")
    assert code == 0 and "starttls: well: body and subject written with samples of drop.opened" in said, said
    sent(binary, config, "plain", plain)
    sent(binary, config, "starttls", starttls, upgraded=True)
    sent(binary, config, "implicit", implicit)
    refused(binary, config, "stripped", ["does not offer STARTTLS"])
    refused(binary, config, "wrong", ["535"])
    refused(binary, config, "nobody", ["no connection to"])
    for name in ("starttls", "implicit"):
        refused(binary, config, name, ["certificate", "UnknownIssuer"], trusting=False)
    for server in (plain, starttls, implicit):
        assert server.handler.mails.empty()
    took = refused(binary, config, "silent", ["did not take it within 30 s"])
    assert 29 < took < 35, took
    for server in (plain, starttls, implicit):
        server.stop()
    silent.close()


def until(what, is_so):
    end = time.monotonic() + WITHIN
    while not is_so():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def by_a_server(binary, folder):
    """Signals and openings of a server become mails: again what fails for now, once what is refused."""
    from stockade.v1 import drop_pb2, drop_pb2_grpc

    mails = mail_server(tls_context=context(), require_starttls=True, authenticator=authenticated, auth_required=True)
    config = folder / "stockade.toml"
    config.write_text(channel("mail", mails.port, LOGIN), encoding="utf-8")
    os.environ.update(MAIL_PASSWORD="pass word", SSL_CERT_FILE=str(CERTIFICATES / "ca.pem"))
    server = Server(binary, folder / "data", flags=["--config", str(config)])
    try:
        drops = drop_pb2_grpc.DropServiceStub(grpc.insecure_channel(server.grpc))

        def opens(name):
            create = drop_pb2.CreateDropRequest()
            create.drop.id, create.drop.title = name, f"{TITLE} {name}"
            create.drop.items.add(sku="K", quantity=10)
            drops.CreateDrop(create, timeout=5)

        handler = mails.handler
        handler.answer = "451 not now"
        opens("one")
        until("an attempt", lambda: handler.attempts == 1)
        handler.answer = "250 taken"
        _, _, mail = handler.mails.get(timeout=WITHIN)
        assert mail["Subject"] == f"{TITLE} one", mail["Subject"]
        assert mail.get_content().splitlines()[0] == f"{TITLE} one ist offen."
        assert mail["Message-ID"].endswith(".mail@example.com>"), mail["Message-ID"]
        attempts = handler.attempts
        handler.answer = "550 never"
        opens("two")
        until("an attempt", lambda: handler.attempts == attempts + 1)
        until("its count", lambda: 'outcome="failed"} 1' in server.page("/metrics")[2])
        handler.answer = "250 taken"
        opens("three")
        _, _, mail = handler.mails.get(timeout=WITHIN)
        assert mail["Subject"] == f"{TITLE} three", mail["Subject"]
        assert handler.mails.empty() and handler.attempts == attempts + 2, "what is refused is not tried again"
        counted = 'stockade_channel_messages_total{channel="mail",outcome="sent"} 2'
        until("both are counted", lambda: counted in server.page("/metrics")[2])
        assert server.stop() == 0
    finally:
        server.kill()
        mails.stop()


def main():
    # Connections that fail as they must are no news.
    logging.getLogger("mail.log").setLevel(logging.CRITICAL)
    logging.getLogger("mail.debug").setLevel(logging.CRITICAL)
    binary = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else newest_binary()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        by_commands(binary, folder)
        stubs = folder / "stubs"
        stubs.mkdir()
        make_stubs(stubs)
        by_a_server(binary, folder)
    print("mails arrive as they were written, encrypted, and nothing is sent where that can't be had")


if __name__ == "__main__":
    main()
