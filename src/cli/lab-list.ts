import { Command } from 'commander';
import { LabNames } from '../lab/names.ts';
import { recordedProcesses } from '../lab/processes.ts';
import { knownLabs, readState } from '../lab/state.ts';
import { requireRoot } from './errors.ts';
import { table } from './output.ts';

export const listCommand = (): Command => new Command('list').description('list the labs on this machine').action(list);

function list(): void {
  requireRoot();
  const rows = knownLabs().map((lab) => {
    const names = new LabNames(lab);
    const running = recordedProcesses(names.pidsDir).has('control');
    try {
      const state = readState(names);
      return [
        lab,
        running ? 'running' : 'dead',
        String(state?.config.nodes.length ?? '?'),
        state?.config.ipFamily ?? '?',
        state?.createdAt ?? '?',
      ];
    } catch {
      return [lab, 'damaged', '?', '?', '?'];
    }
  });
  console.log(rows.length ? table(['NAME', 'STATE', 'NODES', 'FAMILY', 'CREATED'], rows) : 'no labs');
}
