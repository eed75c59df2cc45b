import { Command } from 'commander';
import { leftSince, ownLab, stateOf } from './podnet.ts';
import { rollUnderConnections } from './rolling.ts';

/** What takes too long for every run of the tests: `npm run soak -- NAME`. Exit code 1 when something is not as it must be. */
const program = new Command('soak').description('long proofs in labs of their own. Need root');

program
  .command('rolling-update')
  .description('SD24, SD5: new connections all the time through rolling updates, from pods and from outside, in both families: none may fail')
  .option('--connections <n>', 'how many', (text) => Number(text), 100_000)
  .action(async ({ connections }: { connections: number }) => {
    if (!(connections >= 100)) throw new Error('--connections must be a number from 100 on');
    const names = ownLab('soak');
    const before = stateOf(names);
    const begin = performance.now();
    const seconds = (): string => ((performance.now() - begin) / 1000).toFixed(0);
    const rolled = await rollUnderConnections(names, connections, ({ connections: so, rollouts, failures }) =>
      console.error(`[${seconds().padStart(4)} s] ${so} connections, ${rollouts} rollouts, ${failures.length} failed`),
    );
    const { failures, pods, rollouts } = rolled;
    console.log(`${rolled.connections} connections to ${pods} pods during ${rollouts} rollouts in ${seconds()} s, ${failures.length} failed`);
    for (const failure of failures.slice(0, 20)) console.log(`  ${failure}`);
    const left = await leftSince(before, names);
    for (const thing of left) console.log(`left behind: ${String(thing)}`);
    if (failures.length > 0 || left.length > 0) process.exitCode = 1;
  });

await program.parseAsync().catch((error: Error) => {
  console.error(`soak: ${error.message}`);
  process.exitCode = 1;
});
