import { ProbeSocket } from '../../kernel/probes.ts';
import { processors, runOn } from '../../kernel/scheduling.ts';
import { IpAddr } from '../../net/ip.ts';
import { jsonLines, writeLines } from '../lines.ts';
import { tell } from '../progress.ts';
import { spreadOf } from '../stats.ts';
import { bigNamespace, changeObjects, clientAddress, clientPod, extraPolicy, serverAddress, sizes } from './change-cluster.ts';
import { type ChangeKind, changeKinds, type ChangeRow, type Loaded } from './changes.ts';
import { serverPort } from './cluster.ts';
import { Pods } from './pods.ts';
import { Subject } from './subject-process.ts';
import type { Memory, Question, Taken } from './subject.ts';

/** Closes the flow, and opens it again. */
const pairs: Readonly<Record<ChangeKind, readonly [close: Question, open: Question]>> = {
  'pod-label': [set(clientPod('nobody')), set(clientPod('app-0'))],
  'namespace-label': [set(bigNamespace('p9')), set(bigNamespace('p0'))],
  policy: [{ event: 'delete', line: JSON.stringify(extraPolicy()) }, set(extraPolicy())],
};
function set(object: object): Question {
  return { event: 'set', line: JSON.stringify(object) };
}

/** How long packets are waited for that go otherwise than before. */
const patienceMs = 30_000;

export interface MeasuredChanges {
  loaded: Loaded;
  changes: ChangeRow[];
}

/** @param events of each kind, half of them close and half of them open what datagrams between two pods are watched by */
export async function measureChanges(directory: string, events: number, signal: AbortSignal): Promise<MeasuredChanges> {
  const all = processors();
  using pods = new Pods(`${directory}/changes`);
  const objects = writeLines(`${directory}/changes.json`, jsonLines(changeObjects()));
  try {
    await using subject = new Subject(pods.node, objects, `${directory}/changes.log`);
    const started = await subject.started();
    tell(`changes: ${sizes.pods} pods and ${sizes.policies} policies are loaded`);
    using flow = new Flow(pods);
    if (!flow.passes()) throw new Error('the flow is closed, and a policy allows it');
    const changes: ChangeRow[] = [];
    for (const kind of changeKinds) {
      // For the policy that comes and goes, the client is of an app that nobody else allows.
      if (kind === 'policy') for (const question of [set(clientPod('extra')), pairs.policy[1]]) await quietly(subject, question);
      const taken: { kernel: Taken; packetsMs: number }[] = [];
      for (let event = -2; event < events; event++) {
        const closes = event % 2 === 0;
        const begin = performance.now();
        subject.ask(pairs[kind][closes ? 0 : 1]);
        const answer = subject.answer();
        const packetsMs = flow.waitFor(!closes, begin);
        const kernel = (await answer) as Taken;
        if (packetsMs === undefined) throw new Error(`${kind}: the flow is ${closes ? 'open' : 'closed'} ${patienceMs} ms after the event, and must not be`);
        if (event >= 0) taken.push({ kernel, packetsMs });
        signal.throwIfAborted();
      }
      const median = (of: (one: Taken) => number): number => spreadOf(taken.map(({ kernel }) => of(kernel))).median;
      changes.push({
        ...{ kind, events: taken.length, kernelMs: spreadOf(taken.map(({ kernel }) => kernel.ms)) },
        ...{ packetsMs: spreadOf(taken.map((one) => one.packetsMs)), planMs: median(({ planMs }) => planMs) },
        elements: median(({ operations }) => operations),
      });
      tell(`changes: ${kind} is measured`);
    }
    subject.ask({ ask: 'memory' });
    const { rssMb } = (await subject.answer()) as Memory;
    const { coldMs, planMs, kernelMs, elements, memory } = started;
    return { loaded: { ...sizes, coldMs, planMs, kernelMs, elements, ...memory, laterMb: rssMb }, changes };
  } finally {
    runOn(all);
  }
}

async function quietly(subject: Subject, question: Question): Promise<void> {
  subject.ask(question);
  await subject.answer();
}

/** Datagrams between two pods, one after the other; the whole way is done inside of the calls. */
class Flow implements Disposable {
  readonly #client: ProbeSocket;
  readonly #server: ProbeSocket;
  readonly #to = IpAddr.parse(serverAddress!);
  readonly #datagram = Buffer.from('?');

  constructor(pods: Pods) {
    this.#client = ProbeSocket.udp(pods.client, 'ipv4', { source: IpAddr.parse(clientAddress!), port: 40_000 });
    this.#server = ProbeSocket.udp(pods.server, 'ipv4', { source: this.#to, port: serverPort });
  }

  passes(): boolean {
    this.#client.send(this.#datagram, this.#to, serverPort);
    return this.#server.receive() !== undefined;
  }

  /** Sends until packets pass, or no longer do: three in a row, since the kernel may put one off. @returns ms since `begin`, undefined after long */
  waitFor(passes: boolean, begin: number): number | undefined {
    let since: number | undefined;
    for (let row = 0; row < 3; ) {
      const now = performance.now();
      if (now - begin > patienceMs) return undefined;
      if (this.passes() === passes) {
        since ??= now;
        row++;
      } else {
        since = undefined;
        row = 0;
      }
    }
    return since! - begin;
  }

  [Symbol.dispose](): void {
    this.#client[Symbol.dispose]();
    this.#server[Symbol.dispose]();
  }
}
