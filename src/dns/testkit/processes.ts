import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { FakeServer } from '../../kube/fake-server.ts';
import type { FakeApi } from '../../kube/fake.ts';
import { getJson } from '../../unix/http.ts';
import type { DnsConfig } from '../config.ts';

const podnet = fileURLToPath(new URL('../../../bin/podnet', import.meta.url));
/** Each process takes half a second of a processor to start, which is much longer where twenty others want it. */
const patienceMs = 120_000;

export interface ProcessStatus {
  ready: boolean;
  cache?: { entries: number };
  process: { pid: number; parent?: number; standby?: number; standbyKnows?: boolean; names: string };
}

/** `podnet dns` as real processes on loopback, with an API server in this process. Ends all of them. */
export class DnsProcesses implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'podnet-test-dnsp-'));
  readonly address: string;
  readonly port: number;
  readonly #api: FakeApi;
  readonly #config: Partial<DnsConfig>;
  readonly #parents: ChildProcess[] = [];
  #server: FakeServer | undefined;
  /** What the parents have said. */
  said = '';

  /** @param port free on `address` */
  constructor(api: FakeApi, address: string, port: number, config: Partial<DnsConfig> = {}) {
    this.#api = api;
    this.address = address;
    this.port = port;
    this.#config = config;
  }

  get healthSocket(): string {
    return join(this.folder, 'health.sock');
  }

  get runDir(): string {
    return join(this.folder, 'run');
  }

  async serveApi(): Promise<void> {
    this.#server = await FakeServer.listen(this.#api);
    const { url } = this.#server;
    const kubeconfig = {
      ...{ apiVersion: 'v1', kind: 'Config', 'current-context': 'x' },
      clusters: [{ name: 'c', cluster: { server: url } }],
      users: [{ name: 'u', user: {} }],
      contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
    };
    writeFileSync(join(this.folder, 'kubeconfig'), JSON.stringify(kubeconfig));
  }

  async endApi(): Promise<void> {
    await this.#server?.[Symbol.asyncDispose]();
    this.#server = undefined;
  }

  /** A parent; it is not waited for. */
  start(config: Partial<DnsConfig> = {}): ChildProcess {
    const { address, port, runDir, healthSocket } = this;
    const whole: DnsConfig = {
      ...{ kubeconfig: join(this.folder, 'kubeconfig'), listen: [address], port, runDir, healthSocket },
      ...{ podCidrs: ['10.244.0.0/16'], serviceCidrs: ['10.96.0.0/16'], standbyAfterMs: 0, ...this.#config, ...config },
    };
    const file = join(this.folder, `config-${this.#parents.length}.json`);
    writeFileSync(file, JSON.stringify(whole));
    const child = spawn(process.execPath, [podnet, 'dns', '--config', file], { stdio: ['ignore', 'ignore', 'pipe'] });
    child.stderr!.on('data', (text: Buffer) => {
      this.said += text;
    });
    this.#parents.push(child);
    return child;
  }

  /** Of the worker that answers; undefined while none does. */
  async status(): Promise<ProcessStatus | undefined> {
    return getJson<ProcessStatus>(this.healthSocket, '/status', 2000).catch(() => undefined);
  }

  /** Until the status is as wanted. */
  async until(wanted: (status: ProcessStatus) => boolean): Promise<ProcessStatus> {
    for (const end = Date.now() + patienceMs; ; ) {
      const status = await this.status();
      if (status && wanted(status)) return status;
      if (Date.now() > end) throw new Error(`still ${JSON.stringify(status?.process)}; said: ${this.said}`);
      await sleep(20);
    }
  }

  /** Until somebody answers, and another one could all the same. @param parent if it must be that one */
  complete(parent?: number): Promise<ProcessStatus> {
    return this.until(
      ({ ready, process: { standbyKnows, parent: of } }) => ready && standbyKnows === true && (parent === undefined || of === parent),
    );
  }

  /** Every process that holds the socket, whoever its parent is. */
  get pids(): number[] {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name) && socketsOf(name).has(this.#inode ?? 'none'))
      .map(Number);
  }

  #inode: string | undefined;

  /** To be called when the first one listens. */
  findSocket(): void {
    const hex = (this.port + 0x10000).toString(16).slice(1).toUpperCase();
    const line = readFileSync('/proc/net/udp', 'utf8').split('\n').find((one) => one.trim().split(/\s+/)[1]?.endsWith(`:${hex}`));
    this.#inode = line?.trim().split(/\s+/)[9];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#parents) child.kill('SIGTERM');
    await Promise.all(this.#parents.map(ended));
    for (const pid of this.pids) process.kill(pid, 'SIGKILL');
    await this.endApi();
    rmSync(this.folder, { recursive: true });
  }
}

const ended = (child: ChildProcess): unknown => child.exitCode === null && child.signalCode === null && once(child, 'exit');

const linkOf = (path: string): string => {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
};

function socketsOf(pid: string): Set<string> {
  try {
    return new Set(readdirSync(`/proc/${pid}/fd`).map((fd) => /^socket:\[(\d+)\]$/.exec(linkOf(`/proc/${pid}/fd/${fd}`))?.[1] ?? '-'));
  } catch {
    return new Set();
  }
}
