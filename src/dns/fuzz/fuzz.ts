import { AskTarget } from './ask.ts';
import { answers, questions } from './corpus.ts';
import { mutate } from './mutate.ts';
import { Random } from './random.ts';
import { SaidTarget } from './said.ts';

export interface FuzzOptions {
  seed: number;
  /** Index of the first packet. */
  from: number;
  count: number;
  /** Told now and then. */
  onProgress?(index: number): void;
  /** Set to each index before it is tried, for somebody who watches from another thread. */
  current?: Float64Array;
}

export interface FuzzResult {
  /** Questions answered at once or later, left for resolvers or dropped, and what was no question. */
  answered: number;
  later: number;
  ignored: number;
  /** Of what resolvers say: taken and refused. */
  taken: number;
  refused: number;
  slowestMs: number;
  seconds: number;
  /** Bytes of live memory after a tenth, and at the end. */
  memory: [number, number];
}

/** A packet that did what none may do. */
export class FuzzFault extends Error {
  readonly packet: Buffer;

  constructor(message: string, packet: Buffer, options: ErrorOptions) {
    super(message, options);
    this.name = 'FuzzFault';
    this.packet = packet;
  }
}

const turn = 500;

/**
 * Throws mutated and random packets at the parser of questions, the whole pipeline, and the parser of what resolvers say. The same seed and index make the
 * same packet, whatever came before.
 * @throws FuzzFault naming seed and index
 */
export async function fuzz({ seed, from, count, onProgress, current }: FuzzOptions): Promise<FuzzResult> {
  using ask = new AskTarget();
  const said = new SaidTarget();
  const random = new Random();
  const room = Buffer.alloc(4096);
  const memory: [number, number] = [0, 0];
  const began = performance.now();
  let slowestMs = 0;
  for (let index = from; index < from + count; index++) {
    if (current) current[0] = index;
    random.begin(seed, index);
    const isQuestion = random.below(3) > 0;
    const length = mutate(random, isQuestion ? questions : answers, room);
    // Most answers have the right id: the rest of them is to be looked at.
    if (!isQuestion && length > 1 && random.below(16) > 0) room.fill(0, 0, 2);
    const packet = room.subarray(0, length);
    const bits = random.next();
    const at = performance.now();
    try {
      if (isQuestion) ask.run(Buffer.from(packet), bits);
      else said.run(packet, bits);
    } catch (error) {
      throw new FuzzFault(`packet ${index} of seed ${seed}: ${(error as Error).message}`, Buffer.from(packet), { cause: error });
    }
    slowestMs = Math.max(slowestMs, performance.now() - at);
    // What was left for later gets its turn, so that nothing piles up.
    if ((index + 1) % turn === 0) await new Promise((resolve) => setImmediate(resolve));
    if (index === from + Math.floor(count / 10)) memory[0] = liveBytes();
    if (onProgress && (index + 1) % 500_000 === 0) onProgress(index + 1);
  }
  await new Promise((resolve) => setImmediate(resolve));
  memory[1] = liveBytes();
  const { answered, later, ignored } = ask;
  const { taken, refused } = said;
  return { ...{ answered, later, ignored, taken, refused, slowestMs, memory }, seconds: (performance.now() - began) / 1000 };
}

/** After a collection, where node was started with --expose-gc. */
function liveBytes(): number {
  (globalThis as { gc?: () => void }).gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
