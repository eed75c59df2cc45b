import { Command, Option } from 'commander';
import { adminClient } from '../lab/up.ts';
import { verifyLab } from '../lab/verify.ts';
import { conclusionOf, failureLines, type Report, tableOf } from '../verify/report.ts';
import { exitCodes } from './errors.ts';
import { printable, Style, table } from './output.ts';
import { runningLab } from './running-lab.ts';

interface VerifyOptions {
  lab: string;
  all?: boolean;
  output: 'table' | 'json';
  color: boolean;
}

export function verifyCommand(): Command {
  return new Command('verify')
    .description('prove the network model of a lab with real packets; exit code 1 when it does not hold')
    .option('--name, --lab <lab>', 'name of the lab', 'demo')
    .option('--all', 'every pair of pods, however many there are')
    .addOption(new Option('-o, --output <format>', 'how to print').choices(['table', 'json']).default('table'))
    .option('--no-color', 'plain text')
    .action(async ({ lab, all, output, color }: VerifyOptions) => {
      const { names, state } = runningLab(lab);
      using client = adminClient(names, 10_000);
      const report = await verifyLab(names, state.config, client, all);
      if (output === 'json') console.log(JSON.stringify(report, undefined, 2));
      else printReport(report, Style.of(process.stdout, !color));
      if (!report.ok) process.exitCode = exitCodes.failed;
    });
}

const tried = 3;
const numbers = [tried, tried + 1, tried + 2, tried + 3];

export function printReport(report: Report, style: Style): void {
  const { header, rows } = tableOf(report);
  const marked = rows.map((row, i) => {
    const right = report.checks[i]!.failed === 0;
    return [style.paint(right ? 'green' : 'red', right ? '✓' : '✗'), ...row];
  });
  console.log(
    `\n${indent(
      table(
        ['', ...header],
        marked,
        numbers.map((column) => column + 1),
      ),
    )}\n`,
  );
  for (const line of failureLines(report)) console.log(indent(printable(line)));
  console.log(indent(style.paint(report.ok ? 'green' : 'red', conclusionOf(report))));
}

const indent = (text: string): string => text.replaceAll(/^/gm, ' ');
