// A checkout in a few lines: set aside, pay, claim. docs/calling.md shows it; life_of_a_hold.ts runs it.

import { ask, connect } from "./client";
import type { ReserveRequest } from "./types/stockade/v1/ReserveRequest";

type Holds = ReturnType<typeof connect>["holds"];

// docs/calling.md: begin
/** Buys what is `wanted`. Gives the hold, sold or given back, or a refusal. */
export async function buy(holds: Holds, wanted: ReserveRequest, order_ref: string, pay: () => Promise<boolean>) {
  const hold_id = wanted.hold_id!;
  const reserved = await ask(holds, "Reserve", wanted);
  if (reserved.outcome === "refusal") return reserved.refusal!; // tell the shopper why, and when to come again
  const paying = await ask(holds, "Extend", { hold_id, stage: "HOLD_STAGE_PAYING" });
  if (paying.outcome === "refusal") return paying.refusal!; // too late: nothing was paid yet
  if (!(await pay())) {
    return (await ask(holds, "Release", { hold_id, abandon_payment: true })).hold!;
  }
  // The money is here: claim also from what is free, should the deadline have passed meanwhile.
  const claim = { hold_id, order_ref, expired_policy: "EXPIRED_POLICY_TAKE_FREE_STOCK" as const };
  const sold = await ask(holds, "Claim", claim, 30);
  return sold.outcome === "hold" ? sold.hold! : sold.refusal!; // a refusal: pay it back
}
// docs/calling.md: end
