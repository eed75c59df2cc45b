import { existsSync } from 'node:fs';
import path from 'node:path';
import type { Reply } from '../../cni/envelope.ts';
import { occupantOf } from '../../cni/executable/recognize.ts';
import { executableName, installExecutable } from '../../cni/installation.ts';
import { loopbackType } from '../../cni/loopback.ts';
import { startCniServer } from '../../cni/server.ts';
import type { Settings } from '../settings.ts';
import { type StatusParts, serveStatus } from '../status.ts';
import type { Entrances } from './entrances.ts';

/** What is behind the agent's sockets. */
export interface Behind {
  /** One call of the CNI executable, from the bytes it sent. */
  call: (request: Buffer) => Promise<Reply>;
  status: StatusParts;
}

/**
 * Opens the agent's entrances, the sockets first: whoever starts the executable is heard.
 * @throws Error when a socket or a file cannot be had
 */
export async function openEntrances(entrances: Entrances, { cni, statusSocket }: Settings, { call, status }: Behind): Promise<void> {
  const { socketPath, binDir } = cni;
  await entrances.open({
    path: socketPath,
    open: async () => {
      const server = await startCniServer({ socketPath, answer: call });
      return () => server.close();
    },
  });
  await entrances.open({
    path: statusSocket,
    open: async () => {
      const server = await serveStatus(statusSocket, status);
      return () => server[Symbol.asyncDispose]();
    },
  });
  const open = (): (() => void) => {
    installExecutable(binDir, socketPath);
    // It stays when the agent ends.
    return () => {};
  };
  const executable = path.join(binDir, executableName);
  // One that leads to another agent was put there on purpose: two that replace each other's would never come to rest.
  const isOwn = (): string | undefined => (occupantOf(executable).kind === 'own' ? 'there' : undefined);
  await entrances.open({ path: executable, open, identity: isOwn });
  const loopback = path.join(binDir, loopbackType);
  // Anybody's will do.
  await entrances.open({ path: loopback, open, identity: () => (existsSync(loopback) ? 'there' : undefined) });
}
