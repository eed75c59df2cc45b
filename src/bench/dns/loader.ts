import { NetNs } from '../../kernel/netns.ts';
import { runOn } from '../../kernel/scheduling.ts';
import { Asker, type Load, type Outcome } from './asker.ts';
import { type Kind, questionsOf } from './questions.ts';

/** argv[2], as JSON. */
export interface LoaderOptions {
  /** Path of the network namespace. */
  ns: string;
  /** The processor for itself. */
  processor: number;
  services: number;
}

export interface Order {
  address: string;
  port: number;
  kind: Kind;
  load: Load;
  /** Without it any answer is right. */
  judged: boolean;
}

export type Reply = { outcome: Outcome; cpuUs: number } | { error: string };

const { ns, processor, services } = JSON.parse(process.argv[2]!) as LoaderOptions;
const namespace = NetNs.open(ns);
runOn([processor]);

/** Different ones, so that no cache holds a name because it was asked a moment ago. */
const different = 16_384;
const askers = new Map<string, Asker>();

function askerOf({ kind, judged }: Order): Asker {
  const key = `${kind} ${judged}`;
  const asker = askers.get(key) ?? new Asker(questionsOf(kind, services, different), judged);
  askers.set(key, asker);
  return asker;
}

process.on('message', (order: Order) => {
  let reply: Reply;
  try {
    const asker = askerOf(order);
    const before = process.cpuUsage();
    const outcome = namespace.enter(() => asker.run(order.address, order.port, order.load)) as Outcome;
    const { user, system } = process.cpuUsage(before);
    reply = { outcome, cpuUs: user + system };
  } catch (error) {
    reply = { error: (error as Error).message };
  }
  process.send!(reply);
});
process.on('disconnect', () => process.exit());
