import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Pty } from '../../kernel/pty.ts';
import { kubectlBinaries, needsTool, requireTool, type Tool } from '../../testing/tools.ts';
import { attachStreams } from './server.ts';
import { startFront } from './testkit/api-front.ts';
import { processBackend, type TestBackend } from './testkit/process-backend.ts';

const timeLimit = { timeout: 60_000 };

interface Result {
  code: number | null;
  stdout: Buffer;
  stderr: string;
}

const suite = (tool: Tool): void => {
  const directory = mkdtempSync(path.join(tmpdir(), 'podnet-test-streams-'));
  const runnerSocket = path.join(directory, 'runner.sock');
  let backend: TestBackend;
  let runner: http.Server;
  let front: Awaited<ReturnType<typeof startFront>>;

  before(async () => {
    backend = processBackend();
    runner = http.createServer();
    attachStreams(runner, backend);
    runner.listen(runnerSocket);
    await once(runner, 'listening');
    front = await startFront(directory, runnerSocket);
  });
  after(async () => {
    await front.close();
    runner.close();
    runner.closeAllConnections();
    rmSync(directory, { recursive: true });
  });

  const start = (...args: string[]) => {
    const all = ['--kubeconfig', front.kubeconfig, '--cache-dir', path.join(directory, 'cache'), ...args];
    return spawn(requireTool(tool), all, { env: { PATH: process.env.PATH, HOME: directory } });
  };
  const kubectl = async (args: string[], stdin?: Buffer): Promise<Result> => {
    const child = start(...args);
    const out: Buffer[] = [];
    let stderr = '';
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk.toString();
    });
    child.stdin.on('error', () => {}).end(stdin);
    const [code] = (await once(child, 'close')) as [number | null];
    return { code, stdout: Buffer.concat(out), stderr };
  };
  const options = { ...timeLimit, ...needsTool(tool) };

  test('exec gives output and errors apart, and the exit code', options, async () => {
    const result = await kubectl(['exec', 'a', '--', 'sh', '-c', 'echo out; echo err >&2; exit 7']);
    assert.equal(result.stdout.toString(), 'out\n');
    assert.match(result.stderr, /^err\ncommand terminated with exit code 7/m);
    assert.equal(result.code, 7);
    assert.equal((await kubectl(['exec', 'a', '--', 'true'])).code, 0);
  });

  test(
    'exec -i carries megabytes both ways unchanged, beyond any SPDY window, and sees the end of the input',
    options,
    async () => {
      const data = randomBytes(3_000_000);
      const { code, stdout, stderr } = await kubectl(['exec', '-i', 'a', '--', 'cat'], data);
      assert.equal(stderr, '');
      assert.ok(stdout.equals(data), `${stdout.length} of ${data.length} bytes`);
      assert.equal(code, 0);
    },
  );

  test('a process that reads none of a large input still ends the command', options, async () => {
    const { code, stdout } = await kubectl(
      ['exec', '-i', 'a', '--', 'sh', '-c', 'exec <&-; echo done; exit 3'],
      randomBytes(2_000_000),
    );
    assert.equal(stdout.toString(), 'done\n');
    assert.equal(code, 3);
  });

  test('a container that does not exist is told in the words of kubelet', options, async () => {
    const { code, stderr } = await kubectl(['exec', 'a', '-c', 'db', '--', 'true']);
    assert.equal(code, 1);
    assert.match(stderr, /container (not found \("db"\)|db is not valid for pod a)/);
  });

  test('an executable that does not exist fails the command', options, async () => {
    const { code, stderr } = await kubectl(['exec', 'a', '--', 'no-such-program']);
    assert.equal(code, 1);
    assert.match(stderr, /no-such-program/);
  });

  test('killing kubectl ends the process in the container', options, async () => {
    const child = start('exec', 'a', '--', 'sh', '-c', 'echo ready; exec sleep 600');
    await once(child.stdout, 'data');
    assert.equal(backend.running.size, 1);
    child.kill('SIGKILL');
    while (backend.running.size > 0) await new Promise((resolve) => setTimeout(resolve, 10));
  });

  test('exec -it is a terminal of the size of mine, follows its changes and passes control-C on', options, async () => {
    using mine = Pty.open(90, 20);
    const all = ['--ctty', requireTool(tool), '--kubeconfig', front.kubeconfig, '--cache-dir', path.join(directory, 'cache')];
    const child = spawn('setsid', [...all, 'exec', '-it', 'a', '--', 'sh'], {
      stdio: [mine.slave, mine.slave, mine.slave],
      env: { PATH: process.env.PATH, HOME: directory },
    });
    mine.closeSlave();
    const exit = once(child, 'exit');
    let screen = '';
    mine.output.on('data', (chunk: Buffer) => {
      screen += chunk.toString();
    });
    const shows = async (pattern: RegExp): Promise<void> => {
      while (!pattern.test(screen)) await once(mine.output, 'data');
    };
    // kubectl tells its size a moment after the shell has begun: the loop waits for it.
    const size = (text: string): void =>
      void mine.input.write(`until [ "$(stty size)" = "${text}" ]; do sleep 0.05; done; echo size-$(stty size)\n`);
    await shows(/[#$] /);
    size('20 90');
    await shows(/size-20 90\r\n/);
    mine.resize(120, 40);
    size('40 120');
    await shows(/size-40 120\r\n/);
    // Quotes tell what the shell says from the echo of what is typed. Short sleeps: a shell that gets the signal itself, before its child has
    // the terminal, runs the trap only after the child has ended.
    mine.input.write('trap "echo cau""ght; exit 5" INT; echo ar""med; while :; do sleep 0.05; done\n');
    await shows(/armed\r\n/);
    mine.input.write('\x03');
    await shows(/caught\r\n/);
    assert.deepEqual(await exit, [5, null]);
    assert.equal(backend.running.size, 0);
  });

  test('attach joins the running process', options, async () => {
    const { code, stdout } = await kubectl(['attach', '-i', 'a'], Buffer.from('hello\n'));
    assert.equal(stdout.toString(), 'attached\nhello\n');
    assert.equal(code, 0);
  });

  test('logs, with their options', options, async () => {
    assert.equal((await kubectl(['logs', 'a'])).stdout.toString(), 'one\ntwo\n');
    await kubectl(['logs', 'a', '--tail', '5', '--since', '90s', '--timestamps', '-f']);
    const { follow, tailLines, sinceSeconds, timestamps } = backend.logOptions!;
    assert.deepEqual(
      { follow, tailLines, sinceSeconds, timestamps },
      { follow: true, tailLines: 5, sinceSeconds: 90, timestamps: true },
    );
    assert.equal((await kubectl(['logs', 'a', '--limit-bytes', '6'])).stdout.toString(), 'one\ntw');
    const failed = await kubectl(['logs', 'a', '-p']);
    assert.equal(failed.code, 1);
    assert.match(failed.stderr, /previous terminated container "web" in pod "a" not found|unknown/);
  });

  test('cp carries files both ways', options, async () => {
    const here = path.join(directory, 'here');
    const there = path.join(directory, 'there');
    mkdirSync(there);
    const data = randomBytes(700_000);
    writeFileSync(here, data);
    const up = await kubectl(['cp', here, `a:${there}/copy`]);
    assert.equal(up.code, 0, up.stderr);
    assert.ok(readFileSync(path.join(there, 'copy')).equals(data));
    const down = await kubectl(['cp', `a:${there}/copy`, path.join(directory, 'back')]);
    assert.equal(down.code, 0, down.stderr);
    assert.ok(readFileSync(path.join(directory, 'back')).equals(data));
  });

  test('port-forward carries several connections, half-closed ones too, and says when a port is closed', options, async () => {
    const server = net.createServer({ allowHalfOpen: true }, (socket) => {
      const hash = createHash('sha256');
      let length = 0;
      socket.on('data', (chunk) => {
        hash.update(chunk);
        length += chunk.length;
      });
      // Answers only after the client has ended its side.
      socket.on('end', () => socket.end(`${length} ${hash.digest('hex')}`));
      socket.on('error', () => {});
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as net.AddressInfo;
    const closed = net.createServer().listen(0, '127.0.0.1');
    await once(closed, 'listening');
    const { port: closedPort } = closed.address() as net.AddressInfo;
    closed.close();
    const child = start('port-forward', '--address', '127.0.0.1', 'a', `:${port}`, `:${closedPort}`);
    let stderr = '';
    child.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk.toString();
    });
    let stdout = '';
    child.stdout.on('data', (chunk: Buffer) => {
      stdout += chunk.toString();
    });
    const local = (): number[] => [...stdout.matchAll(/Forwarding from 127\.0\.0\.1:(\d+)/g)].map((match) => Number(match[1]));
    while (local().length < 2) await once(child.stdout, 'data');
    const [openLocal, closedLocal] = local() as [number, number];
    const exchange = async (to: number, data: Buffer): Promise<string> => {
      const socket = net.connect({ port: to, host: '127.0.0.1', allowHalfOpen: true });
      socket.on('error', () => {}).end(data);
      let answer = '';
      for await (const chunk of socket) answer += String(chunk);
      return answer;
    };
    const sizes = [0, 1, 100_000, 1_500_000];
    await Promise.all(
      sizes.map(async (size) => {
        const data = randomBytes(size);
        assert.equal(await exchange(openLocal, data), `${size} ${createHash('sha256').update(data).digest('hex')}`);
      }),
    );
    assert.equal(await exchange(closedLocal, Buffer.from('x')).catch(() => ''), '');
    while (!/ECONNREFUSED/.test(stderr)) await new Promise((resolve) => setTimeout(resolve, 10));
    child.kill('SIGKILL');
    await once(child, 'close');
    server.close();
  });
};

for (const tool of kubectlBinaries()) describe(tool.name, () => suite(tool));
