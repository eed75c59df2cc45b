import { randomInt } from 'node:crypto';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Worker } from 'node:worker_threads';
import { Command } from 'commander';
import { fuzz, FuzzFault } from './fuzz.ts';

/** A packet that takes so long will never end. */
const hangMs = 20_000;

/** Ends the process when one packet takes for ever; a thread that is stuck cannot do so itself. */
const watcher = `
const { workerData } = require('node:worker_threads');
let last = -1;
setInterval(() => {
  if (workerData[0] === last) {
    console.error('packet ' + last + ' hangs');
    process.kill(process.pid, 'SIGKILL');
  }
  last = workerData[0];
}, ${hangMs});
`;

const number = (text: string): number => {
  if (/^\d+$/.test(text)) return Number(text);
  throw new Error(`expected a whole number, not "${text}"`);
};

const program = new Command('fuzz').description(
  'throws mutated and random packets at podnet: nothing may crash, hang, grow, or answer an answer',
);
program
  .command('dns')
  .description('the parser of questions, the whole pipeline, and the parser of what resolvers say')
  .option('--count <n>', 'how many packets', number, 10_000_000)
  .option('--seed <n>', 'the same seed makes the same packets; default: another one each time', number)
  .option('--from <n>', 'index of the first packet: with --count 1, a single one again', number, 0)
  .action(async ({ count, seed = randomInt(2 ** 31), from }: { count: number; seed?: number; from: number }) => {
    setFlagsFromString('--expose-gc');
    (globalThis as { gc?: unknown }).gc = runInNewContext('gc');
    const current = new Float64Array(new SharedArrayBuffer(8));
    const watching = new Worker(watcher, { eval: true, workerData: current });
    console.log(`seed ${seed}, ${count} packets`);
    try {
      const { memory, ...result } = await fuzz({
        seed,
        from,
        count,
        current,
        onProgress: (index) => console.log(`${index} packets`),
      });
      const [early, end] = memory.map((bytes) => Math.round(bytes / 1024 / 1024));
      console.log({ ...result, memory: `${early} MiB after a tenth, ${end} MiB at the end` });
      // Not what a few collections more or less make.
      if (memory[1] > memory[0] + (8 << 20)) throw new Error('memory grew');
    } catch (error) {
      console.error((error as Error).message, (error as Error).cause ?? '');
      if (error instanceof FuzzFault) console.error(`its bytes: ${error.packet.toString('hex')}`);
      process.exitCode = 1;
    } finally {
      await watching.terminate();
    }
  });
await program.parseAsync();
