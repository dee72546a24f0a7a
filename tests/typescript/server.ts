// The binary on free ports, with a data folder of its own that is removed afterwards.

import { ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";

export class Server {
  private constructor(
    private readonly child: ChildProcess,
    /** The folder of its data. */
    readonly folder: string,
    /** The host and port of its gRPC service. */
    readonly grpc: string,
    /** The host and port of its HTTP pages. */
    readonly http: string,
    /** The host and port of what it serves to the public, if it does. */
    readonly open: string | undefined,
  ) {}

  /** Starts the binary and waits until it serves. */
  static async start(
    binary: string,
    { flags = [] as string[], folder = mkdtempSync(join(tmpdir(), "stockade-typescript-")), grpc = "127.0.0.1:0" } = {},
  ): Promise<Server> {
    const data = join(folder, "data");
    const own = ["serve", "--grpc", grpc, "--http", "127.0.0.1:0", "--data", data, "--log-format", "json"];
    const child = spawn(resolve(binary), [...own, ...flags], { cwd: folder, stdio: ["ignore", "ignore", "pipe"] });
    await once(child, "spawn");
    const said: string[] = [];
    for await (const line of createInterface({ input: child.stderr })) {
      said.push(line);
      const told = line.startsWith("{") ? JSON.parse(line) : {};
      if (told.message === "serving") {
        child.stderr.resume();
        return new Server(child, folder, told.grpc, told.http, told.public);
      }
    }
    rmSync(folder, { recursive: true, force: true });
    throw new Error(`the server did not start:\n${said.join("\n")}`);
  }

  /** Tells it to stop. Returns its exit code. */
  async stop(): Promise<number | null> {
    const ended = once(this.child, "exit");
    this.child.kill("SIGTERM");
    await ended;
    return this.child.exitCode;
  }

  /** Ends it if it still runs, and removes its folder. */
  async clear(): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      const ended = once(this.child, "exit");
      this.child.kill("SIGKILL");
      await ended;
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}
