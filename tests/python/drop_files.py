#!/usr/bin/env python3
"""Checks the same drop files with the published JSON Schema and with the binary's own parser.

Takes the binary as its first argument. Both must accept or refuse the examples and every document below, as stated
here. Documents are read as YAML 1.2, as editors read them. Needs the packages of requirements.txt in this folder.
"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile

import jsonschema
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
SMALLEST = "kind: Drop\nid: knife\nitems: [{sku: K, quantity: 3}]\n"
LIMITED = SMALLEST + "limits: [{id: two, scope: drop, max_units: 2}]\n"


def pooled(parts):
    """The smallest drop with a pool of these parts."""
    return SMALLEST.replace("quantity: 3", f"quantity: 3, pools: [{{id: p, {parts}}}, {{id: q}}]")


# The binary's exit codes for a faulty file, and for a valid one when no server answers.
USAGE, UNREACHED = 64, 69

GOOD = {
    "the smallest": SMALLEST,
    "as JSON": '{"kind": "Drop", "id": "x", "items": [{"sku": "K", "quantity": 3}]}',
    "no items yet": SMALLEST.replace("[{sku: K, quantity: 3}]", "[]"),
    "an id of digits": SMALLEST.replace("id: knife", "id: 1204"),
    "a title that is a truth value": SMALLEST + "title: true\n",
    "all words": SMALLEST + "title: T\nshop: s\nlabels: {season: winter, year: 2026}\n",
    "a quantity with underscores": SMALLEST.replace("3}", "1_000_000}"),
    "a quantity in quotes": SMALLEST.replace("3}", '"3"}'),
    "a quantity with a sign": SMALLEST.replace("3}", "+3}"),
    "a quantity of nothing": SMALLEST.replace("3}", "0}"),
    "spans": SMALLEST + 'hold_ttl: 5m\nmax_hold_life: 1h 30m\npayment_ttl: "1.5h"\n',
    "a span of nothing": SMALLEST + "hold_ttl: 0\n",
    "times": SMALLEST + "opens_at: 2026-12-04T18:00:00+01:00\ncloses_at: 2026-12-04T19:00:00.5Z\n",
    "words instead of times": SMALLEST + "opens_at: now\ncloses_at: never\n",
    "a time without seconds": SMALLEST + "opens_at: 2026-12-04 18:00+01:00\n",
    "left empty": SMALLEST + "opens_at:\ncloses_at: ~\nhold_ttl: null\n",
    "a limit": LIMITED,
    "a limit without a number": LIMITED.replace(", max_units: 2", ""),
    "a limit of each item": LIMITED.replace("scope: drop", "scope: item"),
    "a limit of none": LIMITED.replace("max_units: 2", "max_units: 0, identity_kind: customer"),
    "a limit of a series": "series: winter\n" + LIMITED.replace("scope: drop", "scope: series"),
    "a limit of a shop": LIMITED.replace("scope: drop", "scope: shop"),
    "a limit of all parts": LIMITED.replace(
        "max_units: 2",
        "skus: [K], identity_kind: card, max_units_by_tier: {gold: 4}, max_live_units: 3, max_live_holds: 1, "
        "rolling: 30 days, cooldown: 500ms, max_units: 2",
    ),
    "a limit with parts left empty": LIMITED.replace("max_units: 2", "rolling: ~, cooldown: null, max_live_units: ~"),
    "no limits": SMALLEST + "limits: []\n",
    "no rules": SMALLEST + "windows: []\nterms: []\ntranches: []\nconduct: []\nzones: []\n",
    "surroundings": SMALLEST + "time_zone: Europe/Berlin\nlocation: Hall 3\nzones: [mitte]\nslot_required: true\n",
    "a flag in quotes": SMALLEST + 'slot_required: "False"\n',
    "pools of all parts": pooled(
        "share: 12.5%, audience: {tiers: [member], zones: []}, place: Hall 3, "
        "flows: [{to: q}, {to: q, when: {after_open: 10m}}, {to: q, when: {sold: 90 %, sku: K, pool: q}}]"
    ),
    "a pool of units": pooled("units: 1_000"),
    "a slot": SMALLEST.replace(
        "quantity: 3",
        "quantity: 3, kind: slot, slot: {place: Hall, starts: {local: {time: 18:00}}, "
        'ends: {local: {days_after_open: -1, time: "18:30:15"}}}',
    ),
    "amounts": SMALLEST.replace(
        "quantity: 3", "quantity: 3, price_floor: 12.50 EUR, unit_cost: {currency_code: EUR, minor_units: 1_250}"
    ),
    "a window of all parts": SMALLEST
    + "windows: [{id: w, audience: {tiers: [a]}, skus: [K], pools: [general], starts: {after_open: 0}, "
    "ends: {before_close: 5m}, hold_ttl: 1m}]\n",
    "terms of all parts": SMALLEST
    + "terms: [{id: t, audience: ~, skus: [K], pools: [general], starts: {at: 2026-12-04T18:00:00Z}, ends: ~, "
    "price: 10 EUR, steps: [{when: {free_at_most: 5}, price: 12 EUR}, {when: {taken: 50%}, price: 13 EUR}]}]\n",
    "conduct of all parts": SMALLEST
    + "conduct: [{id: c, identity_kind: card, counts: returns, at_least: 3, within: 90d, audience: {tiers: [a]}, "
    "hold_ttl: 90s, max_live_units: 1, max_units: 0, cooldown: 1m}]\n",
    "conduct by facts": SMALLEST
    + "conduct: [{id: c, counts: cancellations, at_least: 2, within: 400d, max_units: 1}, "
    "{id: d, counts: chargebacks, at_least: 1, within: 400d, max_units: 0}]\n",
    "a tranche": SMALLEST + "tranches: [{id: t, sku: K, pool: general, units: 3, when: {after_open: 1h}}]\n",
}

BAD = {
    "a list": "[1]",
    "a word": "knife",
    "without kind": SMALLEST.replace("kind: Drop\n", ""),
    "another kind": SMALLEST.replace("Drop", "Sale"),
    "without id": SMALLEST.replace("id: knife\n", ""),
    "without items": SMALLEST.replace("items: [{sku: K, quantity: 3}]\n", ""),
    "items left empty": SMALLEST.replace("[{sku: K, quantity: 3}]", ""),
    "an item that is a word": SMALLEST.replace("[{sku: K, quantity: 3}]", "[K]"),
    "an item without sku": SMALLEST.replace("sku: K, ", ""),
    "an item without quantity": SMALLEST.replace(", quantity: 3", ""),
    "an unknown key": SMALLEST + "colour: red\n",
    "an unknown key of an item": SMALLEST.replace("{sku", "{price: 3, sku"),
    "an unknown key of a limit": LIMITED.replace("{id", "{most: 3, id"),
    "what is not built": SMALLEST + "waitlist: {}\n",
    "a signal without a trigger": SMALLEST + "signals: [{id: s}]\n",
    "a signal of two triggers": SMALLEST + 'signals: [{id: s, "on": {sold: 1%, after_open: 1m}}]\n',
    "an unknown key of a signal": SMALLEST + 'signals: [{id: s, "on": {sold: 1%}, price: 3}]\n',
    "a band without its name": SMALLEST + "scarcity: {bands: [{min_free: 1%}]}\n",
    "a band by units": SMALLEST + "scarcity: {bands: [{id: few, min_free: 3}]}\n",
    "an amount without a currency": SMALLEST.replace("quantity: 3", "quantity: 3, unit_cost: {minor_units: 1}"),
    "an amount that is a number": SMALLEST.replace("quantity: 3", "quantity: 3, price_floor: 12.5"),
    "an amount below zero": SMALLEST.replace("quantity: 3", "quantity: 3, price_floor: -12.50 EUR"),
    "a kind that there is not": SMALLEST.replace("quantity: 3", "quantity: 3, kind: ticket"),
    "a slot without an end": SMALLEST.replace("quantity: 3", "quantity: 3, slot: {starts: {after_open: 1m}}"),
    "a pool of two sizes": pooled("units: 1, share: 1%"),
    "a share without its sign": pooled("share: 12"),
    "a share of three digits": pooled("share: 1.125%"),
    "a flow to nowhere": pooled("flows: [{when: {sold: 1%}}]"),
    "a trigger of nothing": pooled("flows: [{to: q, when: {}}]"),
    "a trigger of two": pooled("flows: [{to: q, when: {sold: 1%, taken: 1%}}]"),
    "a trigger of a moment and a sku": pooled("flows: [{to: q, when: {after_open: 1m, sku: K}}]"),
    "a moment of two": SMALLEST + "windows: [{id: w, starts: {after_open: 1m, before_close: 1m}}]\n",
    "a moment of nothing": SMALLEST + "windows: [{id: w, starts: {}}]\n",
    "a moment that is a time": SMALLEST + "windows: [{id: w, starts: 2026-12-04T18:00:00Z}]\n",
    "a local time without a time": SMALLEST + "windows: [{id: w, starts: {local: {days_after_open: 1}}}]\n",
    "a window without id": SMALLEST + "windows: [{audience: {tiers: [a]}}]\n",
    "terms without a price": SMALLEST + "terms: [{id: t}]\n",
    "a step without a trigger": SMALLEST + "terms: [{id: t, price: 1 EUR, steps: [{price: 2 EUR}]}]\n",
    "a tranche without units": SMALLEST + "tranches: [{id: t, sku: K, when: {sold: 1%}}]\n",
    "conduct that nobody counts": SMALLEST
    + "conduct: [{id: c, counts: manners, at_least: 1, within: 1h, max_units: 1}]\n",
    "conduct without a time": SMALLEST + "conduct: [{id: c, counts: returns, at_least: 1, max_units: 1}]\n",
    "a flag in words": SMALLEST + "slot_required: perhaps\n",
    "windows left empty": SMALLEST + "windows:\n",
    "a title left empty": SMALLEST + "title:\n",
    "a title that is a list": SMALLEST + "title: [a]\n",
    "labels that are a list": SMALLEST + "labels: [a]\n",
    "a label left empty": SMALLEST + "labels: {a: null}\n",
    "a quantity below zero": SMALLEST.replace("3}", "-1}"),
    "half a quantity": SMALLEST.replace("3}", "1.5}"),
    "a quantity in words": SMALLEST.replace("3}", "many}"),
    "a quantity left empty": SMALLEST.replace("3}", "~}"),
    "a quantity that is a truth value": SMALLEST.replace("3}", "true}"),
    "a quantity over all bounds": SMALLEST.replace("3}", "99999999999999999999999}"),
    "a span without a unit": SMALLEST + "hold_ttl: 300\n",
    "a span in words": SMALLEST + "hold_ttl: soon\n",
    "a span below zero": SMALLEST + "hold_ttl: -5m\n",
    "a span with a gap": SMALLEST + "hold_ttl: 1.m\n",
    "a time without an offset": SMALLEST + "opens_at: 2026-12-04T18:00:00\n",
    "a day": SMALLEST + "opens_at: 2026-12-04\n",
    "a time in words": SMALLEST + "closes_at: tomorrow\n",
    "the word of another key": SMALLEST + "closes_at: now\n",
    "limits left empty": SMALLEST + "limits:\n",
    "a limit without id": LIMITED.replace("id: two, ", ""),
    "a limit without scope": LIMITED.replace("scope: drop, ", ""),
    "an unknown scope": LIMITED.replace("scope: drop", "scope: galaxy"),
    "more than a limit may be": LIMITED.replace("max_units: 2", "max_units: 4294967296"),
    "goods that are a word": LIMITED.replace("max_units: 2", "skus: K"),
    "a tier without a number": LIMITED.replace("max_units: 2", "max_units_by_tier: {gold: ~}"),
    "a rolling limit in words": LIMITED.replace("max_units: 2", "rolling: monthly"),
    "live holds below zero": LIMITED.replace("max_units: 2", "max_live_holds: -1"),
    "a limit in words": LIMITED.replace("max_units: 2", "max_units: two"),
}


class Core(yaml.SafeLoader):
    """YAML 1.2's core schema: no times, no `yes`, underscores are no digits."""


Core.yaml_implicit_resolvers = {}
for kind, pattern, first in [
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+0123456789.")),
]:
    Core.add_implicit_resolver(f"tag:yaml.org,2002:{kind}", re.compile(f"^(?:{pattern})$"), first)


def kind_of(text):
    """Whether a file is of a drop or of a series."""
    return "series" if re.search(r"^kind: Series$", text, re.MULTILINE) else "drop"


def published(binary, kind):
    """The validator of the files of a kind: printed and published must be the same."""
    printed = subprocess.run([binary, kind, "schema"], stdout=subprocess.PIPE, check=True, text=True).stdout
    assert printed == (ROOT / "docs" / f"{kind}.schema.json").read_text(), "printed and published differ"
    schema = json.loads(printed)
    jsonschema.Draft7Validator.check_schema(schema)
    return jsonschema.Draft7Validator(schema)


def main():
    binary = pathlib.Path(sys.argv[1]).resolve()
    validators = {kind: published(binary, kind) for kind in ("drop", "series")}

    def accepted_by_parser(text, kind):
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write(text)
            file.flush()
            words = [kind, "apply", file.name, "--dry-run", "--endpoint", "http://127.0.0.1:1"]
            ended = subprocess.run([binary, *words], stderr=subprocess.PIPE, text=True)
        assert ended.returncode in (USAGE, UNREACHED), ended
        return ended.returncode == UNREACHED

    examples = sorted((ROOT / "examples").glob("*.yaml"))
    assert examples, "no example"
    documents = [(path.name, path.read_text(), True) for path in examples]
    documents += [(name, text, True) for name, text in GOOD.items()]
    documents += [(name, text, False) for name, text in BAD.items()]
    for name, text, good in documents:
        kind = kind_of(text)
        faults = [fault.message for fault in validators[kind].iter_errors(yaml.load(text, Core))]
        by_schema, by_parser = not faults, accepted_by_parser(text, kind)
        assert (by_schema, by_parser) == (good, good), f"{name}: schema {faults}, parser {by_parser}, wanted {good}\n{text}"
    for path in examples:
        text = path.read_text()
        head = text.splitlines()[0]
        named = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", head)
        schema = ROOT / "docs" / f"{kind_of(text)}.schema.json"
        assert named and (path.parent / named[1]).resolve() == schema, f"{path.name}: {head}"
    print(f"{len(documents)} files are judged alike by schema and parser")


if __name__ == "__main__":
    main()
