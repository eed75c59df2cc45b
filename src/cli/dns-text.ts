import type { Explanation, Tried } from '../dns/explain/explain.ts';
import type { LogEntry } from '../dns/monitoring/log-tap.ts';
import { printable, type Style, table } from './output.ts';

/** What a pod gets for a name, as a table: a line for each record, or for each name that was tried in vain. */
export function explanationText({ name, pod, searches, ndots, tried, found }: Explanation, { wide, style }: { wide: boolean; style: Style }): string {
  const head: string[] = [];
  if (pod) {
    const where = [pod.address, pod.nodeName === undefined ? undefined : `on ${pod.nodeName}`].filter(Boolean).join(' ');
    head.push(`${printable(`${pod.namespace}/${pod.name}`)}   ${printable(where)}${pod.hostNetwork ? ', in the network of its node' : ''}`);
    head.push(`  search   ${printable(searches!.map((search) => search.replace(/(?<=.)\.$/, '')).join(' ')) || '-'}   ndots:${ndots}`, '');
  }
  const rows = tried.flatMap((one) => rowsOf(one, wide, style));
  const end = found === undefined ? style.paint('red', `${printable(name)} does not resolve`) : '';
  return [...head, table(['NAME ASKED', 'TYPE', 'ANSWER', 'TTL', 'TIME', 'FROM'], rows, [3, 4]), ...(end ? ['', end] : [])].join('\n');
}

function rowsOf({ name, type, rcode, answers, by, steps, ms }: Tried, wide: boolean, style: Style): string[][] {
  const asked = printable(name);
  const time = ms < 10 ? `${ms.toFixed(2)} ms` : `${ms.toFixed(0)} ms`;
  const first = answers.length > 0 ? answers : [undefined];
  const rows = first.map((answer, i) => [
    i === 0 ? asked : answer!.name === name ? '' : `  ${printable(answer!.name)}`,
    i === 0 ? type : '',
    answer === undefined ? codeText(rcode, style) : answer.type === type ? printable(answer.data) : `${answer.type} ${printable(answer.data)}`,
    answer === undefined ? '' : String(answer.ttl),
    i === 0 ? time : '',
    answer === undefined ? by : printable(answer.from.join(', ')),
  ]);
  // Addresses of this type are missing, though the aliases led somewhere.
  if (answers.length > 0 && !answers.some((answer) => answer.type === type)) rows.push(['', '', codeText(rcode, style), '', '', '']);
  return wide ? [...rows, ...steps.map(({ stage, text }) => ['', '', style.paint('dim', `${stage}: ${printable(text)}`)])] : rows;
}

const codeText = (rcode: string, style: Style): string => (rcode === 'NOERROR' ? 'no such records' : style.paint(rcode === 'NXDOMAIN' ? 'yellow' : 'red', rcode));

const columns = { time: 12, node: 10, client: 30, type: 5, rcode: 9, us: 9, by: 8 } as const;

export const logWidths = (several: boolean): string =>
  [
    'TIME'.padEnd(columns.time),
    ...(several ? ['NODE'.padEnd(columns.node)] : []),
    ...['POD'.padEnd(columns.client), 'TYPE'.padEnd(columns.type), 'ANSWER'.padEnd(columns.rcode), 'TIME'.padStart(columns.us), 'BY'.padEnd(columns.by), 'NAME'],
  ].join('  ');

/** One question and its answer on a line, in columns of fixed width: the next is not known yet. */
export function logLine({ time, client, pod, type, rcode, us, by, name, answers, truncated, proto }: LogEntry, node: string | undefined, style: Style): string {
  const code = style.paint(rcode === 'NOERROR' ? 'green' : rcode === 'NXDOMAIN' ? 'yellow' : 'red', rcode.padEnd(columns.rcode));
  const extra = [answers.join(' '), truncated ? 'TC' : '', proto === 'tcp' ? 'tcp' : ''].filter(Boolean).map(printable);
  const took = us < 10_000 ? `${us} us` : `${Math.round(us / 1000)} ms`;
  return [
    time.slice(11, 23),
    ...(node === undefined ? [] : [node.padEnd(columns.node)]),
    printable(pod ?? client).padEnd(columns.client),
    type.padEnd(columns.type),
    code,
    took.padStart(columns.us),
    by.padEnd(columns.by),
    printable(name),
    ...extra.map((text) => style.paint('dim', text)),
  ].join('  ');
}
