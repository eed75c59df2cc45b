import { setTimeout } from 'node:timers/promises';
import type { Family, IpAddr } from '../net/ip.ts';
import { type Attempt, type Check, type Finding, Gate } from './attempt.ts';
import { type Destination, refusal } from './dial.ts';
import type { VerifyInput, VerifyLimits } from './input.ts';
import { namesChecks } from './names.ts';
import { capFor, connectionsFor } from './odds.ts';
import type { Place } from './place.ts';
import { sampled } from './sample.ts';
import { type Expected, expectedOn, portsOf, type ServicePort, slicesOf, socketText } from './service-ports.ts';
import { spread } from './spread.ts';
import type { World } from './world.ts';

/** At once in one check: servers' backlogs are not what is to be proven. */
const connectionsAtOnce = 32;
/** How long nothing must come where nobody may answer. */
const silenceMs = 150;

/** net.ipv4.icmp_ratelimit, net.ipv6.icmp.ratelimit, and a little. */
const icmpRateMs = 1100;

/** One sender, one port of a Service, and what must come of it. */
interface Line {
  from: Place;
  port: ServicePort;
  to: Destination;
  /** Whose data path decides. */
  node: Place;
  expected: Expected;
  /** The node's own name server may answer: then nothing is translated. */
  mayStay: boolean;
  /** The endpoint must see the sender's own address. */
  keepsSource: boolean;
}

/**
 * Services: by name; spread over their endpoints, from a pod on each node and from the node itself; refused without endpoints; node ports from outside.
 * With many Services, so many are tried, chosen by the seed.
 */
export function serviceChecks(input: VerifyInput, world: World, family: Family, limits: VerifyLimits): Check[] {
  const services = sampled(input.services, limits.servicesUpTo, limits.seed);
  const all = input.services.length;
  const note = services.length < all ? `sampled ${services.length} of ${all} Services, seed ${limits.seed}` : undefined;
  const ports = services.flatMap((service) => portsOf(service, slicesOf(service, input.endpointSlices), family));
  const builder = new Builder(world, limits, family, note);
  const isClusterDns = ({ address }: ServicePort): boolean => input.clusterDns.some((own) => own.equals(address));
  let forbidden = 0;
  /** Where an endpoint may not be asked, nobody can see all of them be chosen. */
  const mayAsk = (line: Line): boolean => {
    const may = isAllowed(world, line);
    if (!may) forbidden++;
    return may;
  };
  const inside = ports.flatMap((port, i) => insideLines(world, port, i, isClusterDns(port))).filter(mayAsk);
  const met = ({ expected }: Line): boolean => expected.kind === 'endpoints';
  const outside = ports.flatMap((port) => outsideLines(world, port)).filter(mayAsk);
  if (forbidden > 0) builder.add(`left out ${forbidden} ways to endpoints that policies forbid`);
  return [
    ...namesChecks({ input, world, family, limits, services, note }),
    // First, while few ICMP errors were sent: a node sends each host about one a second (icmp_ratelimit).
    ...builder.checks(
      'service-refused',
      'Services without endpoints',
      inside.filter((line) => !met(line)),
    ),
    ...builder.checks('service-spread', 'Services, spread', inside.filter(met)),
    ...builder.checks('nodeport', 'NodePort from outside', outside),
  ];
}

/** From each node, and from a pod on it: where an endpoint is, from the endpoint, so that it meets itself too (hairpin). */
function insideLines(world: World, port: ServicePort, index: number, mayStay: boolean): Line[] {
  return [...world.nodes].flatMap(([name, node]): Line[] => {
    const pods = world.podsOn(name, port.family);
    const endpoints = pods.filter((pod) => port.endpoints.some(({ address }) => pod.owns(address)));
    const pod = endpoints[index % endpoints.length] ?? pods[index % pods.length];
    const usual = expectedOn(name, port, port.internalLocal ? 'local' : 'cluster');
    const expected: Expected = mayStay && usual.kind !== 'endpoints' ? { kind: 'endpoints', endpoints: [], all: false } : usual;
    const froms = [...(pod ? [pod] : []), ...(node.address(port.family) ? [node] : [])];
    return froms.map((from) => ({ from, port, to: port, node, expected, mayStay, keepsSource: false }));
  });
}

/** Policies let the sender talk to every endpoint that may be chosen; what comes from outside may have the first node's address where it arrives (NP17). */
function isAllowed({ policies, nodes }: World, { from, to, port, node, expected, mayStay, keepsSource }: Line): boolean {
  const own = from.address(port.family);
  if (!own) return true;
  if (mayStay && policies.denies(own, to.address, to.protocol, to.port)) return false;
  if (expected.kind !== 'endpoints') return true;
  const masked = to === port || keepsSource || [...nodes.values()].includes(from) ? [] : [node.address(port.family)];
  return expected.endpoints.every((endpoint) =>
    [own, ...masked].every((source) => !source || !policies.denies(source, endpoint.address, to.protocol, endpoint.port, true)),
  );
}

function outsideLines(world: World, port: ServicePort): Line[] {
  const { outside: from } = world;
  const { nodePort, externalLocal } = port;
  if (nodePort === undefined || !from?.address(port.family)) return [];
  return [...world.nodes].flatMap(([name, node]): Line[] => {
    const address = node.address(port.family);
    if (!address) return [];
    const expected = expectedOn(name, port, externalLocal ? 'local' : 'cluster');
    return [
      {
        from,
        port,
        to: { protocol: port.protocol, address, port: nodePort },
        node,
        expected,
        mayStay: false,
        keepsSource: externalLocal,
      },
    ];
  });
}

/** How many it takes to see all endpoints. */
function connectionsOf({ expected, mayStay }: Line): number {
  if (expected.kind !== 'endpoints') return 0;
  return mayStay ? 1 : connectionsFor(expected.endpoints.length);
}

/** Endpoints that do not answer although the network did its part, by Service and in words. */
type Deaf = Map<string, Set<string>>;

function note(deaf: Deaf, service: string, endpoint: string): void {
  const known = deaf.get(service);
  if (known) known.add(endpoint);
  else deaf.set(service, new Set([endpoint]));
}

const textOf = (deaf: Deaf): string => {
  const parts = [...deaf].map(([whose, { size }]) => `${size} endpoint${size === 1 ? '' : 's'} ${whose}`);
  return `nothing listens at ${parts.slice(0, 2).join(', ')}${parts.length > 2 ? `, and of ${parts.length - 2} more Services` : ''}`;
};

class Builder {
  readonly #world: World;
  readonly #limits: VerifyLimits;
  readonly #family: Family;
  #note: string | undefined;
  readonly #gate = new Gate(connectionsAtOnce);

  constructor(world: World, limits: VerifyLimits, family: Family, note: string | undefined) {
    this.#world = world;
    this.#limits = limits;
    this.#family = family;
    this.#note = note;
  }

  /** To be told with each check. */
  add(note: string): void {
    this.#note = this.#note === undefined ? note : `${this.#note}; ${note}`;
  }

  /** One check for each protocol that some line has. */
  checks(id: string, title: string, lines: readonly Line[]): Check[] {
    return (['tcp', 'udp'] as const).flatMap((protocol) => {
      const own = lines.filter((line) => line.to.protocol === protocol);
      return own.length > 0 ? [this.#check(id, title, protocol, own)] : [];
    });
  }

  #check(id: string, title: string, protocol: 'tcp' | 'udp', lines: readonly Line[]): Check {
    const wanted = lines.map(connectionsOf);
    const cap = capFor(wanted, this.#limits.connections);
    const deaf: Deaf = new Map();
    const made = wanted.reduce((sum, count) => sum + Math.min(count, cap), 0);
    const note = (): string | undefined => {
      const parts = [
        made > 0 ? `${made} connections` : undefined,
        Number.isFinite(cap) ? `at most ${cap} each: some endpoints may stay unseen` : undefined,
        deaf.size > 0 ? textOf(deaf) : undefined,
        this.#note,
      ];
      return parts.filter((part) => part !== undefined).join('; ') || undefined;
    };
    const attempts = lines.map((line, i) => this.#attempt(line, Math.min(wanted[i]!, cap), deaf));
    const waits = lines.some(({ expected }) => expected.kind === 'silent');
    return { id, title, family: this.#family, protocol, note, untimed: true, waits, attempts };
  }

  #attempt(line: Line, count: number, deaf: Deaf): Attempt {
    const { from, port, to } = line;
    const name = `Service ${port.service}:${port.port}`;
    const target = `${name} (${to === port ? '' : 'node port '}${socketText(to.address, to.port)})`;
    return {
      from: from.text(this.#family),
      to: target,
      run: async () => this.#run(line, count, (endpoint, whose) => note(deaf, `${whose} ${port.service}`, endpoint)),
    };
  }

  async #run(line: Line, count: number, onDeaf: (endpoint: string, whose: string) => void): Promise<Finding> {
    const { from, to, node, expected, mayStay, keepsSource } = line;
    const world = this.#world;
    const hint = `look at: nsenter --net=${node.netns} nft list table inet podnet`;
    if (expected.kind !== 'endpoints') return this.#nobody(line, expected.kind, hint);
    return spread({
      ...{ from, to, count, mayStay, keepsSource, hint, gate: this.#gate, timeoutMs: this.#limits.timeoutMs },
      ...{ ledger: world.ledgerOf(node), node: node.label, endpoints: expected.endpoints, all: expected.all },
      whose: (address: IpAddr) => world.whose(address),
      placeOf: (address: IpAddr) => world.placeOf(address),
      onDeaf: ({ address, port }, place) =>
        onDeaf(socketText(address, port), place === 'cluster' ? 'of' : 'outside of the cluster of'),
    });
  }

  async #nobody({ from, to, node, port }: Line, wanted: 'refused' | 'silent', hint: string): Promise<Finding> {
    const timeoutMs = wanted === 'silent' ? silenceMs : this.#limits.timeoutMs;
    const ask = (): Promise<string> => this.#gate.run(() => refusal(from.ns, to, timeoutMs));
    let seen = await ask();
    // Only here is a packet sent twice: an ICMP error may be left out, since a node sends each host about one a second.
    if (to.protocol === 'udp' && wanted === 'refused' && seen === 'silent') {
      await setTimeout(icmpRateMs);
      seen = await ask();
    }
    if (seen === wanted) return undefined;
    const why =
      wanted === 'silent'
        ? `the policy is Local and ${node.label} has no endpoint: it must not answer, or load balancers send clients there`
        : `Service ${port.service} has no ready endpoint: clients must be told at once, not wait`;
    return {
      expected: wanted === 'silent' ? 'silence' : 'refused',
      seen: seen === 'silent' ? 'silence' : seen,
      why: `${why}; ${hint}`,
    };
  }
}
