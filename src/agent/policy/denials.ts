import { isNotFound } from '../../kernel/errors.ts';
import { type Nft, NftTransactionError } from '../../kernel/nftables/index.ts';
import type { Api } from '../../kube/api.ts';
import { EventRecorder } from '../../kube/events.ts';
import { Informer } from '../../kube/informer.ts';
import { Namespaces, Pods } from '../../kube/resources.ts';
import type { Namespace } from '../../kube/types.ts';
import { type Family, families, IpAddr } from '../../net/ip.ts';
import { evaluate } from '../../policy/evaluate.ts';
import type { Packet } from '../../policy/packet.ts';
import { denialSets, deniedSet, loggedSet } from '../../policy/plan/index.ts';
import { reasonText } from '../../policy/reason-text.ts';
import { hasIdentity, podKey, type World } from '../../policy/world.ts';
import type { Item, Reconciler } from '../../reconcile/index.ts';
import type { PodView } from '../watch/pod-view.ts';
import { type Denial, DenialBook, type DenialList } from './denial-book.ts';
import type { PolicyWorld } from './sources.ts';

/** On a Namespace: what is denied to and by its pods is logged. */
export const logDenialsAnnotation = 'podnet/log-denials';

/** Owner of the addresses of pods whose denials are logged. */
const denialsOwner = 'policy denials';

const wantsDenials = ({ metadata }: Namespace): boolean => metadata.annotations?.[logDenialsAnnotation] === 'true';

export interface DenialsParts {
  nodeName: string;
  api: Api;
  reconciler: Pick<Reconciler, 'contribute'>;
  nft: Pick<Nft, 'countedElements' | 'transaction'>;
  log: (line: string) => void;
  now?: () => number;
  /** How often the kernel is asked, while anybody wants to know. */
  intervalMs?: number;
}

const table = 'podnet';
/** Of what was denied within a second so many are looked at, those with the most packets. */
const mostJudged = 50;

/**
 * Denials on request: of pods whose namespace has the annotation. Packets that policies deny write themselves into a set of the kernel, which is read and emptied each
 * second; which policy it was the evaluator says, from the objects. Nothing is done, and nothing asked, while no namespace wants it.
 */
export class Denials implements Disposable {
  readonly #parts: Required<DenialsParts>;
  readonly #book = new DenialBook();
  readonly #events: EventRecorder;
  #namespaces: Informer<Namespace, boolean> | undefined;
  #pods: PolicyWorld['pods'] | undefined;
  #world: (() => World) | undefined;
  #ends: (() => void)[] = [];
  #timer: NodeJS.Timeout | undefined;
  #planned: NodeJS.Timeout | undefined;
  #contributed = '';
  #fault: string | undefined;

  constructor(parts: DenialsParts) {
    this.#parts = { now: Date.now, intervalMs: 1000, ...parts };
    const { api, nodeName } = this.#parts;
    this.#events = new EventRecorder(api, {
      component: 'podnet',
      host: nodeName,
      now: this.#parts.now,
      onError: (error) => this.#say(error),
    });
  }

  /**
   * Policies are in force, and chains and sets are contributed.
   * @param world all that verdicts depend on, as it is when it is called
   */
  begin({ pods }: Pick<PolicyWorld, 'pods'>, world: () => World): void {
    this.end();
    this.#pods = pods;
    this.#world = world;
    const namespaces = new Informer<Namespace, boolean>(this.#parts.api, Namespaces, {
      project: wantsDenials,
      onChange: () => this.#planSoon(),
      onError: (error) => this.#say(error),
    });
    this.#namespaces = namespaces.start();
    this.#ends = [() => namespaces.stop(), pods.onChange(() => this.#planSoon())];
  }

  /** There are no policies any more. */
  end(): void {
    clearTimeout(this.#planned);
    clearInterval(this.#timer);
    this.#planned = this.#timer = undefined;
    for (const end of this.#ends) end();
    this.#ends = [];
    this.#pods = this.#namespaces = this.#world = undefined;
    this.#contribute([]);
  }

  /** What was denied lately, the latest last. */
  list(): DenialList {
    return { node: this.#parts.nodeName, namespaces: this.#wanting().sort(), denials: this.#book.list() };
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#planned);
    clearInterval(this.#timer);
    for (const end of this.#ends) end();
  }

  /** Many pods change at once. */
  #planSoon(): void {
    this.#planned ??= setTimeout(() => {
      this.#planned = undefined;
      this.#plan();
    }, 100);
  }

  #plan(): void {
    const pods = this.#logged();
    const addresses = new Map(pods.flatMap((pod) => pod.addresses.map((address) => [String(address), address])));
    this.#contribute([...addresses.values()].sort((a, b) => a.compare(b)));
    clearInterval(this.#timer);
    this.#timer = addresses.size > 0 ? setInterval(() => this.#poll(), this.#parts.intervalMs).unref() : undefined;
  }

  #wanting(): string[] {
    return [...(this.#namespaces?.keys() ?? [])].filter((name) => this.#namespaces!.get(name));
  }

  #logged(): PodView[] {
    const { nodeName } = this.#parts;
    const wants = new Set(this.#wanting());
    if (wants.size === 0) return [];
    return this.#pods!.list().filter((pod) => pod.node === nodeName && wants.has(pod.namespace) && hasIdentity(pod));
  }

  #contribute(addresses: readonly IpAddr[]): void {
    const text = addresses.join();
    if (text === this.#contributed) return;
    this.#contributed = text;
    const items = addresses.map(
      (address): Item => ({ kind: 'nft-element', set: loggedSet(address.family), key: String(address) }),
    );
    this.#parts.reconciler.contribute(denialsOwner, items);
  }

  #poll(): void {
    try {
      const seen = families.flatMap((family) => this.#take(family));
      if (seen.length > 0) this.#tell(seen);
      this.#fault = undefined;
    } catch (error) {
      this.#say(error as Error);
    }
  }

  /** Reads what was denied, and takes it away: what is denied again writes itself anew. */
  #take(family: Family): { key: string; packets: number }[] {
    const set = denialSets.find(({ name }) => name === deniedSet(family))!;
    try {
      const elements = this.#parts.nft.countedElements(table, set);
      if (elements.length > 0) this.#parts.nft.transaction(table, (t) => void t.deleteElements(set, elements));
      return elements;
    } catch (error) {
      // The table is about to be made, or one has ended by itself in between: the next time, then.
      if (isNotFound(error) || (error instanceof NftTransactionError && error.errno === 'ENOENT')) return [];
      throw error;
    }
  }

  #tell(seen: readonly { key: string; packets: number }[]): void {
    const world = this.#world!();
    const now = this.#parts.now();
    const logged = new Map(this.#logged().flatMap((pod) => pod.addresses.map((address) => [String(address), pod] as const)));
    // Each costs a look at all policies; who scans ports shall not keep the agent busy.
    const most = seen.toSorted((a, b) => b.packets - a.packets).slice(0, mostJudged);
    let silent = seen.length - most.length;
    for (const { key, packets } of most) {
      const denial = judged(world, key, packets);
      const told = this.#book.note(denial, now);
      if (!told) continue;
      this.#parts.log(`${told.text} (${told.packets === 1 ? '1 packet' : `${told.packets} packets`})`);
      for (const address of [denial.source, denial.destination]) {
        const pod = logged.get(address);
        if (pod)
          this.#events.event(
            Pods,
            { metadata: { namespace: pod.namespace, name: pod.name, uid: pod.uid } },
            'Warning',
            'NetworkPolicyDenied',
            told.text,
          );
      }
    }
    silent += this.#book.takeSilent();
    if (silent > 0) this.#parts.log(`${silent} more denials were not logged, there are too many of them`);
  }

  #say({ message }: Error): void {
    if (message !== this.#fault) this.#parts.log(`denials of policies: ${message}`);
    this.#fault = message;
  }
}

const protocolOf = (name: string): Packet['protocol'] =>
  name === 'tcp' || name === 'udp' || name === 'sctp' ? (name.toUpperCase() as 'TCP') : 'ICMP';

/** @param key `10.0.0.1 . 10.0.0.2 . tcp . 5432` */
function judged(world: World, key: string, packets: number): Omit<Denial, 'first' | 'last'> {
  const [source = '', destination = '', protocolName = '', portText = ''] = key.split(' . ');
  const protocol = protocolOf(protocolName);
  const port = protocol === 'ICMP' ? {} : { port: Number(portText) };
  const packet: Packet = { source: IpAddr.parse(source), destination: IpAddr.parse(destination), protocol, ...port };
  const { egress, ingress } = evaluate(world, packet);
  const by = [egress, ingress].find(({ allowed }) => !allowed);
  return {
    ...{ source, destination, protocol, ...port, packets },
    ...{ from: nameOf(world, source), to: nameOf(world, destination) },
    why: by ? reasonText(by) : 'policies have changed since, and would allow it now',
  };
}

function nameOf(world: World, address: string): string {
  const pod = world.podAt.get(address);
  if (pod) return podKey(pod);
  const node = world.nodeAt.get(address);
  return node ? `node ${node.name}` : address;
}
