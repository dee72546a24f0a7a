#!/usr/bin/env python3
"""Receives webhooks of a real server and judges them with the official libraries: `standardwebhooks` and `cloudevents`.

Takes the binary as its first argument. Every delivery must verify with its secret and with no other, be a CloudEvent,
and hold an Event of the contract. Needs the packages of requirements.txt in this folder.
"""

import http.server
import json
import pathlib
import queue
import sys
import tempfile
import threading
import uuid

import grpc
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from cloudevents.core.formats.json import JSONFormat
from google.protobuf import json_format
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from life_of_a_hold import Server, make_stubs, newest_binary

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oDAAAA"
# How long a delivery may take to arrive, in seconds.
WITHIN = 20


class Receiver(http.server.BaseHTTPRequestHandler):
    """Takes every POST, and passes its headers and body on."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.received.put((dict(self.headers.items()), body))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_words):
        """Says nothing."""


def receiver():
    """A receiver on a free port, with the queue of what it was sent."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    server.received = queue.Queue()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def verified(headers, body, secret):
    """Verifies a delivery, which must verify with this secret and not with another."""
    Webhook(secret).verify(body, headers)
    for broken in (lambda: Webhook(OTHER).verify(body, headers), lambda: Webhook(secret).verify(body + b" ", headers)):
        try:
            broken()
        except WebhookVerificationError:
            continue
        raise AssertionError("what was not signed verifies")


def judged(event, events):
    """Checks a CloudEvent against the Event in it, which it returns."""
    data = json_format.ParseDict(event.get_data(), events.Event())
    assert event.get_specversion() == "1.0" and event.get_datacontenttype() == "application/json"
    assert event.get_id() == data.id and event.get_type() == data.type, (event.get_id(), data)
    assert event.get_source() == f"stockade://{data.id.split('-')[0]}/{data.shop}", event.get_source()
    assert event.get_subject() == data.drop_id == "d"
    assert event.get_extension("sequence") == f"{data.lsn:020}"
    assert event.get_time().timestamp() == data.time.ToMilliseconds() / 1000
    return data


def main():
    binary = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else newest_binary()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        stubs = folder / "stubs"
        stubs.mkdir()
        make_stubs(stubs)
        from stockade.v1 import drop_pb2, drop_pb2_grpc, event_pb2, event_pb2_grpc, reservation_pb2, reservation_pb2_grpc

        server = Server(binary, folder / "data", flags=["--webhooks-to-private"])
        single, batched = receiver(), receiver()
        try:
            channel = grpc.insecure_channel(server.grpc)
            drops, events = drop_pb2_grpc.DropServiceStub(channel), event_pb2_grpc.EventServiceStub(channel)
            holds = reservation_pb2_grpc.ReservationServiceStub(channel)
            create = drop_pb2.CreateDropRequest()
            create.drop.id = "d"
            create.drop.items.add(sku="K", quantity=1000)
            drops.CreateDrop(create, timeout=5)
            for name, to, most in (("single", single, 1), ("batched", batched, 50)):
                request = event_pb2.CreateWebhookRequest(secret=SECRET)
                request.webhook.id, request.webhook.max_batch = name, most
                request.webhook.url = f"http://127.0.0.1:{to.server_address[1]}/"
                request.webhook.filter.types.append("hold.*")
                request.webhook.with_customers = True
                assert events.CreateWebhook(request, timeout=5).secret == SECRET
            wanted = []
            for number in range(60):
                request = reservation_pb2.ReserveRequest(hold_id=str(uuid.uuid4()), drop_id="d")
                request.customer.id = f"ada-{number} „ü“"
                request.lines.add(sku="K", quantity=1)
                wanted.append(holds.Reserve(request, timeout=5).hold)
            seen = []
            while len(seen) < len(wanted):
                headers, body = single.received.get(timeout=WITHIN)
                verified(headers, body, SECRET)
                seen.append(judged(from_http_event(HTTPMessage(headers={k.lower(): v for k, v in headers.items()}, body=body)), event_pb2))
                assert headers["webhook-id"] == seen[-1].id
            assert [event.hold.id for event in seen] == [hold.id for hold in wanted], "in order"
            assert [event.hold.customer_id for event in seen] == [f"ada-{number} „ü“" for number in range(60)]
            taken = []
            while len(taken) < len(wanted):
                headers, body = batched.received.get(timeout=WITHIN)
                verified(headers, body, SECRET)
                assert headers["content-type"] == "application/cloudevents-batch+json"
                listed = [JSONFormat().read(None, json.dumps(event)) for event in json.loads(body)]
                first, more = judged(listed[0], event_pb2), len(listed) - 1
                assert headers["webhook-id"] == (f"{first.id}+{more}" if more else first.id)
                taken += [judged(event, event_pb2).id for event in listed]
            assert taken == [event.id for event in seen], "the same events in the same order"
            change = event_pb2.UpdateWebhookRequest(new_secret=OTHER)
            change.webhook.CopyFrom(events.GetWebhook(event_pb2.GetWebhookRequest(webhook_id="single"), timeout=5).webhook)
            change.revision = change.webhook.revision
            events.UpdateWebhook(change, timeout=5)
            tested = events.TestWebhook(event_pb2.TestWebhookRequest(webhook_id="single"), timeout=15).attempt
            assert tested.http_status == 200, tested
            headers, body = single.received.get(timeout=WITHIN)
            for secret in (SECRET, OTHER):
                assert Webhook(secret).verify(body, headers)["type"] == "stockade.webhook.test"
            assert server.stop() == 0
            print(f"{len(seen)} deliveries and {len(taken)} events in batches verify, and two secrets sign")
        finally:
            server.kill()


if __name__ == "__main__":
    main()
