import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import test from 'node:test';
import { listenTcp } from '../../kernel/sockets.ts';
import { IpAddr } from '../../net/ip.ts';
import { TestWorld } from '../../testing/netns.ts';
import { needsRoot } from '../../testing/root.ts';
import { type ContainerSpec, ContainerStartError, type RunningContainer } from '../container.ts';
import { readLog } from '../logs/index.ts';
import { connectInPod, createProcessRuntime, execTool } from './index.ts';

const busybox = '/bin/busybox';
const needs =
  existsSync(busybox) || process.env.CI === 'true' ? needsRoot : { skip: 'needs /bin/busybox: apt-get install busybox-static' };

/** A runtime with a folder and a network namespace of its own; whatever still runs at the end is stopped. */
class Bed {
  readonly #world = new TestWorld('containers');
  readonly pod = this.#world.namespace('pod');
  readonly dir = mkdtempSync('/run/podnet-test-containers-');
  readonly layersDir = join(this.dir, 'layers');
  readonly runtime = createProcessRuntime({
    resolve: () => ({ image: '*', busybox, command: ['sh'] }),
    layersDir: this.layersDir,
  });
  readonly #all: RunningContainer[] = [];
  #count = 0;

  spec(script: string, more: Partial<ContainerSpec> = {}): ContainerSpec {
    const dir = join(this.dir, `c${this.#count++}`);
    mkdirSync(dir);
    return {
      id: 'a'.repeat(64),
      pod: { namespace: 'default', name: 'p', uid: 'u' },
      name: 'c',
      nodeName: 'n',
      init: false,
      image: 'busybox',
      command: ['sh', '-c', script],
      env: {},
      stdin: false,
      stdinOnce: false,
      tty: false,
      netns: this.pod.path,
      hostNetwork: false,
      hostname: 'web-0',
      podIPs: [],
      mounts: [],
      ports: [],
      probes: [],
      dir,
      logPath: join(dir, '0.log'),
      ...more,
    };
  }

  async start(spec: ContainerSpec): Promise<RunningContainer> {
    const container = await this.runtime.start(spec);
    this.#all.push(container);
    return container;
  }

  async close(): Promise<void> {
    await Promise.all(this.#all.map((container) => container.stop(0)));
    this.#world[Symbol.dispose]();
    rmSync(this.dir, { recursive: true });
  }
}

const withBed = (run: (bed: Bed) => Promise<void>) => async (): Promise<void> => {
  const bed = new Bed();
  try {
    await run(bed);
  } finally {
    await bed.close();
  }
};

const log = async (spec: ContainerSpec): Promise<string> =>
  text(await readLog(spec.logPath, { follow: true, timestamps: false }));

async function seen(stream: Readable, part: string): Promise<string> {
  let all = '';
  for await (const chunk of stream.iterator({ destroyOnReturn: false })) {
    all += chunk;
    if (all.includes(part)) break;
  }
  return all;
}

test(
  'a container sees its own host name, processes, files and links, and ends with its exit code',
  needs,
  withBed(async (bed) => {
    const shared = join(bed.dir, 'shared');
    mkdirSync(shared);
    writeFileSync(join(shared, 'hosts'), '10.0.0.1 web\n');
    const script =
      'hostname; echo $$; test -e /proc/20 || echo few; cat /etc/hosts; ls /sys/class/net; echo "$A" > /dev/stderr; pwd; exit 7';
    const mounts = [{ source: join(shared, 'hosts'), target: '/etc/hosts', readOnly: true }];
    const spec = bed.spec(script, { mounts, env: { A: 'b c' }, workingDir: '/made/here' });
    const container = await bed.start(spec);
    const { exitCode, reason } = await container.exited;
    assert.deepEqual(
      (await log(spec)).split('\n').filter((line) => line !== 'b c'),
      ['web-0', '1', 'few', '10.0.0.1 web', 'lo', '/made/here', ''],
    );
    assert.match(readFileSync(spec.logPath, 'utf8'), / stderr F b c\n/);
    assert.deepEqual([exitCode, reason], [7, 'Error']);
    assert.deepEqual(readdirSync(spec.dir), ['0.log'], 'its root is removed');
  }),
);

test(
  'a container cannot write to the host nor to its kernel settings, nor mount, and inherits no descriptor',
  needs,
  withBed(async (bed) => {
    const shared = join(bed.dir, 'shared');
    mkdirSync(shared);
    const script = `touch /bin/sh /fixed/x; echo x > /proc/sys/kernel/hostname; mount -t tmpfs x /tmp; mknod /tmp/d b 8 0; ls -d ${bed.dir} /work; ls /proc/1/fd; date > /new; hostname other; grep -q podnet-old /proc/mounts || echo clean`;
    const spec = bed.spec(script, { mounts: [{ source: shared, target: '/fixed', readOnly: true }] });
    await (await bed.start(spec)).exited;
    const output = await log(spec);
    assert.match(output, /fixed\/x: Read-only file system/);
    assert.match(output, /hostname: Read-only file system/);
    assert.match(output, /mount: .*(permission denied|Operation not permitted)/i);
    assert.match(output, /mknod: .*Operation not permitted/);
    assert.match(output, /\/work: No such file/);
    // The shell keeps a descriptor 10 of its own, at times.
    assert.deepEqual(
      (output.match(/^\d+$/gm) ?? []).filter((fd) => fd !== '10'),
      ['0', '1', '2'],
    );
    assert.match(output, /^clean$/m, 'the old root is gone');
    assert.ok(!existsSync('/new'));
  }),
);

test(
  'a mapped directory is what the container sees, and stays as it was',
  needs,
  withBed(async (bed) => {
    const rootfs = join(bed.dir, 'rootfs');
    mkdirSync(join(rootfs, 'bin'), { recursive: true });
    for (const name of ['sh', 'rm', 'mkdir', 'cat']) copyFileSync(busybox, join(rootfs, 'bin', name));
    writeFileSync(join(rootfs, 'kept'), 'old');
    const runtime = createProcessRuntime({
      resolve: () => ({ image: 'mine', rootfs, entrypoint: ['/bin/sh', '-c'] }),
      layersDir: bed.layersDir,
    });
    const spec = bed.spec('', {
      command: undefined,
      args: ['cat /kept; echo new > /kept; rm /bin/mkdir; echo x > /more; cat /kept'],
    });
    assert.equal((await (await runtime.start(spec)).exited).exitCode, 0);
    assert.equal(await log(spec), 'oldnew\n');
    assert.equal(readFileSync(join(rootfs, 'kept'), 'utf8'), 'old');
    assert.deepEqual(readdirSync(rootfs).sort(), ['bin', 'kept']);
    assert.equal(readdirSync(join(rootfs, 'bin')).length, 4);
  }),
);

test(
  'stop asks with SIGTERM and, when pid 1 does not listen, kills after the grace',
  needs,
  withBed(async (bed) => {
    const spec = bed.spec('trap "exit 3" TERM; echo ready; while :; do sleep 0.05; done');
    const polite = await bed.start(spec);
    const deaf = await bed.start(bed.spec('trap "" TERM; sleep 1000'));
    // Before the trap is set the shell, as pid 1, does not listen either.
    const output = await readLog(spec.logPath, { follow: true, timestamps: false });
    assert.equal(await seen(output, 'ready'), 'ready\n');
    output.destroy();
    await Promise.all([polite.stop(20_000), deaf.stop(200)]);
    assert.equal((await polite.exited).exitCode, 3);
    const { exitCode, signal } = await deaf.exited;
    assert.deepEqual([exitCode, signal], [137, 9]);
  }),
);

test(
  'a program that is not there or must not be run is refused in the words of runc',
  needs,
  withBed(async (bed) => {
    const refused = (command: string[]) =>
      bed.runtime.start(bed.spec('', { command })).then(
        () => assert.fail('started'),
        (error: unknown) => {
          assert.ok(error instanceof ContainerStartError);
          assert.deepEqual([error.reason, error.exitCode], ['StartError', 128]);
          return error.message;
        },
      );
    assert.match(await refused(['foo']), /: exec: "foo": executable file not found in \$PATH: unknown$/);
    assert.match(await refused(['/no/foo']), /: exec: "\/no\/foo": stat \/no\/foo: no such file or directory: unknown$/);
    assert.match(await refused(['/etc/passwd']), /: exec: "\/etc\/passwd": permission denied: unknown$/);
  }),
);

test(
  'exec joins the container: same processes and files, own exit code and terminal',
  needs,
  withBed(async (bed) => {
    const container = await bed.start(bed.spec('echo mine > /file; sleep 1000; true', { env: { A: 'b' } }));
    for (let tries = 0; tries < 100; tries++)
      if ((await (await container.exec(['test', '-s', '/file'], false)).exit).code === 0) break;
    const plain = await container.exec(
      ['sh', '-c', 'cat /file; echo $A; hostname; tr "\\0" " " < /proc/1/cmdline; cat; echo e >&2; exit 5'],
      false,
    );
    plain.stdin!.end('input');
    const [output, errors, { code }] = await Promise.all([text(plain.stdout!), text(plain.stderr!), plain.exit]);
    assert.equal(output, 'mine\nb\nweb-0\nsh -c echo mine > /file; sleep 1000; true input');
    assert.deepEqual([errors, code], ['e\n', 5]);
    const terminal = await container.exec(['sh', '-c', 'read x; tty; stty size; exit 4'], true);
    terminal.resize!(100, 30);
    terminal.stdin!.write('\n');
    assert.match(await text(terminal.stdout!), /\/dev\/pts\/\d+\r\n30 100\r\n$/);
    assert.equal((await terminal.exit).code, 4);
    const missing = await container.exec(['nothing'], false);
    assert.match(await text(missing.stderr!), /exec: "nothing": executable file not found in \$PATH/);
    assert.equal((await missing.exit).code, 127);
    assert.equal((await (await container.exec(['/etc/passwd'], false)).exit).code, 126);
  }),
);

test(
  "attached clients share the streams; with stdinOnce the end of the input is the container's",
  needs,
  withBed(async (bed) => {
    const container = await bed.start(bed.spec('read a; echo got $a; cat', { stdin: true, stdinOnce: true }));
    const [one, two] = await Promise.all([container.attach(false), container.attach(false)]);
    one.stdin!.end('x\ny\n');
    assert.deepEqual(await Promise.all([text(one.stdout!), text(two.stdout!)]), ['got x\ny\n', 'got x\ny\n']);
    assert.equal((await one.exit).code, 0);
  }),
);

test(
  'an ordinary user runs without capabilities',
  needs,
  withBed(async (bed) => {
    const spec = bed.spec('id -u; id -g; id -G; grep CapEff /proc/self/status', {
      user: { uid: 1000, gid: 1001, groups: [1001, 7] },
    });
    await (await bed.start(spec)).exited;
    assert.match(await log(spec), /^1000\n1001\n1001 7\nCapEff:\t0000000000000000\n$/);
  }),
);

test(
  "fifty containers start at once, and no mount of theirs is in the host's table",
  needs,
  withBed(async (bed) => {
    const containers = await Promise.all(Array.from({ length: 50 }, () => bed.start(bed.spec('sleep 1000'))));
    assert.equal(new Set(containers.map(({ pid }) => pid)).size, 50);
    assert.ok(!readFileSync('/proc/self/mountinfo', 'utf8').includes(bed.dir));
    await Promise.all(containers.map((container) => container.stop(0)));
    assert.equal(process.cwd(), new URL('../../..', import.meta.url).pathname.replace(/\/$/, ''));
  }),
);

test(
  'a tool runs in the pod of a container that is not there, and ports of its loopback are reached',
  needs,
  withBed(async (bed) => {
    const tool = await execTool(
      { netns: bed.pod.path, mounts: [], hostname: 'web-0', env: { A: 'b' } },
      ['sh', '-c', 'hostname; echo $A; ls /sys/class/net'],
      false,
      {
        busybox,
        layersDir: bed.layersDir,
        dir: join(bed.dir, 'tools'),
      },
    );
    assert.equal(await text(tool.stdout!), 'web-0\nb\nlo\n');
    assert.equal((await tool.exit).code, 0);
    assert.deepEqual(readdirSync(join(bed.dir, 'tools')), []);
    const server = net.createServer((socket) => socket.end('six'));
    const fd = listenTcp(bed.pod.ns, IpAddr.parse('::1'), 8080);
    await new Promise<void>((resolve) => void server.listen({ fd }, resolve));
    try {
      const connection = await connectInPod(bed.pod.path, 8080);
      connection.end();
      assert.equal(await text(connection), 'six');
      await assert.rejects(connectInPod(bed.pod.path, 81), /localhost:81 inside.*ECONNREFUSED/);
    } finally {
      server.close();
    }
  }),
);

test(
  'a runner that is killed leaves the container running, to be found by PODNET_LAB, and no mount',
  needs,
  withBed(async (bed) => {
    const spec = bed.spec('sleep 1000');
    const lab = `test-${process.pid}`;
    const script = `const { createProcessRuntime } = await import(${JSON.stringify(new URL('./index.js', import.meta.url).href)});
    const runtime = createProcessRuntime({ resolve: () => ({ image: '*', busybox: '/bin/busybox' }), layersDir: ${JSON.stringify(bed.layersDir)} });
    console.log((await runtime.start(${JSON.stringify(spec)})).pid);`;
    const runner = spawn(process.execPath, ['--input-type=module', '-e', script], {
      env: { ...process.env, PODNET_LAB: lab },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const pid = Number(await seen(runner.stdout, '\n'));
    const gone = new Promise((resolve) => runner.once('exit', resolve));
    runner.kill('SIGKILL');
    await gone;
    try {
      assert.ok(readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').includes(`PODNET_LAB=${lab}`));
      assert.ok(!readFileSync('/proc/self/mountinfo', 'utf8').includes(spec.dir));
    } finally {
      process.kill(pid, 'SIGKILL');
    }
  }),
);
