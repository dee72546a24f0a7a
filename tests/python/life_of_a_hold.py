#!/usr/bin/env python3
"""Tests the life of a hold against a running server, as a foreign client that has only the contract.

The stubs are generated from proto/ into a temporary folder; the project's own client is not used. Starts the binary
named by the first argument, or the newest one that cargo has built. Exits with 0 if every step follows the contract;
the first one that does not ends it with a traceback.

Needs the packages of requirements.txt in this folder.
"""

import datetime
import importlib
import json
import pathlib
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

import checkout

ROOT = pathlib.Path(__file__).resolve().parents[2]
STATUS_DETAILS = "grpc-status-details-bin"
DROP = "knife-1204"


def make_stubs(folder):
    """Compiles the contract into `folder` and makes it importable."""
    import grpc_tools
    from grpc_tools import protoc

    well_known = pathlib.Path(grpc_tools.__file__).parent / "_proto"
    protos = sorted(str(path.relative_to(ROOT / "proto")) for path in (ROOT / "proto").rglob("*.proto"))
    words = ["protoc", f"-I{ROOT / 'proto'}", f"-I{well_known}", f"--python_out={folder}", f"--grpc_python_out={folder}"]
    assert protoc.main(words + protos) == 0, "the contract does not compile"
    sys.path.insert(0, str(folder))


class Server:
    """The binary on free ports, or gRPC on a given one, with a data folder of its own. Always killed at the end."""

    def __init__(self, binary, data, grpc="127.0.0.1:0", flags=()):
        words = ["serve", "--grpc", grpc, "--http", "127.0.0.1:0", "--data", str(data), "--log-format", "json", *flags]
        self.process = subprocess.Popen([str(binary), *words], stderr=subprocess.PIPE, cwd=data.parent, text=True)
        said = []
        for line in self.process.stderr:
            said.append(line)
            if line.startswith("{") and json.loads(line).get("message") == "serving":
                break
        else:
            raise AssertionError("the server did not start:\n" + "".join(said))
        told = json.loads(said[-1])
        self.grpc, self.http = told["grpc"], told["http"]

    def page(self, path, **headers):
        """A page's status, content type and text."""
        request = urllib.request.Request(f"http://{self.http}{path}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return answer.status, answer.headers["content-type"], answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.headers["content-type"], error.read().decode()

    def stop(self):
        """Tells it to stop. Returns its exit code."""
        self.process.terminate()
        self.process.communicate(timeout=15)
        return self.process.returncode

    def kill(self):
        """Ends it if it still runs."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()


def newest_binary():
    """The binary that cargo has built last."""
    built = [ROOT / "target" / profile / "stockade" for profile in ("debug", "release")]
    built = [path for path in built if path.exists()]
    assert built, "no binary: name one, or run cargo build"
    return max(built, key=lambda path: path.stat().st_mtime)


def status_of(call, request):
    """The status of a call, which must fail."""
    try:
        answer = call(request, timeout=5)
    except grpc.RpcError as error:
        return error
    raise AssertionError(f"an answer instead of a status: {answer}")


def violations(error):
    """The fields in a status's details, with a description of each violation."""
    details = dict(error.trailing_metadata())[STATUS_DETAILS]
    status = status_pb2.Status.FromString(details)
    assert status.code == error.code().value[0] and status.message == error.details()
    found = error_details_pb2.BadRequest()
    assert any(detail.Unpack(found) for detail in status.details), status
    return {violation.field: violation.description for violation in found.field_violations}


def seconds(message):
    """A duration or a timestamp in seconds."""
    return message.seconds + message.nanos / 1e9


class Walk:
    """One run through the contract. Each step prints what it tests."""

    def __init__(self, server):
        self.drop_pb2 = importlib.import_module("stockade.v1.drop_pb2")
        self.pb2 = importlib.import_module("stockade.v1.reservation_pb2")
        drop_grpc = importlib.import_module("stockade.v1.drop_pb2_grpc")
        reservation_grpc = importlib.import_module("stockade.v1.reservation_pb2_grpc")
        self.server = server
        self.channel = grpc.insecure_channel(server.grpc)
        self.drops = drop_grpc.DropServiceStub(self.channel)
        self.holds = reservation_grpc.ReservationServiceStub(self.channel)
        self.steps = 0

    def step(self, text):
        """Prints the next step."""
        self.steps += 1
        print(f"{self.steps:2}. {text}", flush=True)

    # Requests.

    def definition(self, **changes):
        """A drop of ten knives and two sheaths, at most two units each customer."""
        item, limit = self.drop_pb2.Item, self.drop_pb2.Limit
        fields = {
            "id": DROP,
            "title": "Küchenmesser",
            "items": [item(sku="KNIFE/20cm", quantity=10), item(sku="SHEATH", quantity=2)],
            "limits": [limit(id="two-each", scope=self.drop_pb2.LIMIT_SCOPE_DROP, max_units=2)],
            "labels": {"season": "winter"},
        }
        return self.drop_pb2.Drop(**(fields | changes))

    def cart(self, hold_id, customer, lines, **more):
        """A reserve of `lines`, a dict of quantities by SKU."""
        lines = [self.pb2.Line(sku=sku, quantity=quantity) for sku, quantity in lines.items()]
        customer = self.pb2.Customer(id=customer)
        return self.pb2.ReserveRequest(hold_id=hold_id, drop_id=DROP, customer=customer, lines=lines, **more)

    def reserved(self, request):
        """Reserves; the answer must be a hold."""
        answer = self.holds.Reserve(request, timeout=5)
        assert answer.WhichOneof("outcome") == "hold", answer
        assert answer.HasField("server_time")
        return answer.hold

    def refused(self, answer, reason):
        """The refusal in an answer, which must be one."""
        assert answer.WhichOneof("outcome") == "refusal", answer
        told = self.pb2.RefusalReason.Name(answer.refusal.reason)
        assert told == f"REFUSAL_REASON_{reason}", told
        assert answer.refusal.message, "a refusal has words for people"
        return answer.refusal

    def shown(self, hold_id):
        """A hold in its present state."""
        return self.holds.GetHold(self.pb2.GetHoldRequest(hold_id=hold_id, drop_id=DROP), timeout=5).hold

    def stock(self, sku):
        """An item's stock, whose parts must always add up."""
        drop = self.drops.GetDrop(self.drop_pb2.GetDropRequest(drop_id=DROP), timeout=5).drop
        stock = next(item.stock for item in drop.items if item.sku == sku)
        parts = stock.free + stock.held + stock.paying + stock.claimed + stock.withdrawn
        assert stock.received == parts, stock
        return stock

    # Steps.

    def the_drop(self):
        create = self.drop_pb2.CreateDropRequest
        self.step("a drop is checked without being created")
        checked = self.drops.CreateDrop(create(drop=self.definition(), validate_only=True), timeout=5).drop
        assert [item.sku for item in checked.items] == ["KNIFE/20cm", "SHEATH"]
        missing = status_of(self.drops.GetDrop, self.drop_pb2.GetDropRequest(drop_id=DROP))
        assert missing.code() == grpc.StatusCode.NOT_FOUND and DROP in missing.details(), missing

        self.step("it is created, and created again with the same answer")
        first = self.drops.CreateDrop(create(drop=self.definition()), timeout=5).drop
        again = self.drops.CreateDrop(create(drop=self.definition()), timeout=5).drop
        assert first.state == self.drop_pb2.DROP_STATE_OPEN and first.revision > 0
        assert (first.revision, first.opens_at) == (again.revision, again.opens_at)

        self.step("another drop under its id is ALREADY_EXISTS, and the field is named")
        other = self.definition(title="Brotmesser")
        error = status_of(self.drops.CreateDrop, create(drop=other))
        assert error.code() == grpc.StatusCode.ALREADY_EXISTS and "title" in error.details(), error

        self.step("it is shown as it was defined")
        shown = self.drops.GetDrop(self.drop_pb2.GetDropRequest(drop_id=DROP), timeout=5).drop
        assert (shown.title, shown.shop, dict(shown.labels)) == ("Küchenmesser", "default", {"season": "winter"})
        assert (seconds(shown.hold_ttl), seconds(shown.max_hold_life)) == (300, 600)
        assert (shown.items[0].stock.received, shown.items[0].stock.free) == (10, 10)
        assert shown.limits[0].max_units == 2

    def a_hold(self):
        self.step("two knives are set aside for Ada, for five minutes")
        hold_id = str(uuid.uuid4())
        request = self.cart(hold_id, "ada", {"KNIFE/20cm": 2})
        hold = self.reserved(request)
        assert (hold.id, hold.drop_id, hold.customer_id) == (hold_id, DROP, "ada")
        assert hold.state == self.pb2.HOLD_STATE_HELD and hold.revision > 0
        assert [(line.sku, line.pool, line.quantity) for line in hold.lines] == [("KNIFE/20cm", "general", 2)]
        assert seconds(hold.expires_at) - seconds(hold.created_at) == 300
        stock = self.stock("KNIFE/20cm")
        assert (stock.free, stock.held) == (8, 2), stock

        self.step("the same call again is the same answer, and takes nothing more")
        assert self.reserved(request) == hold
        assert self.shown(hold_id) == hold
        assert self.stock("KNIFE/20cm") == stock

        self.step("other content under the same id is ALREADY_EXISTS, and the field is named")
        error = status_of(self.holds.Reserve, self.cart(hold_id, "bob", {"KNIFE/20cm": 2}))
        assert error.code() == grpc.StatusCode.ALREADY_EXISTS and "customer" in error.details(), error
        return hold

    def refusals(self):
        self.step("a third unit is over Ada's limit, and the limit is told")
        answer = self.holds.Reserve(self.cart(str(uuid.uuid4()), "ada", {"SHEATH": 1}), timeout=5)
        limit = self.refused(answer, "LIMIT_REACHED").limit
        assert (limit.id, limit.max, limit.used, limit.identity_kind) == ("two-each", 2, 2, "customer"), limit
        assert limit.scope == self.drop_pb2.LIMIT_SCOPE_DROP

        self.step("sold out: the line is named, and when it is worth coming again")
        sheaths = self.reserved(self.cart(str(uuid.uuid4()), "bob", {"SHEATH": 2}))
        cart = self.cart(str(uuid.uuid4()), "eve", {"KNIFE/20cm": 1, "SHEATH": 1})
        refusal = self.refused(self.holds.Reserve(cart, timeout=5), "SOLD_OUT")
        assert refusal.sku == "SHEATH" and 0 < seconds(refusal.retry_after) <= 300, refusal
        lines = [(line.sku, line.requested, line.available) for line in refusal.lines]
        assert lines == [("SHEATH", 1, 0)], refusal
        assert self.stock("KNIFE/20cm").held == 2, "all or nothing: no knife was taken"

        self.step("units that are given back are sold again")
        self.holds.Release(self.pb2.ReleaseRequest(hold_id=sheaths.id), timeout=5)
        again = self.reserved(cart)
        assert [line.quantity for line in again.lines] == [1, 1]

    def to_the_sale(self, hold):
        self.step("the hold is extended, never shortened, and never over its ceiling")
        ask = lambda ttl: self.holds.Extend(self.pb2.ExtendRequest(hold_id=hold.id, ttl=ttl), timeout=5).hold
        longer = ask(datetime.timedelta(minutes=8))
        assert seconds(longer.expires_at) > seconds(hold.expires_at) and longer.revision > hold.revision
        assert ask(datetime.timedelta(seconds=1)) == longer
        longest = ask(datetime.timedelta(days=1))
        assert seconds(longest.expires_at) - seconds(longest.created_at) == 600
        assert ask(datetime.timedelta(days=1)) == longest

        self.step("part of it is given back: one knife is kept, however often that is said")
        keep = self.pb2.ReleaseRequest(hold_id=hold.id, keep=[self.pb2.Line(sku="KNIFE/20cm", quantity=1)])
        kept = self.holds.Release(keep, timeout=5).hold
        assert kept.state == self.pb2.HOLD_STATE_HELD
        assert [(line.quantity, line.released) for line in kept.lines] == [(1, 1)], kept
        assert self.holds.Release(keep, timeout=5).hold == kept

        self.step("it is claimed for an order, and again for the same order")
        claim = self.pb2.ClaimRequest(hold_id=hold.id, customer_id="ada", order_ref="order-77")
        answer = self.holds.Claim(claim, timeout=5)
        assert answer.mode == self.pb2.CLAIM_MODE_ON_TIME
        sold = answer.hold
        assert (sold.state, sold.order_ref) == (self.pb2.HOLD_STATE_CLAIMED, "order-77") and sold.HasField("claimed_at")
        assert self.holds.Claim(claim, timeout=5).hold == sold
        assert self.stock("KNIFE/20cm").claimed == 1

        self.step("another order is refused, and so is a release of what is sold; the hold is told")
        claim.order_ref = "order-78"
        refusal = self.refused(self.holds.Claim(claim, timeout=5), "ORDER_MISMATCH")
        assert refusal.hold == sold
        release = self.pb2.ReleaseRequest(hold_id=hold.id)
        self.refused(self.holds.Release(release, timeout=5), "HOLD_CLAIMED")

        self.step("a hold of another customer is NOT_FOUND, as one that never was")
        claim.customer_id = "mallory"
        assert status_of(self.holds.Claim, claim).code() == grpc.StatusCode.NOT_FOUND
        never = self.pb2.GetHoldRequest(hold_id=str(uuid.uuid4()))
        assert status_of(self.holds.GetHold, never).code() == grpc.StatusCode.NOT_FOUND

    def to_the_end(self):
        self.step("a hold is released, and released again; its units are free")
        hold = self.reserved(self.cart(str(uuid.uuid4()), "fay", {"KNIFE/20cm": 2}))
        free = self.stock("KNIFE/20cm").free
        release = self.pb2.ReleaseRequest(hold_id=hold.id)
        gone = self.holds.Release(release, timeout=5).hold
        assert gone.state == self.pb2.HOLD_STATE_RELEASED
        assert [(line.quantity, line.released) for line in gone.lines] == [(0, 2)], gone
        assert self.holds.Release(release, timeout=5).hold == gone == self.shown(hold.id)
        assert self.stock("KNIFE/20cm").free == free + 2
        dead = self.holds.Reserve(self.cart(hold.id, "fay", {"KNIFE/20cm": 2}), timeout=5)
        assert self.refused(dead, "HOLD_RELEASED").hold == gone

        self.step("a hold of one second expires by itself, and is not sold after that")
        brief = self.cart(str(uuid.uuid4()), "gil", {"KNIFE/20cm": 1}, ttl=datetime.timedelta(seconds=1))
        hold = self.reserved(brief)
        assert seconds(hold.expires_at) - seconds(hold.created_at) == 1
        time.sleep(1.2)
        late = self.pb2.ClaimRequest(hold_id=hold.id, order_ref="too-late")
        self.refused(self.holds.Claim(late, timeout=5), "HOLD_EXPIRED")
        assert self.shown(hold.id).state == self.pb2.HOLD_STATE_EXPIRED
        assert self.stock("KNIFE/20cm").free == free + 2
        self.refused(self.holds.Reserve(brief, timeout=5), "HOLD_EXPIRED")

    def bad_requests(self):
        self.step("a faulty request is INVALID_ARGUMENT, with every field named in words and in details")
        lines = [self.pb2.Line(sku="KNIFE/20cm"), self.pb2.Line(quantity=1)]
        faulty = self.pb2.ReserveRequest(hold_id="no-uuid", drop_id="a b", lines=lines)
        error = status_of(self.holds.Reserve, faulty)
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT, error
        fields = {"hold_id", "drop_id", "lines[0].quantity", "lines[1].sku", "customer.id"}
        told = violations(error)
        assert set(told) == fields and all(told.values()), told
        assert all(field in error.details() for field in fields), error.details()

        self.step("an unknown SKU in a known drop is faulty, an unknown drop is NOT_FOUND")
        error = status_of(self.holds.Reserve, self.cart(str(uuid.uuid4()), "ada", {"SPOON": 1}))
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT and set(violations(error)) == {"lines[0].sku"}, error
        nowhere = self.cart(str(uuid.uuid4()), "ada", {"SPOON": 1})
        nowhere.drop_id = "nowhere"
        assert status_of(self.holds.Reserve, nowhere).code() == grpc.StatusCode.NOT_FOUND

    def not_built(self):
        """A server refuses by name what is not implemented; what is implemented is tested elsewhere."""
        self.step("what is not built is UNIMPLEMENTED, by name, and never ignored")
        asked = self.cart(str(uuid.uuid4()), "hal", {"KNIFE/20cm": 1}, admission_token="token")
        masked = self.drop_pb2.UpdateDropRequest(drop=self.drop_pb2.Drop(id=DROP), revision=1)
        masked.update_mask.paths.append("waitlist")
        admin_pb2 = importlib.import_module("stockade.v1.admin_pb2")
        admin = importlib.import_module("stockade.v1.admin_pb2_grpc").AdminServiceStub(self.channel)
        named = [
            (self.holds.Reserve, asked, "admission_token"),
            (self.drops.UpdateDrop, masked, "drop.waitlist"),
            (admin.GetServer, admin_pb2.GetServerRequest(), "AdminService/GetServer"),
        ]
        for call, request, name in named:
            error = status_of(call, request)
            assert error.code() == grpc.StatusCode.UNIMPLEMENTED and name in error.details(), error
        error = status_of(self.holds.GetHold, self.pb2.GetHoldRequest(hold_id=asked.hold_id))
        assert error.code() == grpc.StatusCode.NOT_FOUND, "nothing was made"

    def lists_and_batches(self):
        self.step("holds are listed page by page, each once")
        seen, token = [], ""
        while True:
            page = self.holds.ListHolds(
                self.pb2.ListHoldsRequest(drop_id=DROP, page_size=2, page_token=token), timeout=5
            )
            seen += [hold.id for hold in page.holds]
            token = page.next_page_token
            if not token:
                break
        assert len(seen) > 2 and len(seen) == len(set(seen)), seen

        self.step("a batch is done in order, and a faulty operation is a result of its own")
        cart = self.cart(str(uuid.uuid4()), "kim", {"KNIFE/20cm": 1})
        operations = [
            self.pb2.Operation(reserve=cart),
            self.pb2.Operation(release=self.pb2.ReleaseRequest(hold_id="nonsense")),
            self.pb2.Operation(release=self.pb2.ReleaseRequest(hold_id=cart.hold_id)),
        ]
        results = self.holds.Batch(self.pb2.BatchRequest(operations=operations), timeout=5).results
        kinds = [result.WhichOneof("result") for result in results]
        assert kinds == ["hold", "error", "hold"], results
        assert results[2].hold.state == self.pb2.HOLD_STATE_RELEASED

        self.step("stock is adjusted once for each id")
        before = self.drops.GetDrop(self.drop_pb2.GetDropRequest(drop_id=DROP), timeout=5).drop.items[0].stock
        change = self.drop_pb2.AdjustStockRequest(
            drop_id=DROP, sku="KNIFE/20cm", adjustment_id=str(uuid.uuid4()), delta=2
        )
        for _ in range(2):
            after = self.drops.AdjustStock(change, timeout=5).drop.items[0].stock
            assert after.received == before.received + 2, after

    def a_checkout(self):
        self.step("the checkout that the guide shows sells, gives back, and tells why not")

        def buy(customer, units, pay):
            hold_id = str(uuid.uuid4())
            wanted = self.cart(hold_id, customer, {"KNIFE/20cm": units})
            return checkout.buy(self.holds, self.pb2, hold_id, f"guide-{hold_id}", wanted, pay)

        assert buy("lea", 1, lambda: True).state == self.pb2.HOLD_STATE_CLAIMED
        assert buy("lea", 1, lambda: False).state == self.pb2.HOLD_STATE_RELEASED
        assert buy("lea", 2, lambda: True).reason == self.pb2.REFUSAL_REASON_LIMIT_REACHED

    def watching(self):
        """A watch of the drop while its stock and state change."""
        self.step("a watch shows the whole drop at once, and then what changes")
        watch = self.drops.WatchDrop(self.drop_pb2.WatchDropRequest(drop_id=DROP), timeout=10)
        first = next(watch)
        assert first.HasField("server_time") and first.drop.id == DROP
        received = first.drop.items[0].stock.received
        change = self.drop_pb2.AdjustStockRequest(
            drop_id=DROP, sku="KNIFE/20cm", adjustment_id=str(uuid.uuid4()), delta=3
        )
        self.drops.AdjustStock(change, timeout=5)
        now = first.drop
        while now.items[0].stock.received != received + 3:
            later = next(watch).drop
            assert later.as_of_lsn >= now.as_of_lsn, "never back"
            now = later
        self.drops.PauseDrop(self.drop_pb2.PauseDropRequest(drop_id=DROP), timeout=5)
        while now.state != self.drop_pb2.DROP_STATE_PAUSED:
            now = next(watch).drop
        self.drops.ResumeDrop(self.drop_pb2.ResumeDropRequest(drop_id=DROP), timeout=5)
        watch.cancel()
        unknown = self.drops.WatchDrop(self.drop_pb2.WatchDropRequest(drop_id="nowhere"), timeout=5)
        try:
            next(unknown)
            raise AssertionError("a watch of nothing")
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.NOT_FOUND, error

    def updating(self):
        """A change of the definition, seen by a watch."""
        self.step("a drop is watched, and a change of its definition shows; sent again it is the same answer")
        watch = self.drops.WatchDrop(self.drop_pb2.WatchDropRequest(drop_id=DROP), timeout=20)
        drop = next(watch).drop
        update = self.drop_pb2.UpdateDropRequest(drop=drop, revision=drop.revision)
        update.drop.title = "Knives that were renamed"
        update.update_mask.paths.append("title")
        changed = self.drops.UpdateDrop(update, timeout=5).drop
        assert changed.revision > drop.revision and len(changed.items) == len(drop.items), changed
        assert self.drops.UpdateDrop(update, timeout=5).drop.revision == changed.revision
        assert next(message for message in watch if message.drop.title == changed.title)
        watch.cancel()
        update.drop.title = "Others"
        assert status_of(self.drops.UpdateDrop, update).code() == grpc.StatusCode.ABORTED

    def steering(self):
        hold = self.reserved(self.cart(str(uuid.uuid4()), "ivy", {"KNIFE/20cm": 1}))
        wish = lambda: self.cart(str(uuid.uuid4()), "jan", {"KNIFE/20cm": 1})

        self.step("a pause stops reserves")
        paused = self.drops.PauseDrop(self.drop_pb2.PauseDropRequest(drop_id=DROP), timeout=5).drop
        assert paused.state == self.drop_pb2.DROP_STATE_PAUSED
        self.refused(self.holds.Reserve(wish(), timeout=5), "PAUSED")

        self.step("and its end lets them in again")
        resumed = self.drops.ResumeDrop(self.drop_pb2.ResumeDropRequest(drop_id=DROP), timeout=5).drop
        assert resumed.state == self.drop_pb2.DROP_STATE_OPEN and resumed.revision == paused.revision
        self.reserved(wish())

        self.step("a closed drop sells nothing new, but what is held is still claimed")
        closed = self.drops.CloseDrop(self.drop_pb2.CloseDropRequest(drop_id=DROP), timeout=5).drop
        assert closed.state == self.drop_pb2.DROP_STATE_CLOSED
        self.refused(self.holds.Reserve(wish(), timeout=5), "CLOSED")
        sold = self.holds.Claim(self.pb2.ClaimRequest(hold_id=hold.id, order_ref="late"), timeout=5).hold
        assert sold.state == self.pb2.HOLD_STATE_CLAIMED

    def following(self):
        """Reads all earlier events, and follows new ones."""
        event_pb2 = importlib.import_module("stockade.v1.event_pb2")
        events = importlib.import_module("stockade.v1.event_pb2_grpc").EventServiceStub(self.channel)
        everything = event_pb2.EventFilter(types=["*"], drop_id=DROP)

        self.step("events tell of all that was walked so far, each once, in the journal's order")
        asked = event_pb2.ReadEventsRequest(filter=everything, max_events=3, with_customers=True)
        messages = list(events.ReadEvents(asked, timeout=20))
        told = [event for message in messages for event in message.events]
        assert len({event.id for event in told}) == len(told) > 20, len(told)
        assert [event.lsn for event in told] == sorted(event.lsn for event in told)
        types = [event.type.removeprefix("stockade.") for event in told]
        assert types[:2] == ["drop.created", "drop.opened"] and types[2] == "hold.created", types
        walked = "hold.paying hold.claimed hold.released hold.expired drop.updated drop.closed"
        assert set(walked.split()) <= set(types), types
        expired = told[types.index("hold.expired")]
        assert expired.scheduled_for == expired.hold.expires_at and expired.hold.customer_id == "gil", expired
        assert messages[-1].read_to == messages[-1].durable_to

        self.step("who goes on from a cursor misses nothing, and who follows is told what comes")
        rest = event_pb2.ReadEventsRequest(after=told[4].cursor, filter=everything, with_customers=True)
        again = [event for message in events.ReadEvents(rest, timeout=20) for event in message.events]
        assert again == told[5:], "the same events"
        follow = event_pb2.ReadEventsRequest(from_now=True, follow=True, filter=event_pb2.EventFilter(types=["hold.*"]))
        stream = events.ReadEvents(follow, timeout=20)
        assert not next(stream).events, "where it is, at once"
        sold = next(event.hold for event in told if event.type.endswith("hold.claimed"))
        back = self.pb2.ReturnUnitsRequest(hold_id=self.newest_sale(told), restock=True)
        self.holds.ReturnUnits(back, timeout=5)
        returned = next(event for message in stream for event in message.events)
        assert returned.type == "stockade.hold.returned" and returned.was == self.pb2.HOLD_STATE_CLAIMED, returned
        assert not returned.hold.customer_id and sold.customer_id, "customers are for who asks for them"
        stream.cancel()
        error = status_of(events.ListEvents, event_pb2.ListEventsRequest(after="nonsense", filter=everything))
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT and set(violations(error)) == {"after"}, error

    @staticmethod
    def newest_sale(events):
        """The hold that was claimed last."""
        return [event.hold.id for event in events if event.type.endswith("hold.claimed")][-1]

    def surroundings(self):
        self.step("standard health: the server and each service serve")
        health = health_pb2_grpc.HealthStub(self.channel)
        for service in ("", "stockade.v1.ReservationService", "stockade.v1.DropService", "stockade.v1.EventService"):
            answer = health.Check(health_pb2.HealthCheckRequest(service=service), timeout=5)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING, service
        unknown = status_of(health.Check, health_pb2.HealthCheckRequest(service="stockade.v1.Nope"))
        assert unknown.code() == grpc.StatusCode.NOT_FOUND

        self.step("reflection: the services and every message of the contract are found")
        reflection = ProtoReflectionDescriptorDatabase(self.channel)
        services = set(reflection.get_services())
        parts = ("Admin", "Admission", "Drop", "Event", "Insight", "Reservation", "Series", "Storefront")
        contract = {f"stockade.v1.{part}Service" for part in parts}
        assert contract | {"grpc.health.v1.Health"} <= services, services
        pool = DescriptorPool(reflection)
        for module, service in ((self.pb2, "ReservationService"), (self.drop_pb2, "DropService")):
            ours = module.DESCRIPTOR.services_by_name[service]
            theirs = pool.FindServiceByName(ours.full_name)
            methods = lambda found: [(m.name, m.input_type.full_name, m.output_type.full_name) for m in found.methods]
            assert methods(theirs) == methods(ours), service

        self.step("the caller's request id comes back")
        request = self.drop_pb2.GetDropRequest(drop_id=DROP)
        _, call = self.drops.GetDrop.with_call(request, metadata=[("x-request-id", "walk-1")], timeout=5)
        assert ("x-request-id", "walk-1") in [tuple(pair) for pair in call.initial_metadata()], call.initial_metadata()

        self.step("metrics: both formats, every call counted, and the books balance")
        assert self.server.page("/healthz")[0] == 200 and self.server.page("/readyz")[0] == 200
        _, kind, page = self.server.page("/metrics")
        assert kind.startswith("text/plain; version=0.0.4"), kind
        samples = dict(line.rsplit(" ", 1) for line in page.splitlines() if not line.startswith("#"))
        assert samples["stockade_conservation_error_units"] == "0" and samples["stockade_ready"] == "1"
        assert samples['stockade_rpcs_total{method="Reserve",code="OK"}'] != "0"
        assert samples['stockade_rpcs_total{method="Reserve",code="INVALID_ARGUMENT"}'] == "2"
        assert samples[f'stockade_refusals_total{{drop="{DROP}",reason="sold_out"}}'] == "1"
        assert samples['stockade_hold_transitions_total{to="expired"}'] == "1"
        _, kind, page = self.server.page("/metrics", accept="application/openmetrics-text; version=1.0.0")
        assert kind.startswith("application/openmetrics-text") and page.endswith("# EOF\n"), kind

    def all(self):
        """Runs all steps."""
        self.the_drop()
        hold = self.a_hold()
        self.refusals()
        self.to_the_sale(hold)
        self.to_the_end()
        self.bad_requests()
        self.not_built()
        self.lists_and_batches()
        self.a_checkout()
        self.watching()
        self.updating()
        self.steering()
        self.following()
        self.surroundings()

        self.step("the server is told to stop, and ends well")
        self.channel.close()
        code = self.server.stop()
        assert code == 0, code


def main():
    binary = pathlib.Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else newest_binary()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        stubs = folder / "stubs"
        stubs.mkdir()
        make_stubs(stubs)
        server = Server(binary, folder / "data")
        try:
            walk = Walk(server)
            walk.all()
        finally:
            server.kill()
    print(f"all {walk.steps} steps are as the contract says")


if __name__ == "__main__":
    main()
