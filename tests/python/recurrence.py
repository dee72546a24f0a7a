#!/usr/bin/env python3
"""Compares the occurrences that the server gives for random rules with those that dateutil gives.

Takes the binary as its first argument, and a seed as its second, if one is to be played again. Needs the packages of
requirements.txt in this folder.
"""

import datetime
import pathlib
import random
import sys
import tempfile
import zoneinfo

import grpc
from dateutil import rrule

from life_of_a_hold import Server, make_stubs, violations

CASES = 100
COUNT = 40
# How far ahead rules are compared: dateutil takes long for rules that rarely come.
YEARS = 8
ZONES = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC", "Asia/Kathmandu"]
DAYS = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"]


def some(dice, choices, most):
    return dice.sample(choices, dice.randint(1, min(most, len(choices))))


def random_rule(dice, start):
    """A rule that the contract allows."""
    frequency = dice.choice(["DAILY", "WEEKLY", "MONTHLY", "YEARLY"])
    parts = {"FREQ": frequency, "INTERVAL": str(dice.choice([1, 1, 1, 2, 3, 5]))}
    coarse = frequency in ("MONTHLY", "YEARLY")
    if dice.random() < 0.3:
        parts["BYMONTH"] = ",".join(map(str, some(dice, range(1, 13), 5)))
    if dice.random() < 0.5:
        days = some(dice, DAYS, 4)
        if coarse and dice.random() < 0.5:
            # dateutil fails where a day's number is larger than there can be.
            most = 52 if frequency == "YEARLY" and "BYMONTH" not in parts else 5
            days = [f"{dice.choice([-1, 1]) * dice.randint(1, most)}{day}" for day in days]
        parts["BYDAY"] = ",".join(days)
    if frequency != "WEEKLY" and dice.random() < 0.4:
        days = [day for day in range(-31, 32) if day]
        parts["BYMONTHDAY"] = ",".join(map(str, some(dice, days, 5)))
    if dice.random() < 0.3 and parts.keys() & {"BYDAY", "BYMONTHDAY", "BYMONTH"}:
        places = [place for place in range(-6, 7) if place]
        parts["BYSETPOS"] = ",".join(map(str, some(dice, places, 3)))
    if dice.random() < 0.3:
        parts["WKST"] = dice.choice(DAYS)
    if dice.random() < 0.3:
        parts["COUNT"] = str(dice.randint(1, 30))
    elif dice.random() < 0.3:
        until = start + datetime.timedelta(days=dice.randint(0, 2_000))
        parts["UNTIL"] = until.strftime("%Y%m%dT%H%M%S")
    return ";".join(f"{name}={value}" for name, value in parts.items())


def random_series(dice):
    start = datetime.datetime(2026, 1, 1) + datetime.timedelta(days=dice.randint(0, 1_500), minutes=30 * dice.randint(0, 47))
    lines = [f"RRULE:{random_rule(dice, start)}"]
    dates = [start + datetime.timedelta(days=dice.randint(0, 300)) for _ in range(dice.choice([0, 0, 2]))]
    if dates:
        lines.append("RDATE:" + ",".join(at.strftime("%Y%m%dT%H%M%S") for at in dates))
    return start, lines, dice.choice(ZONES)


def ending(rule, start, years):
    """A rule that ends so many years after a time, if not before. What COUNT leaves out is left out later."""
    last = start.replace(year=start.year + years, day=1)
    return rule.replace(until=min(last, rule._until or last))


def expected(start, lines, from_local):
    """What dateutil gives within some years; none for a rule that does not come within them."""
    rules = rrule.rruleset()
    never = True
    for line in lines:
        name, value = line.split(":", 1)
        if name == "RRULE":
            rule = rrule.rrulestr(value, dtstart=start)
            # Without an end dateutil goes on to the year 9999.
            never = next(iter(ending(rule, start, YEARS)), None) is None
            rules.rrule(ending(rule, from_local, YEARS))
        elif name == "RDATE":
            for at in value.split(","):
                rules.rdate(datetime.datetime.strptime(at, "%Y%m%dT%H%M%S"))
    if never:
        return None
    found = []
    for at in rules.xafter(from_local, inc=True):
        if len(found) == COUNT or at.year >= from_local.year + YEARS:
            break
        found.append(at)
    return found


def instant(local, zone):
    """The instant of a local time: moved on by a gap, the first of two."""
    at = local.replace(tzinfo=zoneinfo.ZoneInfo(zone), fold=0)
    return at.astimezone(datetime.timezone.utc)


def main():
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(1 << 32)
    dice = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        make_stubs(folder)
        from stockade.v1 import drop_pb2, series_pb2, series_pb2_grpc

        server = Server(sys.argv[1], pathlib.Path(folder) / "data")
        try:
            stub = series_pb2_grpc.SeriesServiceStub(grpc.insecure_channel(server.grpc))
            template = drop_pb2.Drop(items=[drop_pb2.Item(sku="K", quantity=1)])
            compared = sum(compare(dice, stub, series_pb2, template, seed) for _ in range(CASES))
        finally:
            server.kill()
    assert compared > CASES // 2, f"only {compared} rules gave anything"
    print(f"{compared} of {CASES} rules compared, seed {seed}")


def compare(dice, stub, series_pb2, template, seed):
    start, lines, zone = random_series(dice)
    from_local = start + datetime.timedelta(days=dice.choice([0, 0, 100, 3_000]))
    wanted = expected(start, lines, from_local)
    series = series_pb2.Series(
        id="s", time_zone=zone, starts_at=start.strftime("%Y-%m-%dT%H:%M:%S"), rules=lines, template=template
    )
    request = series_pb2.PreviewSeriesRequest(series=series, count=COUNT)
    getattr(request, "from").FromDatetime(instant(from_local, zone).replace(tzinfo=None))
    what = f"seed {seed}: {start} {lines} in {zone} from {from_local}"
    try:
        answer = stub.PreviewSeries(request)
    except grpc.RpcError as error:
        assert wanted is None and "never comes" in str(violations(error)), f"{what}: {error}"
        return 0
    if wanted is None:
        return 0
    given = list(answer.occurrences)[: len(wanted)]
    locals_given = [of.local_time for of in given]
    assert locals_given == [f"{at:%Y-%m-%dT%H:%M:%S}[{zone}]" for at in wanted], f"{what}: {locals_given} {wanted}"
    for of, at in zip(given, wanted):
        is_at = of.opens_at.ToDatetime().replace(tzinfo=datetime.timezone.utc)
        assert is_at == instant(at, zone), f"{what}: {of} {at}"
    return 1


if __name__ == "__main__":
    main()
