#!/usr/bin/env python3
"""Reads the calendar of the public listener with foreign libraries: icalendar and recurring-ical-events.

Takes the binary as its first argument. Needs the packages of requirements.txt in this folder.
"""

import datetime
import importlib
import pathlib
import sys
import tempfile
import urllib.request

import grpc
import icalendar
import recurring_ical_events

from life_of_a_hold import Server, make_stubs

UTC = datetime.timezone.utc
TITLE = "Größe; \"zwanzig\", \\ 👩‍🍳 und ein Titel, der länger ist als eine Zeile des Kalenders sein darf, nämlich 75 Bytes"


def fetched(server, query=""):
    """The calendar as text."""
    with urllib.request.urlopen(f"http://{server.public}/calendar.ics{query}", timeout=5) as answer:
        assert answer.headers["content-type"] == "text/calendar; charset=utf-8"
        return answer.read()


def events(text):
    """Its events by UID."""
    calendar = icalendar.Calendar.from_ical(text)
    assert calendar["VERSION"] == "2.0" and calendar["PRODID"]
    assert not calendar.errors, calendar.errors
    for event in calendar.walk("VEVENT"):
        assert not event.errors, event.errors
    return {str(event["UID"]): event for event in calendar.walk("VEVENT")}


def main(binary):
    """Walks through the calendar."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        make_stubs(folder)
        drop_pb2 = importlib.import_module("stockade.v1.drop_pb2")
        drop_grpc = importlib.import_module("stockade.v1.drop_pb2_grpc")
        flags = ["--public", "127.0.0.1:0", "--public-url", "https://drops.example"]
        server = Server(binary, folder / "data", flags=flags)
        try:
            drops = drop_grpc.DropServiceStub(grpc.insecure_channel(server.grpc))
            opens = datetime.datetime.now(UTC).replace(microsecond=0) + datetime.timedelta(days=20)

            def create(drop_id, **changes):
                drop = drop_pb2.Drop(id=drop_id, title=TITLE, location="Hof 2; hinten", time_zone="Europe/Berlin", **changes)
                drop.items.add(sku="KNIFE", quantity=10)
                drop.opens_at.FromDatetime(opens)
                drop.closes_at.FromDatetime(opens + datetime.timedelta(hours=2))
                early = drop.windows.add(id="early", audience=drop_pb2.Audience(tiers=["gold"]))
                early.ends.after_open.FromSeconds(1800)
                drop.windows.add(id="all").starts.after_open.FromSeconds(1800)
                return drops.CreateDrop(drop_pb2.CreateDropRequest(drop=drop), timeout=5).drop

            made = create("knife")
            create("off", labels={"public.buy_url": "https://shop.example/k?a=1,2;b"})
            drops.CloseDrop(drop_pb2.CloseDropRequest(drop_id="off"), timeout=5)

            text = fetched(server)
            assert all(len(line) <= 75 for line in text.split(b"\r\n")), "lines are folded"
            found = events(text)
            print(sorted(found))
            assert set(found) == {f"{uid}@default.stockade" for uid in ("knife", "knife.all", "off", "off.all")}
            knife, off = found["knife@default.stockade"], found["off@default.stockade"]
            assert knife["SUMMARY"] == TITLE, knife["SUMMARY"]
            assert knife["LOCATION"] == "Hof 2; hinten" and knife["URL"] == "https://drops.example/drops/knife"
            assert knife.start == opens and knife.end == opens + datetime.timedelta(hours=2)
            assert knife["DTSTAMP"].dt.tzinfo is not None and knife["SEQUENCE"] == 0 and knife["STATUS"] == "CONFIRMED"
            assert off["STATUS"] == "CANCELLED" and off["SEQUENCE"] == 1 and off["URL"] == "https://shop.example/k?a=1,2;b"
            gold = events(fetched(server, "?tier=gold"))["knife.early@default.stockade"]
            assert gold.start == opens and gold.end == opens + datetime.timedelta(minutes=30)

            between = recurring_ical_events.of(icalendar.Calendar.from_ical(text)).between(opens, opens + datetime.timedelta(hours=3))
            assert sorted(str(event["UID"]) for event in between if event["STATUS"] == "CONFIRMED") == [
                "knife.all@default.stockade",
                "knife@default.stockade",
            ], between

            # A drop that moves keeps its UID and has a higher sequence number.
            later = opens + datetime.timedelta(days=1)
            made.opens_at.FromDatetime(later)
            made.closes_at.FromDatetime(later + datetime.timedelta(hours=2))
            request = drop_pb2.UpdateDropRequest(drop=made, revision=made.revision)
            request.update_mask.paths.extend(["opens_at", "closes_at"])
            drops.UpdateDrop(request, timeout=5)
            moved = events(fetched(server))["knife@default.stockade"]
            assert moved["SEQUENCE"] == 1 and moved.start == later, moved
            assert moved["DTSTAMP"].dt >= knife["DTSTAMP"].dt
            assert server.stop() == 0
        finally:
            server.kill()
    print("the calendar is read as it was written")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]).resolve())
