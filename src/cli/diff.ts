import { Command, Option } from 'commander';
import { UsageError } from '../lab/errors.ts';
import { type Change, type Comparison, compare } from '../policy/compare.ts';
import { trafficText } from '../policy/traffic.ts';
import { exitCodes } from './errors.ts';
import { printable, Style, table } from './output.ts';
import { collect, print, warn, whence } from './policy.ts';
import { inventoryFrom, merge, objectsIn, objectsOf, warningsOf } from './policy-objects.ts';

interface DiffOptions {
  files: string[];
  delete?: boolean;
  lab: string;
  output: 'table' | 'json' | 'yaml';
  color: boolean;
}

/** `podnet diff`: what a manifest would open and close, before it is applied. */
export function diffCommand(): Command {
  return new Command('diff')
    .description('what a manifest would change before it is applied: pairs and ports that its policies open or close')
    .requiredOption(
      '-f, --files <path>',
      'the manifest, a file or a folder; every further -f holds what is there now, instead of a lab',
      collect,
    )
    .option('--delete', 'what deleting the objects of the manifest would change')
    .option('--lab <lab>', 'name of the lab that is there now, without a second -f', 'demo')
    .addOption(new Option('-o, --output <format>', 'how to print').choices(['table', 'json', 'yaml']).default('table'))
    .option('--no-color', 'plain text')
    .addHelpText('after', `${whence}\n\nExit code 0: no connection changes. 1: some do. 2: a manifest cannot be read.`)
    .action(diff);
}

async function diff({
  files: [change = '', ...there],
  delete: isDeletion = false,
  lab,
  output,
  color,
}: DiffOptions): Promise<void> {
  const source = { lab, ...(there.length > 0 ? { files: there } : {}) };
  const objects = objectsIn([change]);
  const before = await objectsOf(source);
  const kept = isDeletion ? remove(before, objects, change) : merge([...before, ...objects]);
  const [was, is] = [inventoryFrom(source, before), inventoryFrom(source, kept)];
  warn([...warningsOf(is), ...(there.length > 0 ? [] : objects.filter(isWorkload).map(notFollowed))]);
  const comparison = compare(was.world, is.world);
  print(output, comparison, () => comparisonText(comparison, Style.of(process.stdout, !color)));
  if (comparison.changes.length > 0) process.exitCode = exitCodes.failed;
}

/** Pods of a lab are as its controllers made them. */
const isWorkload = ({ apiVersion }: { apiVersion?: string }): boolean => apiVersion === 'apps/v1' || apiVersion === 'batch/v1';
const notFollowed = ({ kind, metadata: { name } }: { kind?: string; metadata: { name: string } }): string =>
  `${kind} ${name}: which pods the lab would make of it is not foretold; policies are compared for the pods that there are`;

/** Those that the manifest does not name. */
function remove(before: ReturnType<typeof merge>, objects: ReturnType<typeof merge>, file: string): ReturnType<typeof merge> {
  // Of one name the last stays: what is left of `before` after that is not named by the manifest.
  const all = new Set(merge([...before, ...objects]));
  const kept = before.filter((object) => all.has(object));
  if (kept.length === before.length) throw new UsageError(`nothing of ${file} is there to be deleted`);
  return kept;
}

function comparisonText({ changes, added, removed }: Comparison, style: Style): string {
  const parts: string[] = [];
  if (changes.length === 0) parts.push('no connection is opened or closed');
  else parts.push(table([' ', 'FROM', 'TO', 'PORTS', 'FAMILY'], rowsOf(changes, style)));
  if (added.length > 0) parts.push(`new, and not compared: ${printable(added.join(', '))}`);
  if (removed.length > 0) parts.push(`gone, and not compared: ${printable(removed.join(', '))}`);
  return parts.join('\n\n');
}

/** Families with the same change stand in one row; what is closed first, since it hurts first. */
function rowsOf(changes: readonly Change[], style: Style): string[][] {
  const rows = new Map<string, { row: string[]; families: string[] }>();
  for (const sign of ['closed', 'opened'] as const)
    for (const { from, to, family, ...change } of changes) {
      if (change[sign].length === 0) continue;
      const ports = trafficText(change[sign]);
      const word = sign === 'opened' ? style.paint('green', 'opened') : style.paint('red', 'closed');
      const key = [sign, from, to, ports].join('\n');
      const found = rows.get(key) ?? { row: [word, printable(from), printable(to), printable(ports)], families: [] };
      found.families.push(family === 'ipv4' ? 'IPv4' : 'IPv6');
      rows.set(key, found);
    }
  return [...rows.values()].map(({ row, families }) => [...row, families.join(', ')]);
}
