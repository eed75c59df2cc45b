import { join } from 'node:path';

/** What is in the folder `runDir` of the configuration. */
export const handoverSocket = (runDir: string): string => join(runDir, 'handover.sock');
export const namesFile = (runDir: string): string => join(runDir, 'names');
export const answersFile = (runDir: string): string => join(runDir, 'answers');
