export { readLog } from './reader.ts';
export { defaultLimits, type LogLimits, type LogStream, LogWriter } from './writer.ts';
