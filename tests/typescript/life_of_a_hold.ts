// Tests the life of a hold against a running server, as a foreign client that has only the contract.
//
// Takes the binary as its argument. Exits with 0 if every step follows the contract; the first one that does not ends
// it with a trace.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import * as grpc from "@grpc/grpc-js";
import { buy } from "./checkout";
import { ask, connect } from "./client";
import { Server } from "./server";
import type { BatchStreamResponse__Output } from "./types/stockade/v1/BatchStreamResponse";
import type { Hold__Output } from "./types/stockade/v1/Hold";
import type { Operation } from "./types/stockade/v1/Operation";
import type { Refusal__Output } from "./types/stockade/v1/Refusal";
import type { ReserveRequest } from "./types/stockade/v1/ReserveRequest";
import type { WatchDropResponse__Output } from "./types/stockade/v1/WatchDropResponse";

const DROP = "knife-1204";
const KNIFE = "KNIFE/20cm";

type Outcome = { outcome?: "hold" | "refusal"; hold?: Hold__Output | null; refusal?: Refusal__Output | null };

/** The hold in an answer, which must be one. */
function held(answer: Outcome): Hold__Output {
  assert.equal(answer.outcome, "hold", JSON.stringify(answer));
  return answer.hold!;
}

/** The refusal in an answer, which must be one. */
function refused(answer: Outcome, reason: string): Refusal__Output {
  assert.equal(answer.outcome, "refusal", JSON.stringify(answer));
  assert.equal(answer.refusal!.reason, `REFUSAL_REASON_${reason}`);
  assert.ok(answer.refusal!.message, "a refusal has words for people");
  return answer.refusal!;
}

function cart(customer: string, quantity: number, hold_id: string = randomUUID()): ReserveRequest {
  return { hold_id, drop_id: DROP, customer: { id: customer }, lines: [{ sku: KNIFE, quantity }] };
}

class Walk {
  steps = 0;
  private readonly clients: ReturnType<typeof connect>;

  constructor(private readonly server: Server) {
    this.clients = connect(server.grpc);
  }

  private step(text: string) {
    this.steps += 1;
    console.log(`${String(this.steps).padStart(2)}. ${text}`);
  }

  private async stock() {
    const { drop } = await ask(this.clients.drops, "GetDrop", { drop_id: DROP });
    const stock = drop!.items[0]!.stock!;
    const parts = stock.free + stock.held + stock.paying + stock.claimed + stock.withdrawn;
    assert.equal(stock.received, parts, "it adds up at every look");
    return stock;
  }

  async the_drop() {
    this.step("a drop is created, and created again with the same answer");
    const drop = {
      id: DROP,
      title: "Küchenmesser",
      items: [{ sku: KNIFE, quantity: 10 }],
      limits: [{ id: "two-each", scope: "LIMIT_SCOPE_DROP" as const, max_units: 2 }],
    };
    const first = (await ask(this.clients.drops, "CreateDrop", { drop })).drop!;
    const again = (await ask(this.clients.drops, "CreateDrop", { drop })).drop!;
    assert.deepEqual([first.id, first.state, first.title], [DROP, "DROP_STATE_OPEN", "Küchenmesser"]);
    assert.deepEqual([again.revision, again.opens_at], [first.revision, first.opens_at]);
    assert.equal((await this.stock()).free, 10);
  }

  async a_hold(): Promise<Hold__Output> {
    this.step("two knives are set aside for Ada, for five minutes, however often she asks");
    const request = cart("ada", 2);
    const hold = held(await ask(this.clients.holds, "Reserve", request));
    assert.deepEqual([hold.id, hold.state, hold.customer_id], [request.hold_id, "HOLD_STATE_HELD", "ada"]);
    assert.deepEqual(hold.lines.map((line) => [line.sku, line.pool, line.quantity]), [[KNIFE, "general", 2]]);
    assert.equal(Number(hold.expires_at!.seconds) - Number(hold.created_at!.seconds), 300);
    assert.deepEqual(held(await ask(this.clients.holds, "Reserve", request)), hold);
    const { free, held: aside } = await this.stock();
    assert.deepEqual([free, aside], [8, 2]);
    return hold;
  }

  async refusals(hold: Hold__Output) {
    this.step("a third knife is over her limit, and the limit is told");
    const { limit } = refused(await ask(this.clients.holds, "Reserve", cart("ada", 1)), "LIMIT_REACHED");
    assert.deepEqual([limit!.id, limit!.max, limit!.used], ["two-each", 2, 2]);

    this.step("a faulty request is a status that names the field, and so is other content under the same id");
    const faulty = ask(this.clients.holds, "Reserve", { ...cart("ada", 1), hold_id: "no-uuid" });
    await assert.rejects(faulty, (error: grpc.ServiceError) => {
      return error.code === grpc.status.INVALID_ARGUMENT && error.details.includes("hold_id");
    });
    const other = ask(this.clients.holds, "Reserve", cart("bob", 2, hold.id));
    await assert.rejects(other, (error: grpc.ServiceError) => {
      return error.code === grpc.status.ALREADY_EXISTS && error.details.includes("customer");
    });
  }

  async to_the_sale(hold: Hold__Output) {
    this.step("she goes to the till and pays; the claim sent again is the same answer");
    const paying = held(await ask(this.clients.holds, "Extend", { hold_id: hold.id, stage: "HOLD_STAGE_PAYING" }));
    assert.equal(paying.state, "HOLD_STATE_PAYING");
    assert.ok(Number(paying.expires_at!.seconds) > Number(hold.expires_at!.seconds));
    const claim = { hold_id: hold.id, customer_id: "ada", order_ref: "A-1001" };
    const sold = await ask(this.clients.holds, "Claim", claim);
    assert.deepEqual([held(sold).state, sold.mode], ["HOLD_STATE_CLAIMED", "CLAIM_MODE_ON_TIME"]);
    assert.deepEqual(held(await ask(this.clients.holds, "Claim", claim)), held(sold));
    const wrong = await ask(this.clients.holds, "Claim", { ...claim, order_ref: "A-1002" });
    assert.deepEqual(refused(wrong, "ORDER_MISMATCH").hold, held(sold));

    this.step("one knife comes back and is for sale again; twice told is once done");
    const returned = { hold_id: hold.id, returned: [{ sku: KNIFE, quantity: 1 }], restock: true };
    const back = held(await ask(this.clients.holds, "ReturnUnits", returned));
    assert.deepEqual(back.lines.map((line) => [line.quantity, line.returned]), [[1, 1]]);
    assert.deepEqual(held(await ask(this.clients.holds, "ReturnUnits", returned)), back);
    assert.equal((await this.stock()).free, 9);
  }

  async a_batch() {
    this.step("a batch is done in order, and a faulty operation is a result of its own");
    const reserve = cart("kim", 1);
    const operations: Operation[] = [{ reserve }, { release: { hold_id: "nonsense" } }, { release: { hold_id: reserve.hold_id } }];
    const { results } = await ask(this.clients.holds, "Batch", { operations });
    assert.deepEqual(results.map((result) => result.result), ["hold", "error", "hold"]);
    assert.equal(results[1]!.error!.code, grpc.status.INVALID_ARGUMENT);
    assert.equal(results[2]!.hold!.state, "HOLD_STATE_RELEASED");
  }

  async a_batch_stream() {
    this.step("a batch stream answers in the order of its requests, and ends when it is closed");
    const stream = this.clients.holds.BatchStream({ deadline: Date.now() + 10_000 });
    const answers: BatchStreamResponse__Output[] = [];
    stream.on("data", (answer: BatchStreamResponse__Output) => answers.push(answer));
    const ended = once(stream, "end");
    const carts = Array.from({ length: 5 }, (_, n) => cart(`streamer-${n}`, 1));
    for (const [n, reserve] of carts.entries()) {
      // All reserves are sent before the first answer is awaited.
      stream.write({ sequence: n + 1, operations: [{ reserve }], view: "HOLD_VIEW_BRIEF" });
    }
    for (const [n, { hold_id }] of carts.entries()) {
      stream.write({ sequence: n + 6, operations: [{ release: { hold_id } }] });
    }
    stream.end();
    await ended;
    assert.deepEqual(answers.map((answer) => answer.sequence), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    const states = answers.map((answer) => answer.results[0]!.hold!.state);
    assert.deepEqual(states, [...Array(5).fill("HOLD_STATE_HELD"), ...Array(5).fill("HOLD_STATE_RELEASED")]);
    assert.equal((await this.stock()).held, 0);
  }

  async a_list() {
    this.step("holds are listed page by page, each once");
    const seen: string[] = [];
    let page_token = "";
    do {
      const page = await ask(this.clients.holds, "ListHolds", { drop_id: DROP, page_size: 2, page_token });
      seen.push(...page.holds.map((hold) => hold.id));
      page_token = page.next_page_token;
    } while (page_token);
    assert.equal(seen.length, 7, "one sold, one of the batch, five of the stream");
    assert.equal(new Set(seen).size, seen.length);
    const sold = await ask(this.clients.holds, "ListHolds", { order_ref: "A-1001" });
    assert.deepEqual(sold.holds.map((hold) => [hold.customer_id, hold.state]), [["ada", "HOLD_STATE_CLAIMED"]]);
  }

  async a_checkout() {
    this.step("the checkout that the guide shows sells, gives back, and tells why not");
    const sold = await buy(this.clients.holds, cart("lea", 1), "A-2001", async () => true);
    assert.ok("state" in sold && sold.state === "HOLD_STATE_CLAIMED", JSON.stringify(sold));
    const back = await buy(this.clients.holds, cart("lea", 1), "A-2002", async () => false);
    assert.ok("state" in back && back.state === "HOLD_STATE_RELEASED", JSON.stringify(back));
    const refusal = await buy(this.clients.holds, cart("lea", 2), "A-2003", async () => true);
    assert.ok("reason" in refusal && refusal.reason === "REFUSAL_REASON_LIMIT_REACHED", JSON.stringify(refusal));
  }

  /** Watches the drop while its stock changes. */
  async a_watch() {
    this.step("a watch shows the whole drop at once, and then what changes");
    const stream = this.clients.drops.WatchDrop({ drop_id: DROP }, { deadline: Date.now() + 10_000 });
    const messages = stream[Symbol.asyncIterator]() as AsyncIterableIterator<WatchDropResponse__Output>;
    const first: IteratorResult<WatchDropResponse__Output> = await messages.next();
    const { drop, server_time } = first.value;
    assert.ok(server_time);
    const before = drop!.items[0]!.stock!;
    const change = { drop_id: DROP, sku: KNIFE, adjustment_id: randomUUID(), delta: 5 };
    await ask(this.clients.drops, "AdjustStock", change);
    let now = drop!;
    while (now.items[0]!.stock!.received !== before.received + 5) {
      const next = await messages.next();
      assert.ok(!next.done, "it goes on");
      assert.ok(next.value.drop!.as_of_lsn >= now.as_of_lsn, "never back");
      now = next.value.drop!;
    }
    await ask(this.clients.drops, "PauseDrop", { drop_id: DROP });
    while (now.state !== "DROP_STATE_PAUSED") {
      now = (await messages.next()).value.drop!;
    }
    await ask(this.clients.drops, "ResumeDrop", { drop_id: DROP });
    // A client cancels when it needs no more messages.
    stream.on("error", (error: grpc.ServiceError) => assert.equal(error.code, grpc.status.CANCELLED));
    stream.cancel();
  }

  async all() {
    await this.the_drop();
    const hold = await this.a_hold();
    await this.refusals(hold);
    await this.to_the_sale(hold);
    await this.a_batch();
    await this.a_batch_stream();
    await this.a_list();
    await this.a_checkout();
    await this.a_watch();
    this.step("the server is told to stop, and ends well");
    this.clients.holds.close();
    assert.equal(await this.server.stop(), 0);
  }
}

async function main() {
  const binary = process.argv[2];
  assert.ok(binary, "name the binary");
  const server = await Server.start(binary);
  try {
    const walk = new Walk(server);
    await walk.all();
    console.log(`all ${walk.steps} steps are as the contract says, with Node ${process.version}`);
  } finally {
    await server.clear();
  }
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
