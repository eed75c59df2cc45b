import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { supportedVersions } from '../version.ts';
import { type Architecture, emitExecutable, executableListing, writeExecutable } from './emit.ts';

const dataDir = new URL('../../../src/cni/executable/data/', import.meta.url);
const qemu = '/usr/bin/qemu-aarch64-static';

/** How each architecture's file can be started on this machine; undefined when it cannot. */
const starters: [Architecture, string[] | undefined][] = (['x64', 'arm64'] as const).map((arch) => [
  arch,
  process.arch === arch ? [] : arch === 'arm64' && fs.existsSync(qemu) ? [qemu] : undefined,
]);

interface Outcome {
  code: number | null;
  signal: string | null;
  stdout: Buffer;
}

class Bench implements Disposable {
  readonly dir = fs.mkdtempSync(path.join(os.tmpdir(), 'podnet-cni-'));
  readonly socketPath = path.join(this.dir, 's');
  readonly #servers: net.Server[] = [];
  readonly requests: Buffer[] = [];
  readonly #children: ChildProcess[] = [];

  /** Answers after the half-close with what `reply` makes of the request; undefined closes without an answer. */
  async listen(reply: (request: Buffer) => Buffer | string | undefined): Promise<void> {
    const server = net.createServer({ allowHalfOpen: true }, (socket) => {
      const parts: Buffer[] = [];
      socket.on('error', () => {});
      socket.on('data', (part) => parts.push(part));
      socket.on('end', () => {
        this.requests.push(Buffer.concat(parts));
        socket.end(reply(this.requests.at(-1)!) ?? '');
      });
    });
    await this.serve(server);
  }

  async serve(server: net.Server): Promise<void> {
    this.#servers.push(server);
    await new Promise<void>((resolve) => server.listen(this.socketPath, resolve));
  }

  run(
    arch: Architecture,
    starter: string[],
    env: Record<string, string>,
    stdin: Buffer | string,
    options: { timeoutSeconds?: number; feed?: (child: ChildProcess) => void } = {},
  ): Promise<Outcome> {
    const file = path.join(this.dir, `podnet-${arch}`);
    writeExecutable(file, { arch, socketPath: this.socketPath, timeoutSeconds: options.timeoutSeconds ?? 20 });
    const [command, ...args] = [...starter, file];
    const child = spawn(command!, args, { env, stdio: ['pipe', 'pipe', 'inherit'] });
    this.#children.push(child);
    const out: Buffer[] = [];
    child.stdout!.on('data', (part: Buffer) => out.push(part));
    child.stdin!.on('error', () => {});
    if (options.feed) options.feed(child);
    else child.stdin!.end(stdin);
    return new Promise((resolve) => child.on('close', (code, signal) => resolve({ code, signal, stdout: Buffer.concat(out) })));
  }

  [Symbol.dispose](): void {
    for (const child of this.#children) if (child.exitCode === null) child.kill('SIGKILL');
    for (const server of this.#servers) server.close();
    fs.rmSync(this.dir, { recursive: true, force: true });
  }
}

const error = (outcome: Outcome): { cniVersion: string; code: number; msg: string; details: string } =>
  JSON.parse(outcome.stdout.toString());

for (const [arch, starter] of starters) {
  const can = { skip: starter ? false : `no ${arch} processor and no ${qemu} here` };
  const start = starter ?? [];

  test(`${arch}: the executable carries every CNI_* string and stdin to the agent, and the answer back`, can, async () => {
    using bench = new Bench();
    await bench.listen(() => '0{"cniVersion":"1.1.0"}\n');
    const env = { PATH: '/bin', CNI_COMMAND: 'ADD', CNI: 'x', CNI_NETNS: '/run/netns/a b', XCNI_: 'y', CNI_ARGS: '', CNI_X: 'ü' };
    const outcome = await bench.run(arch, start, env, '{"name":"net"}');
    assert.deepEqual([outcome.code, outcome.stdout.toString()], [0, '{"cniVersion":"1.1.0"}\n']);
    const [request] = bench.requests;
    const end = request!.indexOf('\0\0');
    const strings = request!.toString('utf8', 0, end).split('\0');
    assert.deepEqual(strings.sort(), ['CNI_ARGS=', 'CNI_COMMAND=ADD', 'CNI_NETNS=/run/netns/a b', 'CNI_X=ü']);
    assert.equal(request!.toString('utf8', end + 2), '{"name":"net"}');
  });

  test(`${arch}: the first byte of the answer is the exit code, also when it comes alone`, can, async () => {
    using bench = new Bench();
    await bench.listen((request) => (request.includes('fail') ? '1{"code":7}' : '0'));
    const ok = await bench.run(arch, start, { CNI_COMMAND: 'DEL' }, 'x');
    assert.deepEqual([ok.code, ok.stdout.length], [0, 0]);
    const failed = await bench.run(arch, start, { CNI_COMMAND: 'DEL' }, 'fail');
    assert.deepEqual([failed.code, failed.stdout.toString()], [1, '{"code":7}']);
  });

  test(`${arch}: requests and answers larger than every buffer arrive whole, also in small pieces`, can, async () => {
    using bench = new Bench();
    const answer = randomBytes(700_001);
    await bench.listen(() => Buffer.concat([Buffer.from('0'), answer]));
    const stdin = randomBytes(900_001);
    const feed = (child: ChildProcess): void => {
      for (let i = 0; i < stdin.length; i += 100_001) child.stdin!.write(stdin.subarray(i, i + 100_001));
      child.stdin!.end();
    };
    const outcome = await bench.run(arch, start, { CNI_COMMAND: 'GC' }, '', { feed });
    assert.equal(outcome.code, 0);
    assert.ok(outcome.stdout.equals(answer));
    const [request] = bench.requests;
    assert.ok(request!.subarray(request!.indexOf('\0\0') + 2).equals(stdin));
  });

  test(`${arch}: without an agent VERSION is answered, STATUS fails with 50 and the rest with 11`, can, async () => {
    using bench = new Bench();
    const run = (command: string): Promise<Outcome> => bench.run(arch, start, { A: 'b', CNI_COMMAND: command }, '{}');
    const version = await run('VERSION');
    assert.equal(version.code, 0);
    assert.deepEqual(JSON.parse(version.stdout.toString()), { cniVersion: '1.1.0', supportedVersions: [...supportedVersions] });
    for (const [command, code] of Object.entries({
      STATUS: 50,
      ADD: 11,
      DEL: 11,
      CHECK: 11,
      GC: 11,
      VERSIONS: 11,
      STAT: 11,
      '': 11,
    })) {
      const outcome = await run(command);
      assert.equal(outcome.code, 1, command);
      assert.equal(error(outcome).code, code, command);
      assert.ok(error(outcome).msg.includes(`not running on this node: ${bench.socketPath}`), error(outcome).msg);
      assert.match(error(outcome).details, /podnet agent/);
    }
    const nothing = await bench.run(arch, start, {}, '');
    assert.deepEqual([nothing.code, error(nothing).code], [1, 11]);
  });

  test(`${arch}: an agent that accepts and closes, with or without reading, is 'no answer'`, can, async () => {
    using bench = new Bench();
    await bench.listen(() => undefined);
    const closed = await bench.run(arch, start, { CNI_COMMAND: 'ADD' }, '{}');
    assert.deepEqual([closed.code, error(closed).code], [1, 11]);
    assert.match(error(closed).msg, /gave no answer/);
    using rude = new Bench();
    await rude.serve(net.createServer((socket) => socket.on('error', () => {}).destroy()));
    const broken = await rude.run(arch, start, { CNI_COMMAND: 'STATUS' }, randomBytes(300_000));
    assert.deepEqual([broken.code, broken.signal, error(broken).code], [1, null, 50]);
  });

  test(`${arch}: an agent that refuses before it has read all is still heard`, can, async () => {
    using bench = new Bench();
    await bench.serve(
      net.createServer((socket) => {
        socket.on('error', () => {});
        socket.once('data', () => {
          socket.pause();
          socket.write('1{"code":6}', () => socket.destroy());
        });
      }),
    );
    const outcome = await bench.run(arch, start, { CNI_COMMAND: 'ADD' }, randomBytes(3_000_000));
    assert.deepEqual([outcome.code, outcome.stdout.toString()], [1, '{"code":6}']);
  });

  test(`${arch}: an agent that hangs is given up after the time limit`, can, async () => {
    using bench = new Bench();
    const sockets: net.Socket[] = [];
    await bench.serve(net.createServer({ allowHalfOpen: true }, (socket) => sockets.push(socket.resume())));
    const outcome = await bench.run(arch, start, { CNI_COMMAND: 'DEL' }, '{}', { timeoutSeconds: 1 });
    for (const socket of sockets) socket.destroy();
    assert.deepEqual([outcome.code, error(outcome).code], [1, 11]);
  });

  test(`${arch}: the listing beside the assembler is what the assembler emits`, () => {
    const listing = executableListing({ arch, socketPath: '/run/podnet/agent.sock' });
    const file = new URL(`${arch}.lst`, dataDir);
    if (process.env.UPDATE_GOLDENS) fs.writeFileSync(file, `${listing}\n`);
    assert.equal(`${listing}\n`, fs.readFileSync(file, 'utf8'));
  });

  test(`${arch}: the executable is smaller than 2 KB for every socket path, and too long a path is refused`, () => {
    const size = emitExecutable({ arch, socketPath: `/${'p'.repeat(106)}` }).length;
    assert.ok(size < 2048, `${size} bytes`);
    for (const socketPath of ['', `/${'p'.repeat(107)}`, 'a\0b'])
      assert.throws(() => emitExecutable({ arch, socketPath }), /socket path has \d+ bytes.*shorter state directory/);
  });
}

test('a socket path of 107 bytes, with characters that JSON escapes, is dialled and named', {
  skip: process.arch !== 'x64',
}, async () => {
  using bench = new Bench();
  const name = `"\\${'é'.repeat(4)}`;
  const socketPath = path.join(
    bench.dir,
    name.padEnd(107 - Buffer.byteLength(bench.dir) - 1 - (Buffer.byteLength(name) - name.length), 'x'),
  );
  assert.equal(Buffer.byteLength(socketPath), 107);
  const file = path.join(bench.dir, 'podnet');
  writeExecutable(file, { arch: 'x64', socketPath });
  const down = spawnSync(file, { env: { CNI_COMMAND: 'ADD' }, input: '{}' });
  assert.ok(JSON.parse(down.stdout.toString()).msg.endsWith(`: ${socketPath}`));
  // a real listener; node itself takes paths of 107 bytes too
  const server = net.createServer({ allowHalfOpen: true }, (socket) => socket.resume().on('end', () => socket.end('0ok')));
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  const child = spawn(file, { env: { CNI_COMMAND: 'ADD' }, stdio: ['ignore', 'pipe', 'inherit'] });
  const [answer] = (await new Promise<Buffer[]>((resolve) => child.stdout.once('data', (part: Buffer) => resolve([part])))) as [
    Buffer,
  ];
  server.close();
  assert.equal(answer.toString(), 'ok');
});

test('the executable is replaced by rename while it runs, and no temporary file stays', {
  skip: process.arch !== 'x64',
}, async () => {
  using bench = new Bench();
  await bench.listen(() => '0');
  const file = path.join(bench.dir, 'bin', 'podnet');
  writeExecutable(file, { arch: 'x64', socketPath: bench.socketPath });
  const child = spawn(file, { stdio: ['pipe', 'pipe', 'inherit'], env: { CNI_COMMAND: 'ADD' } });
  writeExecutable(file, { arch: 'x64', socketPath: bench.socketPath });
  assert.deepEqual(fs.readdirSync(path.dirname(file)), ['podnet']);
  assert.equal(fs.statSync(file).mode & 0o777, 0o755);
  const ended = new Promise((resolve) => child.on('close', resolve));
  child.stdin.end();
  assert.equal(await ended, 0);
});
