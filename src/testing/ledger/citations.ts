import { readFileSync } from 'node:fs';

/** A conformance test of sig-network (Kubernetes 1.37), as podnet's tests cite it. */
export interface ConformanceTest {
  /** `C1` to `C47` */
  id: string;
  /** Its name after `[sig-network] `. */
  name: string;
  /** The releases that brought and changed it. */
  since: string;
  /** What it demands, in our words. */
  demand: string;
}

/** A numbered statement about the network, such as SD6, as podnet's tests cite it. */
export interface Statement {
  id: string;
  words: string;
}

/** Statements whose numbers begin alike. */
export interface Chapter {
  title: string;
  statements: readonly Statement[];
}

const data = (name: string): string => readFileSync(new URL(`../../../src/testing/ledger/data/${name}`, import.meta.url), 'utf8');

export const conformanceTests = JSON.parse(data('conformance.json')) as readonly ConformanceTest[];

/** `data/statements.txt`: `# title`, then a line for each statement: its number, a blank, its words. */
function read(text: string): Chapter[] {
  const chapters: { title: string; statements: Statement[] }[] = [];
  for (const line of text.split('\n').filter(Boolean)) {
    const blank = line.indexOf(' ');
    if (line.startsWith('# ')) chapters.push({ title: line.slice(2), statements: [] });
    else chapters.at(-1)!.statements.push({ id: line.slice(0, blank), words: line.slice(blank + 1) });
  }
  return chapters;
}

export const chapters: readonly Chapter[] = read(data('statements.txt'));

const known = new Set([...conformanceTests, ...chapters.flatMap(({ statements }) => statements)].map(({ id }) => id));

/** What looks like a number of ours, wherever it stands in a name; `SD4a` is a part of SD4. */
const number = /(?<![\w.-])([A-Z]{1,3}\d{1,2})[a-z]?(?![\w.-]*\w)/g;

/** The conformance tests and statements that a test's name cites, each once. */
export const citations = (name: string): string[] => [
  ...new Set([...name.matchAll(number)].map((match) => match[1]!).filter((id) => known.has(id))),
];

/** What stands in the name's place for citations, before the first colon, but is no number that there is: a slip of the pen. */
export function unknownCitations(name: string): string[] {
  const [head = '', ...rest] = name.split(': ');
  if (rest.length === 0 || !/^[A-Z]{1,3}\d{1,2}[a-z]?([ ,]|$)/.test(head)) return [];
  return head
    .replaceAll(/\(.*?\)/g, '')
    .split(/[ ,]+/)
    .filter((word) => word !== '' && citations(word).length === 0);
}
