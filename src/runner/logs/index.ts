export { readLog } from './reader.ts';
export { defaultLimits, LogWriter } from './writer.ts';
