import type { SearchList, SearchLists } from '../search/search-lists.ts';
import { rcode, rrType } from '../wire/constants.ts';
import { formatName, labelsOf, lowerName, maxNameBytes, type WireName } from '../wire/names.ts';
import type { Query } from '../wire/query.ts';
import { questionName, type Reply } from '../wire/reply.ts';
import { copyRecords } from '../wire/relocate.ts';
import type { ClusterZone } from '../zone/cluster.ts';
import type { PodFacts } from '../zone/facts.ts';
import { Detour, type DetourAnswer } from './detour.ts';
import type { Stage, Verdict } from './stage.ts';

export interface SearchStageOptions {
  cluster: ClusterZone;
  lists: SearchLists;
  isSynced: () => boolean;
  /** The stages behind this one: what the pod would get for each name. */
  stages: readonly Stage[];
  onWalk?: (found: boolean) => void;
}

/** A walk that took so long ends: the pod's resolver asks for the other names itself. */
const longestMs = 3000;

/**
 * Walks a pod's search path in its place (as CoreDNS' autopath does). With ndots:5 a pod that wants api.example.com asks for
 * api.example.com.NAMESPACE.svc.ZONE first, and then for three and more other names, each in both families. At the first of them all are tried here,
 * in the pod's order, and the answer is an alias to the name that was found:
 *
 *     api.example.com.shop.svc.cluster.local.  5  CNAME  api.example.com.
 *     api.example.com.                       300  A      192.0.2.7
 *
 * The first name that exists ends the walk, with addresses of the family asked for or without (NODATA), so that both families end at the same name.
 * When none exists, or it cannot be known, the answer is what it is without a walk: the asked name does not exist. The pod goes on by itself.
 *
 * Only for pods, known by their address, whose own search path begins with the asked name's end. Not for names of one label (a Service that is
 * not there must not become a host of the company's network), nor for names below a Service of the namespace (a peer that is not ready yet).
 */
export class SearchStage implements Stage {
  readonly name = 'search';
  readonly #options: SearchStageOptions;
  readonly #detour: Detour;
  readonly #leastLabels: number;
  /** From `answer` to `resolve`, which follows in the same turn. */
  #waiting: { names: WireName[]; at: number; found: Promise<DetourAnswer> } | undefined;

  constructor(options: SearchStageOptions) {
    this.#options = options;
    this.#detour = new Detour(options.stages);
    // Two of the name, the namespace, "svc".
    this.#leastLabels = labelsOf(options.cluster.apex).length + 4;
  }

  answer(query: Query, reply: Reply): Verdict {
    if ((query.type !== rrType.A && query.type !== rrType.AAAA) || query.labels < this.#leastLabels) return 'next';
    const names = this.#namesFor(query);
    if (!names) return 'next';
    for (const name of names) {
      const found = this.#detour.ask(query, name);
      if (found instanceof Promise) {
        this.#waiting = { names, at: names.indexOf(name), found };
        return 'later';
      }
      if (found.rcode === rcode.NXDOMAIN) continue;
      // The asked name is there by a custom entry, or it cannot be known what exists.
      if (found.rcode !== rcode.NOERROR || name === names[0]) break;
      this.#finish(query, reply, name, found);
      return 'answered';
    }
    this.#options.onWalk?.(false);
    return 'next';
  }

  async resolve(query: Query, reply: Reply): Promise<void> {
    const { names, at, found: first } = this.#waiting!;
    this.#waiting = undefined;
    const until = performance.now() + longestMs;
    let found = await first;
    let own: DetourAnswer | undefined = at === 0 ? found : undefined;
    for (let i = at; ; ) {
      if (found.rcode === rcode.NOERROR && i > 0) return this.#finish(query, reply, names[i]!, found);
      if (found.rcode !== rcode.NXDOMAIN || ++i >= names.length || performance.now() >= until) break;
      const next = this.#detour.ask(query, names[i]!);
      // What is ready must be read in this turn: the next question has the same room.
      found = next instanceof Promise ? await next : next;
    }
    this.#options.onWalk?.(false);
    if (!own) {
      const again = this.#detour.ask(query, names[0]!);
      own = again instanceof Promise ? await again : again;
    }
    if (own.rcode !== rcode.SERVFAIL) copyRecords(reply, own.read(), { known: new Map([[names[0]!, questionName]]) });
    reply.finish({ rcode: own.rcode, authoritative: true });
  }

  #finish(query: Query, reply: Reply, name: WireName, found: DetourAnswer): void {
    this.#options.onWalk?.(true);
    finish(query, reply, name, found);
  }

  /** The names to try, the asked one first; undefined when there is nothing to walk. In the order of what is cheap and often true. */
  #namesFor(query: Query): WireName[] | undefined {
    const { cluster, lists, isSynced } = this.#options;
    if (!query.recursionDesired || !isSynced()) return undefined;
    // Who is no pod costs one look-up.
    const pod = cluster.pods.at(query.client);
    if (!pod) return undefined;
    const present = cluster.zones.find(query);
    if (!present || present.entry || present.apex.name !== cluster.apex) return undefined;
    const list = lists.of(pod);
    const asked = list && query.name();
    const base = asked && baseOf(asked, list);
    if (!base || this.#isBelowService(base, pod)) return undefined;
    query.trace?.({ stage: 'search', text: `walks the search path of pod ${pod.namespace}/${pod.name}` });
    return [asked, ...namesAfterFirst(base, list)];
  }

  #isBelowService(base: WireName, { namespace }: PodFacts): boolean {
    const labels = labelsOf(base);
    return labels.length < 2 || this.#options.cluster.hasService(`${namespace}/${labels.at(-1)}`);
  }
}

/** What the pod wanted, with the root: the asked name without the first search domain. */
function baseOf(asked: WireName, { searches }: SearchList): WireName | undefined {
  const first = searches[0];
  if (first === undefined || first.length >= asked.length || !asked.endsWith(first)) return undefined;
  const end = asked.length - first.length;
  for (let at = 0; at <= end; at += asked.charCodeAt(at) + 1) if (at === end) return `${asked.slice(0, end)}\0`;
  return undefined;
}

/** What the pod's resolver would ask for after the first name. Names with many dots have been tried as they are before. */
function namesAfterFirst(base: WireName, { searches, ndots }: SearchList): WireName[] {
  const head = base.slice(0, -1);
  const names = searches.slice(1).map((search) => lowerName(head + search));
  const dots = labelsOf(base).length - 1;
  if (dots < ndots && !names.includes(base)) names.push(base);
  return names.filter((name) => name.length <= maxNameBytes);
}

/** The alias, and what stands at its end. */
function finish(query: Query, reply: Reply, name: WireName, found: DetourAnswer): void {
  query.trace?.({ stage: 'search', text: `found ${formatName(name)}` });
  if (reply.record(questionName, rrType.CNAME, aliasTtl, name)) {
    reply.answers++;
    copyRecords(reply, found.read(), { known: new Map([[name, reply.position - name.length]]) });
  } else reply.truncated = true;
  reply.finish({ rcode: rcode.NOERROR, authoritative: true });
}

/** Seconds, as of all that depends on the cluster's objects (D15): a Service may come to stand at an earlier name. */
const aliasTtl = 5;
