/** What `ssh -L` does with a socket: every connection to the near one is passed on to the far one. */
import { rmSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";

export class Forwarder {
  private readonly connections = new Set<Socket>();
  private server: Server | undefined;

  constructor(
    readonly near: string,
    private readonly far: string,
  ) {}

  get numConnections(): number {
    return this.connections.size;
  }

  async start(): Promise<void> {
    rmSync(this.near, { force: true });
    const server = createServer((near) => {
      const far = connect(this.far);
      for (const [one, other] of [
        [near, far],
        [far, near],
      ] as const) {
        this.connections.add(one);
        one.pipe(other);
        one.on("error", () => other.destroy());
        one.on("close", () => {
          this.connections.delete(one);
          other.destroy();
        });
      }
    });
    this.server = server;
    await new Promise<void>((resolve) => {
      server.listen(this.near, resolve);
    });
  }

  /** As when the line is cut: connections end in the middle, and nobody listens any more. */
  async stop(): Promise<void> {
    for (const connection of this.connections) {
      connection.destroy();
    }
    const server = this.server;
    if (server !== undefined) {
      await new Promise((resolve) => server.close(resolve));
    }
  }
}
