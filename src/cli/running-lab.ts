import { UsageError } from '../lab/errors.ts';
import { faultOfLabName, LabNames } from '../lab/names.ts';
import { type LabState, readState } from '../lab/state.ts';
import { requireRoot } from './errors.ts';

/** @throws UsageError when it is no name of a lab */
export function namesOf(lab: string): LabNames {
  const fault = faultOfLabName(lab);
  if (fault) throw new UsageError(fault);
  return new LabNames(lab);
}

/** What a command on a lab begins with. @throws UsageError when no such lab is there, EnvironmentError when the caller is not root */
export function runningLab(lab: string): { names: LabNames; state: LabState } {
  const names = namesOf(lab);
  requireRoot();
  const state = readState(names);
  if (!state) throw new UsageError(`no lab "${lab}" is there; make it with: podnet lab up --name ${lab}`);
  return { names, state };
}
