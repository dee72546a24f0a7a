#!/usr/bin/env python3
"""Computes the figures of a drop's report anew, from events and answers alone, and compares them with the server's.

A drop with members, prices, a limit and a herd is sold; the server is killed and started again in the middle. The report
must be the same afterwards, once it is recorded, and after another start; returns and facts change what came afterwards.

Takes the binary as its first argument, and a seed as its second, if one is to be played again. Needs the packages of
requirements.txt in this folder.
"""

import collections
import importlib
import pathlib
import random
import statistics
import sys
import tempfile
import time
import urllib.request
import uuid

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from life_of_a_hold import Server, make_stubs, seconds

DROP = "knife-1204"
STOCK = 60
MEMBERS = 12
COST = 2_000
PRICES = {"gold": 4_500, "all": 5_000}


class Sale:
    """A server with a drop, and what its customers were answered."""

    def __init__(self, server, dice):
        self.pb2 = importlib.import_module("stockade.v1.reservation_pb2")
        self.drops_pb2 = importlib.import_module("stockade.v1.drop_pb2")
        self.events_pb2 = importlib.import_module("stockade.v1.event_pb2")
        self.insight_pb2 = importlib.import_module("stockade.v1.insight_pb2")
        self.dice = dice
        self.asked = []  # (customer, tier, units, reason or None)
        self.late_refused = 0
        self.connect(server)

    def connect(self, server):
        self.server = server
        channel = grpc.insecure_channel(server.grpc)
        stub = lambda name, service: getattr(importlib.import_module(f"stockade.v1.{name}_pb2_grpc"), service)(channel)
        self.holds = stub("reservation", "ReservationServiceStub")
        self.drops = stub("drop", "DropServiceStub")
        self.events_ = stub("event", "EventServiceStub")
        self.insight = stub("insight", "InsightServiceStub")

    def create(self, drop_id, quantity, rules):
        pb2 = self.drops_pb2
        money = lambda minor: pb2.Money(currency_code="EUR", minor_units=minor)
        gold = pb2.Audience(tiers=["gold"])
        item = pb2.Item(sku="KNIFE", quantity=quantity, unit_cost=money(COST))
        drop = pb2.Drop(id=drop_id, title="Knives", shop="kitchen", items=[item])
        drop.hold_ttl.FromSeconds(3)
        if rules:
            item = drop.items[0]
            item.pools.add(id="members", audience=gold, units=MEMBERS)
            item.pools.add(id="general")
            drop.windows.add(id="early", audience=gold)
            drop.windows.add(id="everyone")
            drop.terms.add(id="gold", audience=gold, price=money(PRICES["gold"]))
            drop.terms.add(id="all", price=money(PRICES["all"]))
            drop.limits.add(id="two-each", scope=pb2.LIMIT_SCOPE_DROP, max_units=2)
        self.drops.CreateDrop(pb2.CreateDropRequest(drop=drop), timeout=10)

    def reserve(self, drop_id, customer, tier, units, hold_id=None):
        """Asks once. Returns the hold's id if there is one."""
        hold_id = hold_id or str(uuid.UUID(int=self.dice.getrandbits(128), version=4))
        who = self.pb2.Customer(id=customer, tiers=[tier] if tier else [])
        lines = [self.pb2.Line(sku="KNIFE", quantity=units)]
        request = self.pb2.ReserveRequest(hold_id=hold_id, drop_id=drop_id, lines=lines, customer=who)
        answer = self.holds.Reserve(request, timeout=10)
        if drop_id == DROP:
            reason = answer.refusal.reason if answer.WhichOneof("outcome") == "refusal" else None
            self.asked.append((customer, tier, units, reason))
        return hold_id if answer.WhichOneof("outcome") == "hold" else None

    def claim(self, hold_id, late=False):
        policy = self.pb2.EXPIRED_POLICY_TAKE_FREE_STOCK if late else self.pb2.EXPIRED_POLICY_REFUSE
        request = self.pb2.ClaimRequest(hold_id=hold_id, order_ref=f"order-{hold_id}", expired_policy=policy)
        return self.holds.Claim(request, timeout=10).WhichOneof("outcome") == "hold"

    def herd(self, customers, first):
        """Customers who ask, some twice, some for more than they may have."""
        held = []
        for n in range(first, first + customers):
            tier = "gold" if self.dice.random() < 0.25 else ""
            units = self.dice.choice([1, 1, 2, 2, 3])
            hold_id = self.reserve(DROP, f"c{n}", tier, units)
            if hold_id:
                held.append(hold_id)
                if self.dice.random() < 0.3:
                    # The same again: it is not counted.
                    before = len(self.asked)
                    self.reserve(DROP, f"c{n}", tier, units, hold_id)
                    del self.asked[before:]
            elif self.dice.random() < 0.4:
                again = self.reserve(DROP, f"c{n}", tier, 1)
                held.extend([again] if again else [])
        return held

    def settle(self, held):
        """Most holds are claimed, some released, some left to expire; of these some are claimed late."""
        left = []
        for hold_id in held:
            choice = self.dice.random()
            if choice < 0.6:
                assert self.claim(hold_id)
            elif choice < 0.75:
                self.holds.Release(self.pb2.ReleaseRequest(hold_id=hold_id), timeout=10)
            else:
                left.append(hold_id)
        return left

    def events(self):
        """All events of the drop, from the oldest."""
        filter_ = self.events_pb2.EventFilter(types=["*"], drop_id=DROP)
        found, after = [], ""
        while True:
            request = self.events_pb2.ListEventsRequest(after=after, filter=filter_, page_size=1000, with_customers=True, with_stock=True)
            page = self.events_.ListEvents(request, timeout=10)
            found.extend(page.events)
            after = page.read_to
            if not page.events:
                return found

    def report(self):
        return self.insight.GetDropReport(self.insight_pb2.GetDropReportRequest(drop_id=DROP), timeout=30).report


def points(part, whole):
    """Basis points, rounded to the nearest."""
    return (part * 10_000 + whole // 2) // whole


def gini(amounts):
    """The population's Gini coefficient by its definition: mean absolute difference over twice the mean."""
    count, total = len(amounts), sum(amounts)
    return sum(abs(a - b) for a in amounts for b in amounts) / (2 * count * total)


class Computed:
    """The figures, from events."""

    def __init__(self, events):
        of = lambda kind: [event for event in events if event.type == f"stockade.hold.{kind}"]
        self.created = {event.hold.id: event for event in of("created")}
        self.claimed = {event.hold.id: event for event in of("claimed")}
        self.expired = {event.hold.id for event in of("expired")}
        released = {event.hold.id for event in of("released")} - set(self.claimed)
        opened = next(event for event in events if event.type == "stockade.drop.opened")
        self.opened = seconds(opened.scheduled_for) or seconds(opened.time)
        self.sold = {hold: sum(line.quantity for line in event.moved) for hold, event in self.claimed.items()}
        self.buyers = collections.Counter()
        for hold, event in self.claimed.items():
            self.buyers[event.hold.customer_id] += self.sold[hold]
        self.late = [hold for hold in self.claimed if hold in self.expired]
        given_up = len(self.expired) - len(self.late) + len(released)
        self.abandoned = points(given_up, given_up + len(self.claimed))

    def shares(self, key):
        """Units and buyers by a key of a claimed hold's line."""
        units, buyers = collections.Counter(), collections.defaultdict(set)
        for event in self.claimed.values():
            lines = {(line.pool, line.window, line.terms_id): line for line in event.hold.lines}
            for line, moved in zip(event.hold.lines, event.moved):
                name = key(event.hold, line)
                units[name] += moved.quantity
                buyers[name].add(event.hold.customer_id)
            assert lines
        return {name: (units[name], len(buyers[name])) for name in units if units[name]}

    def check_sale(self, report, returned):
        sold = sum(self.sold.values())
        assert (report.units_received, report.units_claimed, report.units_returned) == (STOCK, sold, returned), report
        assert report.sell_through == points(sold - returned, STOCK)
        assert (report.holds, report.holds_expired) == (len(self.created), len(self.expired)), report
        assert (report.late_claims, report.abandonment_rate) == (len(self.late), self.abandoned), report
        assert (report.buyers, report.orders) == (len(self.buyers), len(self.claimed))
        most = sorted(self.buyers.values(), reverse=True)
        assert report.top_1_percent_share == points(sum(most[: max(1, len(most) // 100)]), sold)
        assert abs(report.gini - 10_000 * gini(most)) <= 1, (report.gini, gini(most))
        took = [seconds(e.hold.claimed_at) - seconds(e.hold.created_at) for e in self.claimed.values()]
        median = seconds(report.median_time_to_claim)
        assert statistics.median_low(took) * 0.99 - 0.002 <= median <= statistics.median_high(took) * 1.01 + 0.002, median
        shown = lambda shares: {share.id: (share.units, share.buyers) for share in shares}
        assert shown(report.by_pool) == self.shares(lambda _hold, line: line.pool)
        assert shown(report.by_window) == self.shares(lambda _hold, line: line.window)
        money = {}
        for event in self.claimed.values():
            for line, moved in zip(event.hold.lines, event.moved):
                key = line.terms_id
                units, revenue = money.get(key, (0, 0))
                money[key] = (units + moved.quantity, revenue + moved.quantity * line.unit_price.minor_units)
        reported = {line.terms: (line.units, line.revenue.minor_units) for line in report.money}
        if returned == 0:
            assert reported == money, (reported, money)
            assert all(line.cost.minor_units == line.units * COST for line in report.money)

    def check_demand(self, report, asked):
        refused = collections.Counter(reason for _, _, _, reason in asked if reason is not None)
        assert (report.requests, report.refused) == (len(asked), sum(refused.values())), (report.requests, len(asked))
        assert sum(report.refused_by_reason.values()) == report.refused
        assert sorted(report.refused_by_reason.values()) == sorted(refused.values())
        assert report.units_asked == sum(units for _, _, units, _ in asked)
        customers = len({customer for customer, *_ in asked})
        assert abs(report.customers - customers) <= max(1, customers * 0.02), (report.customers, customers)
        mean = report.units_asked / report.requests
        assert abs(report.demand_to_stock - 10_000 * report.customers * mean / STOCK) <= 1


def check(sale, returned=0, demand=True):
    """Compares the report with what the events say. Returns it."""
    computed, report = Computed(sale.events()), sale.report()
    computed.check_sale(report, returned)
    if demand:
        computed.check_demand(report, sale.asked)
    return report


def wait_for_record(sale):
    """The report once its sale is over and it is recorded."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        if any(event.type == "stockade.report.ready" for event in sale.events()):
            return sale.report()
        time.sleep(0.2)
    raise AssertionError("no report was recorded")


def without_afterwards(report):
    """The figures that never change once they are recorded."""
    kept = type(report)()
    kept.CopyFrom(report)
    for name in ("return_rate", "cancellation_rate", "chargeback_rate", "nps", "nps_answers", "support_contact_rate"):
        kept.ClearField(name)
    return kept


def facts_change_what_came_afterwards(sale, orders):
    now = Timestamp()
    now.FromSeconds(int(time.time()))
    kinds = importlib.import_module("stockade.v1.insight_pb2")
    fact = lambda n, kind, value=0: kinds.Fact(
        id=f"fact-{n}", kind=kind, time=now, shop="kitchen", drop_id=DROP, order_ref=orders[n % len(orders)], value=value
    )
    facts = [fact(n, kinds.FACT_KIND_NPS, value) for n, value in enumerate([10, 9, 9, 7, 3])]
    facts += [fact(10 + n, kinds.FACT_KIND_CANCELLED) for n in range(2)] + [fact(20, kinds.FACT_KIND_CHARGEBACK)]
    facts += [fact(30 + n, kinds.FACT_KIND_SUPPORT_CONTACT) for n in range(3)]
    for known in (0, len(facts)):
        answer = sale.insight.RecordFacts(kinds.RecordFactsRequest(facts=facts), timeout=10)
        assert (answer.recorded, answer.known, len(answer.faults)) == (len(facts) - known, known, 0), answer
    report = sale.report()
    rates = (report.cancellation_rate, report.chargeback_rate, report.support_contact_rate)
    assert rates == tuple(points(count, len(orders)) for count in (2, 1, 3)), report
    assert (report.nps, report.nps_answers) == (40, 5), report


def main():
    binary = pathlib.Path(sys.argv[1])
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(1 << 32)
    print(f"seed {seed}", flush=True)
    dice = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        make_stubs(folder)
        data = folder / "data"
        server = Server(binary, data)
        try:
            sale = Sale(server, dice)
            # Some have bought in the shop before.
            sale.create("before", 10, rules=False)
            for n in range(0, 30, 3):
                hold_id = sale.reserve("before", f"c{n}", "", 1)
                assert sale.claim(hold_id)
            sale.create(DROP, STOCK, rules=True)
            left = sale.settle(sale.herd(25, 0))
            check(sale)
            # What was asked is recorded every five seconds: what is known by then outlasts a crash.
            time.sleep(7)
            server.kill()
            server = Server(binary, data)
            sale.connect(server)
            left += sale.settle(sale.herd(40, 25))
            time.sleep(4)
            for hold_id in left[::2]:
                if not sale.claim(hold_id, late=True):
                    sale.late_refused += 1
            time.sleep(11)
            report = check(sale, demand=False)
            assert report.late_claims_refused == sale.late_refused or not report.HasField("late_claims_refused")
            sale.drops.CloseDrop(sale.drops_pb2.CloseDropRequest(drop_id=DROP), timeout=10)
            recorded = wait_for_record(sale)
            assert recorded.sale_over
            report = check(sale, demand=recorded.HasField("requests"))
            before = sum(f"c{n}" in Computed(sale.events()).buyers for n in range(0, 30, 3))
            assert report.repeat_fraction == points(before, report.buyers), (report.repeat_fraction, before)
            lines = urllib.request.urlopen(f"http://{server.http}/v1/reports/{DROP}.csv", timeout=5).read().decode()
            assert f"{DROP},sale,units_claimed,,count,{report.units_claimed}" in lines, lines
            page = urllib.request.urlopen(f"http://{server.http}/reports/{DROP}", timeout=5).read().decode()
            assert DROP in page and "<script" not in page
            orders = [f"order-{hold}" for hold in Computed(sale.events()).claimed]
            facts_change_what_came_afterwards(sale, orders)
            hold_id = next(iter(Computed(sale.events()).claimed))
            sale.holds.ReturnUnits(sale.pb2.ReturnUnitsRequest(hold_id=hold_id), timeout=10)
            returned = Computed(sale.events()).sold[hold_id]
            report = sale.report()
            assert report.return_rate == points(returned, report.units_claimed) and report.units_returned == 0
            server.kill()
            server = Server(binary, data)
            sale.connect(server)
            assert sale.report() == report, "the report is another after a start"
            assert without_afterwards(report) == without_afterwards(recorded)
            assert server.stop() == 0
        finally:
            server.kill()
    print("the report is what the events say", flush=True)


if __name__ == "__main__":
    main()
