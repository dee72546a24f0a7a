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
    private readonly folder: string,
    /** The host and port of its gRPC service. */
    readonly grpc: string,
  ) {}

  /** Starts the binary and waits until it serves. */
  static async start(binary: string, more: string[] = []): Promise<Server> {
    const folder = mkdtempSync(join(tmpdir(), "stockade-typescript-"));
    const data = join(folder, "data");
    const flags = ["serve", "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--data", data, "--log-format", "json"];
    const child = spawn(resolve(binary), [...flags, ...more], { cwd: folder, stdio: ["ignore", "ignore", "pipe"] });
    await once(child, "spawn");
    const said: string[] = [];
    for await (const line of createInterface({ input: child.stderr })) {
      said.push(line);
      const told = line.startsWith("{") ? JSON.parse(line) : {};
      if (told.message === "serving") {
        child.stderr.resume();
        return new Server(child, folder, told.grpc);
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
