import type { Change, Comparison } from '../policy/compare.ts';
import { trafficText } from '../policy/traffic.ts';
import type { ElementChange, Prediction, ServiceChange, WayChange } from '../predict/index.ts';
import { count, printable, type Style, table } from './output.ts';

export interface DiffTextOptions {
  /** With every element. */
  wide: boolean;
  style: Style;
}

/** What a change would change, for people: connections, Services, and what each node's kernel would hold. */
export function diffText(told: Comparison & Prediction, { wide, style }: DiffTextOptions): string {
  const { changes, added, removed, services, nodes } = told;
  const parts: string[] = [];
  const touched = nodes.filter(({ elements }) => elements.length > 0);
  if (changes.length === 0)
    parts.push(services.length + touched.length > 0 ? 'policies open and close no connection' : 'nothing changes');
  else parts.push(table([' ', 'FROM', 'TO', 'PORTS', 'FAMILY'], rowsOf(changes, style)));
  if (added.length > 0) parts.push(`new, and not compared: ${printable(added.join(', '))}`);
  if (removed.length > 0) parts.push(`gone, and not compared: ${printable(removed.join(', '))}`);
  const names = nodes.map(({ node }) => node);
  parts.push(...services.map((service) => serviceText(service, names, style)));
  if (wide) parts.push(...touched.map(({ node, elements }) => elementsText(node, elements, style)));
  else if (touched.length > 0)
    parts.push(`in kernels:\n${touched.map(({ node, elements }) => `  ${printable(node)}: ${countsText(elements)}`).join('\n')}`);
  return parts.join('\n\n');
}

/** Families with the same change stand in one row; what is closed first, since it hurts first. */
function rowsOf(changes: readonly Change[], style: Style): string[][] {
  const rows = new Map<string, { row: string[]; families: string[] }>();
  for (const sign of ['closed', 'opened'] as const)
    for (const { from, to, family, ...change } of changes) {
      if (change[sign].length === 0) continue;
      const ports = trafficText(change[sign]);
      const key = [sign, from, to, ports].join('\n');
      const found = rows.get(key) ?? {
        row: [verbText(sign, style), printable(from), printable(to), printable(ports)],
        families: [],
      };
      found.families.push(family === 'ipv4' ? 'IPv4' : 'IPv6');
      rows.set(key, found);
    }
  return [...rows.values()].map(({ row, families }) => [...row, families.join(', ')]);
}

const colours = { opened: 'green', closed: 'red', changed: 'yellow', added: 'green', removed: 'red' } as const;
const verbText = (verb: keyof typeof colours, style: Style): string => style.paint(colours[verb], verb);

const order = ['closed', 'changed', 'opened'] as const;

function serviceText({ service, verb, fields, ways, endpoints }: ServiceChange, nodes: readonly string[], style: Style): string {
  const where = (some: readonly string[]): string => (some.length === nodes.length ? 'every node' : printable(some.join(', ')));
  const lines = [`Service ${printable(service)} ${verbText(verb, style)}`];
  for (const { field, before = '', after = '' } of fields) lines.push(`  ${field}: ${printable(before)} -> ${printable(after)}`);
  const sorted = ways.toSorted((a, b) => order.indexOf(a.verb) - order.indexOf(b.verb));
  if (sorted.length > 0) {
    const rows = sorted.map((way) => [
      `  ${verbText(way.verb, style)}`,
      ...[`${way.kind} ${way.to}/${way.protocol}`, way.from.join(', '), where(way.nodes), printable(wayText(way))],
    ]);
    lines.push(table(['  ', 'TO', 'CLIENTS', 'ON', 'WHAT THEY MEET'], rows));
  }
  for (const { port, protocol, family, joined, left, nodes: on } of endpoints) {
    const some = [...left.map((one) => style.paint('red', `-${one}`)), ...joined.map((one) => style.paint('green', `+${one}`))];
    lines.push(`  endpoints of ${port}/${protocol}, ${family === 'ipv4' ? 'IPv4' : 'IPv6'}, on ${where(on)}: ${list(some)}`);
  }
  return lines.join('\n');
}

const mostShown = 12;
const list = (all: readonly string[]): string =>
  all.length > mostShown ? `${all.slice(0, mostShown).join(' ')} and ${all.length - mostShown} more` : all.join(' ');

const wayText = ({ verb, before = 'nothing', after = 'nothing' }: WayChange): string =>
  verb === 'opened' ? after : verb === 'closed' ? `${after}; was ${before}` : `${after}; was ${before}`;

const signs = { add: '+', delete: '-', replace: '~' } as const;
const signColours = { add: 'green', delete: 'red', replace: 'yellow' } as const;

function countsText(elements: readonly ElementChange[]): string {
  const bySet = new Map<string, Record<ElementChange['verb'], number>>();
  for (const { kind, name, verb } of elements) {
    const what = kind === 'element' ? name : `${kind}s`;
    const counts = bySet.get(what) ?? { add: 0, delete: 0, replace: 0 };
    counts[verb]++;
    bySet.set(what, counts);
  }
  const each = [...bySet].map(([name, counts]) => {
    const parts = (['add', 'delete', 'replace'] as const).flatMap((verb) =>
      counts[verb] > 0 ? `${signs[verb]}${counts[verb]}` : [],
    );
    return `${name} ${parts.join(' ')}`;
  });
  return `${count(elements.length, 'change')}: ${each.join(', ')} (each with -o wide)${judged(elements)}`;
}

const judged = (elements: readonly ElementChange[]): string =>
  elements.some(({ name }) => name.startsWith('policy-')) ? '; then a new epoch: each connection of pods is judged anew' : '';

function elementsText(node: string, elements: readonly ElementChange[], style: Style): string {
  const lines = elements.map(({ verb, kind, name, key, data, before }) => {
    const what = kind === 'element' ? `${name} { ${key ?? ''}${data === undefined ? '' : ` : ${data}`} }` : `${kind} ${name}`;
    return `  ${style.paint(signColours[verb], signs[verb])} ${what}${before === undefined ? '' : `   was ${before}`}`;
  });
  return [`${printable(node)}, table inet podnet, ${count(elements.length, 'change')}${judged(elements)}`, ...lines].join('\n');
}
