/** Tells on stderr how far it is, with the seconds since the start: stdout is the result's. */
export const tell = (line: string): void => console.error(`[${(process.uptime() | 0).toString().padStart(4)} s] ${line}`);
