import type { SearchList, SearchLists } from '../search/search-lists.ts';
import { Detour } from '../stages/detour.ts';
import type { Stage } from '../stages/stage.ts';
import { ClientAddress } from '../wire/client.ts';
import { rcode, rcodeName, rrType, typeName } from '../wire/constants.ts';
import { encodeQuery, type Message, ownerOf } from '../wire/message.ts';
import { formatName, labelsOf, lowerName, maxNameBytes, parseName, type WireName } from '../wire/names.ts';
import { Query, type TraceStep } from '../wire/query.ts';
import { dataText } from '../monitoring/log-tap.ts';
import type { ClusterZone } from '../zone/cluster.ts';
import type { PodFacts } from '../zone/facts.ts';

/** What to explain. */
export interface ExplainRequest {
  /** As a program of the pod gives it: with a dot at the end it is whole. */
  name: string;
  /** `namespace/name` of the pod that asks; without one nobody asks, and the name is whole. */
  pod?: string;
  types: string[];
}

export interface ExplainedRecord {
  name: string;
  ttl: number;
  type: string;
  data: string;
  /** Objects of the cluster that it comes from, or the step of the server that gave it. */
  from: string[];
}

/** One question as the pod's resolver sends it, and how it was answered. */
export interface Tried {
  name: string;
  type: string;
  rcode: string;
  answers: ExplainedRecord[];
  /** Step of the server that answered. */
  by: string;
  /** What the steps did, in order. */
  steps: TraceStep[];
  /** Milliseconds until the answer was ready. */
  ms: number;
}

export interface Explanation {
  name: string;
  pod?: { namespace: string; name: string; nodeName?: string; address?: string; hostNetwork: boolean };
  /** The pod's resolv.conf, as far as it decides about names; undefined without a pod. */
  searches?: string[];
  ndots?: number;
  /** In the order of the pod's resolver; it stops at the first name with an answer. */
  tried: Tried[];
  /** The name that was found. */
  found?: string;
}

/** There is no such pod. */
export class UnknownPodError extends Error {}

export interface ExplainerOptions {
  cluster: ClusterZone;
  lists: SearchLists;
  stages: readonly Stage[];
}

/** Asks the server's own steps what a pod would get, and hears what they do: nothing is modelled but the pod's resolver. */
export class Explainer {
  readonly #options: ExplainerOptions;

  constructor(options: ExplainerOptions) {
    this.#options = options;
  }

  /** @throws UnknownPodError; SyntaxError when the name or a type is none */
  async explain({ name, pod: key, types }: ExplainRequest): Promise<Explanation> {
    const { cluster, lists } = this.#options;
    const wanted = lowerName(parseName(name));
    const numbers = types.map(typeOf);
    const pod = key === undefined ? undefined : cluster.pods.get(key);
    if (key !== undefined && !pod) throw new UnknownPodError(`there is no pod ${key}`);
    const list = pod && lists.assumed(pod);
    const tried: Tried[] = [];
    let found: string | undefined;
    for (const one of list && !name.endsWith('.') ? namesOf(wanted, list) : [wanted]) {
      for (const type of numbers) tried.push(await this.#ask(one, type, pod));
      if (!tried.slice(-numbers.length).some(({ answers, type }) => answers.some((answer) => answer.type === type))) continue;
      found = formatName(one);
      break;
    }
    return {
      name,
      ...(pod ? { pod: describePod(pod), searches: list!.searches.map(formatName), ndots: list!.ndots } : {}),
      tried,
      ...(found === undefined ? {} : { found }),
    };
  }

  async #ask(name: WireName, type: number, pod: PodFacts | undefined): Promise<Tried> {
    const steps: TraceStep[] = [];
    const query = new Query();
    query.trace = (step) => void steps.push(step);
    query.client = clientOf(pod);
    const message = encodeQuery({ name, type });
    query.parse(message, 0, message.length, 'tcp');
    let by = '';
    const heard = this.#options.stages.map((stage) => listening(stage, (answered) => (by = answered)));
    const began = performance.now();
    const answer = await new Detour(heard).ask(query, name);
    const ms = performance.now() - began;
    const read = answer.rcode === rcode.SERVFAIL ? undefined : answer.read();
    return {
      ...{ name: formatName(name), type: typeName(type), rcode: rcodeName(answer.rcode), by, steps },
      answers: read ? this.#records(read, by, steps) : [],
      ms: Math.round(ms * 1000) / 1000,
    };
  }

  #records(message: Message, by: string, steps: readonly TraceStep[]): ExplainedRecord[] {
    const { cluster } = this.#options;
    const said = steps.filter(({ stage }) => stage === 'hosts' || stage === 'forward').map(({ stage, text }) => `${stage}: ${text}`);
    return message.records
      .filter(({ section }) => section === 'answer')
      .map((record) => {
        const owner = ownerOf(message, record);
        const objects = steps.some(({ stage }) => stage === 'hosts') ? [] : cluster.objectsOf(owner, record.type);
        const from = objects.length > 0 ? objects : steps.some(({ stage }) => stage === 'rewrite') ? this.#rewritten(steps, record.type) : [];
        const isAlias = by === 'search' && owner === message.name;
        return {
          ...{ name: formatName(owner), ttl: record.ttl, type: typeName(record.type), data: dataText(message, record) },
          from: isAlias ? ['search path'] : from.length > 0 ? from : said.length > 0 ? said.slice(-1) : [by],
        };
      });
  }

  /** Objects of the name that the question was rewritten to. */
  #rewritten(steps: readonly TraceStep[], type: number): string[] {
    const name = steps.findLast(({ stage }) => stage === 'rewrite')?.text.split(' ')[0];
    return name === undefined ? [] : this.#options.cluster.objectsOf(lowerName(parseName(name)), type);
  }
}

/** Wraps a stage so that it is known which one answered. */
const listening = (stage: Stage, answered: (name: string) => void): Stage => ({
  name: stage.name,
  answer(query, reply) {
    const verdict = stage.answer(query, reply);
    if (verdict !== 'next') answered(stage.name);
    return verdict;
  },
  ...(stage.resolve ? { resolve: (query, reply) => stage.resolve!(query, reply) } : {}),
});

/** In the order of resolv.conf(5): names with enough dots as they are first, others last. */
function namesOf(name: WireName, { searches, ndots }: SearchList): WireName[] {
  const head = name.slice(0, -1);
  const searched = searches.map((search) => head + search).filter((one) => one.length <= maxNameBytes && one !== name);
  return labelsOf(name).length - 1 >= ndots ? [name, ...searched] : [...searched, name];
}

function clientOf(pod: PodFacts | undefined): ClientAddress {
  const client = new ClientAddress();
  if (pod?.ips[0] !== undefined) client.setText(pod.ips[0]);
  return client;
}

const describePod = ({ namespace, name, nodeName, ips, hostNetwork }: PodFacts): Explanation['pod'] => ({
  ...{ namespace, name, hostNetwork },
  ...(nodeName === undefined ? {} : { nodeName }),
  ...(ips[0] === undefined ? {} : { address: ips[0] }),
});

/** `A`, `TYPE65`. */
function typeOf(text: string): number {
  const upper = text.toUpperCase();
  const number = Object.hasOwn(rrType, upper) ? rrType[upper as keyof typeof rrType] : Number(/^TYPE(\d+)$/.exec(upper)?.[1]);
  if (!(number >= 1 && number <= 65535)) throw new SyntaxError(`"${text}" is no record type; e.g. A, AAAA, SRV, PTR, TXT, TYPE65`);
  return number;
}
