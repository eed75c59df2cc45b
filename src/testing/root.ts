/** Options for node:test: a test that needs root skips, and says so, for an ordinary user. */
export const needsRoot: { skip: string | false } = { skip: process.getuid?.() === 0 ? false : 'needs root' };
