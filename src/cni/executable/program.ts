import { supportedVersions } from '../version.ts';
import type { Assembler } from './assembler.ts';
import type { Condition, Register, Target } from './target.ts';

export interface ProgramOptions {
  socketPath: string;
  /** How long one read or write may wait for the agent; below the runtime's own limit (kubelet: 2 minutes a sandbox). */
  timeoutSeconds: number;
}

const bufferSize = 65536;
const EINTR = -4;
const MSG_NOSIGNAL = 0x4000;

/** Four characters as the processor loads them. */
const fourCc = (text: string): number => Buffer.from(text, 'latin1').readInt32LE(0);

/**
 * What the executable does, once for all processors:
 *
 * ```
 *   connect ── every CNI_* string with its NUL ── one NUL ── stdin ── half-close
 *      │                                                                 │
 *   refused, timed out, closed without a byte          first byte '0' + exit code, the rest → stdout
 *      │
 *   VERSION is answered here, STATUS fails with 50, everything else with 11 (try again later): exit code 1
 * ```
 *
 * DEL must fail too when the agent is away: the runtime then tries again, and no address leaks.
 */
export function program(out: Assembler, t: Target, options: ProgramOptions): void {
  const registersAre = (values: Partial<Record<Register, number>>): void => {
    for (const [register, value] of Object.entries(values)) t.constant(register as Register, value);
  };
  const jumpIf = (register: Register, value: number, when: Condition, label: string): void => {
    t.compare(register, value);
    t.jump(when, label);
  };

  // s0: cursor in the environment. s5: the socket. s1-s4: arguments of `transfer`. The buffer lies on the stack.
  t.move('s0', 'stack');
  t.add('stack', -bufferSize);
  t.add('s0', 8); // argc
  out.label('arguments');
  t.load64('a0', 's0');
  t.add('s0', 8);
  t.comparePointerWithNull('a0');
  t.jump('not-equal', 'arguments');

  registersAre({ a0: 1 /* AF_UNIX */, a1: 0x80001 /* SOCK_STREAM | SOCK_CLOEXEC */, a2: 0 });
  t.systemCall('socket');
  t.move('s5', 'result');
  jumpIf('s5', 0, 'negative', 'not-running');
  for (const option of [20 /* SO_RCVTIMEO */, 21 /* SO_SNDTIMEO, which also limits connect */]) {
    t.move('a0', 's5');
    registersAre({ a1: 1 /* SOL_SOCKET */, a2: option, a4: 16 });
    t.address('a3', 'timeout');
    t.systemCall('setsockopt');
  }
  out.label('connect');
  t.move('a0', 's5');
  t.address('a1', 'agent');
  t.constant('a2', 110);
  t.systemCall('connect');
  jumpIf('result', EINTR, 'equal', 'connect');
  jumpIf('result', 0, 'negative', 'not-running');

  t.move('s1', 's5');
  t.constant('s2', t.systemCalls.sendto);
  out.label('environment');
  t.load64('s3', 's0');
  t.comparePointerWithNull('s3');
  t.jump('equal', 'environment-end');
  t.add('s0', 8);
  t.load32('a0', 's3', 0);
  jumpIf('a0', fourCc('CNI_'), 'not-equal', 'environment');
  t.move('s4', 's3');
  out.label('string');
  t.load8('a0', 's4', 0);
  t.add('s4', 1);
  jumpIf('a0', 0, 'not-equal', 'string');
  t.subtractRegister('s4', 's3'); // length with the NUL
  t.call('transfer');
  t.jump('not-equal', 'reply');
  t.jump('always', 'environment');
  out.label('environment-end');
  t.address('s3', 'nul');
  t.constant('s4', 1);
  t.call('transfer');

  out.label('stdin');
  t.constant('a0', 0);
  t.move('a1', 'stack');
  t.constant('a2', bufferSize);
  t.systemCall('read');
  jumpIf('result', EINTR, 'equal', 'stdin');
  jumpIf('result', 0, 'not-positive', 'stdin-end');
  t.move('s4', 'result');
  t.move('s3', 'stack');
  t.call('transfer');
  t.jump('equal', 'stdin');
  // An agent that refuses the request closes before it has read all: its answer is there all the same.
  out.label('stdin-end');
  out.label('reply');
  t.move('a0', 's5');
  t.constant('a1', 1); // SHUT_WR
  t.systemCall('shutdown');

  t.constant('s0', 0); // now: exit code + '0', 0 while the first byte is missing
  out.label('receive');
  t.move('a0', 's5');
  t.move('a1', 'stack');
  t.constant('a2', bufferSize);
  t.systemCall('read');
  jumpIf('result', EINTR, 'equal', 'receive');
  jumpIf('result', 0, 'not-positive', 'received');
  t.move('s4', 'result');
  t.move('s3', 'stack');
  jumpIf('s0', 0, 'not-equal', 'print');
  t.load8('s0', 's3', 0);
  t.add('s3', 1);
  t.add('s4', -1);
  out.label('print');
  registersAre({ s1: 1, s2: t.systemCalls.write });
  t.call('transfer');
  t.jump('equal', 'receive');
  out.label('received');
  jumpIf('s0', 0, 'equal', 'no-answer');
  t.add('s0', -0x30);
  t.move('a0', 's0');
  t.systemCall('exit_group');

  // The agent cannot help: walk through the environment again, for the command.
  out.label('not-running');
  t.address('s5', 'text-not-running');
  t.jump('always', 'answer');
  out.label('no-answer');
  t.address('s5', 'text-no-answer');
  out.label('answer');
  registersAre({ s1: 1, s2: t.systemCalls.write });
  t.move('s0', 'stack');
  t.add('s0', bufferSize);
  t.add('s0', 8);
  out.label('skip-arguments');
  t.load64('a0', 's0');
  t.add('s0', 8);
  t.comparePointerWithNull('a0');
  t.jump('not-equal', 'skip-arguments');
  t.address('s3', 'try-again');
  out.label('find-command');
  t.load64('a1', 's0');
  t.comparePointerWithNull('a1');
  t.jump('equal', 'explain');
  t.add('s0', 8);
  // Reading past the end of a short string is safe: the file's name and eight zero bytes follow the last one on the stack.
  const expect = (offset: number, text: string, otherwise: string): void => {
    t.load32('a0', 'a1', offset);
    jumpIf('a0', fourCc(text), 'not-equal', otherwise);
  };
  expect(0, 'CNI_', 'find-command');
  expect(4, 'COMM', 'find-command');
  expect(8, 'AND=', 'find-command');
  expect(12, 'STAT', 'not-status');
  expect(15, 'TUS\0', 'not-status');
  t.address('s3', 'not-available');
  out.label('not-status');
  expect(12, 'VERS', 'explain');
  expect(16, 'ION\0', 'explain');
  t.address('s3', 'version');
  t.call('print-string');
  t.constant('a0', 0);
  t.systemCall('exit_group');
  out.label('explain');
  t.call('print-string');
  t.move('s3', 's5');
  t.call('print-string');
  t.address('s3', 'text-end');
  t.call('print-string');
  t.constant('a0', 1);
  t.systemCall('exit_group');

  // print-string: the zero-ended text at s3. Falls into transfer: arm64 keeps one return address only.
  out.label('print-string');
  t.move('s4', 's3');
  out.label('measure');
  t.load8('a0', 's4', 0);
  t.add('s4', 1);
  jumpIf('a0', 0, 'not-equal', 'measure');
  t.add('s4', -1);
  t.subtractRegister('s4', 's3');
  // transfer: writes s4 bytes at s3 to descriptor s1 with call s2 (write, or sendto without a signal). Returns 'equal' when all went out.
  out.label('transfer');
  t.comparePointerWithNull('s4');
  t.jump('equal', 'transferred');
  t.move('a0', 's1');
  t.move('a1', 's3');
  t.move('a2', 's4');
  registersAre({ a3: MSG_NOSIGNAL, a4: 0, a5: 0 });
  t.systemCallIn('s2');
  jumpIf('result', EINTR, 'equal', 'transfer');
  jumpIf('result', 0, 'not-positive', 'transferred-not');
  t.addRegister('s3', 'result');
  t.subtractRegister('s4', 'result');
  t.jump('always', 'transfer');
  out.label('transferred-not');
  t.comparePointerWithNull('s4');
  out.label('transferred');
  t.return();

  out.align(8);
  const timeval = Buffer.alloc(16);
  timeval.writeBigInt64LE(BigInt(options.timeoutSeconds));
  out.data('timeout', timeval, `struct timeval of ${options.timeoutSeconds} s`);
  out.data('agent', socketAddress(options.socketPath), `struct sockaddr_un ${options.socketPath}`);
  out.data('nul', Buffer.alloc(1), 'NUL');
  const text = (name: string, value: string): void => out.data(name, Buffer.from(`${value}\0`), JSON.stringify(value));
  text('version', `${JSON.stringify({ cniVersion: supportedVersions.at(-1), supportedVersions })}\n`);
  text('try-again', '{"cniVersion":"1.0.0","code":11,"msg":"podnet\'s agent ');
  text('not-available', '{"cniVersion":"1.1.0","code":50,"msg":"podnet\'s agent ');
  text('text-not-running', 'is not running on this node');
  text('text-no-answer', 'gave no answer');
  const path = JSON.stringify(options.socketPath).slice(1, -1);
  text('text-end', `: ${path}","details":"start 'podnet agent' or see its log; the call is then tried again"}\n`);
}

/** struct sockaddr_un, include/uapi/linux/un.h. @throws RangeError when the path does not fit. */
function socketAddress(path: string): Buffer {
  const address = Buffer.alloc(110);
  address.writeUInt16LE(1, 0); // AF_UNIX
  const bytes = Buffer.from(path);
  if (bytes.length === 0 || bytes.length > 107 || bytes.includes(0)) {
    throw new RangeError(
      `the agent's socket path has ${bytes.length} bytes, a unix socket takes 1 to 107 without NUL: "${path}"; choose a shorter state directory`,
    );
  }
  bytes.copy(address, 2);
  return address;
}
