// Receives webhooks of a real server and judges them with the official libraries: `standardwebhooks` and `cloudevents`.
//
// Takes the binary as its argument. Exits with 0 if every delivery verifies and is a CloudEvent.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { resolve } from "node:path";
import * as grpc from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { type CloudEvent, HTTP } from "cloudevents";
import { Webhook } from "standardwebhooks";
import { ask, connect } from "./client";
import { Server } from "./server";

const SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OTHER = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oDAAAA";
const HOLDS = 40;
// How long all deliveries may take, in milliseconds.
const WITHIN = 20_000;

type Delivery = { headers: IncomingHttpHeaders; body: string };
type Data = { id: string; type: string; shop: string; dropId: string; lsn: string; hold: { id: string } };

/** Takes every POST; `received` grows. */
async function receive(): Promise<{ url: string; received: Delivery[]; close: () => void }> {
  const received: Delivery[] = [];
  const server = createServer((request, response) => {
    const pieces: Buffer[] = [];
    request.on("data", (piece: Buffer) => pieces.push(piece));
    request.on("end", () => {
      received.push({ headers: request.headers, body: Buffer.concat(pieces).toString("utf8") });
      response.writeHead(204).end();
    });
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}/`, received, close: () => server.close() };
}

/** The events of a delivery, which must verify with its secret and with no other. */
function judged({ headers, body }: Delivery): CloudEvent<Data>[] {
  const signed = headers as Record<string, string>;
  new Webhook(SECRET).verify(body, signed);
  assert.throws(() => new Webhook(OTHER).verify(body, signed), "another secret verifies");
  assert.throws(() => new Webhook(SECRET).verify(`${body} `, signed), "another body verifies");
  const parsed = HTTP.toEvent<Data>({ headers: signed, body });
  const events = Array.isArray(parsed) ? parsed : [parsed];
  for (const event of events as CloudEvent<Data>[]) {
    assert.ok(event.validate());
    const data = event.data!;
    assert.equal(event.specversion, "1.0");
    assert.deepEqual([event.id, event.type, event.subject], [data.id, data.type, data.dropId]);
    assert.equal(event.source, `stockade://${data.id.split("-")[0]}/${data.shop}`);
    assert.equal(event["sequence"], data.lsn.padStart(20, "0"));
  }
  return events as CloudEvent<Data>[];
}

async function until(what: string, is: () => boolean): Promise<void> {
  const end = Date.now() + WITHIN;
  while (!is()) {
    assert.ok(Date.now() < end, what);
    await new Promise((done) => setTimeout(done, 20));
  }
}

async function main(binary: string): Promise<void> {
  const server = await Server.start(binary, { flags: ["--webhooks-to-private"] });
  const [single, batched] = [await receive(), await receive()];
  try {
    const loaded = loadSync("stockade/v1/event.proto", { includeDirs: [resolve(__dirname, "../../../proto")], keepCase: true });
    const Events = (grpc.loadPackageDefinition(loaded) as any).stockade.v1.EventService;
    const events = new Events(server.grpc, grpc.credentials.createInsecure());
    const { holds, drops } = connect(server.grpc);
    await ask(drops, "CreateDrop", { drop: { id: "d", items: [{ sku: "K", quantity: 1000 }] } });
    for (const [id, url, max_batch] of [["single", single.url, 1], ["batched", batched.url, 25]] as const) {
      const webhook = { id, url, max_batch, filter: { types: ["hold.*"] } };
      await new Promise<void>((done, failed) =>
        events.CreateWebhook({ webhook, secret: SECRET }, (error: Error | null) => (error ? failed(error) : done())),
      );
    }
    const wanted: string[] = [];
    for (let number = 0; number < HOLDS; number += 1) {
      const request = { hold_id: randomUUID(), drop_id: "d", customer: { id: `ada-${number}` }, lines: [{ sku: "K", quantity: 1 }] };
      wanted.push((await ask(holds, "Reserve", request)).hold!.id);
    }
    const of = (deliveries: Delivery[]) => deliveries.flatMap(judged).map((event) => event.data!.hold.id);
    await until("the deliveries", () => single.received.length >= HOLDS && of(batched.received).length >= HOLDS);
    assert.deepEqual(of(single.received), wanted, "in order");
    assert.deepEqual(of(batched.received), wanted, "in order, in batches");
    assert.equal(await server.stop(), 0);
    console.log(`${HOLDS} events verify, by themselves and in ${batched.received.length} batches`);
  } finally {
    single.close();
    batched.close();
    await server.clear();
  }
}

main(process.argv[2]!).catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
