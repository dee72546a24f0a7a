// A typed client made from the contract alone: `@grpc/proto-loader` reads proto/ at the start, the types are generated.

import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import * as grpc from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import type { ProtoGrpcType } from "./types/reservation";

// Relative to build/, where this runs.
const ROOT = resolve(__dirname, "../../..");
// Numbers are exact up to 2^53, which no quantity or LSN reaches; enums are their names.
const LOADED = loadSync(["stockade/v1/reservation.proto", "stockade/v1/drop.proto"], {
  includeDirs: [resolve(ROOT, "proto")],
  keepCase: true,
  longs: Number,
  enums: String,
  defaults: true,
  oneofs: true,
});
const { v1 } = (grpc.loadPackageDefinition(LOADED) as unknown as ProtoGrpcType).stockade;

/** Both services over one connection, with the shipped retry policy. */
export function connect(address: string) {
  const options = { "grpc.service_config": readFileSync(resolve(ROOT, "deploy/service_config.json"), "utf8") };
  const credentials = grpc.credentials.createInsecure();
  const holds = new v1.ReservationService(address, credentials, options);
  // One channel for both.
  const drops = new v1.DropService(address, credentials, { channelOverride: holds.getChannel() });
  return { holds, drops };
}

type Unary<Request, Answer> = (request: Request, done: grpc.requestCallback<Answer>) => grpc.ClientUnaryCall;
type RequestOf<Method> = Method extends Unary<infer Request, infer _> ? Request : never;
type AnswerOf<Method> = Method extends Unary<infer _, infer Answer> ? Answer : never;

/** One call with a deadline, as a promise. */
export function ask<Client extends grpc.Client, Name extends keyof Client & string>(
  client: Client,
  name: Name,
  request: RequestOf<Client[Name]>,
  seconds = 5,
): Promise<AnswerOf<Client[Name]>> {
  return new Promise((resolve, reject) => {
    const done = (error: grpc.ServiceError | null, answer?: AnswerOf<Client[Name]>) =>
      error ? reject(error) : resolve(answer as AnswerOf<Client[Name]>);
    const method = client[name] as (request: unknown, options: grpc.CallOptions, done: unknown) => void;
    method.call(client, request, { deadline: Date.now() + seconds * 1000 }, done);
  });
}
