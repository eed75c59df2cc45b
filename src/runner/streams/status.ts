/** The `Status` object that ends a remote command, as kubelet and API server write it. */
export interface CommandStatus {
  metadata: Record<string, never>;
  status: 'Success' | 'Failure';
  message?: string;
  reason?: 'NonZeroExitCode' | 'InternalError';
  details?: { causes: { reason?: string; message: string }[] };
  code?: number;
}

const success: CommandStatus = { metadata: {}, status: 'Success' };

/** How the command ended: success or its exit code. */
export function exitStatus(code: number): CommandStatus {
  if (code === 0) return success;
  return {
    metadata: {},
    status: 'Failure',
    reason: 'NonZeroExitCode',
    message: `command terminated with non-zero exit code: exit status ${code}`,
    details: { causes: [{ reason: 'ExitCode', message: String(code) }] },
  };
}

/** The command could not be run or watched. */
export const internalStatus = (error: unknown): CommandStatus => ({
  metadata: {},
  status: 'Failure',
  reason: 'InternalError',
  message: `Internal error occurred: error executing command in container: ${error instanceof Error ? error.message : String(error)}`,
  details: { causes: [{ message: error instanceof Error ? error.message : String(error) }] },
  code: 500,
});

/** The text on the error stream: protocols before v4 carry a message, nothing for success. */
export function statusText(status: CommandStatus, structured: boolean): string {
  return structured ? JSON.stringify(status) : status.status === 'Success' ? '' : (status.message ?? '');
}
