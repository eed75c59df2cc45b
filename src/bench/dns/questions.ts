import { question } from '../../dns/testkit/message.ts';
import { isDual, isHeadless, namespaces, outsideName, outsideNames, serviceName, zone } from './cluster.ts';

/** What is asked. */
export const kinds = {
  a: 'ClusterIP, A',
  nodata: 'ClusterIP without IPv6, AAAA',
  srv: 'SRV',
  headless: 'headless, 100 endpoints, EDNS 4096',
  'headless-512': 'headless, 100 endpoints, no EDNS',
  nxdomain: 'search names that do not exist',
  mix: 'mix',
  forward: 'cached names of others',
} as const;
export type Kind = keyof typeof kinds;
export const kindNames = Object.keys(kinds) as Kind[];

/** What a correct answer is. */
export interface Expected {
  rcode: number;
  /** Records in the answer section; fewer where the answer is truncated. */
  answers: number;
}

export interface Asked extends Expected {
  message: Buffer;
}

export const [noError, nxDomain] = [0, 3];

/** Numbers that are the same in every run (mulberry32). @returns from 0 up to `below` */
function randomNumbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

type Random = (below: number) => number;

function someService(random: Random, count: number, wanted: (service: number) => boolean): number {
  for (;;) {
    const service = random(count);
    if (wanted(service)) return service;
  }
}

const hasClusterIp = (service: number): boolean => !isHeadless(service);

/** What ndots:5 makes of a name of the outside, one search domain after the other. */
function searchName(random: Random): string {
  const domains = [`${namespaces[random(namespaces.length)]}.svc.${zone}`, `svc.${zone}`, zone];
  return `api-${random(1000)}.example.com.${domains[random(domains.length)]}`;
}

const one: Record<Exclude<Kind, 'mix'>, (random: Random, count: number) => Asked> = {
  a: (random, count) => ({ message: question(serviceName(someService(random, count, hasClusterIp)), {}), rcode: noError, answers: 1 }),
  nodata: (random, count) => {
    const service = someService(random, count, (i) => hasClusterIp(i) && !isDual(i));
    return { message: question(serviceName(service), { type: 'AAAA' }), rcode: noError, answers: 0 };
  },
  srv: (random, count) => {
    const service = someService(random, count, hasClusterIp);
    return { message: question(`_http._tcp.${serviceName(service)}`, { type: 'SRV' }), rcode: noError, answers: 1 };
  },
  headless: (random, count) => ({
    message: question(serviceName(someService(random, count, isHeadless)), { edns: 4096 }),
    ...{ rcode: noError, answers: 100 },
  }),
  'headless-512': (random, count) => ({ message: question(serviceName(someService(random, count, isHeadless)), {}), rcode: noError, answers: 100 }),
  nxdomain: (random) => ({ message: question(searchName(random), { type: random(2) === 0 ? 'A' : 'AAAA' }), rcode: nxDomain, answers: 0 }),
  forward: (random) => ({ message: question(outsideName(random(outsideNames)), {}), rcode: noError, answers: 1 }),
};

/** 25 % A, 25 % AAAA of Services of which half have IPv6, 42 % that do not exist, 5 % SRV, 3 % headless. */
function mixed(random: Random, count: number): Asked {
  const part = random(100);
  if (part < 25) return one.a(random, count);
  if (part < 50) {
    const service = someService(random, count, hasClusterIp);
    return { message: question(serviceName(service), { type: 'AAAA' }), rcode: noError, answers: isDual(service) ? 1 : 0 };
  }
  if (part < 92) return one.nxdomain(random, count);
  return part < 97 ? one.srv(random, count) : one.headless(random, count);
}

/** Questions of one kind, names drawn uniformly. @param count of Services */
export function questionsOf(kind: Kind, count: number, length: number): Asked[] {
  const random = randomNumbers(kindNames.indexOf(kind) + 1);
  return Array.from({ length }, () => (kind === 'mix' ? mixed(random, count) : one[kind](random, count)));
}
