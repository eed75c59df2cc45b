import { daemons, runDaemon } from './daemons.ts';

const args = process.argv.slice(2);
const [name = '', option, file] = args;
const daemon = daemons.get(name);
// The way a lab starts ten processes: plain enough to need no parser, which takes its share of the time until nodes are Ready.
if (daemon && option === '--config' && file !== undefined && args.length === 3)
  await runDaemon(name, daemon, file).catch(async (error: unknown) => (await import('./errors.ts')).report(error));
else await (await import('./program.ts')).runProgram(args);
