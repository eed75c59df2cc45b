import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { AgentConfig } from '../../agent/config.ts';
import { NetNs } from '../../kernel/netns.ts';
import { RtNetlink } from '../../kernel/rtnetlink/rtnetlink.ts';
import { IpAddr } from '../../net/ip.ts';
import { nextMessage } from '../child.ts';
import { jsonLines, writeLines } from '../lines.ts';
import { clusterCidr, type Size, serviceCidr, servicesOf, slicesOf } from '../objects.ts';
import type { MeasuredKind } from './changes.ts';
import type { ChangesTimed, Memory, Question, Started, SubjectOptions } from './subject.ts';

const program = fileURLToPath(new URL('./subject.js', import.meta.url));
const nodeAddress = '192.0.2.1';
/** Whatever is asked; a size that takes longer is told as one that failed. */
const longestMs = 120_000;

/** An agent of a node of its own, in a process of its own, in a cluster of some size. */
export class Subject implements AsyncDisposable {
  readonly size: Size;
  readonly ns: NetNs;
  readonly #directory: string;
  readonly #path: string;
  readonly #options: SubjectOptions;
  #process: ChildProcess | undefined;

  constructor(directory: string, size: Size) {
    this.size = size;
    this.#directory = directory;
    mkdirSync(directory, { recursive: true });
    this.#path = `${directory}/node`;
    this.ns = NetNs.create(this.#path);
    const config: AgentConfig = {
      ...{ nodeName: 'me', families: ['ipv4'], attach: 'routed', backend: 'auto', vxlan: { id: 7, port: 4789 } },
      ...{ clusterCidrs: [clusterCidr], serviceCidrs: [serviceCidr], clusterDns: ['10.96.0.10'], nonMasqueradeCidrs: [] },
      ...{ stateDir: `${directory}/leases`, statusSocket: `${directory}/status.sock` },
      cni: {
        ...{ network: 'podnet', socketPath: `${directory}/cni.sock`, binDir: `${directory}/bin`, confDir: `${directory}/net.d` },
        hostLocalDir: `${directory}/host-local`,
      },
    };
    this.#options = {
      ...{ config, address: nodeAddress, size },
      services: writeLines(`${directory}/services.json`, jsonLines(servicesOf(size))),
      slices: writeLines(`${directory}/slices.json`, jsonLines(slicesOf(size))),
    };
    using rt = RtNetlink.open(this.ns);
    rt.addLink({ type: 'veth', name: 'eth0', peer: { name: 'eth0-peer' } });
    for (const name of ['lo', 'eth0-peer', 'eth0']) rt.setLink(rt.link(name)!.index, { up: true, addrGenMode: 'none' });
    rt.addAddress({ link: rt.link('eth0')!.index, address: IpAddr.parse(nodeAddress), prefixLength: 24 });
  }

  /** Starts the agent, and waits until the kernel holds everything. */
  async start(execArgv: readonly string[] = []): Promise<Started> {
    const log = openSync(`${this.#directory}/agent.log`, 'a');
    try {
      const start = (): ChildProcess =>
        fork(program, [JSON.stringify(this.#options)], { detached: true, execArgv: [...execArgv], stdio: ['ignore', 'ignore', log, 'ipc'] });
      this.#process = this.ns.enter(start as never) as ChildProcess;
    } finally {
      closeSync(log);
    }
    return (await this.#answer()) as Started;
  }

  async changes(kind: MeasuredKind, count: number): Promise<ChangesTimed> {
    return (await this.#ask({ ask: 'changes', kind, count })) as ChangesTimed;
  }

  async memory(): Promise<Memory> {
    return (await this.#ask({ ask: 'memory' })) as Memory;
  }

  /** What a full check against the kernel takes, ms. */
  async check(): Promise<number> {
    return (await this.#ask({ ask: 'check' })) as number;
  }

  /** As a crash does: the kernel keeps what it holds. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    if (signal === 'SIGTERM') child.disconnect();
    else child.kill(signal);
    await gone;
  }

  async #ask(question: Question): Promise<unknown> {
    this.#process!.send(question);
    return ((await this.#answer()) as { result: unknown }).result;
  }

  #answer(): Promise<unknown> {
    return nextMessage(this.#process!, { who: 'the agent', log: `${this.#directory}/agent.log`, longestMs });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    this.ns[Symbol.dispose]();
    NetNs.remove(this.#path);
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
