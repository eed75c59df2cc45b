import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { DnsReadiness } from './readiness.ts';

const folder = mkdtempSync(join(tmpdir(), 'podnet-test-ready-'));
after(() => rmSync(folder, { recursive: true }));
let count = 0;

/** A DNS process' health socket: `/ready` answers 200 or 503. */
class Health implements AsyncDisposable {
  readonly path: string;
  ready = true;
  asked = 0;
  #server: http.Server | undefined;

  constructor(path = join(folder, `s${count++}`)) {
    this.path = path;
  }

  async listen(): Promise<void> {
    this.#server = http.createServer((_, response) => {
      this.asked++;
      response.writeHead(this.ready ? 200 : 503).end();
    });
    this.#server.listen(this.path);
    await once(this.#server, 'listening');
  }

  /** As its process does when it is killed: every connection is closed. */
  async die(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (!server) return;
    const closed = once(server, 'close');
    server.close();
    server.closeAllConnections();
    // A connection that never asked anything is none of node's idle or active ones in every version.
    await closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.die();
  }
}

class Told {
  readonly changes: boolean[] = [];
  #wake: (() => void) | undefined;

  readonly onChange = (ready: boolean): void => {
    this.changes.push(ready);
    this.#wake?.();
  };

  async until(length: number): Promise<void> {
    while (this.changes.length < length)
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
  }
}

test('a DNS that is ready is known as such at once', async () => {
  await using health = new Health();
  await health.listen();
  const told = new Told();
  using readiness = new DnsReadiness({ socketPath: health.path, onChange: told.onChange });
  await readiness.known;
  assert.deepEqual([readiness.ready, told.changes], [true, [true]]);
});

test('one that is not there is known as not ready, and noticed when it comes', async () => {
  await using health = new Health();
  const told = new Told();
  using readiness = new DnsReadiness({ socketPath: health.path, onChange: told.onChange, soonMs: 5 });
  await readiness.known;
  assert.deepEqual([readiness.ready, told.changes], [false, []]);
  await health.listen();
  await told.until(1);
  assert.equal(readiness.ready, true);
});

test('the end of its process is noticed without asking, and its return too', async () => {
  await using health = new Health();
  await health.listen();
  const told = new Told();
  // It would not ask again by itself within this test.
  using readiness = new DnsReadiness({ socketPath: health.path, onChange: told.onChange, soonMs: 5, laterMs: 3_600_000 });
  await told.until(1);
  await health.die();
  await told.until(2);
  assert.equal(readiness.ready, false);
  await health.listen();
  await told.until(3);
  assert.deepEqual(told.changes, [true, false, true]);
});

test('one that lives but cannot answer any more is noticed by asking', async () => {
  await using health = new Health();
  await health.listen();
  const told = new Told();
  using readiness = new DnsReadiness({ socketPath: health.path, onChange: told.onChange, soonMs: 5, laterMs: 5 });
  await told.until(1);
  health.ready = false;
  await told.until(2);
  health.ready = true;
  await told.until(3);
  assert.deepEqual([told.changes, readiness.ready], [[true, false, true], true]);
});

test('one that is silent is not ready; one whose answer waits while this process gets no turn is', async () => {
  const silent = http.createServer(() => {});
  silent.listen(join(folder, 'silent'));
  await once(silent, 'listening');
  const never = new Told();
  using readiness = new DnsReadiness({ socketPath: join(folder, 'silent'), onChange: never.onChange, timeoutMs: 100 });
  await readiness.known;
  assert.deepEqual([readiness.ready, never.changes], [false, []]);
  silent.close();

  await using health = new Health();
  await health.listen();
  const told = new Told();
  using late = new DnsReadiness({ socketPath: health.path, onChange: told.onChange, timeoutMs: 200 });
  await new Promise((resolve) => setImmediate(resolve));
  for (const end = performance.now() + 300; performance.now() < end; );
  await late.known;
  assert.deepEqual([late.ready, told.changes], [true, [true]]);
});

test('nothing is told after dispose', async () => {
  await using health = new Health();
  await health.listen();
  const told = new Told();
  const readiness = new DnsReadiness({ socketPath: health.path, onChange: told.onChange, soonMs: 1, laterMs: 1 });
  await told.until(1);
  readiness[Symbol.dispose]();
  await health.die();
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.deepEqual(told.changes, [true]);
});
