import { Command, Option } from 'commander';
import { benchLab } from './lab/index.ts';

const atLeastOne = (text: string): number => {
  if (!/^[1-9]\d*$/.test(text)) throw new Error(`--rounds must be a whole number from 1 on, not "${text}"`);
  return Number(text);
};

const program = new Command('bench').description('measures podnet on this machine, against its budgets');
program
  .command('lab')
  .description('how long a lab takes to come up empty, with the demo and with 300 pods, and to go; and its memory. Needs root')
  .option('--rounds <n>', 'how often each is measured, in turns', atLeastOne, 5)
  .addOption(new Option('-o, --output <format>', 'how to print').choices(['table', 'json']).default('table'))
  .action(async (options: { rounds: number; output: 'table' | 'json' }) => {
    if (process.getuid?.() !== 0) throw new Error('labs belong to root; run this with sudo');
    if (!(await benchLab(options))) process.exitCode = 1;
  });

await program.parseAsync().catch((error: Error) => {
  console.error(`bench: ${error.message}`);
  process.exitCode = 1;
});
