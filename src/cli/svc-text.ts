import type { ServiceReport } from '../agent/services/report.ts';
import { type Family, families } from '../net/ip.ts';
import type { Connections, ExplainedDestination, ExplainedEndpoint, ExplainedPort, Way } from '../services/index.ts';
import { count, printable, type Style, table } from './output.ts';

interface TextOptions {
  wide: boolean;
  /** Names of pods by address. */
  pods: ReadonlyMap<string, string>;
  style: Style;
}

/** One Service for a person: the first node in full, with a line for each of the others. */
export function reportText(reports: readonly ServiceReport[], options: TextOptions): string {
  const [first, ...others] = reports;
  return [
    head(reports, options.style),
    ...first!.ports.map((port) => portText(port, options)),
    ...(first!.noDataPath === undefined ? [kernelText(first!, options)] : []),
    ...(others.length > 0 && first!.noDataPath === undefined ? [nodesText(reports, options.style)] : []),
    ...(first!.noDataPath === undefined ? [options.style.paint('dim', notes)] : []),
  ].join('\n\n');
}

function head(reports: readonly ServiceReport[], style: Style): string {
  const report = reports[0]!;
  const announced = announcements(reports);
  const { namespace, name, type, node, zone, noDataPath, state, why } = report;
  const title = style.paint('bold', printable(`${namespace}/${name}`));
  const where = `for clients of ${printable(node)}${zone === undefined ? '' : `, zone ${printable(zone)}`}`;
  const lines: [string, string][] = [];
  if (noDataPath !== undefined) lines.push(['no data path', noDataPath]);
  const { internalTrafficPolicy, externalTrafficPolicy, affinitySeconds, sourceRanges, healthCheck, ignored, refusesOtherPorts } =
    report;
  if (internalTrafficPolicy === 'Local') lines.push(['internalTrafficPolicy', 'Local: only endpoints on the node of the client']);
  if (externalTrafficPolicy === 'Local')
    lines.push([
      'externalTrafficPolicy',
      "Local: clients from outside get endpoints on this node, which see the client's address",
    ]);
  if (affinitySeconds !== undefined)
    lines.push(['session affinity', `a client stays with its endpoint until it made no connection for ${affinitySeconds} s`]);
  if (sourceRanges)
    lines.push(['source ranges', `the load balancer's addresses are for ${sourceRanges.join(', ') || 'nobody'} only`]);
  if (healthCheck) lines.push(['health check', healthText(healthCheck)]);
  if (announced.length > 0) lines.push(['announced', announced.map(({ address, by }) => `${address} by ${by}`).join(', ')]);
  if (refusesOtherPorts.length > 0)
    lines.push(['other ports', `of ${refusesOtherPorts.join(' and ')} are refused, and pings (SD12)`]);
  for (const one of ignored) lines.push(['not taken', style.paint('yellow', printable(`${one.address}: ${one.why}`))]);
  if (state === 'pending') lines.push(['plan', style.paint('yellow', 'about to be written to the kernel')]);
  // By the kernel, or since another Service has the same address and port: which one says the reason.
  if (why !== undefined) lines.push(['not in force', style.paint('red', printable(why))]);
  const wide = Math.max(0, ...lines.map(([key]) => key.length));
  return [`${title}   ${printable(type)}   ${where}`, ...lines.map(([key, value]) => `  ${key.padEnd(wide)}   ${value}`)].join(
    '\n',
  );
}

/** Which node answers ARP and Neighbour Discovery for which address of a load balancer, of the nodes that were asked. */
const announcements = (reports: readonly ServiceReport[]): { address: string; by: string }[] =>
  reports.flatMap(({ node, announced }) => (announced ?? []).map((address) => ({ address, by: printable(node) })));

function healthText({ port, localEndpoints }: NonNullable<ServiceReport['healthCheck']>): string {
  const told = families.flatMap((family) => {
    const ready = localEndpoints[family];
    if (ready === undefined) return [];
    return `${ready > 0 ? 200 : 503} by ${familyNames[family]}, with ${count(ready, 'ready endpoint')} on this node`;
  });
  return `load balancers that ask port ${port} are told ${told.join('; ')}`;
}

const familyNames: Readonly<Record<Family, string>> = { ipv4: 'IPv4', ipv6: 'IPv6' };

function portText(port: ExplainedPort, options: TextOptions): string {
  const { name, protocol, family, destinations } = port;
  const label = `${name === '' ? '' : `${printable(name)} `}${port.port}/${protocol.toUpperCase()} ${familyNames[family]}`;
  const parts = [
    options.style.paint('bold', `PORT ${label}`),
    destinationsText(destinations, options.style),
    ...reasons(destinations),
  ];
  parts.push('', endpointsText(port, options));
  for (const { endpoint, connections } of port.departed)
    parts.push(`${tally(connections)} still at ${endpointName(endpoint)}, which is no endpoint any more`);
  return parts.join('\n');
}

const notes = `FROM OUTSIDE: from any other machine, and from pods of other nodes.
address kept: the endpoint sees the client's own, unless the client is itself the endpoint; else it sees the node's.
OPEN, ENDED: connections that the node sent there, in its conntrack now; those of TCP that ended stand there for two minutes at most.`;

const sum = (all: readonly Connections[], key: keyof Connections): number => all.reduce((total, one) => total + one[key], 0);

const counters = ({ open, ended, unanswered }: Connections, hasUnanswered: boolean): string[] => [
  ...[String(open), String(ended)],
  ...(hasUnanswered ? [String(unanswered)] : []),
];

const counterHeader = (hasUnanswered: boolean): string[] => ['OPEN', 'ENDED', ...(hasUnanswered ? ['UNANSWERED'] : [])];

function destinationsText(destinations: readonly ExplainedDestination[], style: Style): string {
  const has = destinations.some(({ connections }) => connections.unanswered > 0);
  const rows = destinations.map(({ kind, address, port, from, connections }) => [
    socket(address, port),
    kind,
    ...[wayText(from.pod, style), wayText(from.node, style), wayText(from.outside, style)],
    ...counters(connections, has),
  ]);
  const header = ['TO', 'WHICH IS', 'FROM A POD HERE', 'FROM THE NODE', 'FROM OUTSIDE', ...counterHeader(has)];
  return table(header, rows, [5, 6, 7]);
}

function wayText({ outcome, set, endpoints, source, only }: Way, style: Style): string {
  if (outcome === 'refused' || outcome === 'dropped') return style.paint('red', outcome + (only && outcome === 'refused' ? ' *' : ''));
  if (outcome !== 'sent on') return outcome;
  const to = set === 'local' ? `any of ${endpoints} here` : `any of ${endpoints}`;
  return `${to}, ${source === 'client' ? 'address kept' : "node's address"}${only ? ' *' : ''}`;
}

/** What is refused or dropped, and why, each once. */
function reasons(destinations: readonly ExplainedDestination[]): string[] {
  const ways = destinations.flatMap(({ from }) => Object.values(from));
  const told = ways.flatMap(({ outcome, why }) => (outcome === 'sent on' ? [] : [`  ${outcome}: ${why}`]));
  if (ways.some(({ only, outcome }) => only && outcome !== 'dropped'))
    told.push('  * from the source ranges only; what comes from elsewhere is dropped (SD10)');
  return [...new Set(told)];
}

function endpointsText(
  { endpoints, destinations, family, otherFamily }: ExplainedPort,
  { wide, pods, style }: TextOptions,
): string {
  if (endpoints.length === 0)
    return otherFamily === 0
      ? 'no endpoints'
      : `no endpoints of ${familyNames[family]}; ${count(otherFamily, 'endpoint')} of the other family`;
  const ways = destinations.flatMap(({ from }) => Object.values(from));
  const used = new Set(ways.map(({ set }) => set));
  const isReserve = ways.every(({ outcome }) => outcome === 'answered here');
  const unanswered = endpoints.some(({ connections }) => connections.unanswered > 0);
  const clients = endpoints.some((endpoint) => endpoint.clients !== undefined);
  const zones = wide || endpoints.some(({ any }) => any !== true && any.code === 'other-zone-preferred');
  const rows = endpoints.map((endpoint) => {
    const { address, port, nodeName, zone, condition, connections } = endpoint;
    const { state, why } = judgement(endpoint, used.has('any') || !used.has('local'), used.has('local'));
    const chosen = state !== 'yes' ? state : isReserve ? 'in reserve' : condition === 'ready' ? 'yes' : 'yes, as none is ready';
    return [
      socket(address, port),
      printable(pods.get(address) ?? '-'),
      printable(nodeName ?? '-'),
      ...(zones ? [printable(zone ?? '-')] : []),
      condition,
      style.paint(chosen === 'no' ? 'yellow' : 'green', chosen),
      ...counters(connections, unanswered),
      ...(clients ? [String(endpoint.clients ?? 0)] : []),
      printable(why),
    ];
  });
  const counted = [...counterHeader(unanswered), ...(clients ? ['CLIENTS'] : [])];
  const before = ['ENDPOINT', 'POD', 'NODE', ...(zones ? ['ZONE'] : []), 'STATE', 'CHOSEN'];
  const hasWhy = rows.some((row) => row.at(-1) !== '');
  return table(
    [...before, ...counted, hasWhy ? 'WHY NOT' : ''],
    rows,
    counted.map((_, i) => before.length + i),
  );
}

/** By which of the sets that clients are sent to it can be met. */
function judgement({ any, local }: ExplainedEndpoint, usesAny: boolean, usesLocal: boolean): { state: string; why: string } {
  if (!usesLocal) return any === true ? { state: 'yes', why: '' } : { state: 'no', why: any.why };
  if (!usesAny) return local === true ? { state: 'yes', why: '' } : { state: 'no', why: local.why };
  if (any === true && local === true) return { state: 'yes', why: '' };
  if (any === true) return { state: 'not from outside', why: local === true ? '' : local.why };
  if (local === true) return { state: 'from outside', why: any.why };
  return { state: 'no', why: local.code === 'not-on-this-node' ? any.why : local.why };
}

function kernelText({ elements, node, why }: ServiceReport, { wide, style }: TextOptions): string {
  const hurt = elements.filter(({ kernel }) => kernel !== 'held');
  const rows = (wide ? elements : hurt).map(({ set, element, kernel, found, meaning }) => [
    set,
    printable(element),
    kernel === 'held' ? style.paint('green', 'held') : style.paint('red', found === undefined ? kernel : `has ${found}`),
    meaning,
  ]);
  const total =
    hurt.length === 0
      ? `KERNEL of ${printable(node)}: ${count(elements.length, 'element')}, all as planned`
      : style.paint(
          'red',
          `KERNEL of ${printable(node)}: ${hurt.length} of ${count(elements.length, 'element')} not as planned; ${why === undefined ? 'podnet mends this' : 'why is told at the top'}`,
        );
  const lists = rows.length > 0 ? `\n${table(['SET', 'ELEMENT', 'KERNEL', 'MEANING'], rows)}` : '';
  const how = wide ? "\nAsk it yourself: nft get element inet podnet SET '{ KEY }'" : '';
  return `${style.paint('bold', total)}${lists}${how}`;
}

/** Each node with what its clients meet at the ClusterIP, and the connections that it sent on. */
function nodesText(reports: readonly ServiceReport[], style: Style): string {
  const rows = reports.map(({ node, ports, elements }) => {
    const pods = [...new Set(ports.map(({ destinations }) => wayText(destinations[0]!.from.pod, style)))];
    const all = ports.flatMap(({ destinations }) => destinations.map(({ connections }) => connections));
    const hurt = elements.filter(({ kernel }) => kernel !== 'held').length;
    const kernel =
      hurt === 0 ? style.paint('green', 'as planned') : style.paint('red', `${hurt} of ${elements.length} not as planned`);
    return [printable(node), pods.join('; '), String(sum(all, 'open')), String(sum(all, 'ended')), kernel];
  });
  return table(['NODE', 'ITS PODS, TO THE CLUSTERIP', 'OPEN', 'ENDED', 'KERNEL'], rows, [2, 3]);
}

const tally = ({ open, ended, unanswered }: Connections): string => `${open} open, ${ended} ended, ${unanswered} unanswered`;

const socket = (address: string, port: number | undefined): string =>
  port === undefined ? printable(address) : `${address.includes(':') ? `[${address}]` : printable(address)}:${port}`;

/** `10.244.1.7 . 8080` as people write it. */
function endpointName(key: string): string {
  const [address = '', port = ''] = key.split(' . ');
  return socket(address, Number(port));
}
