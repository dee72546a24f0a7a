#!/usr/bin/env python3
"""Uses the files that are shipped for callers, as a caller would: the descriptor set and service_config.json.

Takes the binary as its first argument. A client can be made from the descriptor set alone, without the .proto files.
With the retry policy, a call that is sent while the server is down succeeds once it is up again. Needs the packages of
requirements.txt in this folder.
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
import uuid

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from life_of_a_hold import ROOT, Server

PACKAGE = "stockade.v1"
SERVED = ("Reservation", "Drop", "Event", "Storefront", "Series")
RESERVATIONS, DROPS, EVENTS, STOREFRONT, _SERIES = SERVICES = tuple(f"{PACKAGE}.{name}Service" for name in SERVED)
INSIGHT = f"{PACKAGE}.InsightService"
# The calls of a service that is not served whole.
OF_INSIGHT = {(INSIGHT, name) for name in ("RecordFacts", "GetDropReport", "ListDropReports")}
CONFIG = ROOT / "deploy" / "service_config.json"
# The length of the server's outage: longer than the first retries, which must fail.
OUTAGE = 3.0


class Contract:
    """The contract from a descriptor set: messages by name, calls by service and method."""

    def __init__(self, descriptors):
        pool = descriptor_pool.DescriptorPool()
        for file in descriptor_pb2.FileDescriptorSet.FromString(descriptors).file:
            # In the order of the set, in which a file follows all that it imports.
            pool.Add(file)
        self.services = {name: pool.FindServiceByName(name) for name in SERVICES}
        self.pool = pool

    def message(self, name, **fields):
        """A message of the contract."""
        return message_factory.GetMessageClass(self.pool.FindMessageTypeByName(f"{PACKAGE}.{name}"))(**fields)

    def call(self, channel, service, method):
        """A unary call."""
        answer = message_factory.GetMessageClass(self.services[service].methods_by_name[method].output_type)
        return channel.unary_unary(
            f"/{service}/{method}", request_serializer=lambda m: m.SerializeToString(), response_deserializer=answer.FromString
        )


def the_config_names_every_call_that_may_be_sent_again(contract, config):
    """Every unary call and both streams of reads must be named, or they are not retried; BatchStream must not be."""
    unary = {
        (name, method.name)
        for name, service in contract.services.items()
        for method in service.methods
        if not method.client_streaming and not method.server_streaming
    }
    unary |= OF_INSIGHT
    named = [(name["service"], name["method"]) for entry in config["methodConfig"] for name in entry["name"]]
    assert len(named) == len(set(named)), "a call is named twice"
    assert set(named) == unary | {(DROPS, "WatchDrop"), (EVENTS, "ReadEvents"), (STOREFRONT, "WatchDropStatus")}, set(named) ^ unary
    for entry in config["methodConfig"]:
        policy = entry["retryPolicy"]
        assert policy["retryableStatusCodes"] == ["UNAVAILABLE"] and 2 <= policy["maxAttempts"] <= 5, policy


def cart(contract, customer):
    """A reserve of one unit."""
    request = contract.message("ReserveRequest", hold_id=str(uuid.uuid4()), drop_id="d")
    request.customer.id = customer
    request.lines.add(sku="K", quantity=1)
    return request


def a_call_outlasts_a_restart(contract, config, binary, data):
    server = Server(binary, data)
    try:
        options = [("grpc.service_config", json.dumps(config))]
        patient = grpc.insecure_channel(server.grpc, options)
        hasty = grpc.insecure_channel(server.grpc, [("grpc.enable_retries", 0)])
        create = contract.message("CreateDropRequest")
        create.drop.id = "d"
        create.drop.items.add(sku="K", quantity=2)
        contract.call(patient, DROPS, "CreateDrop")(create, timeout=5)
        before = cart(contract, "ada")
        reserve = contract.call(patient, RESERVATIONS, "Reserve")
        first = reserve(before, timeout=5).hold
        server.kill()

        try:
            contract.call(hasty, RESERVATIONS, "Reserve")(cart(contract, "bob"), timeout=5)
            raise AssertionError("nobody serves, and yet there is an answer")
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.UNAVAILABLE, error

        started = []
        restart = threading.Timer(OUTAGE, lambda: started.append(Server(binary, data, server.grpc)))
        restart.start()
        since = time.monotonic()
        later = reserve(cart(contract, "cem"), timeout=40)
        waited = time.monotonic() - since
        restart.join()
        server = started[0]
        assert later.WhichOneof("outcome") == "hold" and waited >= OUTAGE, (waited, later)
        assert reserve(before, timeout=5).hold == first, "what was answered before the crash is the answer after it"
        shown = contract.call(patient, DROPS, "GetDrop")(contract.message("GetDropRequest", drop_id="d"), timeout=5)
        assert shown.drop.items[0].stock.held == 2, shown
        print(f"a call outlasts a restart of {OUTAGE} s: it was answered after {waited:.1f} s")
    finally:
        server.kill()


def main():
    binary = pathlib.Path(sys.argv[1]).resolve()
    descriptors = subprocess.run([binary, "descriptors"], stdout=subprocess.PIPE, check=True).stdout
    contract = Contract(descriptors)
    print(f"the descriptor set of {len(descriptors)} bytes makes a client")
    config = json.loads(CONFIG.read_text())
    the_config_names_every_call_that_may_be_sent_again(contract, config)
    with tempfile.TemporaryDirectory() as folder:
        a_call_outlasts_a_restart(contract, config, binary, pathlib.Path(folder) / "data")


if __name__ == "__main__":
    main()
