import type { IpAddr } from '../net/ip.ts';
import type { Finding, Gate } from './attempt.ts';
import { type Destination, type Dialled, dial, isTaken } from './dial.ts';
import type { Ledger } from './ledger.ts';
import { isTooMany, mayMiss } from './odds.ts';
import type { Place } from './place.ts';
import { endpointKey, type ServiceEndpoint, socketText } from './service-ports.ts';

export interface SpreadOptions {
  from: Place;
  to: Destination;
  /** Of the node whose data path chooses the endpoint. */
  ledger: Ledger;
  node: string;
  endpoints: readonly ServiceEndpoint[];
  /** Every endpoint must be chosen. */
  all: boolean;
  /** The node's own program may answer at the Service's address, without any translation: the cluster DNS. */
  mayStay: boolean;
  /** The endpoint must see the sender's own address (externalTrafficPolicy Local). */
  keepsSource: boolean;
  count: number;
  gate: Gate;
  timeoutMs: number;
  /** Whose address that is. */
  whose(address: IpAddr): string;
  /** The place that has the address. */
  placeOf(address: IpAddr): Place | undefined;
  hint: string;
  /** Told of an endpoint on which nothing listens, or which is outside of the cluster and does not answer: the network did its part. */
  onDeaf(endpoint: ServiceEndpoint, place: 'cluster' | 'outside'): void;
}

/** Makes many connections to a Service and reads in the node's connection tracking where each was sent. Whether and what the endpoint answers is its own business. */
export async function spread(options: SpreadOptions): Promise<Finding> {
  const { from, to, gate, timeoutMs, endpoints, count } = options;
  const dialled: Dialled[] = [];
  let failed = false;
  const one = async (): Promise<void> => {
    if (failed) return;
    const done = await dial(from.ns, to, timeoutMs);
    dialled.push(done);
    // A dead Service is found with one connection; the rest would only wait.
    failed = done.failed !== undefined && done.failed !== 'ECONNREFUSED';
  };
  await gate.run(one);
  await Promise.all(Array.from({ length: count - 1 }, () => gate.run(one)));
  const times = new Map<string, number>();
  const own = listed(endpoints.map(endpointKey)) || `an answer of ${options.node} itself`;
  const expected = `${options.all && endpoints.length > 1 ? 'each of ' : ''}${own}`;
  // A node that talks to an address of its own may talk from it.
  const isSender = (source: IpAddr): boolean => from.owns(source) || source.equals(to.address);
  const flows = dialled.map(({ sourcePort = 0 }) => ({ ...to, sourcePort, destination: to.address }));
  const entries = await options.ledger.find(flows, isSender);
  for (const [i, done] of dialled.entries()) {
    const entry = entries[i];
    const sent = entry && { address: entry.reply.source, port: entry.reply.sourcePort ?? 0 };
    const bad = judge(done, sent, options);
    if (bad) return { expected, ...bad, why: `${bad.why}; ${options.hint}` };
    if (!sent) continue;
    const seenFrom = entry.reply.destination;
    if (options.keepsSource && !seenFrom.equals(entry.original.source)) {
      const why = `the endpoint sees ${seenFrom}, ${options.whose(seenFrom)}; externalTrafficPolicy Local keeps the source`;
      return { expected: `source ${entry.original.source}`, seen: `source ${seenFrom}`, why: `${why}; ${options.hint}` };
    }
    times.set(endpointKey(sent), (times.get(endpointKey(sent)) ?? 0) + 1);
  }
  const uneven = judgeSpread(times, options);
  return uneven && { expected, ...uneven, why: `${uneven.why}; ${options.hint}` };
}

/** What is wrong with one connection. */
function judge(
  { failed, reason }: Dialled,
  sent: { address: IpAddr; port: number } | undefined,
  options: SpreadOptions,
): { seen: string; why: string } | undefined {
  const { to, node, endpoints } = options;
  if (!sent) {
    // The node's own name server is asked over UDP without a connection that anybody tracks; whether it answers is the check of names.
    if (failed === undefined && options.mayStay && to.protocol === 'udp') return undefined;
    if (failed === undefined)
      return { seen: 'no translation', why: `${node} tracks no connection: dropped there, or gone another way` };
    return { seen: failed, why: `${reason}; ${node} tracks no connection: refused or dropped there` };
  }
  const key = endpointKey(sent);
  if (key === socketText(to.address, to.port)) {
    if (options.mayStay && failed === undefined) return undefined;
    return {
      seen: 'no translation',
      why: `${reason ?? 'something answers at the Service address itself'}: ${node} sends it to no endpoint`,
    };
  }
  const endpoint = endpoints.find((one) => endpointKey(one) === key);
  if (!endpoint) return { seen: key, why: `${options.whose(sent.address)}, and no endpoint that ${node} may choose` };
  if (failed === undefined) return undefined;
  const place = options.placeOf(sent.address);
  if (!place || (failed === 'ECONNREFUSED' && !isTaken(place.ns, { ...to, ...sent }))) {
    options.onDeaf(endpoint, place ? 'cluster' : 'outside');
    return undefined;
  }
  const sentTo = `sent to ${key} (${options.whose(sent.address)})`;
  const why = failed === 'ECONNREFUSED' ? 'refused although a socket listens there' : reason;
  return { seen: failed, why: `${sentTo}: ${why}` };
}

function judgeSpread(times: ReadonlyMap<string, number>, options: SpreadOptions): { seen: string; why: string } | undefined {
  const { endpoints, all, node } = options;
  if (!all || endpoints.length < 2) return undefined;
  const counted = endpoints.map((endpoint) => ({ endpoint, seen: times.get(endpointKey(endpoint)) ?? 0 }));
  const made = counted.reduce((sum, { seen }) => sum + seen, 0);
  // Connections that stay on the node, at its own name server, were not spread.
  if (made === 0) return undefined;
  const missed = counted
    .filter(({ seen }) => seen === 0)
    .map(({ endpoint }) => `${endpointKey(endpoint)} (${options.whose(endpoint.address)})`);
  if (missed.length > mayMiss(endpoints.length, made))
    return { seen: `${missed.length} of them never`, why: `${node} made ${made} connections, none to ${listed(missed)}` };
  const most = counted.find(({ seen }) => isTooMany(endpoints.length, made, seen));
  if (!most) return undefined;
  const share = `${most.seen} of ${made} connections to ${endpointKey(most.endpoint)}`;
  return { seen: share, why: `${node} does not spread evenly: chance does not explain that` };
}

/** A few, and how many more. */
function listed(texts: readonly string[]): string {
  const few = 4;
  const more = texts.length - few;
  return more > 0 ? `${texts.slice(0, few).join(', ')} and ${more} more` : texts.join(', ');
}
