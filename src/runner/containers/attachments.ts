import { PassThrough, Writable } from 'node:stream';
import type { SpawnedProcess } from '../../kernel/spawn.ts';
import type { ContainerProcess } from '../streams/backend.ts';

/** A client that does not read what the container writes is let go at this many bytes: it must not stop the container. */
const maxBehind = 16 * 1024 * 1024;

interface Client {
  stdout: PassThrough;
  stderr: PassThrough | undefined;
}

/** The clients of a container's own streams. */
export class Attachments {
  readonly #clients = new Set<Client>();
  readonly #process: SpawnedProcess;
  readonly #stdinOnce: boolean;

  constructor(process: SpawnedProcess, stdinOnce: boolean) {
    this.#process = process;
    this.#stdinOnce = stdinOnce;
  }

  write(stream: 'stdout' | 'stderr', data: Buffer): void {
    for (const client of this.#clients) {
      const to = client[stream];
      if (!to || to.destroyed) continue;
      to.write(data);
      if (to.writableLength > maxBehind) this.#leave(client);
    }
  }

  end(): void {
    for (const { stdout, stderr } of this.#clients) {
      stdout.end();
      stderr?.end();
    }
    this.#clients.clear();
  }

  /** @param exit fulfilled after the last output */
  attach(exit: ContainerProcess['exit']): ContainerProcess {
    const client: Client = { stdout: new PassThrough(), stderr: this.#process.stderr && new PassThrough() };
    this.#clients.add(client);
    return {
      stdin: this.#input(),
      stdout: client.stdout,
      stderr: client.stderr,
      resize: this.#process.resize,
      exit,
      kill: () => this.#leave(client),
    };
  }

  #leave(client: Client): void {
    this.#clients.delete(client);
    client.stdout.destroy();
    client.stderr?.destroy();
  }

  /** A way in for one client; its end is the container's only with stdinOnce. */
  #input(): Writable | undefined {
    const { stdin } = this.#process;
    if (!stdin) return undefined;
    return new Writable({
      write: (chunk: Buffer, _encoding, callback) => {
        if (stdin.writable) stdin.write(chunk, () => callback());
        else callback();
      },
      final: (callback) => {
        if (this.#stdinOnce) stdin.end();
        callback();
      },
    });
  }
}
