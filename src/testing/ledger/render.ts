import { type Chapter, type ConformanceTest, chapters, conformanceTests } from './citations.ts';
import type { Cover } from './results.ts';

type Covers = (id: string) => readonly Cover[];

const link = (file: string): string => `[${file.replace(/^src\//, '').replace(/(\.test)?\.ts$/, '')}](../${file})`;
const cell = (text: string): string => text.replaceAll('|', '\\|');

/** Tests by file; those that run once for each family or tool have one name. */
function byFile(covers: readonly Cover[]): Map<string, Set<string>> {
  const files = new Map<string, Set<string>>();
  for (const { file, name } of covers) {
    const names = files.get(file) ?? new Set();
    names.add(name.replaceAll(/\b(ipv4|ipv6|dual)\b/gi, 'ipv4/ipv6'));
    files.set(file, names);
  }
  return new Map([...files].sort(([a], [b]) => (a < b ? -1 : 1)));
}

function coveredBy(covers: readonly Cover[]): string {
  if (covers.length === 0) return 'not yet';
  return [...byFile(covers)].map(([file, names]) => `${link(file)}: ${[...names].sort().map(cell).join('; ')}`).join('<br>');
}

/** docs/conformance.md */
export function conformanceLedger(covers: Covers, tests: readonly ConformanceTest[] = conformanceTests): string {
  const covered = tests.filter(({ id }) => covers(id).length > 0).length;
  return `# Conformance: what sig-network demands, and podnet's own tests of it

**${covered} of ${tests.length}** conformance tests of sig-network (Kubernetes 1.37) have a test of podnet's own that asks for the same and passed.
These are podnet's tests, not the e2e program of Kubernetes, which has not been run against it.

The test run writes this file: \`npm test\` as root, when no test fails. A test that was skipped covers nothing. To claim a row a test cites its number in
its name (\`C13: ...\`). Where CI=true nothing is written, and the run fails when the file claims a row that no test covers any more. The numbered
statements behind the tests (SD6, NP15) stand in [statements.md](statements.md).

| | conformance test | demands | covered by |
|---|---|---|---|
${tests.map(({ id, name, demand }) => `| ${id} | ${cell(name)} | ${cell(demand)} | ${coveredBy(covers(id))} |`).join('\n')}
`;
}

/** docs/statements.md */
export function statementLedger(covers: Covers, all: readonly Chapter[] = chapters): string {
  const one = (id: string): string => [...byFile(covers(id)).keys()].map(link).join(', ') || 'not yet';
  const chapter = ({ title, statements }: Chapter): string => {
    const covered = statements.filter(({ id }) => covers(id).length > 0).length;
    const rows = statements.map(({ id, words }) => `| ${id} | ${cell(words)} | ${one(id)} |`);
    return `## ${title} (${covered} of ${statements.length})\n\n| | in short | cited by tests in |\n|---|---|---|\n${rows.join('\n')}\n`;
  };
  return `# Statements: the network in numbered sentences

What Kubernetes demands of a network and what podnet promises beyond, in short, with the numbers that tests cite in their names (\`SD4a\` is a part of SD4).
A test that cites a statement checks something of it, not always all. Written by the test run, as [conformance.md](conformance.md) is.

${all.map(chapter).join('\n')}`;
}

/** Numbers of the rows that a written ledger claims as covered. */
export const claimed = (ledger: string): string[] =>
  ledger.split('\n').flatMap((line) => {
    const id = /^\| ([A-Z]+\d+) \|/.exec(line)?.[1];
    return id === undefined || line.endsWith('| not yet |') ? [] : [id];
  });

/** What a written ledger claims and no passed test covers. */
export const unproven = (ledger: string, covers: Covers): string[] => claimed(ledger).filter((id) => covers(id).length === 0);
