// Calls a running server by the Connect protocol, with the library of its authors, and has the server's OpenAPI and
// AsyncAPI documents judged: AsyncAPI here, OpenAPI by Python.
//
// Takes the binary as its argument. Exits with 0 if every step follows the contract; the first one that does not ends
// it with a trace.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { resolve } from "node:path";
import { Parser } from "@asyncapi/parser";
import { createFileRegistry, DescService, fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient, Transport } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { Server } from "./server";

const DROP = "knife-1204";
const KNIFE = "KNIFE/20cm";

// The services are made from the descriptors of the binary, so their messages have no types here.
type Calls = Record<"createDrop" | "getDrop" | "reserve" | "claim", (request: object, options?: object) => Promise<any>>;

function services(binary: string) {
  const bytes = execFileSync(binary, ["descriptors"], { maxBuffer: 1 << 24 });
  const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, bytes));
  const named = (name: string): DescService => {
    const service = registry.getService(`stockade.v1.${name}Service`);
    assert.ok(service, `${name}Service is in the descriptors`);
    return service;
  };
  const over = (transport: Transport) => ({
    holds: createClient(named("Reservation"), transport) as unknown as Calls,
    drops: createClient(named("Drop"), transport) as unknown as Calls,
  });
  return over;
}

async function failed(call: Promise<unknown>, code: Code): Promise<ConnectError> {
  const error = await call.then(() => undefined, (error: unknown) => error);
  assert.ok(error instanceof ConnectError, `an error was expected: ${error}`);
  assert.equal(error.code, code, error.message);
  return error;
}

async function walk(over: ReturnType<typeof services>, baseUrl: string, useBinaryFormat: boolean) {
  const drop = `${DROP}-${useBinaryFormat}`;
  const { holds, drops } = over(createConnectTransport({ baseUrl, httpVersion: "1.1", useBinaryFormat, useHttpGet: true }));
  const items = [{ sku: KNIFE, quantity: 3n }];
  await drops.createDrop({ drop: { id: drop, items, limits: [{ id: "two-each", scope: 1, maxUnits: 2 }] } });
  const asked = { holdId: randomUUID(), dropId: drop, customer: { id: "ada" }, lines: [{ sku: KNIFE, quantity: 2 }] };
  const held = await holds.reserve(asked);
  assert.equal(held.outcome.case, "hold");
  assert.equal((await holds.reserve(asked)).outcome.value.revision, held.outcome.value.revision, "sent again: the same");
  const refused = await holds.reserve({ ...asked, holdId: randomUUID() });
  assert.equal(refused.outcome.case, "refusal", "a refusal is an answer");
  const sold = await holds.claim({ holdId: asked.holdId, orderRef: "A-1" });
  assert.equal(sold.outcome.case, "hold");
  // Sent as a GET, for the contract says that it has no side effects.
  const { drop: seen } = await drops.getDrop({ dropId: drop });
  assert.equal(seen.items[0].stock.claimed, 2n);
  const faulty = await failed(holds.reserve({ dropId: drop }), Code.InvalidArgument);
  assert.match(faulty.message, /hold_id.*customer/);
  assert.equal(faulty.details.length, 1, "the faulty fields");
  await failed(drops.getDrop({ dropId: "nope" }), Code.NotFound);
  await failed(holds.reserve(asked, { timeoutMs: 0.001 }), Code.DeadlineExceeded);
}

async function documents(baseUrl: string) {
  const text = await (await fetch(`${baseUrl}/asyncapi.json`)).text();
  const { document, diagnostics } = await new Parser().parse(text);
  const errors = diagnostics.filter((one) => one.severity === 0);
  assert.deepEqual(errors, [], "the AsyncAPI document is valid");
  assert.ok(document, "and can be read");
  assert.ok(document.allMessages().all().length > 10, "it has the events");
}

async function main() {
  const binary = resolve(process.argv[2]!);
  const server = await Server.start(binary);
  try {
    const over = services(binary);
    const baseUrl = `http://${server.http}`;
    await walk(over, baseUrl, false);
    await walk(over, baseUrl, true);
    await documents(baseUrl);
    assert.equal(await server.stop(), 0);
    console.log("Connect in JSON and in protobuf, and the AsyncAPI document: well");
  } finally {
    await server.clear();
  }
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
