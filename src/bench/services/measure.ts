import { loadAverage } from '../machine.ts';
import { tell } from '../progress.ts';
import { type MeasuredKind, measuredKinds } from './changes.ts';
import type { Size } from '../objects.ts';
import { comparedSizes, isJudged, reportedSizes, sizeName, sizesUpTo } from './plan.ts';
import type { ChangesTimed, Memory, Started } from './subject.ts';
import { Subject } from './subject-process.ts';

/** What one agent took to load a cluster. */
export interface Load extends Started {
  size: Size;
  /** The full check that nothing was wrong in. */
  checkMs: number;
  /** When it had settled and many changes had been made. */
  later: Memory;
}

/** Changes of one kind in one round. */
export interface ChangeSample extends ChangesTimed {
  size: Size;
  kind: MeasuredKind;
  round: number;
}

export interface Measured {
  loads: Load[];
  changes: ChangeSample[];
  skipped: Size[];
  /** Sizes that no agent could be measured at. */
  failed: { size: Size; why: string }[];
  loadAverages: number[];
}

export interface MeasureOptions {
  directory: string;
  rounds: number;
  /** Changes of each kind in a round. */
  events: number;
  /** The most Services. */
  most: number;
  signal: AbortSignal;
}

/** Of each kind, at sizes that are not compared. */
const fewEvents = 10;
const sameSize = (a: Size, b: Size): boolean => a.services === b.services && a.endpoints === b.endpoints;

/**
 * Each size is loaded by an agent alone, one after the other. Agents whose changes are compared then live at the same time and take turns, round by round; of the
 * other sizes a few changes tell enough.
 */
export async function measureAgents(options: MeasureOptions): Promise<Measured> {
  const { most, directory, signal } = options;
  const { sizes, skipped } = sizesUpTo(most);
  const measured: Measured = { loads: [], changes: [], skipped, failed: [], loadAverages: [] };
  const compared = comparedSizes(most);
  for (const size of [...sizes, ...sizes.filter(isJudged), ...reportedSizes(most), ...sizes.filter(isJudged)]) {
    const subject = new Subject(`${directory}/subject`, size);
    try {
      const started = await subject.start();
      measured.loadAverages.push(loadAverage());
      if (!compared.some((other) => sameSize(other, size)))
        for (const kind of measuredKinds)
          measured.changes.push({ size, kind, round: 1, ...(await subject.changes(kind, Math.min(options.events, fewEvents))) });
      await finish(subject, started, measured);
    } catch (error) {
      // One size that cannot be done must not hide what the others show.
      tell(`${sizeName(size)}: ${(error as Error).message}`);
      measured.failed.push({ size, why: (error as Error).message.split('\n')[0]! });
    } finally {
      await subject[Symbol.asyncDispose]();
    }
    signal.throwIfAborted();
  }
  await compare(options, measured);
  return measured;
}

async function compare(options: MeasureOptions, measured: Measured): Promise<void> {
  const subjects: Subject[] = [];
  try {
    await compareAll(options, measured, (directory, size) => {
      const subject = new Subject(directory, size);
      subjects.push(subject);
      return subject;
    });
  } finally {
    for (const subject of subjects) await subject[Symbol.asyncDispose]();
  }
}

async function compareAll(
  { directory, rounds, events, most, signal }: MeasureOptions,
  measured: Measured,
  make: (directory: string, size: Size) => Subject,
): Promise<void> {
  const all: Subject[] = [];
  for (const [i, size] of comparedSizes(most).entries()) {
    const subject = make(`${directory}/compared-${i}`, size);
    await subject.start();
    all.push(subject);
    signal.throwIfAborted();
  }
  // Round 0 is warming up: V8 compiles what it sees often.
  for (let round = 0; round <= rounds; round++) {
    measured.loadAverages.push(loadAverage());
    for (let i = 0; i < all.length; i++) {
      const subject = all[(i + round) % all.length]!;
      for (const kind of measuredKinds) {
        const timed = await subject.changes(kind, events);
        if (round > 0) measured.changes.push({ size: subject.size, kind, round, ...timed });
        signal.throwIfAborted();
      }
    }
    tell(`round ${round} of ${rounds}: changes at ${all.map(({ size }) => size.services).join(', ')} Services`);
  }
}

async function finish(subject: Subject, started: Started, { loads }: Measured): Promise<void> {
  const later = await subject.memory();
  const checkMs = await subject.check();
  loads.push({ size: subject.size, ...started, later, checkMs });
  const { coldMs, memory } = started;
  tell(`${sizeName(subject.size)}: programmed ${(coldMs / 1000).toFixed(2)} s after the start, ${memory.rssMb.toFixed(0)} MB, later ${later.rssMb.toFixed(0)} MB`);
}
